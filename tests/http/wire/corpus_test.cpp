// SPDX-License-Identifier: MIT
// Every case of tests/corpus/http1, five ways: whole, at every split point, octet by octet flush against an
// unreadable page, behind another message in the same buffer, and with the buffer moved between pieces.
#include <doctest/doctest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "corpus.hpp"

namespace {

using corpus::driver;
using corpus::test_case;

// Octets that end exactly where the readable memory ends.
class guarded_buffer {
public:
    explicit guarded_buffer(std::size_t capacity) {
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        size_ = (capacity + page - 1) / page * page;
        map_size_ = size_ + page;
        map_ =
            static_cast<char*>(::mmap(nullptr, map_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        REQUIRE(map_ != MAP_FAILED);
        REQUIRE(::mprotect(map_ + size_, page, PROT_NONE) == 0);
    }
    guarded_buffer(const guarded_buffer&) = delete;
    guarded_buffer& operator=(const guarded_buffer&) = delete;
    ~guarded_buffer() { ::munmap(map_, map_size_); }

    std::string_view place(std::string_view octets) {
        char* const at = map_ + size_ - octets.size();
        if (!octets.empty()) {
            std::memcpy(at, octets.data(), octets.size());
        }
        return {at, octets.size()};
    }

private:
    char* map_;
    std::size_t size_;
    std::size_t map_size_;
};

// Exactly as large as the octets, so that AddressSanitizer sees a read past the end; a new address each time.
class exact_copy {
public:
    explicit exact_copy(std::string_view octets) : size_(octets.size()), octets_(new char[octets.size()]) {
        if (size_ != 0) {
            std::memcpy(octets_.get(), octets.data(), size_);
        }
    }
    [[nodiscard]] std::string_view view() const { return {octets_.get(), size_}; }

private:
    std::size_t size_;
    std::unique_ptr<char[]> octets_;
};

void check(const test_case& c, const driver& d, const std::string& how, std::size_t cut) {
    const std::string difference = corpus::mismatch(c, d, c.expect.back() != "more");
    CHECK_MESSAGE(difference.empty(), c.file, ": ", c.name, "\n", how, " ", cut, "\n", difference, "\nin ",
                  corpus::printable(c.octets.substr(0, 400)));
}

// Short messages at every octet, long ones at some: the work is the square of the length otherwise.
std::vector<std::size_t> split_points(const test_case& c) {
    std::vector<std::size_t> points;
    const std::size_t n = c.octets.size();
    const std::size_t step = n <= 1500 ? 1 : n / 97;
    for (std::size_t i = 1; i < n; i += step) {
        points.push_back(i);
    }
    for (std::size_t i = c.mark > 3 ? c.mark - 3 : 1; i < n && i <= c.mark + 3; ++i) {
        points.push_back(i);
    }
    return points;
}

void run_whole(const test_case& c, bool requests) {
    driver d(requests, c.limits, c.asked);
    const exact_copy all(c.octets);
    d.feed(all.view());
    d.end_of_input();
    check(c, d, "whole", 0);
}

void run_split(const test_case& c, bool requests) {
    for (const std::size_t cut : split_points(c)) {
        driver d(requests, c.limits, c.asked);
        bool over = false;
        {
            const exact_copy first(std::string_view(c.octets).substr(0, cut));
            over = d.feed(first.view());
        }
        if (!over) {
            const exact_copy all(c.octets);
            d.feed(all.view());
            d.end_of_input();
        }
        check(c, d, "split at", cut);
    }
}

void run_octets_at_the_edge(const test_case& c, bool requests) {
    guarded_buffer buffer(c.octets.size());
    driver d(requests, c.limits, c.asked);
    const std::size_t step = c.octets.size() <= 4000 ? 1 : 7;
    for (std::size_t n = 0; n < c.octets.size();) {
        n = std::min(n + step, c.octets.size());
        if (d.feed(buffer.place(std::string_view(c.octets).substr(0, n)))) {
            break;
        }
    }
    d.end_of_input();
    check(c, d, "octet by octet", 0);
}

void run_behind_another(const test_case& c, bool requests) {
    const std::string first =
        requests ? "PUT /x HTTP/1.1\r\nHost: first\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
                 : "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"a\"\r\n\r\nabc";
    flux::http::limits generous; // the first message must not meet the limits of the case
    driver d(requests, c.limits, c.asked);
    driver before(requests, generous, flux::http::method::get);
    const exact_copy all(first + c.octets);
    REQUIRE(before.feed(all.view()));
    REQUIRE(before.offset() == first.size());
    if (!requests || c.limits.head_octets >= first.size()) {
        d.feed(std::string_view(first)); // leaves its traces in the state that is reused
        d.next_message();
    }
    d.feed(all.view().substr(first.size()));
    d.end_of_input();
    check(c, d, "behind another message", 0);
}

void run_all(const char* direction, std::size_t at_least) {
    const bool requests = std::string_view(direction) == "request";
    const std::vector<test_case> cases = corpus::load(direction);
    CHECK(cases.size() >= at_least);
    std::vector<std::string> names;
    for (const test_case& c : cases) {
        REQUIRE_MESSAGE(!c.expect.empty(), c.file, ": ", c.name);
        names.push_back(c.name);
        run_whole(c, requests);
        run_split(c, requests);
        run_octets_at_the_edge(c, requests);
        run_behind_another(c, requests);
    }
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    CHECK_MESSAGE(twice == names.end(), "two cases are called ", twice == names.end() ? std::string() : *twice);
}

} // namespace

TEST_SUITE("http/wire/corpus") {
    TEST_CASE("every request case gives its outcome, however it is cut [RFC 9112]") {
        run_all("request", 250);
    }
    TEST_CASE("every response case gives its outcome, however it is cut [RFC 9112]") {
        run_all("response", 120);
    }
}
