// SPDX-License-Identifier: MIT
#include <flux/http/message/host.hpp>
#include <flux/http/message/scan.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

namespace http = flux::http;
namespace detail = flux::http::detail;
using http::octet_class;

namespace {

using scanner = const char* (*)(const char*, const char*, const char*);

// Every octet at every place of runs of every length up to 40, with every amount of readable memory before the
// run, in a buffer of exactly that size: what the block forms may read and what they find.
void check_against_scalar(scanner fast, octet_class k, char good) {
    std::size_t wrong = 0;
    for (std::size_t before = 0; before <= 17; ++before) {
        for (std::size_t size = 0; size <= 40; ++size) {
            const std::unique_ptr<char[]> buffer(new char[before + size]);
            for (std::size_t i = 0; i < before; ++i) {
                buffer[i] = '\0'; // in no class: finding it would be visible
            }
            char* const begin = buffer.get() + before;
            const char* const end = begin + size;
            for (std::size_t i = 0; i < size; ++i) {
                begin[i] = good;
            }
            wrong += fast(begin, end, buffer.get()) == end ? 0U : 1U;
            for (std::size_t at = 0; at < size; ++at) {
                for (unsigned c = 0; c < 256; ++c) {
                    begin[at] = static_cast<char>(c);
                    wrong += fast(begin, end, buffer.get()) == detail::scan_class(begin, end, k) ? 0U : 1U;
                }
                begin[at] = good;
            }
        }
    }
    CHECK(wrong == 0);
}

} // namespace

TEST_SUITE("http/message/scan") {
    TEST_CASE("block-wise scanning of field values finds what octet-wise scanning finds") {
        check_against_scalar(detail::scan_field_value, octet_class::field_value, 'v');
    }
    TEST_CASE("block-wise scanning of targets finds what octet-wise scanning finds") {
        check_against_scalar(detail::scan_target, octet_class::target, '/');
    }
    TEST_CASE("block-wise scanning of tokens finds what octet-wise scanning finds") {
        check_against_scalar(detail::scan_token, octet_class::token, 't');
        check_against_scalar(detail::scan_token, octet_class::token, '_');
    }
    TEST_CASE("the hint for a host never says yes to what the grammar refuses") {
        const std::string good = "a-1.b:8080";
        unsigned wrong = 0;
        unsigned yes = 0;
        const auto check = [&](const std::string& host) {
            for (const std::size_t after : {std::size_t{0}, std::size_t{16}}) {
                const std::unique_ptr<char[]> buffer(new char[host.size() + after]);
                host.copy(buffer.get(), host.size());
                std::fill_n(buffer.get() + host.size(), after, 'x');
                const bool plain = detail::is_plain_host(buffer.get(), host.size(), buffer.get() + host.size() + after);
                yes += plain ? 1U : 0U;
                wrong += plain && !http::split_host_port(host).valid ? 1U : 0U;
            }
        };
        for (std::size_t size = 0; size <= good.size(); ++size) {
            for (std::size_t at = 0; at < size; ++at) {
                for (unsigned c = 0; c < 256; ++c) {
                    std::string host = good.substr(0, size);
                    host[at] = static_cast<char>(c);
                    check(host);
                }
            }
        }
        for (const char* host : {"", ":", ":80", "a:", "a:1", "a:12345", "a:99999", "a:1:2", "a:x", "0123456789abcdef",
                                 "0123456789abcdefg", "127.0.0.1:8080", "a.b:00", "..", "a:80a"}) {
            check(host);
        }
        CHECK(wrong == 0);
#if defined(__SSE2__)
        CHECK(yes > 1000);
        const std::string line = "127.0.0.1:8080\r\nAccept: */*";
        CHECK(detail::is_plain_host(line.data(), 14, line.data() + line.size()));
#endif
    }
    TEST_CASE("an octet is found where it is first, and not behind the end") {
        for (std::size_t size = 0; size <= 40; ++size) {
            for (std::size_t after = 0; after <= 20; ++after) {
                const std::unique_ptr<char[]> buffer(new char[size + after]);
                for (std::size_t i = 0; i < size + after; ++i) {
                    buffer[i] = i < size ? 'a' : '?';
                }
                const char* const begin = buffer.get();
                const char* const end = begin + size;
                CHECK(detail::find_octet(begin, end, end + after, '?') == end);
                for (std::size_t at = 0; at < size; ++at) {
                    buffer[at] = '?';
                    CHECK(detail::find_octet(begin, end, end + after, '?') == begin);
                    CHECK(detail::find_octet(begin + at, end, end + after, '?') == begin + at);
                }
            }
        }
    }
    TEST_CASE("the hint for a colon is right or says that it does not know") {
        for (std::size_t before = 0; before <= 17; ++before) {
            for (std::size_t size = 0; size <= 20; ++size) {
                std::string text(before + size, ':');
                for (std::size_t at = before; at < text.size(); ++at) {
                    text[at] = 'a';
                }
                const char* const begin = text.data() + before;
                const char* const end = text.data() + text.size();
                CHECK(detail::near_colon(begin, end, text.data()) == 16);
                for (std::size_t at = 0; at < size; ++at) {
                    text[before + at] = ':';
                    const std::size_t n = detail::near_colon(begin, end, text.data());
                    CHECK((n == at || n == 16));
#if defined(__SSE2__)
                    CHECK((n == at || at >= 16 || text.size() < 16));
#endif
                    text[before + at] = 'a';
                }
            }
        }
    }
}
