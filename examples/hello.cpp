// SPDX-License-Identifier: MIT
// A server with two routes: plain text at /, and a greeting with a path parameter.
//
//   hello                         listens on 127.0.0.1:8080
//   hello 0                       on a port that the kernel chooses, and says which
//   hello 8080 --workers 2        two reactors, each on its own thread
//   hello unix:/run/hello.sock    on any address: also [::1]:8080, :8080
//
// Try:  curl -i http://127.0.0.1:8080/hello/you
// SIGINT or SIGTERM: requests in flight are answered, then it ends with status 0. FLUX_DRIVER=epoll forces epoll.
#include <flux.hpp>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

namespace http = flux::http;

namespace {

http::response greet(http::request& req) {
    return http::text("Hello, " + std::string(req.param("name")) + "!\n");
}

bool read_number(const char* text, unsigned most, unsigned& number) {
    const char* end = text + std::strlen(text);
    const auto r = std::from_chars(text, end, number);
    return r.ec == std::errc() && r.ptr == end && number <= most;
}

} // namespace

int main(int argc, char** argv) {
    std::string address = "127.0.0.1:8080";
    flux::serve_options options;
    for (int i = 1; i < argc; ++i) {
        unsigned port = 0;
        bool ok = true;
        if (std::strcmp(argv[i], "--workers") == 0) {
            ok = i + 1 < argc && read_number(argv[++i], 1024, options.workers) && options.workers > 0;
        } else if (std::strchr(argv[i], ':') != nullptr) {
            address = argv[i];
        } else {
            ok = read_number(argv[i], 65'535, port);
            address = "127.0.0.1:" + std::to_string(port);
        }
        if (!ok) {
            std::fprintf(stderr, "usage: hello [PORT | ADDRESS] [--workers N]\n");
            return 2;
        }
    }
    http::router app;
    app.get("/", [] { return "Hello, World!"; });
    app.get("/hello/{name}", greet);
    return flux::serve(address, app, options);
}
