// SPDX-License-Identifier: MIT
// Reads one HTTP response over flux's own sockets: connect, write, read to the end, all within one deadline.
//
//   fetch ADDRESS PATH            fetch 127.0.0.1:8080 /hello/you
//
// Prints the response, head included. Exit status 0 if a whole one came, 1 with the reason otherwise.
#include <flux.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

namespace {

flux::task<> fetch(flux::endpoint where, std::string path) {
    auto limit = co_await flux::within(5s); // covers everything below
    auto stream = co_await flux::tcp_connect(where);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + where.to_string() + "\r\nConnection: close\r\n\r\n";
    co_await stream.write_all(flux::as_octets(request));
    const std::string response = co_await flux::read_all(stream);
    std::fwrite(response.data(), 1, response.size(), stdout);
    if (response.compare(0, 9, "HTTP/1.1 ") != 0) {
        co_await flux::fail(flux::error(flux::errc::protocol).doing("fetch " + path));
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: fetch ADDRESS PATH\n");
        return 2;
    }
    auto where = flux::endpoint::parse(argv[1]);
    if (!where) {
        std::fprintf(stderr, "%s\n", where.error().what());
        return 2;
    }
    return flux::run(fetch(*where, argv[2]));
}
