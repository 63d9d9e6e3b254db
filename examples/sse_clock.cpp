// SPDX-License-Identifier: MIT
// A clock that tells the time as server-sent events, and a page that shows it.
//
//     sse_clock 8080                           on 127.0.0.1:8080; open http://127.0.0.1:8080/ in a browser
//     curl -N http://127.0.0.1:8080/time       an event every second, until one of the two ends
//     curl -N -H 'Last-Event-ID: 41' ...       goes on to count at 42
//
// SIGINT or SIGTERM: every stream ends with a whole answer, then the program exits with 0. Clients come back by
// themselves after two seconds, and say where they were.
#include <flux.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace http = flux::http;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view page = R"(<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>clock</title></head>
<body><h1 id="now">...</h1>
<script>
const clock = new EventSource("/time");
clock.addEventListener("time", (e) => { document.getElementById("now").textContent = e.data; });
</script></body></html>
)";

std::string wall_clock() {
    return http::format_date(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
}

std::uint64_t number_in(std::string_view text) {
    std::uint64_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n); // 0 for what is no number
    return n;
}

flux::task<> tell_time(http::request& req, http::responder& out) {
    http::event_stream events(req, out);
    std::uint64_t count = number_in(events.last_event_id());
    for (bool open = true; open; open = co_await events.pause(1s)) {
        ++count;
        http::server_event event(wall_clock());
        event.name("time").id(std::to_string(count)).retry(2s);
        co_await events.send(event);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: sse_clock [ADDRESS:]PORT\n", stderr);
        return 2;
    }
    const std::string_view where = argv[1];
    http::router app;
    app.get("/", [] { return http::html(std::string(page)); });
    app.get("/time", tell_time);
    return flux::serve(where.find(':') == std::string_view::npos ? "127.0.0.1:" + std::string(where) : std::string(where), app);
}
