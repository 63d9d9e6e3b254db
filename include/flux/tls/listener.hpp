// SPDX-License-Identifier: MIT
// flux/tls/listener.hpp - a listener whose connections are TLS, over any other listener.
//
// accept() yields a stream that has not spoken yet: the handshake runs in the connection's own first operation, so a
// slow client delays nobody. Deliberately not here: HTTP (https.hpp).
#pragma once

#include <flux/tls/stream.hpp>

#include <utility>

namespace flux::inline FLUX_ABI::tls {

/// Threads  those of Next.
template <class Next>
class listener {
public:
    using stream_type = tls_stream<typename Next::stream_type>;

    listener() noexcept = default;
    /// Params  config  shared by all listeners of a server; its table may change at any time.
    listener(Next next, server_config_ptr config) : next_(std::move(next)), config_(std::move(config)) {
        FLUX_ASSERT(config_ != nullptr, "a TLS listener needs a configuration");
    }

    /// The next connection, before its handshake. Errors, Cancel  as Next.
    [[nodiscard]] task<stream_type> accept() { return accept_one(); }
    void close() noexcept { next_.close(); }
    /// Accepts no more; see basic_listener.
    void stop_accepting() noexcept
        requires requires(Next& n) { n.stop_accepting(); }
    {
        next_.stop_accepting();
    }
    [[nodiscard]] bool is_open() const noexcept { return next_.is_open(); }
    [[nodiscard]] auto local_endpoint() const { return next_.local_endpoint(); }
    [[nodiscard]] Next& next() noexcept { return next_; }

private:
    task<stream_type> accept_one() {
        detail::warm_up_thread(); // before there is a client who would wait for it
        auto accepted = co_await attempt(next_.accept());
        if (!accepted) {
            co_return flux::fail(std::move(accepted).error());
        }
        co_return stream_type(*std::move(accepted), config_);
    }

    Next next_;
    server_config_ptr config_;
};

} // namespace flux::inline FLUX_ABI::tls
