// SPDX-License-Identifier: MIT
// The HTTP client under load: so many callers, each asking for one URL again and again through one client's pool.
//
//   client [URL [CALLERS [SECONDS]]]
//
// Prints the responses that were read to their end, and the CPU time (user and system) of the process for each, in
// nanoseconds. Without a URL it serves itself and runs for a moment, which says nothing about speed. bench/client.sh
// compares it with other clients.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <flux.hpp>

using namespace std::chrono_literals;
namespace http = flux::http;

namespace {

struct work {
    http::client api;
    std::string url;
    flux::time_point end{};
    std::uint64_t responses = 0, octets = 0;
};

// What a program does: the response as an object, its body through the reader until the end.
flux::task<> call(work* w) {
    while (flux::clock::now() < w->end) {
        auto r = co_await w->api.get(w->url);
        if (!r.ok()) {
            co_await flux::fail(flux::error(http::errc::unexpected_status).doing(w->url));
        }
        for (;;) {
            const auto piece = co_await r.body().next();
            if (piece.empty()) {
                break;
            }
            w->octets += piece.size();
        }
        ++w->responses;
    }
}

flux::task<> run_all(work* w, long callers, flux::duration time) {
    auto here = co_await flux::this_context();
    flux::task_scope scope(here);
    w->end = flux::clock::now() + time;
    for (long i = 0; i < callers; ++i) {
        scope.spawn(call, w);
    }
    co_await scope.join();
}

flux::task<> run_alone(work* w) {
    auto here = co_await flux::this_context();
    http::router app;
    app.get("/", [] { return "Hello, World!"; });
    auto listener = flux::tcp_listener::listen(flux::reactor::of(here.home()), flux::endpoint::loopback(0)).value();
    w->url = "http://" + listener.local_endpoint().value().to_string();
    http::basic_server<flux::tcp_listener> server(app);
    flux::task_scope serving(here, flux::scope_policy::collect);
    serving.spawn(server.serve(std::move(listener)));
    co_await run_all(w, 4, 50ms);
    serving.stop();
    flux::ignore_result(co_await flux::attempt(serving.join()), "it was stopped");
}

} // namespace

int main(int argc, char** argv) {
    work w;
    const bool alone = argc < 2;
    const long callers = argc > 2 ? std::atol(argv[2]) : 64;
    const double seconds = argc > 3 ? std::atof(argv[3]) : 2;
    if (callers < 1 || seconds <= 0) {
        std::fprintf(stderr, "usage: client [URL [CALLERS [SECONDS]]]\n");
        return 2;
    }
    if (!alone) {
        w.url = argv[1];
    }
    const auto time = flux::duration(static_cast<std::int64_t>(seconds * 1e9));
    const int status = flux::run(alone ? run_alone(&w) : run_all(&w, callers, time));
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto ns = [](const timeval& t) { return static_cast<double>(t.tv_sec * 1'000'000 + t.tv_usec) * 1e3; };
    const auto n = static_cast<double>(w.responses);
    std::printf("%.0f responses, %.0f ns of CPU time each, %.0f of them in user mode\n", n,
                (ns(used.ru_utime) + ns(used.ru_stime)) / n, ns(used.ru_utime) / n);
    return status != 0 || w.responses == 0 ? 1 : 0;
}
