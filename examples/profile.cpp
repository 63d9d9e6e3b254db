// SPDX-License-Identifier: MIT
// A server whose handlers ask another server: one client for all workers, one deadline for each request.
//
//   profile ADDRESS BACKEND   profile 127.0.0.1:8080 http://127.0.0.1:9000/
//
// GET /profile/7 answers what BACKEND has at users/7: 504 if that takes more than two seconds, 502 if it fails. Nobody
// wrote that down below: an error that leaves a handler becomes the right answer.
#include <flux.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;
namespace http = flux::http;

namespace {

flux::task<http::response> profile(http::request& req) {
    auto& api = req.state<http::client>();
    auto limit = co_await flux::within(2s); // look-up, connecting, head and body; the request's end ends it, too
    auto user = co_await api.get("users/" + std::string(req.param("id"))).text();
    co_return http::json(std::move(user));
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: profile ADDRESS BACKEND\n");
        return 2;
    }
    try {
        http::client_options options;
        options.base_url = argv[2];
        http::client api(options);
        http::router app;
        app.share(api);
        app.get("/profile/{id}", profile);
        return flux::serve(argv[1], app);
    } catch (const flux::error& e) {
        std::fprintf(stderr, "profile: %s\n", e.what());
        return 2;
    }
}
