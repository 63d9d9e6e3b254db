// SPDX-License-Identifier: MIT
// tests/support/canned_connector.hpp - a connector to a peer that has said all it will ever say before it is asked.
#pragma once

#include <flux/coro/task.hpp>
#include <flux/coro/when.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/memory_stream.hpp>

#include <optional>
#include <string>
#include <vector>

namespace test_support {

/// Outlives the connector. With a Stream that makes handshakes, it has made its own before it says anything.
template <class Stream>
class basic_canned_peer {
public:
    explicit basic_canned_peer(std::string text, bool then_ends = false) : says(std::move(text)), ends(then_ends) {
        options.reset_discards = false;
    }

    /// All that was written to the last connection, which must be closed by now.
    flux::task<std::string> heard() {
        std::string all;
        for (;;) {
            std::string piece(1000, '\0');
            const auto n = co_await flux::attempt(far->read_some(std::as_writable_bytes(std::span(piece))));
            if (!n || *n == 0) { // a reset where not all that it said was read
                co_return all;
            }
            all += piece.substr(0, *n);
        }
    }

    std::string says;
    bool ends;
    int refuses = 0; // errno
    flux::testing::memory_options options;
    std::vector<std::string> asked; // destinations, with "+" if secure
    std::optional<Stream> far;
};
using canned_peer = basic_canned_peer<flux::testing::memory_stream>;

template <bool Secures = false, class Stream = flux::testing::memory_stream>
class canned_connector {
public:
    using stream_type = Stream;
    using peer_type = basic_canned_peer<Stream>;
    static constexpr bool secures = Secures;
    explicit canned_connector(peer_type& p) : peer_(&p) {}
    flux::task<Stream> connect(const flux::destination& to) { return run(peer_, to); }

private:
    static flux::task<Stream> run(peer_type* peer, flux::destination to) {
        peer->asked.push_back(to.to_string() + (to.secure ? "+" : ""));
        if (peer->refuses != 0) {
            auto e = flux::error::from_errno(peer->refuses).doing("connect " + to.to_string());
            co_return flux::fail(e.phase(flux::error_phase::connect).retryable(true));
        }
        auto ends = flux::testing::make_memory_pair(peer->options);
        Stream near;
        if constexpr (requires(Stream& s) { s.ready(); }) {
            near = Stream::connected(std::move(ends.first));
            peer->far.emplace(Stream::accepted(std::move(ends.second)));
            co_await flux::when_all(near.ready(), peer->far->ready());
        } else {
            near = std::move(ends.first);
            peer->far.emplace(std::move(ends.second));
        }
        co_await peer->far->write_all(flux::as_octets(peer->says));
        if (peer->ends) {
            flux::ignore_result(peer->far->shutdown_write(), "a pair that was just made");
        }
        co_return near;
    }
    peer_type* peer_;
};

} // namespace test_support
