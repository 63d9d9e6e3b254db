// SPDX-License-Identifier: MIT
// flux/http/message/problem.hpp - error answers that programs can read: application/problem+json.
//
// Deliberately not here: JSON beyond strings and numbers; which errors are answered so.
// Source: RFC 9457.
#pragma once

#include <flux/http/message/response.hpp>
#include <flux/http/message/status.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

// How many octets at the front of `text` are one character of UTF-8; 0: none. Source: RFC 3629 4.
[[nodiscard]] constexpr std::size_t utf8_size(std::string_view text) noexcept {
    const auto octet = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const auto tail = [&octet](std::size_t i) { return (octet(i) & 0xc0U) == 0x80U; };
    const unsigned first = octet(0);
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return tail(1) ? 2 : 0;
    }
    if (first >= 0xe0 && first <= 0xef) {
        const bool fits = (first != 0xe0 || octet(1) >= 0xa0) && (first != 0xed || octet(1) < 0xa0);
        return fits && tail(1) && tail(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool fits = (first != 0xf0 || octet(1) >= 0x90) && (first != 0xf4 || octet(1) < 0x90);
        return fits && tail(1) && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

} // namespace detail

/// `text` as a JSON string, with its quotes. What is not UTF-8 becomes U+FFFD. Source: RFC 8259 7.
[[nodiscard]] inline std::string json_string(std::string_view text) {
    std::string out(1, '"');
    while (!text.empty()) {
        const std::size_t size = detail::utf8_size(text);
        const char c = text.front();
        if (size == 0) {
            out += "\xef\xbf\xbd";
        } else if (c == '"' || c == '\\') {
            (out += '\\') += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') {
            const char digits[] = {'\\', 'u', '0', '0', "0123456789abcdef"[(c >> 4) & 15], "0123456789abcdef"[c & 15]};
            out.append(digits, sizeof digits);
        } else {
            out += text.substr(0, size);
        }
        text.remove_prefix(size == 0 ? 1 : size);
    }
    out += '"';
    return out;
}

/// An error answer with a description for programs. Becomes a response where one is returned:
///
///     return http::problem(status::conflict).detail("order 17 was paid already").member("order", 17);
///
/// Title and status follow from the code; the type is "about:blank" unless it is set. Members that RFC 9457 names come
/// first, others in the order given; a name that was given already is given twice: do not.
/// Threads  as a value.
class problem {
public:
    explicit problem(status code) : code_(code) {}

    /// A URI reference that names this kind of problem.
    problem& type(std::string_view uri) & { return put(type_, "type", json_string(uri)); }
    [[nodiscard]] problem type(std::string_view uri) && { return std::move(type(uri)); }
    /// A summary of the kind of problem, the same for all of it; without one, the reason phrase.
    problem& title(std::string_view text) & { return put(title_, "title", json_string(text)); }
    [[nodiscard]] problem title(std::string_view text) && { return std::move(title(text)); }
    /// What happened this time, for people.
    problem& detail(std::string_view text) & { return put(others_, "detail", json_string(text)); }
    [[nodiscard]] problem detail(std::string_view text) && { return std::move(detail(text)); }
    /// A URI reference that names this occurrence.
    problem& instance(std::string_view uri) & { return put(others_, "instance", json_string(uri)); }
    [[nodiscard]] problem instance(std::string_view uri) && { return std::move(instance(uri)); }
    /// A member of one's own.
    problem& member(std::string_view name, std::string_view text) & { return put(others_, name, json_string(text)); }
    [[nodiscard]] problem member(std::string_view name, std::string_view text) && { return std::move(member(name, text)); }
    problem& member(std::string_view name, std::int64_t number) & { return put(others_, name, std::to_string(number)); }
    [[nodiscard]] problem member(std::string_view name, std::int64_t number) && { return std::move(member(name, number)); }

    operator response() const {
        const auto number = to_number(code_);
        std::string text = "{" + (type_.empty() ? "\"type\":\"about:blank\"" : type_) + ",";
        text += title_.empty() ? "\"title\":" + json_string(reason_phrase(code_)) : title_;
        text += ",\"status\":" + std::to_string(number) + (others_.empty() ? "" : ",") + others_ + "}\n";
        return response(code_).header(field::content_type, "application/problem+json").body(std::move(text));
    }

private:
    problem& put(std::string& to, std::string_view name, const std::string& value) {
        if (&to != &others_) {
            to.clear();
        } else if (!to.empty()) {
            to += ',';
        }
        ((to += json_string(name)) += ':') += value;
        return *this;
    }

    status code_;
    std::string type_;
    std::string title_;
    std::string others_;
};

} // namespace flux::inline FLUX_ABI::http
