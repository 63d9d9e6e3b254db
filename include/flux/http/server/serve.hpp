// SPDX-License-Identifier: MIT
// flux/http/server/serve.hpp - a whole server program in one call: listen, workers, signals, drain, exit status.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/server/server.hpp>
#include <flux/io/workers.hpp>
#include <flux/net/inherited.hpp>
#include <flux/net/listener.hpp>

#include <cerrno>
#include <concepts>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>

namespace flux::inline FLUX_ABI {

/// How serve() runs.
struct serve_options {
    http::server_options server{};
    listen_options listen{};
    workers_options workers_setup{};
    /// Reactors, each on its own thread: over IP with its own SO_REUSEPORT listener, on a Unix socket with one more
    /// descriptor of the same.
    unsigned workers = 1;
    bool announce = true; ///< say on stderr where it listens
    bool inherit = true;  ///< take over a socket that listens there already and was handed to this process (LISTEN_FDS)
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

template <class Listener, class Wrap, class Observer>
task<> serve_worker(unique_fd listening, const http::router* app, const http::server_options* options, const Wrap* wrap,
                    Observer* observer) {
    auto ctx = co_await this_context();
    auto listener = (*wrap)(Listener(reactor::of(ctx.home()), std::move(listening)));
    if constexpr (std::same_as<Observer, http::no_connection_observer>) {
        http::basic_server<decltype(listener)> server(*app, *options);
        co_await server.serve(std::move(listener));
    } else {
        http::basic_server<decltype(listener), Observer> server(*app, *options, *observer);
        co_await server.serve(std::move(listener));
    }
}

// The socket of one worker: an inherited one, one more descriptor of the first worker's, or a new one.
template <class Listener>
[[gnu::cold]] result<unique_fd> socket_of_worker(const endpoint& where, const listen_options& how, bool& inherits,
                                                 const unique_fd* first) {
    unique_fd fd = inherits ? inherited_listener(where) : unique_fd();
    if (!fd && first != nullptr && (inherits || !where.is_ip())) {
        fd.reset(::fcntl(first->get(), F_DUPFD_CLOEXEC, 0));
        if (!fd) {
            return fail(error::from_errno(errno).doing("copy of the listening socket"));
        }
    }
    inherits = inherits && fd;
    return fd ? result<unique_fd>(std::move(fd)) : Listener::open(where, how);
}

/// Params  wrap      makes the listener whose connections are served of the one that listens.
///         observer  told of all connections, by all workers; null for no_connection_observer.
template <class Listener, class Wrap = as_accepted, class Observer = http::no_connection_observer>
void serve_on(const endpoint& where, const http::router& app, const serve_options& options, const Wrap& wrap = Wrap(),
              Observer* observer = nullptr) {
    listen_options how = options.listen;
    how.reuse_port = how.reuse_port || (options.workers > 1 && where.is_ip());
    // Bound before the first worker runs, so that a taken port fails at once and port 0 is one port for all.
    flux::detail::dynamic_array<unique_fd> listening;
    endpoint bound = where;
    bool inherits = options.inherit; // then: whether the first socket was inherited
    for (unsigned i = 0; i < options.workers; ++i) {
        auto fd = socket_of_worker<Listener>(bound, how, inherits, listening.empty() ? nullptr : &listening.front());
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
        return serve_worker<Listener>(std::move(listening[index]), &app, &options.server, &wrap, observer);
    };
    run_workers(options.workers, worker, options.workers_setup);
}

[[nodiscard]] inline endpoint serving_place(std::string_view where, const serve_options& options) {
    const endpoint at = endpoint::parse(where).value();
    if (options.workers == 0) {
        throw_error(error(errc::invalid_argument).doing("serve: workers must be at least 1"));
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

/// The same, with a connection_observer that is told of the connections of all workers: with more than one it must
/// stand calls from several threads at once.
/// Params  observer  borrowed
template <class Observer>
[[nodiscard]] int serve(std::string_view where, const http::router& app, const serve_options& options, Observer& observer) {
    const bool signalled = true;
    return detail::exit_status(
        [&] {
            const endpoint at = detail::serving_place(where, options);
            detail::serve_on<basic_listener<socket_stream>>(at, app, options, detail::as_accepted(), &observer);
        },
        signalled);
}

} // namespace flux::inline FLUX_ABI
