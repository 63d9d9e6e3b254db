// SPDX-License-Identifier: MIT
// flux/http/wire/errc.hpp - what can be wrong with an HTTP/1.1 message: one table of meaning, answer and fault.
//
// Deliberately not here: errors that are not HTTP's own (timeouts, cancellation, the kernel): flux::errc.
#pragma once

#include <flux/core/error.hpp>
#include <flux/http/message/status.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace flux::inline FLUX_ABI::http {

/// Who caused an error: the other side's octets, this side's own input, or the connection between them.
enum class fault : std::uint8_t { peer, local, transport };

/// Why a message was not accepted. Zero is no error.
enum class errc : std::uint8_t {
    none,
    // start line
    too_many_empty_lines,
    bad_method,
    bad_target,
    bad_target_form,
    bad_request_line,
    bad_version,
    version_not_supported,
    bad_status_line,
    start_line_too_large,
    // field lines
    bad_line_ending,
    bad_field_name,
    space_before_colon,
    missing_colon,
    obs_fold,
    bad_field_value,
    field_too_large,
    too_many_fields,
    head_too_large,
    // host
    missing_host,
    repeated_host,
    bad_host,
    // length of the body
    bad_content_length,
    repeated_content_length,
    length_and_transfer_coding,
    transfer_coding_in_1_0,
    bad_transfer_coding,
    chunked_not_last,
    unknown_transfer_coding,
    body_too_large,
    // content coding
    bad_content_coding,
    unknown_content_coding,
    // chunked coding
    bad_chunk_size,
    chunk_size_overflow,
    bad_chunk_extension,
    chunk_extensions_too_large,
    bad_chunk_end,
    trailers_too_large,
    forbidden_trailer,
    // whole message
    expectation_failed,
    incomplete_head,
    incomplete_body,
    surplus_octets,
    too_many_interim,
    unexpected_upgrade,
    unexpected_status,
    // content of a request, as its handler reads it
    unsupported_content,
    malformed_content,
    malformed_multipart,
    incomplete_multipart,
    too_many_parts,
    part_too_large,
    // this side's own input
    invalid_head,
    body_length_mismatch,
};

/// One row of the table of errors.
struct errc_info {
    errc code;
    std::string_view name;
    std::string_view meaning;
    status answer; ///< what a server sends; what a gateway sends if it was the response that was wrong
    fault whose;
};

namespace detail {

inline constexpr errc_info errc_table[] = {
    {errc::none, "none", "no error", status::ok, fault::local},
    {errc::too_many_empty_lines, "too_many_empty_lines", "more empty lines before the request line than allowed",
     status::bad_request, fault::peer},
    {errc::bad_method, "bad_method", "the method is not a token", status::bad_request, fault::peer},
    {errc::bad_target, "bad_target", "the request target is empty or holds an octet that cannot be in a URI",
     status::bad_request, fault::peer},
    {errc::bad_target_form, "bad_target_form", "the form of the request target does not fit the method",
     status::bad_request, fault::peer},
    {errc::bad_request_line, "bad_request_line", "the request line has no version", status::bad_request, fault::peer},
    {errc::bad_version, "bad_version", "the version is not HTTP/digit.digit followed by the end of the line",
     status::bad_request, fault::peer},
    {errc::version_not_supported, "version_not_supported", "the version is neither HTTP/1.0 nor HTTP/1.1",
     status::http_version_not_supported, fault::peer},
    {errc::bad_status_line, "bad_status_line", "the status line is malformed", status::bad_gateway, fault::peer},
    {errc::start_line_too_large, "start_line_too_large", "the request or status line exceeds its limit",
     status::uri_too_long, fault::peer},
    {errc::bad_line_ending, "bad_line_ending", "a CR without LF or a LF without CR", status::bad_request, fault::peer},
    {errc::bad_field_name, "bad_field_name", "a field name is not a token", status::bad_request, fault::peer},
    {errc::space_before_colon, "space_before_colon", "whitespace between field name and colon", status::bad_request,
     fault::peer},
    {errc::missing_colon, "missing_colon", "a field line without a colon", status::bad_request, fault::peer},
    {errc::obs_fold, "obs_fold", "a field line starts with whitespace", status::bad_request, fault::peer},
    {errc::bad_field_value, "bad_field_value", "a control octet in a field value", status::bad_request, fault::peer},
    {errc::field_too_large, "field_too_large", "a field line exceeds its limit",
     status::request_header_fields_too_large, fault::peer},
    {errc::too_many_fields, "too_many_fields", "more field lines than allowed", status::request_header_fields_too_large,
     fault::peer},
    {errc::head_too_large, "head_too_large", "the head exceeds its limit", status::request_header_fields_too_large,
     fault::peer},
    {errc::missing_host, "missing_host", "an HTTP/1.1 request without Host", status::bad_request, fault::peer},
    {errc::repeated_host, "repeated_host", "more than one Host line", status::bad_request, fault::peer},
    {errc::bad_host, "bad_host", "the host is empty or malformed", status::bad_request, fault::peer},
    {errc::bad_content_length, "bad_content_length", "Content-Length is not one decimal number below 2^63",
     status::bad_request, fault::peer},
    {errc::repeated_content_length, "repeated_content_length", "more than one Content-Length line", status::bad_request,
     fault::peer},
    {errc::length_and_transfer_coding, "length_and_transfer_coding", "both Content-Length and Transfer-Encoding",
     status::bad_request, fault::peer},
    {errc::transfer_coding_in_1_0, "transfer_coding_in_1_0", "Transfer-Encoding in an HTTP/1.0 message",
     status::bad_request, fault::peer},
    {errc::bad_transfer_coding, "bad_transfer_coding", "Transfer-Encoding is malformed or names chunked twice",
     status::bad_request, fault::peer},
    {errc::chunked_not_last, "chunked_not_last", "the last transfer coding is not chunked", status::bad_request,
     fault::peer},
    {errc::unknown_transfer_coding, "unknown_transfer_coding", "a transfer coding other than chunked",
     status::not_implemented, fault::peer},
    {errc::body_too_large, "body_too_large", "the body exceeds its limit", status::content_too_large, fault::peer},
    {errc::bad_content_coding, "bad_content_coding", "the content is not what its Content-Encoding says",
     status::bad_request, fault::peer},
    {errc::unknown_content_coding, "unknown_content_coding", "a content coding that is not decoded here",
     status::unsupported_media_type, fault::peer},
    {errc::bad_chunk_size, "bad_chunk_size", "a chunk size is not a hexadecimal number", status::bad_request,
     fault::peer},
    {errc::chunk_size_overflow, "chunk_size_overflow", "a chunk size of 2^63 or more, or of more than 16 digits",
     status::bad_request, fault::peer},
    {errc::bad_chunk_extension, "bad_chunk_extension", "a chunk extension is malformed", status::bad_request,
     fault::peer},
    {errc::chunk_extensions_too_large, "chunk_extensions_too_large", "the chunk extensions exceed their limit",
     status::bad_request, fault::peer},
    {errc::bad_chunk_end, "bad_chunk_end", "chunk data is not followed by CR LF", status::bad_request, fault::peer},
    {errc::trailers_too_large, "trailers_too_large", "the trailer section exceeds its limit",
     status::request_header_fields_too_large, fault::peer},
    {errc::forbidden_trailer, "forbidden_trailer", "a field that frames or routes the message, sent as a trailer",
     status::bad_request, fault::peer},
    {errc::expectation_failed, "expectation_failed", "an expectation other than 100-continue",
     status::expectation_failed, fault::peer},
    {errc::incomplete_head, "incomplete_head", "the connection ended inside the head", status::bad_request,
     fault::transport},
    {errc::incomplete_body, "incomplete_body", "the connection ended inside the body", status::bad_request,
     fault::transport},
    {errc::surplus_octets, "surplus_octets", "octets after the end of the message that nobody asked for",
     status::bad_gateway, fault::peer},
    {errc::too_many_interim, "too_many_interim", "more interim (1xx) responses than allowed", status::bad_gateway,
     fault::peer},
    {errc::unexpected_upgrade, "unexpected_upgrade", "a switch of protocols that nobody asked for", status::bad_gateway,
     fault::peer},
    {errc::unexpected_status, "unexpected_status", "the status of the response says that the request failed",
     status::bad_gateway, fault::peer},
    {errc::unsupported_content, "unsupported_content", "the media type of the content is not what the handler reads",
     status::unsupported_media_type, fault::peer},
    {errc::malformed_content, "malformed_content", "the content is not what its media type promises",
     status::bad_request, fault::peer},
    {errc::malformed_multipart, "malformed_multipart", "a delimiter or the header of a part is malformed",
     status::bad_request, fault::peer},
    {errc::incomplete_multipart, "incomplete_multipart", "the content ends before its last delimiter",
     status::bad_request, fault::peer},
    {errc::too_many_parts, "too_many_parts", "more parts than allowed", status::content_too_large, fault::peer},
    {errc::part_too_large, "part_too_large", "a part, its header or the preamble exceeds its limit",
     status::content_too_large, fault::peer},
    {errc::invalid_head, "invalid_head", "a method, target, status or field that cannot be sent",
     status::internal_server_error, fault::local},
    {errc::body_length_mismatch, "body_length_mismatch", "the body that was written differs from its announced length",
     status::internal_server_error, fault::local},
};
inline constexpr std::size_t errc_count = sizeof(errc_table) / sizeof(errc_table[0]);

consteval bool errc_table_is_in_order() {
    for (std::size_t i = 0; i < errc_count; ++i) {
        if (static_cast<std::size_t>(errc_table[i].code) != i) {
            return false;
        }
    }
    return errc_table[errc_count - 1].code == errc::body_length_mismatch;
}
static_assert(errc_table_is_in_order());

} // namespace detail

/// The row of one code.
[[nodiscard]] constexpr const errc_info& describe(errc code) noexcept {
    return detail::errc_table[static_cast<std::size_t>(code)];
}

/// An error and where in the message it is: the first octet that no acceptable message could have there.
///
/// `if (error)` asks whether there is one.
struct message_error {
    errc code = errc::none;
    std::uint64_t offset = 0; ///< octets from the start of the head, or from the start of the body

    [[nodiscard]] constexpr explicit operator bool() const noexcept { return code != errc::none; }
    [[nodiscard]] constexpr status answer() const noexcept { return describe(code).answer; }
};

namespace detail {

class http_domain final : public error_domain {
public:
    [[nodiscard]] const char* name() const noexcept override { return "http"; }
    [[nodiscard]] std::string message(int code) const override {
        const bool known = code >= 0 && static_cast<std::size_t>(code) < errc_count;
        return std::string(known ? errc_table[code].meaning : std::string_view("unknown http error"));
    }
    [[nodiscard]] error_kind kind_of(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
        case errc::start_line_too_large:
        case errc::field_too_large:
        case errc::too_many_fields:
        case errc::head_too_large:
        case errc::body_too_large:
        case errc::chunk_extensions_too_large:
        case errc::trailers_too_large:
        case errc::too_many_interim:
        case errc::too_many_parts:
        case errc::part_too_large:
            return error_kind::limit;
        case errc::incomplete_head:
        case errc::incomplete_body:
            return error_kind::network;
        case errc::unexpected_status:
            return error_kind::http;
        case errc::invalid_head:
        case errc::body_length_mismatch:
            return error_kind::usage;
        default:
            return error_kind::protocol;
        }
    }
};

} // namespace detail

[[nodiscard]] inline const error_domain& http_category() noexcept {
    return flux::detail::the_domain<detail::http_domain>();
}
[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), http_category()};
}

} // namespace flux::inline FLUX_ABI::http

template <>
struct std::is_error_code_enum<flux::http::errc> : std::true_type {};
