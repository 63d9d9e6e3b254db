// SPDX-License-Identifier: MIT
// Each program of these tests is a process of its own: child_program runs the child_case of that name.
#include <flux/io/run.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/io/poll.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include <sys/syscall.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::child_case;
using test_support::child_program;
using test_support::say;
using test_support::watchdog;

namespace {

task<> until_shutdown() {
    say("ready");
    const auto r = co_await attempt(sleep_for(1h));
    auto ctx = co_await this_context();
    if (!r && r.error().is(errc::shutdown) && ctx.reason() == stop_reason::shutdown) {
        say("stopped");
    }
    co_await fail(r.error());
}

} // namespace

TEST_SUITE("io/run") {

TEST_CASE("child: ends well" * child_case()) {
    ::_exit(run([]() -> task<> { co_await sleep_for(1ms); }()));
}
TEST_CASE("child: yields a status" * child_case()) {
    ::_exit(run([]() -> task<int> { co_return 42; }()));
}
TEST_CASE("a task that ends well gives status 0, and task<int> its value") {
    const watchdog dog;
    child_program well("child: ends well");
    CHECK(well.wait() == 0);
    CHECK(well.complaints() == "");
    child_program status("child: yields a status");
    CHECK(status.wait() == 42);
    CHECK(status.complaints() == "");
}

TEST_CASE("child: fails" * child_case()) {
    ::_exit(run([]() -> task<> {
        co_await sleep_for(1ms);
        co_await fail(error::from_errno(ECONNREFUSED).doing("connect 127.0.0.1:1").doing("GET http://api/"));
    }()));
}
TEST_CASE("child: throws" * child_case()) {
    ::_exit(run([]() -> task<int> {
        co_await sleep_for(1ms);
        throw std::runtime_error("out of paper");
    }()));
}
TEST_CASE("child: throws something" * child_case()) {
    ::_exit(run([]() -> task<> {
        co_await sleep_for(1ms);
        throw 7;
    }()));
}
TEST_CASE("what escapes is printed as one line, and gives status 1") {
    const watchdog dog;
    child_program fails("child: fails");
    CHECK(fails.wait() == 1);
    CHECK(fails.complaints() == "flux: GET http://api/: connect 127.0.0.1:1: Connection refused\n");
    child_program throws("child: throws");
    CHECK(throws.wait() == 1);
    CHECK(throws.complaints() == "flux: out of paper\n");
    child_program something("child: throws something");
    CHECK(something.wait() == 1);
    CHECK(something.complaints() == "flux: unknown exception\n");
}

TEST_CASE("child: waits" * child_case()) { ::_exit(run(until_shutdown())); }
TEST_CASE("a signal stops the program with shutdown, and the status is 0") {
    const watchdog dog;
    for (const int number : {SIGINT, SIGTERM}) {
        CAPTURE(number);
        child_program waits("child: waits");
        waits.until_said("ready");
        waits.signal(number);
        waits.until_said("stopped");
        CHECK(waits.wait() == 0);
        CHECK(waits.complaints() == "");
    }
}

TEST_CASE("child: waits with a status" * child_case()) {
    ::_exit(run([]() -> task<int> {
        say("ready");
        const auto r = co_await attempt(sleep_for(1h));
        co_return r.error().is(errc::shutdown) ? 5 : 6;
    }()));
}
TEST_CASE("child: fails when it is stopped" * child_case()) {
    ::_exit(run([]() -> task<> {
        say("ready");
        const auto r = co_await attempt(sleep_for(1h));
        co_await fail(error(errc::limit).doing("saving"));
    }()));
}
TEST_CASE("after a signal a status of the task's own, and another failure, still count") {
    const watchdog dog;
    child_program status("child: waits with a status");
    status.until_said("ready");
    status.signal(SIGTERM);
    CHECK(status.wait() == 5);
    child_program fails("child: fails when it is stopped");
    fails.until_said("ready");
    fails.signal(SIGTERM);
    CHECK(fails.wait() == 1);
    CHECK(fails.complaints() == "flux: saving: limit exceeded\n");
}

TEST_CASE("child: a shutdown of its own" * child_case()) {
    ::_exit(run([]() -> task<> { co_await fail(errc::shutdown); }()));
}
TEST_CASE("without a signal a shutdown is a failure as any other") {
    const watchdog dog;
    child_program own("child: a shutdown of its own");
    CHECK(own.wait() == 1);
    CHECK(own.complaints() == "flux: shutting down\n");
}

TEST_CASE("child: takes long to end" * child_case()) {
    ::_exit(run([]() -> task<> {
        say("ready");
        std::ignore = co_await attempt(sleep_for(1h));
        say("ending");
        co_await shield(sleep_for(1h));
    }()));
}
TEST_CASE("child: is stuck" * child_case()) {
    ::_exit(run([]() -> task<> {
        co_await sleep_for(1ms);
        say("ready");
        for (;;) { // a loop that never looks at its reactor
            ::usleep(1000);
        }
    }()));
}
TEST_CASE("a second signal ends the process at once with 128 and its number, even if the loop is stuck") {
    const watchdog dog;
    child_program slow("child: takes long to end");
    slow.until_said("ready");
    slow.signal(SIGINT);
    slow.until_said("ending");
    slow.signal(SIGTERM);
    CHECK(slow.wait() == 128 + SIGTERM);
    child_program stuck("child: is stuck");
    stuck.until_said("ready");
    CHECK(stuck.signal_until_ended(SIGINT) == 128 + SIGINT);
}

TEST_CASE("child: no signals" * child_case()) {
    ::signal(SIGTERM, SIG_DFL); // doctest has a handler of its own, which is not safe under ThreadSanitizer
    run_options options;
    options.handle_signals = false;
    ::_exit(run(until_shutdown(), options));
}
TEST_CASE("without handle_signals the process dies of a signal as usual") {
    const watchdog dog;
    child_program plain("child: no signals");
    plain.until_said("ready");
    plain.signal(SIGTERM);
    CHECK(plain.wait() == 1000 + SIGTERM);
}

TEST_CASE("child: looks at signals" * child_case()) {
    const auto handler_of = [](int number) {
        struct ::sigaction action {};
        ::sigaction(number, nullptr, &action);
        return action.sa_handler;
    };
    const auto blocked = [](int number) {
        ::sigset_t mask;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        return ::sigismember(&mask, number) == 1;
    };
    const auto before_int = handler_of(SIGINT);
    const auto before_term = handler_of(SIGTERM);
    bool right = true;
    auto look = [&]() -> task<int> {
        right = right && !blocked(SIGINT) && !blocked(SIGTERM); // what programs started from here would inherit
        right = right && handler_of(SIGINT) != before_int && handler_of(SIGTERM) != before_term;
        int both[2];
        if (::pipe2(both, O_CLOEXEC) != 0) {
            co_return 4;
        }
        ::close(both[0]);
        const unique_fd in(both[1]);
        const auto wrote = co_await attempt(write_fd(in.get(), std::as_bytes(std::span("x"))));
        right = right && !wrote && wrote.error().code() == std::errc::broken_pipe;
        co_return 3;
    };
    for (int i = 0; i < 3; ++i) {
        right = run(look()) == 3 && right && handler_of(SIGINT) == before_int && handler_of(SIGTERM) == before_term;
    }
    ::_exit(right ? 0 : 1);
}
TEST_CASE("run blocks no signal, gives back the handlers, and makes a lost reader an error") {
    const watchdog dog;
    child_program looks("child: looks at signals");
    CHECK(looks.wait() == 0);
}

TEST_CASE("child: is refused io_uring" * child_case()) {
    ::unsetenv("FLUX_DRIVER");
    test_support::forbid_system_call(SYS_io_uring_setup, EPERM);
    ::_exit(run([]() -> task<int> {
        auto ctx = co_await this_context();
        co_await sleep_for(1ms);
        const driver_choice choice = reactor::of(ctx.home()).choice();
        co_return choice.kind == driver_kind::epoll && choice.refused == EPERM ? 7 : 8;
    }()));
}
TEST_CASE("where io_uring is refused one line says so, and the program runs on epoll") {
    const watchdog dog;
    child_program sandboxed("child: is refused io_uring");
    CHECK(sandboxed.wait() == 7);
    CHECK(sandboxed.complaints() == "flux: io_uring is not available (Operation not permitted): using epoll\n");
}

TEST_CASE("child: bad options" * child_case()) {
    run_options options;
    options.reactor.buffer_count = 3;
    ::_exit(run(until_shutdown(), options));
}
TEST_CASE("options that cannot be are a failure of the program") {
    const watchdog dog;
    child_program bad("child: bad options");
    CHECK(bad.wait() == 1);
    CHECK(bad.complaints().find("flux: reactor_options") == 0);
}

} // TEST_SUITE
