// SPDX-License-Identifier: MIT
// tests/support/canned_connector.hpp - connections to a peer that has said all it will ever say before it is asked.
#pragma once

#include <flux/coro/task.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
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

struct outcome {
    std::string error; // empty: connected
    flux::error_kind kind = flux::error_kind::usage;
    flux::error_phase phase = flux::error_phase::none;
    bool retryable = false;
    std::string heard;
    std::string next; // what the target sent
    flux::duration took{};
};

/// Connects in virtual time, for 10 s at most; reads what follows if the peer ends. `c` is made on a connector to `peer`.
template <class Connector, class Stream>
outcome connect_once(Connector c, basic_canned_peer<Stream>& peer, flux::destination to) {
    outcome o;
    flux::testing::virtual_loop loop;
    auto main = [&]() -> flux::task<> {
        auto ctx = co_await flux::this_context();
        const flux::time_point start = ctx.home().now();
        {
            auto stream = co_await flux::attempt(flux::with_timeout(std::chrono::seconds(10), c.connect(to)));
            o.took = ctx.home().now() - start;
            if (!stream) {
                o.error = stream.error().message();
                o.kind = stream.error().kind();
                o.phase = stream.error().phase();
                o.retryable = stream.error().retryable();
            } else if (peer.ends) {
                o.next = co_await flux::read_all(*stream);
            }
        }
        if (peer.far) {
            o.heard = co_await peer.heard();
        }
    };
    REQUIRE(loop.run(main()));
    return o;
}

} // namespace test_support
