// SPDX-License-Identifier: MIT
// flux/net/connector.hpp - the connectors without TLS and proxies: TCP, a Unix socket, pinned addresses.
//
//     tcp_connector tcp;   auto stream = co_await tcp.connect(destination("example.org", 80));
//
// Deliberately not here: the concept (destination.hpp), names and TCP (tcp_connector.hpp), TLS, proxies.
#pragma once

#include <flux/coro/task.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/tcp_connector.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI {

namespace detail {

template <class Stream>
task<Stream> connect_local(result<endpoint> where) {
    if (!where) {
        co_return fail(std::move(where).error().phase(error_phase::connect));
    }
    auto stream = co_await attempt(connect_op<Stream>(*where));
    co_return stream;
}

} // namespace detail

/// Connects to one Unix socket, wherever it is asked to.
class unix_connector {
public:
    using stream_type = socket_stream;
    static constexpr bool secures = false;

    /// Params  `path` as after `unix:` in endpoint::parse: `/run/app.sock`, or `@name` for an abstract one. One that
    ///         cannot be used makes every connect() fail with errc::invalid_argument.
    explicit unix_connector(const std::string& path) : where_(endpoint::parse("unix:" + path)) {}

    template <class Stream = socket_stream>
    [[nodiscard]] task<Stream> connect(const destination&) {
        return detail::connect_local<Stream>(where_);
    }

private:
    result<endpoint> where_;
};

/// Sends chosen destinations elsewhere, as `curl --connect-to`, and everything to another connector. The names that TLS
/// and HTTP see stay what they were if those are outside.
///
///     pinned_connector to{tcp_connector()};
///     to.pin("api.example", 443, destination("127.0.0.1", 8443));
template <connector Next>
class pinned_connector {
public:
    using stream_type = typename Next::stream_type;
    static constexpr bool secures = Next::secures;

    explicit pinned_connector(Next next) : next_(std::move(next)) {}

    /// Connections to `host` at `port` go to `there`; an entry for the same place replaces it.
    /// Params  `host` compared without regard to the case of ASCII letters, a final dot is dropped; port 0 means every
    ///         port, after the entries for one port. In `there`, port 0 keeps the port.
    pinned_connector& pin(std::string host, std::uint16_t port, destination there) {
        host = plain(std::move(host));
        for (entry& e : entries_) {
            if (e.port == port && e.host == host) {
                e.there = std::move(there);
                return *this;
            }
        }
        entries_.push_back(entry(std::move(host), port, std::move(there)));
        return *this;
    }

    // Says its type: to deduce it, the concept below would compile the body.
    [[nodiscard]] auto connect(const destination& to) -> decltype(std::declval<Next&>().connect(to)) {
        const entry* pinned = find(to);
        if (pinned == nullptr) {
            return next_.connect(to);
        }
        const std::uint16_t port = pinned->there.port != 0 ? pinned->there.port : to.port;
        return next_.connect(destination(pinned->there.host, port, to.secure));
    }

    [[nodiscard]] Next& next() noexcept { return next_; }

private:
    struct entry {
        entry(std::string h, std::uint16_t p, destination d) : host(std::move(h)), port(p), there(std::move(d)) {}
        std::string host; // as plain() leaves it
        std::uint16_t port;
        destination there;
    };

    [[nodiscard]] static std::string plain(std::string host) {
        if (host.size() > 1 && host.back() == '.') {
            host.pop_back();
        }
        for (char& c : host) {
            c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        }
        return host;
    }
    [[nodiscard]] const entry* find(const destination& to) const {
        if (entries_.empty()) {
            return nullptr;
        }
        const std::string host = plain(to.host);
        const entry* any_port = nullptr;
        for (const entry& e : entries_) {
            if (e.host == host && e.port == to.port) {
                return &e;
            }
            if (e.host == host && e.port == 0) {
                any_port = &e;
            }
        }
        return any_port;
    }

    Next next_;
    std::vector<entry> entries_;
};

} // namespace flux::inline FLUX_ABI
