// SPDX-License-Identifier: MIT
// Octets in, octets out: one server connection over a memory stream, plain or TLS, on a virtual clock.
#pragma once

#include <flux/coro/sleep.hpp>
#include <flux/http/message/date.hpp>
#include <flux/http/server/server.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/transport.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace flux_test {

struct served {
    std::string octets;          // everything the server sent, Date lines taken out
    bool reset = false;          // the server closed with a reset
    flux::duration took{};       // virtual time until the server closed
    flux::http::server_stats stats;
};

struct client_script {
    std::vector<std::string> pieces;            // written one after the other
    flux::milliseconds pause{0};                // between pieces
    bool half_close = true;                     // FIN after the last piece
    flux::milliseconds linger{100'000};         // before the FIN, unless the server closes first
};

// Only what the server says: a body, or an upgraded connection, may hold something that looks like a Date line.
inline std::string without_dates(std::string text) {
    constexpr std::string_view name = "\r\nDate: ";
    constexpr std::size_t size = name.size() + flux::http::date_size;
    std::size_t from = 0;
    for (;;) {
        const std::size_t at = text.find(name, from);
        if (at == std::string::npos) {
            return text;
        }
        from = at;
        if (at + size <= text.size() && flux::http::parse_date(std::string_view(text).substr(at + name.size(), flux::http::date_size))) {
            text.erase(at, size);
        } else {
            ++from;
        }
    }
}

inline flux::task<> write_script(test_support::any_stream* to, const client_script* script) {
    for (const std::string& piece : script->pieces) {
        auto written = co_await flux::attempt(to->write_all(flux::as_octets(piece)));
        if (!written) {
            co_return; // the server has closed already
        }
        if (script->pause.count() > 0) {
            auto waited = co_await flux::attempt(flux::sleep_for(script->pause));
            if (!waited) {
                co_return;
            }
        }
    }
    if (script->half_close) {
        auto waited = co_await flux::attempt(flux::sleep_for(script->linger));
        if (!waited) {
            co_return;
        }
        flux::ignore_result(to->shutdown_write(), "the server may have closed");
    }
}

inline flux::task<> read_answers(test_support::any_stream* from, served* out) {
    for (;;) {
        auto octets = co_await flux::attempt(from->receive());
        if (!octets) {
            out->reset = true;
            co_return;
        }
        if (octets->empty()) {
            co_return;
        }
        out->octets += flux::as_text(octets->octets());
    }
}

inline flux::task<> serve_script(const flux::http::router* app, const flux::http::server_options* options,
                                 flux::testing::memory_options stream_options, const client_script* script, served* out) {
    auto ctx = co_await flux::this_context();
    const flux::time_point start = ctx.home().now();
    auto ends = test_support::any_pair(stream_options);
    flux::http::detail::server_core core(*app, *options);
    flux::task_scope scope(ctx, flux::scope_policy::collect);
    scope.spawn_frame(flux::http::detail::serve_connection(core, std::move(ends.second)));
    co_await ends.first.ready();
    flux::task_scope client(ctx, flux::scope_policy::collect);
    client.spawn(write_script, &ends.first, script);
    co_await read_answers(&ends.first, out);
    out->took = ctx.home().now() - start;
    client.stop();
    auto stopped = co_await flux::attempt(client.join());
    flux::ignore_result(stopped, "it was stopped");
    ends.first.close();
    co_await scope.join();
    out->stats = core.stats;
    out->octets = without_dates(std::move(out->octets));
}

inline served serve(const flux::http::router& app, const client_script& script,
                    const flux::http::server_options& options = {}, flux::testing::memory_options streams = {}) {
    flux::testing::virtual_loop loop;
    served out;
    auto ended = loop.run(serve_script(&app, &options, streams, &script, &out));
    if (!ended) {
        out.octets += "[" + ended.error().message() + "]";
    }
    return out;
}

inline served serve(const flux::http::router& app, std::string octets) {
    client_script script;
    script.pieces.push_back(std::move(octets));
    return serve(app, script);
}

} // namespace flux_test
