// SPDX-License-Identifier: MIT
#include <flux/testing/memory_stream.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/coro/with.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::make_memory_pair;
using flux::testing::memory_options;
using flux::testing::memory_stream;
using flux::testing::virtual_loop;

// Counts allocations; a sanitizer brings its own operator new. noinline: g++ would compare new with free().
#if !FLUX_SANITIZED
namespace {
std::size_t allocations = 0;
}
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* p = std::malloc(size)) {
        return p;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif

namespace {

std::string pattern(std::size_t n) {
    std::string text(n, ' ');
    for (std::size_t i = 0; i < n; ++i) {
        text[i] = static_cast<char>('a' + (i * 7 + i / 26) % 26);
    }
    return text;
}

// Everything up to the end of the stream, by receive() and by read_some() in turn.
task<std::string> drain(memory_stream& s) {
    std::string all;
    std::array<std::byte, 97> buffer;
    for (bool lend = true;; lend = !lend) {
        if (lend) {
            auto r = co_await s.receive();
            if (r.empty()) {
                break;
            }
            all += as_text(r.octets());
        } else {
            auto n = co_await s.read_some(buffer);
            if (n == 0) {
                break;
            }
            all += as_text(std::span(buffer).first(n));
        }
    }
    co_return all;
}

task<> write_and_end(memory_stream& s, std::string text) {
    co_await s.write_all(as_octets(text));
    s.shutdown_write().value();
}

bool is_errno(const error& e, int number) { return e.code() == std::error_code(number, std::system_category()); }

// Runs f in a child process; true if it aborted with `rule` on stderr.
template <class F>
bool aborts(F f, const char* rule) {
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    const ::pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);
        ::dup2(fds[1], 2);
        f();
        ::_exit(0);
    }
    ::close(fds[1]);
    std::string said;
    char buffer[512];
    for (::ssize_t n; (n = ::read(fds[0], buffer, sizeof buffer)) > 0;) {
        said.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(fds[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0) && said.find(rule) != std::string::npos;
}

class hangup_log : public hangup_listener {
public:
    hangup_log() noexcept : hangup_listener(&told) {}
    int times = 0;
    bool reset = false;

private:
    static void told(hangup_listener& l, bool reset) noexcept {
        auto& self = static_cast<hangup_log&>(l);
        ++self.times;
        self.reset = reset;
    }
};

} // namespace

TEST_SUITE("testing/memory_stream") {

TEST_CASE("octets and the end arrive in order, in both directions, whatever the sizes") {
    const std::string text = pattern(1000);
    for (const std::size_t capacity : {1U, 7U, 64U, 65'536U}) {
        for (const std::size_t piece : {0U, 1U, 2U, 7U}) {
            for (const bool suspend : {false, true}) {
                for (const bool isolate : {false, true}) {
                    CAPTURE(capacity);
                    CAPTURE(piece);
                    CAPTURE(suspend);
                    memory_options options;
                    options.capacity = capacity;
                    options.max_read = piece;
                    options.max_write = piece;
                    options.always_suspend = suspend;
                    options.isolate = isolate;
                    auto [a, b] = make_memory_pair(options);
                    memory_stream& near = a;
                    memory_stream& far = b;
                    virtual_loop loop;
                    std::string at_far;
                    std::string at_near;
                    auto far_side = [](memory_stream& s, std::string& seen, std::string reply) -> task<> {
                        seen = co_await drain(s);
                        co_await write_and_end(s, std::move(reply));
                    };
                    auto body = [&](task_scope& scope) -> task<> {
                        scope.spawn(far_side, std::ref(far), std::ref(at_far), text + "!");
                        co_await write_and_end(near, text);
                        at_near = co_await drain(near);
                    };
                    const auto r = loop.run(with_scope(body));
                    CHECK(r);
                    CHECK(at_far == text);
                    CHECK(at_near == text + "!");
                }
            }
        }
    }
}

TEST_CASE("a read takes no more than max_read, and what lies in the ring without a gap") {
    auto [a, b] = make_memory_pair({.capacity = 8, .max_read = 5});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await near.write_all(as_octets("12345678"));
        {
            auto first = co_await far.receive();
            CHECK(as_text(first.octets()) == "12345");
        }
        co_await near.write_all(as_octets("abc"));
        auto second = co_await far.receive();
        CHECK(as_text(second.octets()) == "678");
        auto third = co_await far.receive();
        CHECK(as_text(third.octets()) == "abc");
    };
    CHECK(loop.run(body()));
}

TEST_CASE("an emptied ring starts again, so that small messages come in one piece") {
    auto [a, b] = make_memory_pair({.capacity = 8});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            co_await near.write_all(as_octets("12345"));
            auto r = co_await far.receive();
            CHECK(as_text(r.octets()) == "12345");
        }
    };
    CHECK(loop.run(body()));
}

TEST_CASE("a writer waits while the ring is full, and goes on when octets are given back") {
    auto [a, b] = make_memory_pair({.capacity = 4});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    std::string log;
    auto writer = [](memory_stream& s, std::string& l) -> task<> {
        co_await s.write_all(as_octets("123456"));
        l += "written ";
    };
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(writer, std::ref(near), std::ref(log));
        co_await sleep_for(1ms);
        CHECK(log.empty());
        CHECK(far.available() == 4);
        auto r = co_await far.receive();
        CHECK(as_text(r.octets()) == "1234");
        co_await sleep_for(1ms);
        CHECK(log.empty()); // lent is not given back
        r.reset();
        co_await sleep_for(1ms);
        CHECK(log == "written ");
        CHECK(far.available() == 2);
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("loans may be given back in any order; space is freed in the order of the stream") {
    auto [a, b] = make_memory_pair({.capacity = 6, .max_read = 2});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    bool written = false;
    auto writer = [](memory_stream& s, bool& done) -> task<> {
        co_await s.write_all(as_octets("xy"));
        done = true;
    };
    auto body = [&](task_scope& scope) -> task<> {
        co_await near.write_all(as_octets("112233"));
        auto r1 = co_await far.receive();
        auto r2 = co_await far.receive();
        std::array<std::byte, 4> copied;
        auto n = co_await far.read_some(copied);
        CHECK(n == 2);
        scope.spawn(writer, std::ref(near), std::ref(written));
        co_await sleep_for(1ms);
        r2.reset();
        co_await sleep_for(1ms);
        CHECK(!written);
        CHECK(as_text(r1.octets()) == "11");
        r1.reset();
        co_await sleep_for(1ms);
        CHECK(written);
        auto r3 = co_await far.receive();
        CHECK(as_text(r3.octets()) == "xy");
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("a reader that keeps sixteen loans waits until one goes back") {
    auto [a, b] = make_memory_pair({.max_read = 1});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto give_back = [](std::vector<received>& held) -> task<> {
        co_await sleep_for(1s);
        held.erase(held.begin());
    };
    auto body = [&](task_scope& scope) -> task<> {
        co_await near.write_all(as_octets("0123456789abcdefg"));
        CHECK(near.shutdown_write());
        std::vector<received> held;
        for (int i = 0; i < 16; ++i) {
            held.push_back(co_await far.receive());
        }
        auto stuck = co_await attempt(with_timeout(1ms, far.receive()));
        CHECK(!stuck);
        scope.spawn(give_back, std::ref(held));
        auto r = co_await far.receive();
        CHECK(as_text(r.octets()) == "g");
        CHECK(loop.elapsed() == 1001ms);
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("octets on loan outlive the stream and its peer") {
    virtual_loop loop;
    received kept;
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    auto body = [&]() -> task<> {
        co_await near.write_all(as_octets("kept"));
        kept = co_await far.receive();
    };
    CHECK(loop.run(body()));
    a.close();
    b.close();
    CHECK(as_text(kept.octets()) == "kept");
}

TEST_CASE("several buffers are written as one, empty ones among them") {
    for (const std::size_t piece : {0U, 1U, 3U}) {
        auto [a, b] = make_memory_pair({.capacity = 5, .max_write = piece});
        memory_stream& near = a;
        memory_stream& far = b;
        virtual_loop loop;
        auto writer = [](memory_stream& s) -> task<> {
            const std::array<const_buffer, 5> list{as_octets(""), as_octets("ab"), as_octets(""), as_octets("cdefgh"), as_octets("")};
            co_await s.write_all(list);
            co_await s.write_all(std::span<const const_buffer>());
            co_await s.write_all(const_buffer());
            s.shutdown_write().value();
        };
        std::string seen;
        auto body = [&](task_scope& scope) -> task<> {
            scope.spawn(writer, std::ref(near));
            seen = co_await drain(far);
        };
        CHECK(loop.run(with_scope(body)));
        CHECK(seen == "abcdefgh");
    }
}

TEST_CASE("always_suspend: not one operation completes inline; without it all do that can") {
    for (const bool suspend : {true, false}) {
        auto [a, b] = make_memory_pair({.always_suspend = suspend});
        memory_stream& near = a;
        memory_stream& far = b;
        virtual_loop loop;
        auto body = [&]() -> task<> {
            std::vector<std::uint64_t> steps{loop.steps()};
            std::array<std::byte, 4> buffer;
            co_await near.write_all(as_octets("xyz"));
            steps.push_back(loop.steps());
            auto n = co_await far.read_some(std::span(buffer).first(1));
            steps.push_back(loop.steps());
            auto r = co_await far.receive();
            steps.push_back(loop.steps());
            near.close();
            auto end = co_await far.receive();
            steps.push_back(loop.steps());
            auto failed = co_await attempt(far.write_all(as_octets("x")));
            CHECK(n == 1);
            CHECK(r.size() == 2);
            CHECK(end.empty());
            CHECK(!failed);
            for (std::size_t i = 1; i < steps.size(); ++i) {
                CHECK((steps[i] > steps[i - 1]) == suspend);
            }
        };
        CHECK(loop.run(body()));
    }
}

TEST_CASE("a long loop of ready operations yields to others") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    bool other_ran = false;
    auto other = [](bool& ran) -> task<> {
        ran = true;
        co_return;
    };
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(other, std::ref(other_ran));
        for (int i = 0; i < scheduler::inline_budget && !other_ran; ++i) {
            co_await near.write_all(as_octets("x"));
            auto r = co_await far.receive();
            CHECK(r.size() == 1);
        }
        CHECK(other_ran);
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("half-close: the other direction goes on") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await near.write_all(as_octets("question"));
        CHECK(near.shutdown_write());
        CHECK(near.shutdown_write()); // again: no effect
        auto q = co_await drain(far);
        CHECK(q == "question");
        co_await far.write_all(as_octets("answer"));
        far.close();
        auto answer = co_await drain(near);
        CHECK(answer == "answer");
        auto late = co_await attempt(near.write_all(as_octets("more")));
        REQUIRE(!late);
        CHECK(is_errno(late.error(), EPIPE));
    };
    CHECK(loop.run(body()));
}

TEST_CASE("an orderly close is the end for the reader, and EPIPE for the writer") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await far.write_all(as_octets("bye"));
        far.close();
        auto failed = co_await attempt(near.write_all(as_octets("x")));
        REQUIRE(!failed);
        CHECK(is_errno(failed.error(), EPIPE));
        auto rest = co_await drain(near);
        CHECK(rest == "bye");
        auto again = co_await near.receive();
        CHECK(again.empty());
        CHECK(near.shutdown_write());
    };
    CHECK(loop.run(body()));
}

TEST_CASE("abort is a reset at the peer: reads and writes fail, also those in flight") {
    auto [a, b] = make_memory_pair({.capacity = 4});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    int resets = 0;
    auto reader = [](memory_stream& s, int& count) -> task<> {
        auto r = co_await attempt(s.receive());
        count += !r && is_errno(r.error(), ECONNRESET);
    };
    auto writer = [](memory_stream& s, int& count) -> task<> {
        auto r = co_await attempt(s.write_all(as_octets("too long")));
        count += !r && is_errno(r.error(), ECONNRESET);
    };
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(reader, std::ref(near), std::ref(resets));
        scope.spawn(writer, std::ref(near), std::ref(resets));
        co_await sleep_for(1ms);
        far.abort();
        CHECK(!far.is_open());
        co_await sleep_for(1ms);
        CHECK(resets == 2);
        co_await reader(near, resets);
        co_await writer(near, resets);
        CHECK(resets == 3); // a write that was cut off leaves a stream that can only be closed
        auto r = co_await attempt(near.write_all(as_octets("x")));
        CHECK(r.error().is(errc::closed));
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("a reset discards what was not read; without reset_discards that is read first [RFC 9112 9.6]") {
    for (const bool discards : {true, false}) {
        auto [a, b] = make_memory_pair({.reset_discards = discards});
        memory_stream& near = a;
        memory_stream& far = b;
        virtual_loop loop;
        auto body = [&]() -> task<> {
            co_await far.write_all(as_octets("last words"));
            far.abort();
            auto first = co_await attempt(near.receive());
            CHECK(first.has_value() == !discards);
            if (first) {
                CHECK(as_text(first->octets()) == "last words");
            }
            for (int i = 0; i < 2; ++i) {
                auto next = co_await attempt(near.receive());
                REQUIRE(!next);
                CHECK(is_errno(next.error(), ECONNRESET));
            }
            auto shut = near.shutdown_write();
            REQUIRE(!shut);
            CHECK(is_errno(shut.error(), ENOTCONN));
        };
        CHECK(loop.run(body()));
    }
}

TEST_CASE("closing with octets unread is a reset for the peer, as with sockets") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await near.write_all(as_octets("never read"));
        co_await far.write_all(as_octets("400"));
        far.close();
        auto r = co_await attempt(near.receive());
        REQUIRE(!r);
        CHECK(is_errno(r.error(), ECONNRESET));
    };
    CHECK(loop.run(body()));
}

TEST_CASE("closing while octets are on loan is orderly: they were read") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await near.write_all(as_octets("read"));
        auto r = co_await far.receive();
        far.close();
        auto end = co_await near.receive();
        CHECK(end.empty());
        CHECK(as_text(r.octets()) == "read");
    };
    CHECK(loop.run(body()));
}

TEST_CASE("inject_reset fails both ends") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    int resets = 0;
    auto reader = [](memory_stream& s, int& count) -> task<> {
        auto r = co_await attempt(s.receive());
        count += !r && is_errno(r.error(), ECONNRESET);
    };
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(reader, std::ref(near), std::ref(resets));
        scope.spawn(reader, std::ref(far), std::ref(resets));
        co_await sleep_for(1ms);
        near.inject_reset();
        co_await scope.join();
        CHECK(resets == 2);
        auto w = co_await attempt(far.write_all(as_octets("x")));
        CHECK(is_errno(w.error(), ECONNRESET));
        CHECK(near.is_open());
    };
    CHECK(loop.run(with_scope(body)));
}

TEST_CASE("operations on a closed or moved-from stream fail with errc::closed") {
    auto [a, b] = make_memory_pair();
    memory_stream moved = std::move(a);
    b.close();
    b.close(); // again: no effect
    virtual_loop loop;
    auto body = [](memory_stream& s) -> task<> {
        CHECK(!s.is_open());
        std::array<std::byte, 1> one;
        auto read = co_await attempt(s.read_some(one));
        CHECK(read.error().is(errc::closed));
        auto received = co_await attempt(s.receive());
        CHECK(received.error().is(errc::closed));
        auto written = co_await attempt(s.write_all(as_octets("x")));
        CHECK(written.error().is(errc::closed));
        CHECK(s.shutdown_write().error().is(errc::closed));
        s.watch_hangup(nullptr);
        s.abort();
        CHECK(s.peer_endpoint().error().is(errc::closed));
        CHECK(s.local_endpoint().error().is(errc::closed));
        CHECK(s.available() == 0);
    };
    CHECK(loop.run(body(a))); // NOLINT: moved from on purpose
    CHECK(loop.run(body(b)));
    CHECK(moved.is_open());
}

TEST_CASE("a read of no octets yields 0 at once") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        auto n = co_await near.read_some(mutable_buffer());
        CHECK(n == 0);
    };
    CHECK(loop.run(body()));
    CHECK(b.is_open());
}

TEST_CASE("a second read or write in flight fails with errc::overlap and leaves the first alone") {
    auto [a, b] = make_memory_pair({.capacity = 2});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    std::string seen;
    auto reader = [](memory_stream& s, std::string& out) -> task<> {
        auto r = co_await s.receive();
        out = as_text(r.octets());
    };
    auto writer = [](memory_stream& s) -> task<> { co_await s.write_all(as_octets("abc")); };
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(reader, std::ref(near), std::ref(seen));
        scope.spawn(writer, std::ref(near));
        co_await sleep_for(1ms);
        auto r = co_await attempt(near.receive());
        CHECK(r.error().is(errc::overlap));
        auto w = co_await attempt(near.write_all(as_octets("x")));
        CHECK(w.error().is(errc::overlap));
        CHECK(near.shutdown_write().error().is(errc::overlap));
        co_await far.write_all(as_octets("ok"));
        auto early = co_await attempt(near.receive()); // the first reader is awake, but has not run
        CHECK(early.error().is(errc::overlap));
        std::array<std::byte, 8> buffer;
        auto n = co_await far.read_some(buffer);
        CHECK(n == 2);
        auto rest = co_await far.receive();
        CHECK(as_text(rest.octets()) == "c");
    };
    CHECK(loop.run(with_scope(body)));
    CHECK(seen == "ok");
}

TEST_CASE("a read that is stopped loses no octet, whenever the stop comes") {
    for (int stop_after = 0; stop_after < 40; ++stop_after) {
        for (const bool suspend : {false, true}) {
            auto [a, b] = make_memory_pair({.capacity = 3, .max_read = 2, .always_suspend = suspend});
            memory_stream& near = a;
            memory_stream& far = b;
            virtual_loop loop;
            const std::string text = pattern(40);
            std::string seen;
            auto reader = [](memory_stream& s, std::string& out) -> task<> {
                for (;;) {
                    auto r = co_await s.receive();
                    if (r.empty()) {
                        break;
                    }
                    out += as_text(r.octets());
                }
            };
            auto body = [&](task_scope& scope) -> task<> {
                scope.spawn(write_and_end, std::ref(near), text);
                auto ctx = co_await this_context();
                task_scope reading(ctx, scope_policy::collect);
                reading.spawn(reader, std::ref(far), std::ref(seen));
                for (int i = 0; i < stop_after; ++i) {
                    co_await sleep_for(0s);
                }
                reading.stop();
                co_await reading.join();
                auto rest = co_await drain(far);
                seen += rest;
            };
            CHECK(loop.run(with_scope(body)));
            CHECK(seen == text);
        }
    }
}

TEST_CASE("a write that is stopped before its first octet leaves the stream as it was") {
    auto [a, b] = make_memory_pair({.capacity = 2});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await near.write_all(as_octets("12"));
        auto none = co_await attempt(with_timeout(1ms, near.write_all(as_octets("lost"))));
        CHECK(none.error().is(errc::timed_out));
        auto r = co_await far.receive();
        r.reset();
        co_await near.write_all(as_octets("3"));
        auto part = co_await attempt(with_timeout(1ms, near.write_all(as_octets("45"))));
        CHECK(part.error().is(errc::timed_out));
        auto after = co_await attempt(near.write_all(as_octets("6")));
        CHECK(after.error().is(errc::closed)); // one octet of "45" went out
        CHECK(near.shutdown_write().error().is(errc::closed));
    };
    CHECK(loop.run(body()));
}

TEST_CASE("a write in steps of one octet can be stopped between any two of them") {
    for (int stop_after = 0; stop_after < 12; ++stop_after) {
        auto [a, b] = make_memory_pair({.max_write = 1});
        memory_stream& near = a;
        memory_stream& far = b;
        virtual_loop loop;
        auto body = [&]() -> task<> {
            auto ctx = co_await this_context();
            task_scope writing(ctx);
            writing.spawn(near.write_all(as_octets("0123456789")));
            for (int i = 0; i < stop_after; ++i) {
                co_await sleep_for(0s);
            }
            writing.stop();
            co_await writing.join();
            near.close();
            auto seen = co_await drain(far);
            CHECK(seen == std::string("0123456789").substr(0, seen.size()));
        };
        CHECK(loop.run(body()));
    }
}

TEST_CASE("under a stopped context nothing is read or written") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    auto body = [&]() -> task<> {
        co_await near.write_all(as_octets("x"));
        auto ctx = co_await this_context();
        ctx.stop(stop_reason::disconnected);
        auto r = co_await attempt(far.receive());
        CHECK(r.error().is(errc::disconnected));
        auto w = co_await attempt(far.write_all(as_octets("y")));
        CHECK(w.error().is(errc::disconnected));
    };
    CHECK(loop.run(body()));
    CHECK(far.available() == 1);
    CHECK(near.available() == 0);
}

TEST_CASE("a watch hears of an end although nobody reads and octets are unread") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    hangup_log log;
    auto body = [&]() -> task<> {
        near.watch_hangup(&log);
        co_await far.write_all(as_octets("unread"));
        co_await sleep_for(1ms);
        CHECK(log.times == 0);
        CHECK(far.shutdown_write());
        CHECK(log.times == 0); // from the loop, not from inside the call
        co_await sleep_for(1ms);
        CHECK(log.times == 1);
        CHECK(!log.reset);
        far.abort();
        co_await sleep_for(1ms);
        CHECK(log.times == 1); // once per watch
        near.watch_hangup(&log);
        CHECK(log.times == 1);
        co_await sleep_for(1ms);
        CHECK(log.times == 2); // it had happened before the watch
        CHECK(log.reset);
    };
    CHECK(loop.run(body()));
}

TEST_CASE("a watch that was ended hears nothing, even if the notice is queued") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    hangup_log log;
    auto body = [&]() -> task<> {
        near.watch_hangup(&log);
        far.close();
        near.watch_hangup(nullptr);
        co_await sleep_for(1ms);
        near.watch_hangup(&log);
        near.close();
        co_await sleep_for(1ms);
    };
    CHECK(loop.run(body()));
    CHECK(log.times == 0);
}

TEST_CASE("a read in flight sees the end itself; one that is stopped instead leaves it to the watch") {
    auto [a, b] = make_memory_pair({.always_suspend = true});
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    hangup_log log;
    auto body = [&](task_scope& scope) -> task<> {
        near.watch_hangup(&log);
        auto later = [](memory_stream& s) -> task<> {
            co_await sleep_for(1ms);
            s.close();
        };
        scope.spawn(later, std::ref(far));
        auto end = co_await near.receive();
        CHECK(end.empty());
        co_await sleep_for(1ms);
        CHECK(log.times == 0);
    };
    CHECK(loop.run(with_scope(body)));

    auto [c, d] = make_memory_pair();
    memory_stream& other_near = c;
    memory_stream& other_far = d;
    auto stopped = [&]() -> task<> {
        other_near.watch_hangup(&log);
        auto ctx = co_await this_context();
        task_scope reading(ctx);
        reading.spawn(other_near.receive());
        co_await sleep_for(1ms);
        reading.stop();     // queued to resume,
        other_far.close();  // and now the end arrives
        CHECK(log.times == 0);
        co_await reading.join();
        co_await sleep_for(1ms);
        CHECK(log.times == 1);
    };
    CHECK(loop.run(stopped()));
}

TEST_CASE("octets that have come are taken without waiting; an end, a failure and a read in flight are left alone") {
    for (const bool reset : {false, true}) {
        virtual_loop loop;
        auto done = loop.run([](bool fails) -> task<> {
            auto [near, far] = make_memory_pair();
            CHECK(near.try_receive().empty());
            co_await far.write_all(as_octets(std::string_view("one")));
            const auto first = near.try_receive();
            CHECK(as_text(first.octets()) == "one");
            CHECK(near.try_receive().empty());

            std::string got;
            auto read = [](memory_stream* from, std::string* to) -> task<> {
                const auto octets = co_await from->receive();
                *to = as_text(octets.octets());
            };
            auto ctx = co_await this_context();
            task_scope scope(ctx);
            scope.spawn(read, &near, &got);
            co_await sleep_for(1ms);
            co_await far.write_all(as_octets(std::string_view("two")));
            CHECK(near.try_receive().empty()); // it is for the read, which has not run yet
            co_await scope.join();
            CHECK(got == "two");

            if (fails) {
                far.abort();
            } else {
                far.close();
            }
            CHECK(near.has_input());
            CHECK(near.try_receive().empty());
            const auto end = co_await attempt(near.receive());
            CHECK(end.has_value() == !fails);
            near.close();
            CHECK(near.try_receive().empty());
        }(reset));
        CHECK(done);
    }
}

TEST_CASE("streams may move while operations on them are in flight") {
    auto [a, b] = make_memory_pair();
    memory_stream& near = a;
    memory_stream& far = b;
    virtual_loop loop;
    std::string seen;
    auto reader = [](memory_stream& s, std::string& out) -> task<> {
        auto r = co_await s.receive();
        out = as_text(r.octets());
    };
    auto body = [&](task_scope& scope) -> task<> {
        scope.spawn(reader, std::ref(near), std::ref(seen));
        co_await sleep_for(1ms);
        memory_stream elsewhere = std::move(near);
        co_await far.write_all(as_octets("found"));
        co_await scope.join();
    };
    CHECK(loop.run(with_scope(body)));
    CHECK(seen == "found");
}

TEST_CASE("each end knows both addresses") {
    auto [a, b] = make_memory_pair({}, endpoint::ipv4({10, 0, 0, 1}, 40'000), endpoint::ipv4({10, 0, 0, 2}, 80));
    CHECK(a.local_endpoint()->to_string() == "10.0.0.1:40000");
    CHECK(a.peer_endpoint()->to_string() == "10.0.0.2:80");
    CHECK(b.local_endpoint()->to_string() == "10.0.0.2:80");
    CHECK(b.peer_endpoint()->to_string() == "10.0.0.1:40000");
}

TEST_CASE("closing a stream with an operation in flight aborts the program") {
    const char* rule = "a stream was closed while an operation on it was in flight";
    const auto close_while = [](bool reading) {
        auto [a, b] = make_memory_pair({.capacity = 1});
        memory_stream& near = a;
        virtual_loop loop;
        auto body = [&](task_scope& scope) -> task<> {
            if (reading) {
                scope.spawn(near.receive());
            } else {
                scope.spawn(near.write_all(as_octets("long")));
            }
            co_await sleep_for(1ms);
            near.close();
        };
        ignore_result(loop.run(with_scope(body)), "never comes here");
    };
    CHECK(aborts([&] { close_while(true); }, rule));
    CHECK(aborts([&] { close_while(false); }, rule));
    CHECK(!aborts([] {}, rule));
}

#if !FLUX_SANITIZED
TEST_CASE("a warm pair does not allocate, whether its operations wait or not") {
    for (const bool suspend : {false, true}) {
        auto [a, b] = make_memory_pair({.always_suspend = suspend});
        memory_stream& near = a;
        memory_stream& far = b;
        virtual_loop loop;
        std::size_t used = 0;
        const std::string text = pattern(300);
        auto body = [&]() -> task<> {
            std::array<std::byte, 100> buffer;
            const std::array<const_buffer, 2> list{as_octets(text), as_octets(text)};
            for (int i = 0; i < 1000; ++i) {
                if (i == 100) {
                    used = allocations;
                }
                co_await near.write_all(list);
                auto r = co_await far.receive();
                CHECK(r.size() == 600);
                co_await far.write_all(as_octets("ok"));
                auto n = co_await near.read_some(buffer);
                if (n != 2) {
                    FAIL("short");
                }
            }
            used = allocations - used;
        };
        CHECK(loop.run(body()));
        CHECK(used == 0);
    }
}
#endif

} // TEST_SUITE
