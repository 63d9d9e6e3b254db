// SPDX-License-Identifier: MIT
#include <flux/testing/leak_check.hpp> // also proves the header is self-contained

#include <flux/coro/task.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>
#include <string>

#include <fcntl.h>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::leak_check;
using flux::testing::virtual_loop;

namespace {

task<> nothing() { co_return; }

class idle_timer : public timer {
public:
    idle_timer() noexcept : timer([](timer&) noexcept {}) {}
};

std::string reported;
void keep(const char* what) { reported = what; }

} // namespace

TEST_SUITE("testing/leak_check") {

TEST_CASE("nothing left behind is no difference") {
    virtual_loop loop;
    const leak_check check(&loop);
    CHECK(loop.run(nothing()));
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    CHECK(check.difference() == "");
}

TEST_CASE("a coroutine that was never awaited is seen") {
    std::optional<task<>> kept;
    const leak_check check(nullptr, &keep);
    kept.emplace(nothing());
    CHECK(check.difference() == "1 coroutine frames");
    kept.reset();
    CHECK(check.difference() == "");
}

TEST_CASE("a timer that is still armed is seen") {
    virtual_loop loop;
    idle_timer t;
    const leak_check check(&loop, &keep);
    loop.arm(t, loop.now() + 1s);
    CHECK(check.difference() == "1 armed timers");
    loop.disarm(t);
}

TEST_CASE("a descriptor that was left open, closed, or replaced is seen with its name") {
    const int old = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    {
        const leak_check check(nullptr, &keep);
        const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        CHECK(check.difference() == "descriptor " + std::to_string(fd) + " (/dev/null)");
        ::close(old);
        CHECK(check.difference() == "descriptor " + std::to_string(fd) + " (/dev/null); closed or replaced: descriptor " +
                                        std::to_string(old) + " (/dev/zero)");
        CHECK(::dup2(fd, old) == old);
        ::close(fd);
        CHECK(check.difference() == "descriptor " + std::to_string(old) + " (/dev/null); closed or replaced: descriptor " +
                                        std::to_string(old) + " (/dev/zero)");
    }
    ::close(old);
}

TEST_CASE("the end of a check reports, but not while an exception leaves the test") {
    reported.clear();
    std::optional<task<>> kept;
    {
        const leak_check check(nullptr, &keep);
        kept.emplace(nothing());
    }
    CHECK(reported == "leaked: 1 coroutine frames");
    kept.reset();
    reported.clear();
    try {
        const leak_check check(nullptr, &keep);
        kept.emplace(nothing());
        throw std::runtime_error("a test that failed");
    } catch (const std::runtime_error&) {
    }
    CHECK(reported == "");
    kept.reset();
}

} // TEST_SUITE
