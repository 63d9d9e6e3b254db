// SPDX-License-Identifier: MIT
// Counts what a keep-alive request costs on the hot path: heap allocations, coroutine frames, kernel entries.
#include <flux/http/server/server.hpp> // also proves the header is self-contained

#include "support/counting_new.hpp"

#include <flux/net/listener.hpp>

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace flux;

namespace {

struct counters {
    std::uint64_t allocations = 0;
    std::uint64_t frames = 0;
    std::uint64_t turns = 0;
    std::uint64_t enters = 0;
};

// A client with blocking sockets: every round asks on all connections, then reads all answers.
class plain_client {
public:
    plain_client(std::uint16_t port, std::size_t connections) {
        for (std::size_t i = 0; i < connections; ++i) {
            unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            ::sockaddr_storage address{};
            const ::socklen_t size = endpoint::loopback(port).to_sockaddr(address);
            ok_ = ok_ && ::connect(fd.get(), reinterpret_cast<const ::sockaddr*>(&address), size) == 0;
            sockets_.push_back(std::move(fd));
        }
    }
    void rounds(int n, std::string_view request) {
        for (int i = 0; i < n; ++i) {
            for (const unique_fd& fd : sockets_) {
                ok_ = ok_ && ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) == static_cast<::ssize_t>(request.size());
            }
            for (const unique_fd& fd : sockets_) {
                read_answer(fd.get());
            }
        }
    }
    void one(std::string_view request) {
        ok_ = ok_ && ::send(sockets_[0].get(), request.data(), request.size(), MSG_NOSIGNAL) > 0;
        read_answer(sockets_[0].get());
    }
    [[nodiscard]] bool ok() const noexcept { return ok_; }

private:
    void read_answer(int fd) {
        char octets[512];
        const ::ssize_t n = ::recv(fd, octets, sizeof octets, 0);
        ok_ = ok_ && n > 12 && std::string_view(octets, 12) == "HTTP/1.1 200";
    }
    std::vector<unique_fd> sockets_;
    bool ok_ = true;
};

std::uint64_t allocations_so_far() {
    return test_support::allocations_are_counted() ? test_support::allocations_of_this_thread().allocations : 0;
}

struct measured {
    counters per_run;
    std::uint64_t requests = 0;
    bool ok = false;
};

// Serves `rounds` rounds on `connections` keep-alive connections after a warm-up, counted between two marks.
measured measure(std::string_view path, std::size_t connections, int rounds) {
    reactor home;
    counters marks[2];
    int marked = 0;
    http::router app;
    app.get("/", [] { return "Hello, World!"; });
    app.get("/async", [](http::request&) -> task<std::string_view> { co_return "Hello, World!"; });
    app.get("/mark", [&] {
        marks[marked++] = {allocations_so_far(), coroutine_frame_stats().allocated, home.turns(), home.stats().enters};
        return "marked";
    });
    auto listener = tcp_listener::listen(home, endpoint::loopback(0)).value();
    const std::uint16_t port = listener.local_endpoint().value().port();
    http::basic_server<tcp_listener> server(app);
    measured out;
    const std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    std::thread client_thread([&] {
        plain_client client(port, connections);
        client.rounds(20, request);
        client.one("GET /mark HTTP/1.1\r\nHost: a\r\n\r\n");
        client.rounds(rounds, request);
        client.one("GET /mark HTTP/1.1\r\nHost: a\r\n\r\n");
        out.ok = client.ok();
        home.post([&home] { home.root().stop(stop_reason::shutdown); });
    });
    home.run(server.serve(std::move(listener)));
    client_thread.join();
    out.requests = connections * static_cast<std::size_t>(rounds);
    out.per_run = {marks[1].allocations - marks[0].allocations, marks[1].frames - marks[0].frames,
                   marks[1].turns - marks[0].turns, marks[1].enters - marks[0].enters};
    return out;
}

} // namespace

TEST_SUITE_BEGIN("http/server/hot_path");

TEST_CASE("a warm keep-alive GET allocates nothing and needs no coroutine frame of its own") {
    const measured m = measure("/", 8, 200);
    CHECK(m.ok);
    CHECK(m.per_run.frames == 0);
    if (test_support::allocations_are_counted()) {
        CHECK(m.per_run.allocations == 0);
    }
}

TEST_CASE("a warm GET of an asynchronous handler allocates nothing and takes at most 4 frames") {
    const measured m = measure("/async", 8, 200);
    CHECK(m.ok);
    CHECK(m.per_run.frames <= 4 * m.requests);
    if (test_support::allocations_are_counted()) {
        CHECK(m.per_run.allocations == 0);
    }
}

TEST_CASE("at 64 connections a turn of the loop enters the kernel at most 1.1 times") {
    const measured m = measure("/", 64, 200);
    CHECK(m.ok);
    CHECK(m.per_run.turns > 0);
    CHECK(m.per_run.enters * 10 <= m.per_run.turns * 11);
}

TEST_SUITE_END();
