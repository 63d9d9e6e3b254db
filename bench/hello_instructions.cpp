// SPDX-License-Identifier: MIT
// What one hello request costs in user instructions, from octets in to octets out, without a kernel.
//
//   hello_instructions REQUESTS    serves that many keep-alive requests over a stream that lives in memory
//
// Run it under `valgrind --tool=callgrind` with two numbers of requests; the difference divided by the
// difference of the numbers is the cost of one. tools/cost.py does that.
#include <flux/coro/scope.hpp>
#include <flux/http/server/server_connection.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace {

using namespace flux;

constexpr std::string_view request_octets = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: cost\r\n\r\n";

// The peer in memory: hands out the same request `left` times, each through the ready queue as a reactor would.
struct peer {
    long left = 0;
    std::size_t written = 0;
};

class canned_read_state;
class canned_read {
public:
    using value_type = received;
    using state_type = canned_read_state;
    explicit canned_read(peer* p) noexcept : from(p) {}
    peer* from;
};
class canned_read_state : public detail::suspension {
public:
    canned_read_state(canned_read op, detail::context_node& ctx) noexcept : suspension(ctx, &on_stop), from_(op.from) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        suspend(waiter);
        finish();
    }
    result<received> take() noexcept {
        if (from_->left-- == 0) {
            return received();
        }
        return received(as_octets(request_octets), nullptr, nullptr, 0);
    }

private:
    static void on_stop(detail::stop_hook&) noexcept {}
    peer* from_;
};

class canned_some_state;
class canned_some {
public:
    using value_type = std::size_t;
    using state_type = canned_some_state;
};
class canned_some_state {
public:
    canned_some_state(canned_some, detail::context_node&) noexcept {}
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    result<std::size_t> take() const noexcept { return std::size_t{0}; }
};

class canned_write_state;
class canned_write {
public:
    using value_type = void;
    using state_type = canned_write_state;
    canned_write(peer* p, std::size_t n) noexcept : to(p), size(n) {}
    peer* to;
    std::size_t size;
};
class canned_write_state {
public:
    canned_write_state(canned_write op, detail::context_node&) noexcept { op.to->written += op.size; }
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    result<void> take() const noexcept { return {}; }
};

class canned_stream {
public:
    explicit canned_stream(peer& p) noexcept : peer_(&p) {}
    canned_read receive() noexcept { return canned_read(peer_); }
    canned_some read_some(mutable_buffer) noexcept { return {}; }
    canned_write write_all(const_buffer octets) noexcept { return {peer_, octets.size()}; }
    canned_write write_all(std::span<const const_buffer> list) noexcept {
        std::size_t n = 0;
        for (const const_buffer& b : list) {
            n += b.size();
        }
        return {peer_, n};
    }
    result<void> shutdown_write() noexcept { return {}; }
    void close() noexcept {}
    void abort() noexcept {}
    bool is_open() const noexcept { return true; }
    void watch_hangup(hangup_listener*) noexcept {}

private:
    peer* peer_;
};
static_assert(buffered_stream<canned_stream>);

class quiet_mailbox final : public detail::mailbox {
    void wake() noexcept override {}
};

class bare_loop final : public scheduler {
public:
    bare_loop() : scheduler(std::make_shared<quiet_mailbox>()) {}
    void run(detail::child&& frame) {
        const thread_binding binding(*this);
        set_now(clock::now());
        detail::context_node root(*this);
        task_scope scope((context(root)), scope_policy::collect);
        scope.spawn_frame(std::move(frame));
        while (scope.size() != 0) {
            timer_heap().fire_due(now());
            run_ready();
        }
    }
};

} // namespace

int main(int argc, char** argv) {
    peer p;
    p.left = argc > 1 ? std::atol(argv[1]) : 1000;
    const long asked = p.left;
    http::router app;
    app.get("/", [] { return "Hello, World!"; });
    http::detail::server_core server(app, http::server_options());
    bare_loop loop;
    loop.run(http::detail::serve_connection(server, canned_stream(p)));
    std::printf("%ld requests, %zu octets out\n", asked, p.written);
    return server.stats.requests == static_cast<std::uint64_t>(asked) ? 0 : 1;
}
