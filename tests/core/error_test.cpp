// SPDX-License-Identifier: MIT
#include <flux/core/error.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using flux::errc;
using flux::error;
using flux::error_kind;
using flux::error_phase;

namespace {

const errc every_code[] = {errc::canceled, errc::timed_out, errc::disconnected,     errc::shutdown,
                           errc::eof,      errc::closed,    errc::limit,            errc::protocol,
                           errc::overlap,  errc::injected,  errc::invalid_argument, errc::unavailable};

class demo_domain final : public flux::error_domain {
public:
    const char* name() const noexcept override { return "demo"; }
    std::string message(int code) const override { return "demo " + std::to_string(code); }
    error_kind kind_of(int code) const noexcept override {
        return code == 7 ? error_kind::tls : error_kind::http;
    }
};

class foreign_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "foreign"; }
    std::string message(int) const override { return "something else"; }
};

} // namespace

static_assert(sizeof(error) == 4 * sizeof(void*));
static_assert(std::is_nothrow_copy_constructible_v<error> && std::is_nothrow_copy_assignable_v<error>);
static_assert(std::is_nothrow_move_constructible_v<error> && std::is_nothrow_move_assignable_v<error>);
static_assert(std::is_nothrow_move_constructible_v<flux::failure>);
static_assert(std::is_error_code_enum_v<errc>);

TEST_SUITE("core/error") {

TEST_CASE("every code has a text of its own, and what() of a bare code is that text") {
    std::vector<std::string> seen;
    for (errc code : every_code) {
        const error e(code);
        CHECK(e.message() == e.what());
        CHECK(e.message() != "unknown flux error");
        for (const std::string& other : seen) {
            CHECK(e.message() != other);
        }
        seen.push_back(e.message());
    }
    CHECK(error(static_cast<errc>(99)).message() == "unknown flux error");
    CHECK(error(errc::closed).code().category().name() == std::string("flux"));
}

TEST_CASE("the kind of a flux code is what a caller can do about it") {
    const std::pair<errc, error_kind> table[] = {
        {errc::canceled, error_kind::cancelled},   {errc::disconnected, error_kind::cancelled},
        {errc::shutdown, error_kind::cancelled},   {errc::timed_out, error_kind::timeout},
        {errc::eof, error_kind::network},          {errc::injected, error_kind::network},
        {errc::protocol, error_kind::protocol},    {errc::limit, error_kind::limit},
        {errc::closed, error_kind::usage},         {errc::overlap, error_kind::usage},
        {errc::invalid_argument, error_kind::usage}, {errc::unavailable, error_kind::usage}};
    for (const auto& row : table) {
        CAPTURE(error(row.first).message());
        CHECK(error(row.first).kind() == row.second);
    }
    CHECK(error(static_cast<errc>(99)).kind() == error_kind::usage);
}

TEST_CASE("the kind of a kernel error is network, timeout, cancelled or usage") {
    CHECK(error::from_errno(ECONNREFUSED).kind() == error_kind::network);
    CHECK(error::from_errno(ECONNRESET).kind() == error_kind::network);
    CHECK(error::from_errno(EMFILE).kind() == error_kind::network);
    CHECK(error::from_errno(ETIMEDOUT).kind() == error_kind::timeout);
    CHECK(error::from_errno(ECANCELED).kind() == error_kind::cancelled);
    CHECK(error::from_errno(EINVAL).kind() == error_kind::usage);
    CHECK(error::from_errno(EBADF).kind() == error_kind::usage);
    CHECK(error(std::make_error_code(std::errc::timed_out)).kind() == error_kind::timeout);
}

TEST_CASE("an error domain decides the kind of its codes, a foreign category is network") {
    const demo_domain demo;
    const foreign_category foreign;
    CHECK(error(std::error_code(7, demo)).kind() == error_kind::tls);
    CHECK(error(std::error_code(8, demo)).kind() == error_kind::http);
    CHECK(error(std::error_code(8, demo)).message() == "demo 8");
    CHECK(error(std::error_code(1, foreign)).kind() == error_kind::network);
    CHECK(error(std::error_code(1, foreign)).what() == std::string("something else"));
}

TEST_CASE("kinds and phases have names") {
    CHECK(to_string(error_kind::network) == "network");
    CHECK(to_string(error_kind::cancelled) == "cancelled");
    CHECK(to_string(error_kind::usage) == "usage");
    CHECK(to_string(error_phase::none) == "none");
    CHECK(to_string(error_phase::resolve) == "resolve");
    CHECK(to_string(error_phase::body) == "body");
}

TEST_CASE("codes compare with the standard conditions, from flux and from the kernel alike") {
    CHECK(error(errc::timed_out).code() == std::errc::timed_out);
    CHECK(error::from_errno(ETIMEDOUT).code() == std::errc::timed_out);
    CHECK(error(errc::canceled).code() == std::errc::operation_canceled);
    CHECK(error(errc::invalid_argument).code() == std::errc::invalid_argument);
    CHECK(error(errc::unavailable).code() == std::errc::not_supported);
    CHECK(error(errc::canceled).code() != std::errc::timed_out);
    CHECK(error(errc::eof).code() != std::errc::timed_out);
    const std::error_code assigned = errc::eof;
    CHECK(assigned == errc::eof);
    CHECK(error(assigned).is(errc::eof));
    CHECK_FALSE(error(assigned).is(errc::closed));
    CHECK(error::from_errno(ECONNREFUSED).is(std::errc::connection_refused));
    CHECK_FALSE(error::from_errno(ECONNREFUSED).is(std::errc::timed_out));
    CHECK_FALSE(error::from_errno(static_cast<int>(errc::eof)).is(errc::eof));
}

TEST_CASE("the chain prints the outermost activity first and the code last") {
    error e = error::from_errno(ECONNREFUSED);
    CHECK(e.message() == "Connection refused");
    e.doing("connect 127.0.0.1:1");
    CHECK(e.message() == "connect 127.0.0.1:1: Connection refused");
    e.doing("GET https://api.test/");
    CHECK(e.message() == "GET https://api.test/: connect 127.0.0.1:1: Connection refused");
    CHECK(e.what() == e.message());
    CHECK(error(errc::eof).doing("read").doing("fetch").message() == "fetch: read: unexpected end of stream");
}

TEST_CASE("facts are kept beside the chain, and absent ones have neutral values") {
    const error bare(errc::eof);
    CHECK(bare.phase() == error_phase::none);
    CHECK(bare.peer().empty());
    CHECK(bare.attempt() == 0);
    CHECK(bare.bytes_sent() == 0);
    CHECK_FALSE(bare.retryable());

    const error full = error(errc::eof).phase(error_phase::head).peer("[::1]:80").attempt(3).bytes_sent(17).retryable(true);
    CHECK(full.phase() == error_phase::head);
    CHECK(full.peer() == "[::1]:80");
    CHECK(full.attempt() == 3);
    CHECK(full.bytes_sent() == 17);
    CHECK(full.retryable());
    CHECK(full.message() == "unexpected end of stream");

    error plain(errc::eof);
    plain.phase(error_phase::body).peer("p").attempt(1).bytes_sent(2).retryable(true).retryable(false);
    CHECK(plain.phase() == error_phase::body);
    CHECK_FALSE(plain.retryable());
}

TEST_CASE("what() stays valid and equal until the error is changed") {
    error e = error(errc::eof).doing("read");
    const char* first = e.what();
    const char* second = e.what();
    CHECK(first == second);
    const error copy = e;
    CHECK(copy.what() == first); // shared
    e.doing("fetch");
    CHECK(std::strcmp(e.what(), "fetch: read: unexpected end of stream") == 0);
    CHECK(std::strcmp(copy.what(), "read: unexpected end of stream") == 0);
    e.doing("again"); // sole owner now: a text made before must not survive
    CHECK(std::strcmp(e.what(), "again: fetch: read: unexpected end of stream") == 0);

    const error kernel = error::from_errno(ENOENT); // no chain, and no static text either
    const char* text = kernel.what();
    CHECK(text == kernel.what());
    CHECK(std::strcmp(text, "No such file or directory") == 0);
}

TEST_CASE("copies share the chain until one of them is written to") {
    error a = error(errc::eof).doing("read");
    a.peer("10.0.0.1:1");
    const error b = a;
    CHECK(a.peer().data() == b.peer().data());
    a.peer("10.0.0.2:2");
    CHECK(b.peer() == "10.0.0.1:1");
    CHECK(a.peer() == "10.0.0.2:2");
    CHECK(a.message() == b.message());

    error c(errc::closed);
    c = a;
    CHECK(c.peer().data() == a.peer().data());
    CHECK(c.is(errc::eof));
    c.attempt(2);
    CHECK(a.attempt() == 0);
    const error& self = c;
    c = self;
    CHECK(c.attempt() == 2);
    CHECK(c.message() == "read: unexpected end of stream");
}

TEST_CASE("a move takes the chain and leaves the code") {
    error a = error(errc::eof).doing("read");
    error b = std::move(a);
    CHECK(b.message() == "read: unexpected end of stream");
    CHECK(a.message() == "unexpected end of stream"); // NOLINT(bugprone-use-after-move): that is the rule
    error c(errc::closed);
    c.doing("close");
    c = std::move(b);
    CHECK(c.message() == "read: unexpected end of stream");
    error& self = c;
    c = std::move(self);
    CHECK(c.message() == "read: unexpected end of stream");
}

TEST_CASE("an error is caught as itself and as std::exception") {
    bool caught = false;
    try {
        flux::detail::throw_error(error(errc::limit).doing("read head"));
    } catch (const std::exception& e) {
        caught = true;
        CHECK(e.what() == std::string("read head: limit exceeded"));
    }
    CHECK(caught);
    CHECK_THROWS_AS(flux::detail::throw_error(errc::limit), error);
}

TEST_CASE("a failure carries a code, a std::error_code or a whole error") {
    CHECK(flux::fail(errc::closed).error().is(errc::closed));
    CHECK(flux::fail(std::make_error_code(std::errc::io_error)).error().code() == std::errc::io_error);
    flux::failure f = flux::fail(error(errc::eof).doing("read"));
    const flux::failure& view = f;
    CHECK(view.error().message() == "read: unexpected end of stream");
    f.error().doing("fetch");
    const error taken = std::move(f).error();
    CHECK(taken.message() == "fetch: read: unexpected end of stream");
}

TEST_CASE("copies in several threads are independent, and const functions of one error may overlap") {
    const error shared = error(errc::eof).doing("read");
    const error kernel = error::from_errno(ENOENT);
    std::array<std::string, 4> texts;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        threads.emplace_back([&texts, &shared, &kernel, i] {
            for (int round = 0; round < 200; ++round) {
                error mine = shared;
                mine.doing("thread " + std::to_string(i));
                texts[i] = mine.what();
                texts[i] += shared.what();
                texts[i] += kernel.what();
            }
        });
    }
    for (std::thread& t : threads) {
        t.join();
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
        CHECK(texts[i] == "thread " + std::to_string(i) +
                              ": read: unexpected end of streamread: unexpected end of stream"
                              "No such file or directory");
    }
}

} // TEST_SUITE
