// SPDX-License-Identifier: MIT
// tests/support/canned_connector.hpp - a connector to a peer that has said all it will ever say before it is asked.
#pragma once

#include <flux/coro/task.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/memory_stream.hpp>

#include <optional>
#include <string>
#include <vector>

namespace test_support {

/// Outlives the connector.
class canned_peer {
public:
    explicit canned_peer(std::string text, bool then_ends = false) : says(std::move(text)), ends(then_ends) {
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
    std::optional<flux::testing::memory_stream> far;
};

template <bool Secures = false>
class canned_connector {
public:
    using stream_type = flux::testing::memory_stream;
    static constexpr bool secures = Secures;
    explicit canned_connector(canned_peer& p) : peer_(&p) {}
    flux::task<flux::testing::memory_stream> connect(const flux::destination& to) { return run(peer_, to); }

private:
    static flux::task<flux::testing::memory_stream> run(canned_peer* peer, flux::destination to) {
        peer->asked.push_back(to.to_string() + (to.secure ? "+" : ""));
        if (peer->refuses != 0) {
            auto e = flux::error::from_errno(peer->refuses).doing("connect " + to.to_string());
            co_return flux::fail(e.phase(flux::error_phase::connect).retryable(true));
        }
        auto ends = flux::testing::make_memory_pair(peer->options);
        peer->far.emplace(std::move(ends.second));
        co_await peer->far->write_all(flux::as_octets(peer->says));
        if (peer->ends) {
            flux::ignore_result(peer->far->shutdown_write(), "a pair that was just made");
        }
        co_return std::move(ends.first);
    }
    canned_peer* peer_;
};

} // namespace test_support
