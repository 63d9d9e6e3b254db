// SPDX-License-Identifier: MIT
// flux/http/message/content_disposition.hpp - what a part of a form says about itself, and file names made safe.
//
// Deliberately not here: Content-Disposition of responses, and `filename*`, which forms must not use [RFC 7578 4.2].
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// `form-data; name="a"; filename="b.txt"`, decoded.
struct content_disposition {
    std::string type;                          ///< in lower case
    std::optional<std::string> name = {};
    std::optional<std::string> filename = {};  ///< as the peer says: any octets; see safe_filename()

    /// Reads the value of the field. In quoted strings `\"` and `\\` are one octet; any other backslash stands for
    /// itself, as in the paths that some browsers send; %22, %0D and %0A are what browsers write for `"`, CR and LF.
    /// Returns  nothing if it is malformed or has a parameter twice.
    /// Source   RFC 7578 4.2; RFC 6266 4.1; the HTML standard, "multipart/form-data".
    [[nodiscard]] static std::optional<content_disposition> parse(std::string_view value) {
        content_disposition out;
        const std::size_t semicolon = std::min(value.find(';'), value.size());
        const std::string_view type = trim(value.substr(0, semicolon));
        if (!is_token(type)) {
            return std::nullopt;
        }
        for (const char c : type) {
            out.type += lower(c);
        }
        value.remove_prefix(semicolon);
        while (!value.empty()) {
            value = trim(value.substr(1)); // the semicolon
            if (value.empty()) {
                break; // one too many at the end does no harm
            }
            const std::size_t equals = std::min(value.find('='), value.size());
            const std::string_view name = trim(value.substr(0, equals));
            if (equals == value.size() || !is_token(name)) {
                return std::nullopt;
            }
            value = trim(value.substr(equals + 1));
            std::string text;
            const bool taken = value.starts_with('"') ? take_quoted(value, text) : take_token(value, text);
            value = trim(value);
            if (!taken || (!value.empty() && value.front() != ';')) {
                return std::nullopt;
            }
            std::optional<std::string>* const to =
                iequals(name, "name") ? &out.name : iequals(name, "filename") ? &out.filename : nullptr;
            if (to != nullptr && *to) {
                return std::nullopt;
            }
            if (to != nullptr) {
                to->emplace(std::move(text));
            }
        }
        return out;
    }

private:
    [[nodiscard]] static bool take_token(std::string_view& rest, std::string& out) {
        const std::string_view token = trim(rest.substr(0, rest.find(';')));
        rest.remove_prefix(token.size());
        out = token;
        return is_token(token);
    }
    [[nodiscard]] static bool take_quoted(std::string_view& rest, std::string& out) {
        for (std::size_t i = 1; i < rest.size(); ++i) {
            const char c = rest[i];
            if (c == '"') {
                rest.remove_prefix(i + 1);
                return true;
            }
            const std::string_view escape = rest.substr(i, 3);
            if (c == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\')) {
                out += rest[++i];
            } else if (escape == "%22" || iequals(escape, "%0d") || iequals(escape, "%0a")) {
                out += escape == "%22" ? '"' : lower(escape[2]) == 'd' ? '\r' : '\n';
                i += 2;
            } else {
                out += c;
            }
        }
        return false;
    }
};

/// A name that a file of ours can have, made of one that a peer chose: only what is behind the last slash or
/// backslash, without control octets, without dots and spaces at its ends, at most 200 octets (cut before its
/// extension, and not inside of a UTF-8 sequence). Empty if nothing is left, as of "..", "/" or "   ".
///
/// It says nothing about whether such a file exists: open it with O_EXCL, in a directory of its own.
[[nodiscard]] inline std::string safe_filename(std::string_view name) {
    constexpr std::size_t max_octets = 200;
    const std::size_t slash = name.find_last_of("/\\");
    name.remove_prefix(slash == std::string_view::npos ? 0 : slash + 1);
    std::string out;
    for (const char c : name) {
        const auto u = static_cast<unsigned char>(c);
        if (u >= 0x20 && u != 0x7f) {
            out += c;
        }
    }
    const std::size_t first = out.find_first_not_of(". ");
    if (first == std::string::npos) {
        return {};
    }
    const std::size_t last = out.find_last_not_of(". ");
    out = out.substr(first, last - first + 1);
    if (out.size() > max_octets) {
        const std::size_t dot = out.rfind('.');
        const std::string extension = dot != std::string::npos && out.size() - dot <= 16 ? out.substr(dot) : std::string();
        std::size_t keep = max_octets - extension.size();
        for (int i = 0; i < 3 && (static_cast<unsigned char>(out[keep]) & 0xc0) == 0x80; ++i) {
            --keep; // a UTF-8 sequence has at most three such octets
        }
        keep = out.find_last_not_of(". ", keep - 1) + 1; // the first octet is neither
        out = out.substr(0, keep) + extension;
    }
    return out;
}

} // namespace flux::inline FLUX_ABI::http
