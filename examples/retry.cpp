// SPDX-License-Identifier: MIT
// A GET that does not give up at once: up to four tries within five seconds, with growing waits.
//
//   retry [URL]
#include <flux.hpp>

#include <cstdio>
#include <string>

using namespace std::chrono_literals;
namespace http = flux::http;

namespace {

flux::task<> app(std::string url) {
    http::client api;
    api.use(http::retry()); // full jitter, Retry-After, idempotent requests only
    auto r = co_await flux::attempt(api.get(url).timeout(5s).text());
    if (!r) {
        std::fprintf(stderr, "%s\n", r.error().what());
        co_await flux::fail(r.error());
    }
    std::fputs(r->c_str(), stdout);
}

} // namespace

int main(int argc, char** argv) { return flux::run(app(argc > 1 ? argv[1] : "http://127.0.0.1:9000/")); }
