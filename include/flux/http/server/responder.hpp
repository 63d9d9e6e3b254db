// SPDX-License-Identifier: MIT
// flux/http/server/responder.hpp - how a streaming handler answers: head first, then octets as they come.
#pragma once

#include <flux/http/message/response.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// What a connection offers for one answer.
class response_sink : public body_sink {
public:
    /// Puts the head on its way. Called once, before the first write().
    [[nodiscard]] virtual result<void> begin(status code, const fields& head, std::optional<std::uint64_t> length) = 0;
    [[nodiscard]] virtual bool begun() const noexcept = 0;
    /// Puts an interim response (1xx) on its way; flush() sends it. Nothing is said to an HTTP/1.0 client.
    [[nodiscard]] virtual result<void> inform(status code, const fields& head) = 0;

protected:
    ~response_sink() = default;
};

/// The answer of a streaming handler: `(request&, responder&) -> task<>`.
///
/// Set status and fields, then write. The head goes out with the first octets; after that it cannot change, and
/// trying to is an error instead of being ignored. When the handler returns the body is complete; a handler that
/// never wrote answers with an empty body. If it fails after the head went out, the connection is closed so that
/// the client sees an incomplete message.
/// Threads  the reactor thread.
class responder {
public:
    explicit responder(response_sink& sink) noexcept : sink_(&sink) {}
    responder(const responder&) = delete;
    responder& operator=(const responder&) = delete;

    /// Errors: throws flux::error (errc::invalid_argument) after the head went out, or for what could split the
    /// message.
    responder& code(status s) {
        require_no_head();
        code_ = s;
        return *this;
    }
    responder& header(name_ref name, std::string_view value) {
        require_no_head();
        fields_.set(name, value);
        return *this;
    }
    responder& add_header(name_ref name, std::string_view value) {
        require_no_head();
        fields_.add(name, value);
        return *this;
    }
    /// Announces the length of the body in octets: Content-Length instead of chunked coding. Writing more, or
    /// less by the end, is an error.
    responder& length(std::uint64_t octets) {
        require_no_head();
        length_ = octets;
        return *this;
    }

    [[nodiscard]] bool head_sent() const noexcept { return sink_->begun(); }
    /// The fields that were set so far.
    [[nodiscard]] const fields& head_fields() const noexcept { return fields_; }
    /// Back to 200 with these fields and no length, as if nothing else had been set; no effect after the head is out.
    void start_over(fields with) noexcept {
        if (!head_sent()) {
            fields_ = std::move(with);
            length_.reset();
            code_ = status::ok;
        }
    }

    /// Writes a part of the body. Waits while the client is slow.
    /// Params   octets  borrowed until the task ends.
    /// Errors   see body_writer::write.
    template <class Octets = std::string_view>
    [[nodiscard]] task<> write(std::type_identity_t<Octets> octets) {
        if (auto begun = begin(); !begun) {
            return failed<Octets>(std::move(begun).error());
        }
        return sink_->write(octets);
    }
    /// Sends what was gathered, the head included.
    template <class Octets = std::string_view>
    [[nodiscard]] task<> flush() {
        if (auto begun = begin(); !begun) {
            return failed<Octets>(std::move(begun).error());
        }
        return sink_->flush();
    }
    /// Sends an interim response such as 103 Early Hints. Params: code  100 to 199, not 101.
    template <class Fields = fields>
    [[nodiscard]] task<> inform(status code, const Fields& head) {
        if (auto said = sink_->inform(code, head); !said) {
            return failed<Fields>(std::move(said).error());
        }
        return sink_->flush();
    }
    /// Adds a trailer; see body_writer::add_trailer.
    [[nodiscard]] result<void> add_trailer(std::string_view name, std::string_view value) {
        return sink_->add_trailer(name, value);
    }

    /// Where it writes to; for layers.
    [[nodiscard]] response_sink& sink() noexcept { return *sink_; }
    /// For send_file() of send_file.hpp.
    [[nodiscard]] direct_output* direct(std::uint64_t octets) { return begin() ? sink_->direct(octets) : nullptr; }

    /// Puts the head on its way if that has not happened. The connection calls it when the handler returned.
    [[nodiscard]] result<void> begin() {
        return sink_->begun() ? result<void>() : sink_->begin(code_, fields_, length_);
    }

private:
    template <class Octets>
    static task<> failed(error e) {
        co_await fail(std::move(e));
    }
    void require_no_head() const {
        if (head_sent()) {
            flux::detail::throw_error(error(flux::errc::invalid_argument).doing("change of a response head that was sent"));
        }
    }

    response_sink* sink_;
    fields fields_;
    std::optional<std::uint64_t> length_;
    status code_ = status::ok;
};

} // namespace flux::inline FLUX_ABI::http
