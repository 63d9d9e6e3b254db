// SPDX-License-Identifier: MIT
// Bodies that are larger than any buffer, in either direction: all of it arrives, and memory does not grow with it.
#include <flux/http/server/router.hpp>
#include <http/server/over_tcp.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

using namespace flux;
using test_support::on_each_driver;
using test_support::run;

namespace {

const std::uint64_t octets = (FLUX_SANITIZED ? 1U << 28 : 1U << 30) >> (test_support::reduced() ? 4 : 0);
constexpr std::size_t piece = 1U << 20;
constexpr std::size_t allowed_growth = 12U << 20; // the shared receive buffers, touched for the first time: 4 MiB

std::size_t resident() {
    std::size_t total = 0;
    std::size_t pages = 0;
    std::FILE* f = std::fopen("/proc/self/statm", "r");
    REQUIRE(f != nullptr);
    CHECK(std::fscanf(f, "%zu %zu", &total, &pages) == 2);
    std::fclose(f);
    return pages * 4096;
}

// The largest it was while the test ran, sampled by both sides.
struct sampled {
    std::size_t before = resident();
    std::size_t most = before;
    void look() { most = std::max(most, resident()); }
    void check() const {
        if (!FLUX_SANITIZED) {
            CHECK(most - before < allowed_growth);
        }
    }
};

task<> exchange(const http::router* app, std::string request, std::uint64_t to_send, std::uint64_t* received_octets, sampled* memory) {
    http::server_options options;
    options.limits.body_octets = std::uint64_t{1} << 40;
    auto use = [&](test_support::any_tcp& client) -> task<> {
        co_await client.write_all(as_octets(request));
        const std::string data(piece, 'x');
        for (std::uint64_t sent = 0; sent < to_send; sent += piece) {
            co_await client.write_all(as_octets(data));
            memory->look();
        }
        for (;;) {
            const auto some = co_await client.receive();
            if (some.empty()) {
                break;
            }
            if ((*received_octets >> 24) != ((*received_octets + some.size()) >> 24)) {
                memory->look();
            }
            *received_octets += some.size();
        }
    };
    co_await flux_test::with_connection(app, options, use);
}

} // namespace

TEST_SUITE("http/server/large_body") {
    TEST_CASE("a body of 1 GiB goes out without growing memory") {
        http::router app;
        app.get("/", [](http::request&, http::responder& out) -> task<> {
            const std::string data(piece, 'x');
            out.length(octets);
            for (std::uint64_t sent = 0; sent < octets; sent += piece) {
                co_await out.write(data);
            }
        });
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            std::uint64_t got = 0;
            sampled memory;
            run(r, exchange(&app, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 0, &got, &memory));
            CHECK(got > octets);
            CHECK(got < octets + 1000);
            memory.check();
        });
    }

    TEST_CASE("a body of 1 GiB comes in without growing memory") {
        http::router app;
        std::uint64_t read = 0;
        app.post("/", [&](http::request& req) -> task<std::string> {
            while (true) {
                const std::string_view some = co_await req.body().next();
                if (some.empty()) {
                    break;
                }
                read += some.size();
            }
            co_return "read";
        });
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            read = 0;
            std::uint64_t got = 0;
            sampled memory;
            run(r, exchange(&app, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " + std::to_string(octets) + "\r\n\r\n",
                            octets, &got, &memory));
            CHECK(read == octets);
            CHECK(got > 0);
            memory.check();
        });
    }
}
