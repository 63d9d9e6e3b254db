// SPDX-License-Identifier: MIT
#include <flux/http/server/write_watch.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/http/server/send_file.hpp>
#include <flux/http/server/server.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/listener.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <http/server/over_tcp.hpp>
#include <support/driver_matrix.hpp>
#include <support/transport_sockets.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace flux;
using namespace std::chrono_literals;
using http::detail::write_watch;

static_assert(write_watch<tcp_stream>::tells_progress);
static_assert(!write_watch<testing::memory_stream>::tells_progress);

namespace {

struct told {
    std::uint64_t acknowledged = 0;
    [[nodiscard]] std::uint64_t octets_acknowledged() const noexcept { return acknowledged; }
};
struct silent {};

// When a write is given up whose peer acknowledges `each` octets every so often until `until`; 0 s: it never was.
template <class Stream>
duration given_up_after(std::uint64_t each, duration until, std::uint32_t min_rate = 100, duration every = 1s) {
    testing::virtual_loop loop;
    duration at{};
    auto scenario = [&]() -> task<> {
        const context ctx = co_await this_context();
        http::server_options options;
        options.write_timeout = 30s;
        options.write_min_rate = min_rate;
        Stream stream;
        write_watch<Stream> watch(stream, ctx.node(), options);
        for (duration t{}; t < 300s; t += 1s) {
            if (watch.node().stopped()) {
                at = t;
                CHECK(watch.node().reason() == stop_reason::timed_out);
                break;
            }
            if constexpr (write_watch<Stream>::tells_progress) {
                stream.acknowledged += t < until && t % every == 0s ? each : 0;
            }
            co_await sleep_for(1s);
        }
    };
    const auto ended = loop.run(scenario());
    CHECK(ended);
    return at;
}

constexpr std::size_t size = 16U << 20;

task<> produce(http::body_writer& out) {
    static const std::string block(100'000, 'x');
    for (std::size_t left = size; left > 0;) {
        const std::size_t n = left < block.size() ? left : block.size();
        co_await out.write(std::string_view(block).substr(0, n));
        left -= n;
    }
}

void add_large_bodies(http::router& app) {
    app.get("/whole", [] { return http::bytes(std::string(size, 'x')); });
    app.get("/producer", [] { return http::response().stream(produce, size); });
    app.get("/file", [](http::request&, http::responder& out) -> task<> {
        const unique_fd content(::memfd_create("content", MFD_CLOEXEC));
        const std::string octets(size, 'x');
        REQUIRE(::write(content.get(), octets.data(), size) == static_cast<::ssize_t>(size));
        out.length(size);
        co_await http::send_file(out, content.get(), 0, size);
    });
}

std::string request_for(std::string_view path) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
}

// Asks for a large body and does not read before the server has given up. Returns the octets that came all the same.
task<> stalled_client(reactor* home, std::string path, std::size_t* got) {
    http::router app;
    add_large_bodies(app);
    http::server_options options;
    options.write_timeout = 200ms;
    auto use = [&](test_support::any_tcp& stream, const http::server_stats& stats) -> task<> {
        const std::string request = request_for(path);
        co_await stream.write_all(as_octets(request));
        while (stats.requests == 0 || stats.connections != 0) {
            co_await sleep_for(5ms);
        }
        std::vector<std::byte> buffer(1U << 20);
        for (;;) {
            auto n = co_await attempt(stream.read_some(buffer));
            if (!n || *n == 0) {
                break;
            }
            *got += *n;
        }
    };
    co_await flux_test::with_client(home, &app, options, use);
}

// What a connection holds on its way, at most: the reader takes little ahead.
constexpr std::size_t on_its_way = 4U << 20;

// Writes more than a socket holds, or sends a file, and reads it at the other end; what the writer was told before, between
// and after. `between` counts from where half was read.
template <class Listener, class Connect>
task<> acknowledged(reactor* home, endpoint where, Connect connect, bool file, std::vector<std::uint64_t>* seen) {
    auto ctx = co_await this_context();
    auto listener = Listener::listen(*home, where).value();
    auto writer = co_await connect(listener.local_endpoint().value());
    auto reader = co_await listener.accept();
    const int little = 65'536;
    ::setsockopt(reader.native_handle(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    seen->push_back(writer.octets_acknowledged());
    const std::string octets(size, 'x');
    const unique_fd content(::memfd_create("content", MFD_CLOEXEC));
    REQUIRE(::write(content.get(), octets.data(), size) == static_cast<::ssize_t>(size));
    task_scope scope(ctx, scope_policy::collect);
    auto send_all = [&]() -> task<> {
        for (std::size_t at = 0; at < size;) {
            at += co_await writer.send_file(const_buffer(), content.get(), at, size - at);
        }
    };
    if (file) {
        scope.spawn(send_all());
    } else {
        scope.spawn(writer.write_all(as_octets(octets)));
    }
    std::vector<std::byte> buffer(65'536);
    std::size_t got = 0;
    while (got < size) {
        const std::size_t n = co_await reader.read_some(buffer);
        REQUIRE(n > 0);
        got += n;
        if (seen->size() == 1 && got > size / 2) {
            CHECK(scope.size() == 1); // the write goes on
            seen->push_back(writer.octets_acknowledged());
        }
    }
    co_await scope.join();
    while (writer.octets_acknowledged() < size) { // the last acknowledgement may be on its way
        co_await sleep_for(1ms);
    }
    seen->push_back(writer.octets_acknowledged());
}
void check_acknowledged(const std::vector<std::uint64_t>& seen) {
    REQUIRE(seen.size() == 3);
    CHECK(seen[0] <= 1); // TCP counts the opening
    CHECK(seen[1] + on_its_way >= size / 2);
    CHECK(seen[1] < size);
    CHECK(seen[2] <= size + 1);
}

// Reads a large body at a rate that keeps the server from ending for several write_timeouts.
//
// What has come is acknowledged in bursts. Both ends are on one thread here, and an io_uring receive takes what it can in
// one turn of the loop, whatever SO_RCVBUF is (some 1.5 MB before Linux 6.17); then the window is closed, and nothing is
// acknowledged until the reader has worked that off: 12 of its waits, and over TLS, unoptimised and with a sanitizer, as
// much time again for the records. All that has to fit into nine tenths of a write_timeout: a server cannot tell it from
// a reader that has stopped.
task<> slow_client(reactor* home, std::string path, std::size_t* got) {
    http::router app;
    add_large_bodies(app);
    http::server_options options;
    options.write_timeout = 500ms;
    auto use = [&](test_support::any_tcp& stream, const http::server_stats&) -> task<> {
        const int little = 65'536;
        const auto* const below = stream.under();
        const int fd = below == nullptr ? -1 : below->native_handle();
        CHECK(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little) == 0);
        const std::string request = request_for(path);
        co_await stream.write_all(as_octets(request));
        std::vector<std::byte> buffer(131'072);
        for (std::size_t next = 0;;) { // a wait for each 128 KiB, in whatever pieces they come (over TLS: records)
            auto n = co_await attempt(stream.read_some(buffer));
            if (!n || *n == 0) {
                break;
            }
            *got += *n;
            if (*got >= next) {
                next += buffer.size();
                co_await sleep_for(10ms);
            }
        }
    };
    co_await flux_test::with_client(home, &app, options, use);
}

} // namespace

TEST_SUITE_BEGIN("http/server/write_watch");

TEST_CASE("a write goes on as long as the peer acknowledges enough, and no longer than write_timeout after that") {
    CHECK(given_up_after<told>(100, 1000s) == 0s);
    CHECK(given_up_after<told>(99, 1000s) == 30s);
    CHECK(given_up_after<told>(0, 0s) == 30s);
    CHECK(given_up_after<told>(1'000'000, 100s) > 100s);
    CHECK(given_up_after<told>(1'000'000, 100s) <= 130s);
    CHECK(given_up_after<told>(1, 1000s, 0) == 0s);
    CHECK(given_up_after<told>(0, 1000s, 0) == 30s);
}

TEST_CASE("a peer that acknowledges much at a time may pause for nearly a write_timeout") {
    CHECK(given_up_after<told>(2700, 1000s, 100, 26s) == 0s);
    CHECK(given_up_after<told>(1, 1000s, 0, 26s) == 0s);
    CHECK(given_up_after<told>(2500, 1000s, 100, 26s) > 0s); // too little on average
    CHECK(given_up_after<told>(1'000'000, 1000s, 100, 31s) > 0s);
}

TEST_CASE("a write_timeout is as long as it says, also where ten looks do not divide it") {
    testing::virtual_loop loop;
    for (const milliseconds limit : {1ms, 9ms, 19ms, 1001ms}) {
        CAPTURE(limit.count());
        duration took{};
        auto scenario = [&]() -> task<> {
            const context ctx = co_await this_context();
            http::server_options options;
            options.write_timeout = limit;
            const told stream;
            const time_point start = ctx.home().now();
            write_watch<told> watch(stream, ctx.node(), options);
            while (!watch.node().stopped()) {
                co_await sleep_for(100us);
            }
            took = ctx.home().now() - start;
        };
        const auto ended = loop.run(scenario());
        CHECK(ended);
        CHECK(took == limit);
    }
}

TEST_CASE("a stream that does not tell gets write_timeout for each write") { CHECK(given_up_after<silent>(0, 0s) == 30s); }

TEST_CASE("a socket tells what its peer has acknowledged, also in the middle of a write or a file" *
          test_support::plain_only("about sockets, not about what is above them")) {
    test_support::on_each_driver([](const reactor_options& options) {
        for (const bool file : {false, true}) {
            CAPTURE(file);
            reactor r(options);
            std::vector<std::uint64_t> tcp;
            r.run(acknowledged<tcp_listener>(&r, endpoint::loopback(0), &tcp_connect, file, &tcp));
            check_acknowledged(tcp);
            std::vector<std::uint64_t> local;
            const endpoint where = endpoint::parse("unix:@flux-write-watch-" + std::to_string(::getpid())).value();
            r.run(acknowledged<unix_listener>(&r, where, &unix_connect, file, &local));
            check_acknowledged(local);
        }
    });
}

TEST_CASE("a reader that is slow but steady gets all of a large body, however many write_timeouts that takes") {
    test_support::on_each_driver([](const reactor_options& options) {
        for (const char* const path : {"/whole", "/file"}) {
            CAPTURE(path);
            reactor r(options);
            std::size_t got = 0;
            r.run(slow_client(&r, path, &got));
            CHECK(got > size);
        }
    });
}

TEST_CASE("a reader that stops is cut off, in the middle of a produced body too") {
    test_support::on_each_driver([](const reactor_options& options) {
        for (const char* const path : {"/whole", "/producer"}) {
            CAPTURE(path);
            reactor r(options);
            std::size_t got = 0;
            r.run(stalled_client(&r, path, &got));
            CHECK(got < size);
        }
    });
}

TEST_SUITE_END();
