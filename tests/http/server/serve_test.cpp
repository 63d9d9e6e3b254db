// SPDX-License-Identifier: MIT
// The servers are processes of their own: child_program runs the child_case of that name.
#include <flux/http/server/serve.hpp> // also proves the header is self-contained

#include <flux/coro/sleep.hpp>
#include <flux/net/connect.hpp>
#include <support/driver_matrix.hpp>
#include <support/transport_serve.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::child_case;
using test_support::child_program;
using test_support::watchdog;
using any_unix = test_support::any_end<unix_stream>;

namespace {

std::string place_of(::pid_t owner) { return "unix:@flux-serve-test-" + std::to_string(owner); }

/// Retried while nobody listens there yet.
task<any_unix> connect_to(endpoint where) {
    for (;;) {
        auto stream = co_await attempt(unix_connect(where));
        if (stream) {
            co_return any_unix::connected(*std::move(stream));
        }
        co_await sleep_for(2ms); // the watchdog ends this
    }
}

/// The body of an answer that comes whole.
task<std::string> ask(any_unix* stream) {
    co_await stream->write_all(as_octets("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    const auto octets = co_await stream->receive();
    const std::string_view text = as_text(octets.octets());
    const std::size_t body = text.find("\r\n\r\n");
    co_return body == std::string_view::npos ? std::string() : std::string(text.substr(body + 4));
}

task<> visit_all_workers() {
    const endpoint where = endpoint::parse(place_of(::getpid())).value();
    std::vector<any_unix> connections;
    std::set<std::string> workers;
    for (int i = 0; i < 200 && workers.size() < 3; ++i) {
        auto stream = co_await connect_to(where);
        connections.push_back(std::move(stream));
        auto name = co_await ask(&connections.back());
        workers.insert(std::move(name));
    }
    CHECK(workers.count("") == 0);
    CHECK(workers.size() >= 1); // which of them wakes up first is the kernel's choice
    for (any_unix& stream : connections) {
        const std::string name = co_await ask(&stream);
        CHECK(workers.count(name) == 1); // a connection stays with its worker
    }
}

} // namespace

TEST_SUITE("http/server/serve") {

TEST_CASE("child: a Unix socket with three workers" * child_case()) {
    http::router app;
    app.get("/", [] { return std::to_string(::gettid()); });
    serve_options options;
    options.workers = 3;
    options.announce = false;
    ::_exit(test_support::any_serve(place_of(::getppid()), app, options));
}
TEST_CASE("several workers share one Unix socket, and all of its connections are answered") {
    const watchdog dog;
    test_support::share_identity();
    child_program server("child: a Unix socket with three workers");
    reactor home;
    home.run(visit_all_workers());
    server.signal(SIGTERM);
    CHECK(server.wait() == 0);
    CHECK(server.complaints() == "");
}

TEST_CASE("child: no workers" * child_case()) {
    http::router app;
    serve_options options;
    options.workers = 0;
    ::_exit(test_support::any_serve("127.0.0.1:0", app, options));
}
TEST_CASE("no worker at all is refused") {
    const watchdog dog;
    test_support::share_identity();
    child_program none("child: no workers");
    CHECK(none.wait() == 1);
    CHECK(none.complaints() == "flux: serve: workers must be at least 1: invalid argument\n");
}

} // TEST_SUITE
