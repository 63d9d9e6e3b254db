// SPDX-License-Identifier: MIT
// A TCP echo server: one task per connection, all owned by one scope.
//
//   echo [ADDRESS]        127.0.0.1:7777 by default; also [::1]:7777, :7777, unix:/tmp/echo.sock
//
// Try:  printf 'hello\n' | curl -s telnet://127.0.0.1:7777
// SIGINT or SIGTERM ends it; connections are closed. A client that is silent for a minute is dropped.
#include <flux.hpp>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

namespace {

flux::task<> echo(flux::tcp_stream stream) {
    for (;;) {
        auto octets = co_await flux::attempt(flux::with_timeout(60s, stream.receive()));
        if (!octets || octets->empty()) {
            co_return;
        }
        co_await stream.write_all(octets->octets());
    }
}

flux::task<> app(flux::endpoint where) {
    auto ctx = co_await flux::this_context();
    auto listener = flux::tcp_listener::listen(flux::reactor::of(ctx.home()), where).value();
    std::printf("listening on %s\n", listener.local_endpoint().value().to_string().c_str());
    std::fflush(stdout);
    flux::task_scope connections(ctx, flux::scope_policy::collect); // one client's failure is its own
    for (;;) {
        auto stream = co_await flux::attempt(listener.accept());
        if (stream) {
            connections.spawn(echo, *std::move(stream));
            continue;
        }
        if (ctx.stopped()) {
            break;
        }
        auto rested = co_await flux::attempt(flux::sleep_for(100ms)); // out of descriptors: others will end
        flux::ignore_result(rested, "a stop ends the next accept");
    }
    auto ended = co_await flux::attempt(connections.join());
    flux::ignore_result(ended, "they were stopped");
}

} // namespace

int main(int argc, char** argv) {
    auto where = flux::endpoint::parse(argc > 1 ? argv[1] : "127.0.0.1:7777");
    if (!where) {
        std::fprintf(stderr, "%s\nusage: echo [ADDRESS]\n", where.error().what());
        return 2;
    }
    return flux::run(app(*where));
}
