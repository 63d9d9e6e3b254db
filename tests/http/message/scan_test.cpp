// SPDX-License-Identifier: MIT
#include <flux/http/message/scan.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

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
    TEST_CASE("block-wise scanning of host names finds what octet-wise scanning finds") {
        check_against_scalar(detail::scan_reg_name, octet_class::reg_name, '.');
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
