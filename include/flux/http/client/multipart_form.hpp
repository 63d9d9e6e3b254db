// SPDX-License-Identifier: MIT
// flux/http/client/multipart_form.hpp - a form with files as a body: multipart/form-data, streamed part by part.
//
//   multipart_form -> content_type(), length(), producer() -> body_writer
//
// Deliberately not here: forms without files (query_builder writes those), and reading multipart bodies (server/).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/message/octets.hpp>
#include <flux/http/message/query.hpp>
#include <flux/http/message/response.hpp>

#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

struct outgoing_part {
    std::string head; // delimiter and fields, with the empty line
    std::string octets;
    body_producer producer; // if it is set, in place of `octets`
    std::optional<std::uint64_t> length = 0;
};

struct outgoing_parts {
    flux::detail::dynamic_array<outgoing_part> all;
    std::string end;
};

template <class Parts>
task<> write_parts(Parts* parts, body_writer* out) {
    for (auto& part : parts->all) {
        auto done = co_await attempt(out->write(part.head));
        if (done) {
            auto content = part.producer ? part.producer(*out) : out->write(part.octets);
            done = co_await attempt(std::move(content));
        }
        if (!done) {
            co_await fail(std::move(done).error());
        }
    }
    auto done = co_await attempt(out->write(parts->end));
    if (!done) {
        co_await fail(std::move(done).error());
    }
}

// 128 random bits: no content holds them by chance, and nobody can choose one that does.
[[nodiscard]] inline std::string random_boundary() {
    unsigned char bits[16] = {};
    for (std::size_t have = 0; have < sizeof(bits);) {
        const auto n = ::getrandom(bits + have, sizeof(bits) - have, 0);
        FLUX_ASSERT(n > 0 || errno == EINTR, "getrandom() does not give random octets");
        have += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    std::string out = "flux-";
    for (const unsigned char b : bits) {
        out += "0123456789abcdef"[b >> 4];
        out += "0123456789abcdef"[b & 15];
    }
    return out;
}

} // namespace detail

/// A form as browsers send it when it holds files.
///
/// Names and file names are written as UTF-8; quotes and controls in them are percent-encoded, so they cannot end
/// the part's head. The body can be produced any number of times, for redirects and repetitions.
/// Threads  as a value.  Source  RFC 7578; the escaping is that of the HTML standard.
class multipart_form {
public:
    multipart_form() : multipart_form(detail::random_boundary()) {}
    /// Params  boundary  letters, digits, "-" and "_", at most 70; must not occur in any part. For tests.
    explicit multipart_form(std::string_view boundary) : boundary_(boundary) {
        bool good = !boundary.empty() && boundary.size() <= 70; // RFC 2046 5.1.1
        for (const char c : boundary) {
            good = good && (is(c, octet_class::digit) || is(c, octet_class::alpha) || c == '-' || c == '_');
        }
        if (!good) {
            flux::detail::throw_error(error(flux::errc::invalid_argument).doing("multipart boundary"));
        }
    }

    /// Adds a plain field.
    multipart_form& add(std::string_view name, std::string_view value) {
        detail::outgoing_part& part = put(name, nullptr, {});
        part.octets = value;
        part.length = value.size();
        return *this;
    }
    /// Adds a file whose octets are there.
    /// Errors  throws flux::error (errc::invalid_argument) if `type` cannot be a field value.
    multipart_form& file(std::string_view name, std::string_view filename, std::string octets,
                         std::string_view type = "application/octet-stream") {
        detail::outgoing_part& part = put(name, &filename, type);
        part.octets = std::move(octets);
        part.length = part.octets.size();
        return *this;
    }
    /// Adds a file that is produced while it is sent. Params: producer  writes the file, as often as it is asked;
    /// length  its octets. Without it the body is sent chunked.
    multipart_form& file(std::string_view name, std::string_view filename, body_producer producer,
                         std::optional<std::uint64_t> length = {}, std::string_view type = "application/octet-stream") {
        detail::outgoing_part& part = put(name, &filename, type);
        part.producer = std::move(producer);
        part.length = length;
        return *this;
    }

    /// The value of Content-Type.
    [[nodiscard]] std::string content_type() const { return "multipart/form-data; boundary=" + boundary_; }
    /// The octets of the body; nothing if that of one file is not known.
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept {
        std::uint64_t sum = boundary_.size() + 6 + (parts_.all.empty() ? 0U : 2U);
        for (const detail::outgoing_part& part : parts_.all) {
            if (!part.length) {
                return std::nullopt;
            }
            sum += part.head.size() + *part.length;
        }
        return sum;
    }
    /// What writes the body: `api.post(url).stream(std::move(form).producer(), length)`. Owns the parts from then on.
    template <class Parts = detail::outgoing_parts>
    [[nodiscard]] body_producer producer() && {
        parts_.end = (parts_.all.empty() ? "--" : "\r\n--") + boundary_ + "--\r\n";
        return [parts = flux::detail::make_owner<Parts>(std::move(parts_))](body_writer& out) {
            return detail::write_parts(parts.get(), &out);
        };
    }

private:
    detail::outgoing_part& put(std::string_view name, const std::string_view* filename, std::string_view type) {
        if (!all(type, octet_class::field_value)) {
            flux::detail::throw_error(error(flux::errc::invalid_argument).doing("multipart content type"));
        }
        detail::outgoing_part part;
        part.head = (parts_.all.empty() ? "--" : "\r\n--") + boundary_ + "\r\nContent-Disposition: form-data; name=\"";
        put_escaped(name, part.head);
        if (filename != nullptr) {
            part.head += "\"; filename=\"";
            put_escaped(*filename, part.head);
            (part.head += "\"\r\nContent-Type: ") += type;
        } else {
            part.head += '"';
        }
        part.head += "\r\n\r\n";
        return parts_.all.emplace_back(std::move(part));
    }
    static void put_escaped(std::string_view text, std::string& out) {
        for (const char c : text) {
            const auto u = static_cast<unsigned char>(c);
            if (u < 0x20 || u == 0x7f || c == '"') {
                detail::put_triplet(c, out);
            } else {
                out += c;
            }
        }
    }

    detail::outgoing_parts parts_;
    std::string boundary_;
};

} // namespace flux::inline FLUX_ABI::http
