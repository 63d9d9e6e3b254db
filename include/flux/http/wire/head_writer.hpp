// SPDX-License-Identifier: MIT
// flux/http/wire/head_writer.hpp - response and request heads as octets, written straight into an output buffer.
//
// The writer alone speaks about framing and connection: Content-Length, Transfer-Encoding, Connection and its
// companions among the user's fields are left out, so that what is said is what is done.
// Deliberately not here: deciding the framing and the fate of the connection (server, client); the clock (the
// caller keeps a formatted Date).
#pragma once

#include <flux/http/message/fields.hpp>
#include <flux/http/message/host.hpp>
#include <flux/http/message/method.hpp>
#include <flux/http/message/scan.hpp>
#include <flux/http/message/status.hpp>
#include <flux/http/wire/errc.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/octet_sink.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// What a message says about its connection.
enum class connection_line : std::uint8_t {
    none,       ///< nothing: persistent in 1.1
    close,      ///< `Connection: close`
    keep_alive, ///< `Connection: keep-alive`, for a 1.0 peer that asked
    upgrade,    ///< `Connection: upgrade`; the Upgrade field itself is the user's
};

/// The start of a response, without its fields. Trivial; views are borrowed for the call.
struct response_start {
    http::status status = http::status::ok; ///< 100 to 999
    body_kind body = body_kind::length;     ///< length, chunked: says so. Others: says nothing
    std::uint64_t length = 0;               ///< octets, for body_kind::length
    connection_line connection = connection_line::none;
    std::string_view date = {};             ///< IMF-fixdate; empty: no Date line. A Date among the fields wins
};

/// The start of a request, without its fields. Trivial; views are borrowed for the call.
struct request_start {
    std::string_view method = "GET";
    std::string_view target = "/";
    std::string_view host = {};         ///< value of Host, written first; a Host among the fields wins
    body_kind body = body_kind::none;   ///< none: says nothing
    std::uint64_t length = 0;
    connection_line connection = connection_line::none;
};

namespace detail {

inline constexpr field_set hop_fields(field::content_length, field::transfer_encoding, field::connection,
                                      field::keep_alive, field::proxy_connection);

template <std::size_t N>
[[nodiscard]] inline char* put(char* out, const char (&text)[N]) noexcept {
    std::memcpy(out, text, N - 1);
    return out + (N - 1);
}
[[nodiscard]] inline char* put(char* out, std::string_view text) noexcept {
    if (!text.empty()) {
        std::memcpy(out, text.data(), text.size());
    }
    return out + text.size();
}
[[nodiscard]] inline char* put_number(char* out, std::uint64_t n) noexcept {
    std::size_t size = 1;
    for (std::uint64_t bound = 10; n >= bound && size < 20; bound *= 10) { // 10^20 wraps, but then all 20 are counted
        ++size;
    }
    char* const end = out + size;
    for (char* p = end; p != out; n /= 10) {
        *--p = static_cast<char>('0' + n % 10);
    }
    return end;
}

// The room that field lines need at most.
[[nodiscard]] inline std::size_t lines_size(const fields& f) noexcept { return f.lines().size(); }
[[nodiscard]] inline std::size_t lines_size(const fields_view& f) noexcept {
    std::size_t n = 0;
    for (std::size_t i = 0; i < f.size(); ++i) {
        n += f.entry(i).name_size + f.entry(i).value_size + 4;
    }
    return n;
}
[[nodiscard]] inline char* put_lines(char* out, const fields_view& f, field_set left_out) noexcept {
    for (const field_view line : f) {
        if (!left_out.contains(line.id)) {
            out = put(put(put(put(out, line.name), ": "), line.value), "\r\n");
        }
    }
    return out;
}
// The owned list already has the form of the wire.
[[nodiscard]] inline char* put_lines(char* out, const fields& f, field_set left_out) noexcept {
    return f.present().intersects(left_out) ? put_lines(out, f.view(), left_out) : put(out, f.lines());
}

[[nodiscard]] inline char* put_framing(char* out, body_kind body, std::uint64_t length) noexcept {
    switch (body) {
    case body_kind::length: return put(put_number(put(out, "Content-Length: "), length), "\r\n");
    case body_kind::chunked: return put(out, "Transfer-Encoding: chunked\r\n");
    default: return out;
    }
}
[[nodiscard]] inline char* put_connection(char* out, connection_line line) noexcept {
    switch (line) {
    case connection_line::none: return out;
    case connection_line::close: return put(out, "Connection: close\r\n");
    case connection_line::keep_alive: return put(out, "Connection: keep-alive\r\n");
    case connection_line::upgrade: return put(out, "Connection: upgrade\r\n");
    }
    return out;
}
[[nodiscard]] inline char* put_status_line(char* out, status s) noexcept {
    if (s == status::ok) {
        return put(out, "HTTP/1.1 200 OK\r\n");
    }
    const unsigned n = to_number(s);
    out = put(out, "HTTP/1.1 ");
    *out++ = static_cast<char>('0' + n / 100);
    *out++ = static_cast<char>('0' + n / 10 % 10);
    *out++ = static_cast<char>('0' + n % 10);
    *out++ = ' ';
    return put(put(out, reason_phrase(s)), "\r\n");
}

// The longest of everything but names, values and the views of the start: status line 46, Content-Length 38,
// Connection 24, "Date: " and "Host: " with CRLF, the empty line.
inline constexpr std::size_t head_overhead = 160;

template <octet_sink Out, class Fields>
[[nodiscard]] errc write_response_head(Out& out, const response_start& r, const Fields& f) {
    const unsigned n = to_number(r.status);
    if (n < 100 || n > 999) {
        return errc::invalid_head;
    }
    char* const begin = out.prepare(head_overhead + r.date.size() + lines_size(f));
    char* p = put_status_line(begin, r.status);
    if (!r.date.empty() && !f.present().contains(field::date)) {
        p = put(p, "Date: ");
        if (r.date.size() == 29) { // always, but the compiler does not know: copied without a call
            std::memcpy(p, r.date.data(), 29);
            p += 29;
        } else {
            p = put(p, r.date);
        }
        p = put(p, "\r\n");
    }
    p = put_lines(p, f, hop_fields);
    // 1xx and 204 must not carry either framing field [RFC 9110 8.6, RFC 9112 6.1].
    if (!is_informational(r.status) && r.status != status::no_content) {
        p = put_framing(p, r.body, r.length);
    }
    p = put(put_connection(p, r.connection), "\r\n");
    out.commit(static_cast<std::size_t>(p - begin));
    return errc::none;
}

template <octet_sink Out, class Fields>
[[nodiscard]] errc write_request_head(Out& out, const request_start& r, const Fields& f) {
    const char* const target_end = r.target.data() + r.target.size();
    std::string_view host = r.host;
    field_set left_out = hop_fields;
    if (f.present().contains(field::host)) {
        host = fields_view(f).get(field::host).value_or(std::string_view());
        left_out.insert(field::host);
    }
    if (!is_token(r.method) || r.target.empty() ||
        scan_target(r.target.data(), target_end, r.target.data()) != target_end || !split_host_port(host).valid) {
        return errc::invalid_head;
    }
    char* const begin =
        out.prepare(head_overhead + r.method.size() + r.target.size() + host.size() + lines_size(f));
    char* p = put(put(put(begin, r.method), " "), r.target);
    p = put(put(put(p, " HTTP/1.1\r\nHost: "), host), "\r\n");
    p = put_lines(p, f, left_out);
    p = put(put_connection(put_framing(p, r.body, r.length), r.connection), "\r\n");
    out.commit(static_cast<std::size_t>(p - begin));
    return errc::none;
}

} // namespace detail

/// Appends a whole response head, HTTP/1.1, the empty line included.
///
/// Fields go out in their order and spelling, but for those that describe framing and connection, which `r` says.
/// With status 1xx and 204 no framing line is written whatever `r` says.
/// Returns  errc::invalid_head if the status is not a number of three digits; nothing is written then.
/// Cost     one prepare(); `fields` is copied at once, a `fields_view` line by line. No allocation but the sink's.
/// Source   RFC 9112 4, 6.1, 6.2; RFC 9110 6.6.1 (Date).
template <octet_sink Out>
[[nodiscard]] errc write_response_head(Out& out, const response_start& r, const fields& f) {
    return detail::write_response_head(out, r, f);
}
template <octet_sink Out>
[[nodiscard]] errc write_response_head(Out& out, const response_start& r, const fields_view& f) {
    return detail::write_response_head(out, r, f);
}

/// Appends a whole request head, HTTP/1.1, the empty line included. Host comes first [RFC 9110 7.2].
///
/// Returns  errc::invalid_head, with nothing written, if the method is not a token, the target is empty or holds
///          an octet that cannot be in one, or the host is empty or malformed.
/// Cost     as write_response_head.
template <octet_sink Out>
[[nodiscard]] errc write_request_head(Out& out, const request_start& r, const fields& f) {
    return detail::write_request_head(out, r, f);
}
template <octet_sink Out>
[[nodiscard]] errc write_request_head(Out& out, const request_start& r, const fields_view& f) {
    return detail::write_request_head(out, r, f);
}

} // namespace flux::inline FLUX_ABI::http
