// SPDX-License-Identifier: MIT
// flux/http/server/multipart.hpp - forms with files: the parts of a multipart/form-data body, one after the other.
//
//     http::multipart_reader parts(req);
//     for (auto* part = co_await parts.next(); part != nullptr; part = co_await parts.next()) {
//         const std::string text = co_await part->body().text(1024);    // or pieces: part->body().next()
//     }
//
// Nothing is collected: a piece is what is in one receive buffer, and whoever reads slowly stops the sender.
// Deliberately not here: files (examples/upload.cpp writes some), the octets (wire/multipart_parser.hpp).
#pragma once

#include <flux/coro/task.hpp>
#include <flux/http/message/content_disposition.hpp>
#include <flux/http/message/content_type.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/wire/multipart_parser.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// One part of a form. Valid until the reader's next() is called again.
class form_part {
public:
    /// The name of the form's field.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Whether it is a file; a field without a file has no file name.
    [[nodiscard]] bool is_file() const noexcept { return filename_.has_value(); }
    /// The name of the file as the peer says: any octets, and no path of ours. See safe_filename(). Empty without one.
    [[nodiscard]] std::string_view filename() const noexcept {
        return filename_ ? std::string_view(*filename_) : std::string_view();
    }
    /// A name that a file of ours can have, or empty: http::safe_filename(filename()).
    [[nodiscard]] std::string safe_filename() const { return http::safe_filename(filename()); }
    /// The media type as sent; "text/plain" if there is none [RFC 7578 4.4].
    [[nodiscard]] std::string_view content_type() const noexcept {
        return fields_.get(field::content_type).value_or("text/plain");
    }
    [[nodiscard]] const fields_view& fields() const noexcept { return fields_; }
    /// The data: `next()` for pieces, `text(limit)` for all of it.
    [[nodiscard]] body_reader& body() noexcept { return body_; }

private:
    template <class Piece>
    friend class basic_multipart_reader;
    std::string name_;
    std::optional<std::string> filename_;
    fields_view fields_;
    body_reader body_;
};

/// Reads the body of a request as multipart/form-data.
///
/// Errors of next() and of a part's body: errc::unsupported_content (415) if the request is no such form;
/// errc::malformed_multipart, errc::incomplete_multipart (400); errc::too_many_parts, errc::part_too_large (413);
/// those of the body. A handler that fails with one of them is answered by its status. After an error the body
/// cannot be read on.
/// Overlap  one operation at a time.
/// Source   RFC 7578, RFC 2046 5.1.
template <class Piece>
class basic_multipart_reader {
public:
    /// Params  req  borrowed; its body is read by nobody else.
    explicit basic_multipart_reader(request& req, const multipart_limits& lim = multipart_limits())
        : basic_multipart_reader(req, boundary_of(req), lim) {}
    basic_multipart_reader(const basic_multipart_reader&) = delete;
    basic_multipart_reader& operator=(const basic_multipart_reader&) = delete;

    /// The next part; null after the last one. What was not read of the part before is skipped.
    [[nodiscard]] task<form_part*> next() {
        while (!failed_ && !done_) {
            const auto step = co_await attempt(advance());
            if (!step) {
                break;
            }
            if (step->event == multipart_event::part) {
                if (!describe_part()) {
                    failed_.emplace(errc::malformed_multipart);
                    break;
                }
                co_return &part_;
            }
        }
        if (failed_) {
            co_return fail(*failed_);
        }
        co_return nullptr;
    }

private:
    // An empty boundary: this is no form.
    basic_multipart_reader(request& req, const std::string& boundary, const multipart_limits& lim)
        : body_(&req.body()), parser_(boundary.empty() ? std::string_view("-") : std::string_view(boundary), lim) {
        if (boundary.empty()) {
            failed_.emplace(errc::unsupported_content);
        }
    }
    [[nodiscard]] static std::string boundary_of(const request& req) {
        const auto type = content_type::parse(req.header(field::content_type));
        const auto boundary = type && type->is("multipart/form-data") ? type->parameter("boundary") : std::nullopt;
        const bool usable = boundary && multipart_parser::is_boundary(*boundary) &&
                            !req.fields().repeated().contains(field::content_type);
        return std::string(usable ? *boundary : std::string_view());
    }

    // The data of the part in progress.
    class part_source final : public body_source {
    public:
        explicit part_source(basic_multipart_reader& reader) noexcept : reader_(&reader) {}
        [[nodiscard]] task<Piece> next() override { return reader_->read_part(); }
        [[nodiscard]] fields_view trailers() const noexcept override { return {}; }
        [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override { return std::nullopt; }
        [[nodiscard]] const error* failure() const noexcept override {
            return reader_->failed_ ? &*reader_->failed_ : nullptr;
        }

    private:
        basic_multipart_reader* reader_;
    };

    task<Piece> read_part() {
        if (failed_) {
            co_return fail(*failed_);
        }
        if (!in_part_) {
            co_return Piece();
        }
        const auto step = co_await attempt(advance());
        if (!step) {
            co_return fail(step.error());
        }
        co_return step->data; // empty at its end
    }

    // The next event that is one.
    task<multipart_step> advance() {
        for (;;) {
            const multipart_step step = parser_.next(segment_);
            segment_.remove_prefix(step.consumed);
            switch (step.event) {
            case multipart_event::part: in_part_ = true; co_return step;
            case multipart_event::data: co_return step;
            case multipart_event::part_end: in_part_ = false; co_return step;
            case multipart_event::done: done_ = true; co_return step;
            case multipart_event::failed: co_return fail(failed_.emplace(parser_.error()));
            case multipart_event::need_more: break;
            }
            const auto piece = co_await attempt(body_->next());
            if (!piece) {
                co_return fail(failed_.emplace(piece.error()));
            }
            if (piece->empty()) {
                co_return fail(failed_.emplace(errc::incomplete_multipart));
            }
            segment_ = *piece;
        }
    }
    // Content-Disposition: form-data, with a name [RFC 7578 4.2].
    [[nodiscard]] bool describe_part() {
        part_.fields_ = parser_.fields();
        const auto field_value = part_.fields_.get(field::content_disposition);
        if (!field_value || part_.fields_.repeated().contains(field::content_disposition)) {
            return false;
        }
        auto said = content_disposition::parse(*field_value);
        if (!said || said->type != "form-data" || !said->name) {
            return false;
        }
        part_.name_ = *std::move(said->name);
        part_.filename_ = std::move(said->filename);
        part_.body_ = body_reader(source_);
        return true;
    }

    body_reader* body_;
    multipart_parser parser_; // of no use if it has failed from the start
    std::string_view segment_; // what is left of the piece in progress
    form_part part_;
    part_source source_{*this};
    std::optional<error> failed_;
    bool in_part_ = false;
    bool done_ = false;
};

// The class is a template so that only programs which use it compile its coroutines (docs/decisions/0007).
using multipart_reader = basic_multipart_reader<std::string_view>;

} // namespace flux::inline FLUX_ABI::http
