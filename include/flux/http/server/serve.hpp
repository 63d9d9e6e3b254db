// SPDX-License-Identifier: MIT
// flux/http/server/serve.hpp - a whole server program in one call: listen, workers, signals, drain, exit status.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/server/server.hpp>
#include <flux/io/workers.hpp>
#include <flux/net/listener.hpp>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI {

/// How serve() runs.
struct serve_options {
    http::server_options server{};
    listen_options listen{};
    workers_options workers_setup{};
    unsigned workers = 1; ///< reactors, each on its own thread with its own SO_REUSEPORT listener
    bool announce = true; ///< say on stderr where it listens
};
static_assert(std::is_trivially_destructible_v<serve_options>);

namespace detail {

/// For serve_on: connections are served as they are accepted.
struct as_accepted {
    template <class Listener>
    [[nodiscard]] Listener operator()(Listener l) const noexcept {
        return l;
    }
};

template <class Listener, class Wrap>
task<> serve_worker(unique_fd listening, const http::router* app, const http::server_options* options, const Wrap* wrap) {
    auto ctx = co_await this_context();
    auto listener = (*wrap)(Listener(reactor::of(ctx.home()), std::move(listening)));
    http::basic_server<decltype(listener)> server(*app, *options);
    co_await server.serve(std::move(listener));
}

/// Params  wrap  makes the listener whose connections are served of the one that listens.
template <class Listener, class Wrap = as_accepted>
void serve_on(const endpoint& where, const http::router& app, const serve_options& options, const Wrap& wrap = Wrap()) {
    listen_options how = options.listen;
    how.reuse_port = how.reuse_port || options.workers > 1;
    // Bound before the first worker runs, so that a taken port fails at once and port 0 is one port for all.
    flux::detail::dynamic_array<unique_fd> listening;
    endpoint bound = where;
    for (unsigned i = 0; i < options.workers; ++i) {
        auto fd = Listener::open(bound, how);
        if (!fd) {
            throw_error(std::move(fd).error());
        }
        if (i == 0 && where.is_ip()) {
            auto name = name_of(fd->get(), &::getsockname);
            bound = name ? where.with_port(name->port()) : where;
        }
        listening.push_back(*std::move(fd));
    }
    if (options.announce) {
        std::fprintf(stderr, "flux: listening on %s\n", bound.to_string().c_str());
    }
    const auto worker = [&](unsigned index) {
        return serve_worker<Listener>(std::move(listening[index]), &app, &options.server, &wrap);
    };
    run_workers(options.workers, worker, options.workers_setup);
}

[[nodiscard]] inline endpoint serving_place(std::string_view where, const serve_options& options) {
    const endpoint at = endpoint::parse(where).value();
    if (options.workers == 0) {
        throw_error(error(errc::invalid_argument).doing("serve: workers must be at least 1"));
    }
    if (at.family() == address_family::local && options.workers > 1) {
        throw_error(error(errc::invalid_argument).doing("serve: a Unix socket has one worker"));
    }
    return at;
}

} // namespace detail

/// Serves `app` on `where` until SIGINT or SIGTERM, then drains: `int main() { ...; return serve(":8080", app); }`.
///
/// Params   where    see endpoint::parse: "127.0.0.1:8080", ":8080", "[::1]:80", "unix:/run/app.sock".
///          app      borrowed; not changed while it serves. With several workers it is used by all of them.
/// Returns  an exit status: 0 after a signal, 1 after a failure, which is printed on stderr as its chain.
/// Threads  worker 0 is the calling thread.
template <class Options = serve_options>
[[nodiscard]] int serve(std::string_view where, const http::router& app, const Options& given = Options()) {
    const serve_options& options = given;
    const bool signalled = true; // serving ends in no other way
    return detail::exit_status(
        [&] {
            const endpoint at = detail::serving_place(where, options);
            detail::serve_on<basic_listener<socket_stream>>(at, app, options); // one type for TCP and Unix: one instantiation
        },
        signalled);
}

} // namespace flux::inline FLUX_ABI
