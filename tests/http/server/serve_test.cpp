// SPDX-License-Identifier: MIT
// The servers are processes of their own: child_program runs the child_case of that name.
#include <flux/http/server/serve.hpp> // also proves the header is self-contained

#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace flux;
using test_support::child_case;
using test_support::child_program;
using test_support::watchdog;

namespace {

std::string socket_name() { return "flux-serve-test-" + std::to_string(::getppid()); }

/// A connection to the abstract socket `name`; retried while nobody listens there yet.
unique_fd connect_to(const std::string& name) {
    ::sockaddr_un where{};
    where.sun_family = AF_UNIX;
    name.copy(where.sun_path + 1, sizeof where.sun_path - 1);
    const auto size = static_cast<::socklen_t>(offsetof(::sockaddr_un, sun_path) + 1 + name.size());
    unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    while (::connect(fd.get(), reinterpret_cast<const ::sockaddr*>(&where), size) != 0) {
        ::usleep(2000); // the watchdog ends this
    }
    return fd;
}

std::string ask(int fd) {
    static constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    REQUIRE(::write(fd, request.data(), request.size()) == static_cast<::ssize_t>(request.size()));
    char answer[1000];
    const ::ssize_t n = ::read(fd, answer, sizeof answer);
    const std::string_view text(answer, n > 0 ? static_cast<std::size_t>(n) : 0);
    const std::size_t body = text.find("\r\n\r\n");
    return body == std::string_view::npos ? std::string() : std::string(text.substr(body + 4));
}

} // namespace

TEST_SUITE("http/server/serve") {

TEST_CASE("child: a Unix socket with three workers" * child_case()) {
    http::router app;
    app.get("/", [] { return std::to_string(::gettid()); });
    serve_options options;
    options.workers = 3;
    options.announce = false;
    ::_exit(serve("unix:@" + socket_name(), app, options));
}
TEST_CASE("several workers share one Unix socket, and all of its connections are answered") {
    const watchdog dog;
    child_program server("child: a Unix socket with three workers");
    const std::string name = "flux-serve-test-" + std::to_string(::getpid());
    std::vector<unique_fd> connections;
    std::set<std::string> workers;
    for (int i = 0; i < 200 && workers.size() < 3; ++i) {
        connections.push_back(connect_to(name));
        workers.insert(ask(connections.back().get()));
    }
    CHECK(workers.count("") == 0);
    CHECK(workers.size() >= 1); // which of them wakes up first is the kernel's choice
    for (const unique_fd& fd : connections) {
        CHECK(workers.count(ask(fd.get())) == 1); // a connection stays with its worker
    }
    connections.clear();
    server.signal(SIGTERM);
    CHECK(server.wait() == 0);
    CHECK(server.complaints() == "");
}

TEST_CASE("child: no workers" * child_case()) {
    http::router app;
    serve_options options;
    options.workers = 0;
    ::_exit(serve("127.0.0.1:0", app, options));
}
TEST_CASE("no worker at all is refused") {
    const watchdog dog;
    child_program none("child: no workers");
    CHECK(none.wait() == 1);
    CHECK(none.complaints() == "flux: serve: workers must be at least 1: invalid argument\n");
}

} // TEST_SUITE
