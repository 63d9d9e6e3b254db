// SPDX-License-Identifier: MIT
#include <flux/io/unique_fd.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <type_traits>
#include <utility>

using flux::unique_fd;

static_assert(!std::is_copy_constructible_v<unique_fd> && !std::is_copy_assignable_v<unique_fd>);
static_assert(std::is_nothrow_move_constructible_v<unique_fd> && std::is_nothrow_move_assignable_v<unique_fd>);
static_assert(!std::is_convertible_v<int, unique_fd>);
static_assert(sizeof(unique_fd) == sizeof(int));

namespace {

int open_one() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

} // namespace

TEST_SUITE("io/unique_fd") {

TEST_CASE("an empty one owns nothing, and so does one made of a failed call") {
    const unique_fd none;
    const unique_fd failed(::open("/nonexistent/file", O_RDONLY | O_CLOEXEC));
    CHECK_FALSE(none.is_open());
    CHECK_FALSE(static_cast<bool>(none));
    CHECK(none.get() < 0);
    CHECK_FALSE(failed.is_open());
}

TEST_CASE("a descriptor is closed when its owner dies") {
    const int fd = open_one();
    REQUIRE(fd >= 0);
    {
        const unique_fd owner(fd);
        CHECK(owner.is_open());
        CHECK(static_cast<bool>(owner));
        CHECK(owner.get() == fd);
        CHECK(is_open(fd));
    }
    CHECK_FALSE(is_open(fd));
}

TEST_CASE("a released descriptor stays open") {
    int fd = -1;
    {
        unique_fd owner(open_one());
        fd = owner.release();
        CHECK_FALSE(owner.is_open());
        CHECK(owner.release() < 0);
    }
    CHECK(is_open(fd));
    CHECK(::close(fd) == 0);
}

TEST_CASE("a move hands the descriptor over and closes the one before") {
    unique_fd a(open_one());
    const int first = a.get();
    unique_fd b(std::move(a));
    CHECK_FALSE(a.is_open()); // NOLINT(bugprone-use-after-move): that is the rule
    CHECK(b.get() == first);
    unique_fd c(open_one());
    const int second = c.get();
    b = std::move(c);
    CHECK_FALSE(is_open(first));
    CHECK(b.get() == second);
    CHECK_FALSE(c.is_open()); // NOLINT(bugprone-use-after-move): that is the rule
    unique_fd& self = b;
    b = std::move(self);
    CHECK(b.get() == second);
    CHECK(is_open(second));
}

TEST_CASE("reset closes what is owned and takes the new one") {
    unique_fd owner(open_one());
    const int first = owner.get();
    const int second = open_one();
    owner.reset(second);
    CHECK_FALSE(is_open(first));
    CHECK(owner.get() == second);
    owner.reset();
    CHECK_FALSE(is_open(second));
    CHECK_FALSE(owner.is_open());
    owner.reset();
    CHECK_FALSE(owner.is_open());
}

TEST_CASE("descriptor 0 is a descriptor like any other") {
    const unique_fd kept(::fcntl(0, F_DUPFD_CLOEXEC, 3));
    ::close(0);
    {
        const unique_fd zero(open_one());
        CHECK(zero.get() == 0);
        CHECK(zero.is_open());
    }
    CHECK_FALSE(is_open(0));
    if (kept.is_open()) {
        CHECK(::dup2(kept.get(), 0) == 0);
    }
}

} // TEST_SUITE
