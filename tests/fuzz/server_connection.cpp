// SPDX-License-Identifier: MIT
// A whole server connection over a stream in memory, on a virtual clock: any octets, in any pieces, get the same
// answers; what it says are whole HTTP messages; and it ends. The first 8 octets decide how the rest is cut.
#include <flux/http/wire/response_parser.hpp>

#include <http/server/serve_octets.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "segments.hpp"

namespace {

using namespace flux;
using fuzz::require;

const http::router& application() {
    static const http::router app = [] {
        http::router r;
        r.get("/", [] { return "hello"; });
        r.get("/large", [] { return http::bytes(std::string(40'000, 'x')); });
        r.get("/up", [] {
            return http::switch_protocol("x", [](http::raw_stream& stream) -> task<> {
                std::byte some[7];
                for (;;) {
                    const std::size_t n = co_await stream.read_some(some);
                    if (n == 0) {
                        break;
                    }
                    co_await stream.write_all(const_buffer(some, n));
                }
            });
        });
        r.get("/stream", [](http::request&, http::responder& out) -> task<> {
            co_await out.write("one");
            co_await out.flush();
            co_await out.write("two");
        });
        r.post("/unread", [] { return "unread"; });
        r.fallback([](http::request& req) -> task<http::response> {
            std::string said(req.target());
            const std::string body = co_await req.text();
            said += " " + body;
            for (const http::field_view t : req.body().trailers()) {
                said += " " + std::string(t.name) + "=" + std::string(t.value);
            }
            co_return http::bytes(std::move(said));
        });
        return r;
    }();
    return app;
}

http::server_options small_limits() {
    http::server_options o;
    o.limits.body_octets = 5'000;
    o.limits.head_octets = 4'000;
    o.limits.start_line_octets = 1'000;
    o.limits.field_line_octets = 1'500;
    o.limits.max_fields = 20;
    o.max_requests = 50;
    return o;
}

flux_test::served answers_to(std::vector<std::string> pieces) {
    flux_test::client_script script;
    script.pieces = std::move(pieces);
    script.pause = milliseconds(1);
    return flux_test::serve(application(), script, small_limits());
}

// Whole answers, up to the octets of another protocol.
void check_form(std::string_view octets) {
    const http::limits lim;
    http::field_storage entries;
    while (!octets.empty()) {
        require(octets.starts_with("HTTP/1.1 "), "an answer begins with its status line");
        http::response_parser parser(lim, entries);
        require(parser.parse(octets) == http::parse_state::done, "the head of an answer is whole");
        const http::response_head head = parser.head(octets);
        if (head.status == http::status::switching_protocols) {
            return;
        }
        // HEAD is told from GET by what follows its head: nothing, or the next status line.
        const http::body_framing framing = http::body_length(head, http::method::get);
        require(!framing.error, "the framing of an answer is in order");
        octets.remove_prefix(parser.consumed());
        if (framing.kind == http::body_kind::length) {
            if (octets.size() < framing.length || octets.starts_with("HTTP/1.1 ")) {
                continue;
            }
            octets.remove_prefix(static_cast<std::size_t>(framing.length));
        } else if (framing.kind != http::body_kind::none) {
            return; // chunked or until close: looked at by other fuzzers
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 8 || size > 20'000) {
        return 0;
    }
    std::uint64_t dice = 0;
    std::memcpy(&dice, data, 8);
    const std::string octets(reinterpret_cast<const char*>(data) + 8, size - 8);
    std::vector<std::string> pieces;
    const std::size_t mean = dice % 3 == 0 ? 1 : 1 + octets.size() / 16;
    for (std::size_t at = 0; at < octets.size() && pieces.size() < 4'000;) {
        dice = dice * 6364136223846793005U + 1442695040888963407U;
        const std::size_t n = mean == 1 ? 1 : 1 + (dice >> 33) % (2 * mean);
        pieces.push_back(octets.substr(at, n));
        at += n;
        if (pieces.size() == 4'000) {
            pieces.back() += at < octets.size() ? octets.substr(at) : std::string();
        }
    }
    const flux_test::served whole = answers_to({octets});
    const flux_test::served cut = answers_to(std::move(pieces));
    require(whole.octets == cut.octets, "the same octets in other pieces get the same answers");
    require(whole.stats.requests == cut.stats.requests, "and are the same requests");
    require(whole.stats.connections == 0 && cut.stats.connections == 0, "the connection has ended");
    if (!whole.reset) {
        check_form(whole.octets);
    }
    return 0;
}
