// SPDX-License-Identifier: MIT
// tests/support/dns_builder.hpp - DNS messages as tests want them, also wrong ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace test_support {

/// The octets of a name, uncompressed: "a.example" -> 1 a 7 example 0.
inline std::string dns_name(std::string_view text) {
    std::string out;
    while (!text.empty() && text != ".") {
        const std::size_t dot = text.find('.');
        const std::string_view label = text.substr(0, dot);
        out += static_cast<char>(label.size());
        out += label;
        text.remove_prefix(dot == std::string_view::npos ? text.size() : dot + 1);
    }
    out += '\0';
    return out;
}
inline std::string dns_u16(unsigned v) { return {static_cast<char>(v >> 8 & 0xff), static_cast<char>(v & 0xff)}; }
inline std::string dns_u32(std::uint32_t v) { return dns_u16(v >> 16) + dns_u16(v & 0xffff); }

/// The id, name (as on the wire) and type of a query.
class dns_question {
public:
    explicit dns_question(std::string_view query)
        : id(static_cast<unsigned>(static_cast<unsigned char>(query[0]) << 8 | static_cast<unsigned char>(query[1]))) {
        std::size_t at = 12;
        while (query[at] != 0) {
            const auto length = static_cast<std::size_t>(query[at]);
            text += text.empty() ? "" : ".";
            text += query.substr(at + 1, length);
            at += length + 1;
        }
        wire = query.substr(12, at + 1 - 12);
        type = static_cast<unsigned>(static_cast<unsigned char>(query[at + 1]) << 8 | static_cast<unsigned char>(query[at + 2]));
        has_edns = query[11] == 1;
    }
    unsigned id;
    std::string text;
    std::string wire;
    unsigned type = 0;
    bool has_edns = false;
};

/// A message in parts; text() puts them together.
class dns_builder {
public:
    static constexpr unsigned a = 1, ns = 2, cname = 5, soa = 6, txt = 16, aaaa = 28, opt = 41;

    explicit dns_builder(const dns_question& q) : id(q.id), question(q.wire + dns_u16(q.type) + dns_u16(1)) {}
    dns_builder(unsigned with_id, std::string_view name, unsigned type)
        : id(with_id), question(dns_name(name) + dns_u16(type) + dns_u16(1)) {}

    /// Params  section  0 answer, 1 authority, 2 additional.
    dns_builder& raw(unsigned section, std::string_view octets) {
        sections[section] += octets;
        ++counts[section];
        return *this;
    }
    dns_builder& record(unsigned section, std::string_view wire_name, unsigned type, std::uint32_t ttl, std::string_view data,
                        unsigned in_class = 1) {
        return raw(section, std::string(wire_name) + dns_u16(type) + dns_u16(in_class) + dns_u32(ttl) +
                                dns_u16(static_cast<unsigned>(data.size())) + std::string(data));
    }
    dns_builder& v4(std::string_view name, std::array<std::uint8_t, 4> address, std::uint32_t ttl = 60) {
        return record(0, dns_name(name), a, ttl, {reinterpret_cast<const char*>(address.data()), 4});
    }
    /// ::last
    dns_builder& v6(std::string_view name, std::uint8_t last, std::uint32_t ttl = 60) {
        return record(0, dns_name(name), aaaa, ttl, std::string(15, '\0') + static_cast<char>(last));
    }
    dns_builder& alias(std::string_view from, std::string_view to, std::uint32_t ttl = 60) {
        return record(0, dns_name(from), cname, ttl, dns_name(to));
    }
    dns_builder& authority(std::string_view zone, std::uint32_t ttl, std::uint32_t minimum) {
        return record(1, dns_name(zone), soa, ttl,
                      dns_name("ns." + std::string(zone)) + dns_name("admin." + std::string(zone)) + dns_u32(1) + dns_u32(2) +
                          dns_u32(3) + dns_u32(4) + dns_u32(minimum));
    }
    dns_builder& code(unsigned rcode) {
        flags = (flags & ~0xfU) | rcode;
        return *this;
    }
    dns_builder& truncated() {
        flags |= 0x0200;
        return *this;
    }

    [[nodiscard]] std::string text() const {
        std::string out = dns_u16(id) + dns_u16(flags) + dns_u16(questions) + dns_u16(counts[0]) + dns_u16(counts[1]) +
                          dns_u16(counts[2]);
        return out + (questions != 0 ? question : "") + sections[0] + sections[1] + sections[2];
    }

    unsigned id;
    unsigned flags = 0x8180; // an answer, recursion desired and available
    unsigned questions = 1;
    std::string question;
    std::array<unsigned, 3> counts{};
    std::array<std::string, 3> sections;
};

} // namespace test_support
