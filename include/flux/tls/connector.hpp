// SPDX-License-Identifier: MIT
// flux/tls/connector.hpp - a connector that secures: TLS over what another connector yields, where it is asked for.
//
//   destination{host, port, secure} -> Next -> stream -> handshake, verified for `host` -> tls_stream
//
// Over a connector that tunnels through a proxy this is TLS to the target; around one that connects to a proxy, TLS to
// the proxy. Deliberately not here: HTTP, which proxy.
#pragma once

#include <flux/coro/context.hpp>
#include <flux/net/connect_trace.hpp>
#include <flux/net/connector.hpp>
#include <flux/tls/stream.hpp>

#include <memory>
#include <string>
#include <utility>

namespace flux::inline FLUX_ABI::tls {

/// The context of clients that say nothing about TLS: the system's authorities, loaded once per process.
/// Errors   errc::bad_file if the system has none.  Threads  any.
[[nodiscard]] inline result<client_context_ptr> default_client_context() {
    static const result<client_context_ptr> made = client_context::make();
    return made;
}

/// Yields TLS streams for secure destinations, and plain ones for others.
///
/// A copy shares the context, and has sessions of its own: copies belong to different reactors.
/// Errors   those of Next; errc of this part in phase tls.
template <flux::connector Next = tcp_connector>
class connector {
public:
    using stream_type = tls_stream<typename Next::stream_type>;
    static constexpr bool secures = true;

    /// With default_client_context(); where that fails, secure destinations do.
    explicit connector(Next next = Next()) : connector(default_client_context(), std::move(next)) {}
    explicit connector(client_context_ptr context, Next next = Next())
        : next_(std::move(next)), context_(std::move(context)), sessions_(std::make_shared<session_cache>()) {}
    connector(const connector& other)
        : next_(other.next_), context_(other.context_), sessions_(std::make_shared<session_cache>()) {}
    connector(connector&&) noexcept = default;
    connector& operator=(const connector&) = delete;
    connector& operator=(connector&&) = delete;
    ~connector() = default;

    [[nodiscard]] task<stream_type> connect(const destination& to) { return connect_to(next_.connect(to), to); }

    [[nodiscard]] Next& next() noexcept { return next_; }
    [[nodiscard]] const session_cache& sessions() const noexcept { return *sessions_; }

private:
    explicit connector(result<client_context_ptr> context, Next next)
        : next_(std::move(next)), context_(std::move(context)), sessions_(std::make_shared<session_cache>()) {}

    template <class Op>
    task<stream_type> connect_to(Op dial, destination to) {
        if (to.secure && !context_) {
            co_return flux::fail(context_.error());
        }
        auto raw = co_await attempt(std::move(dial));
        if (!raw) {
            co_return flux::fail(std::move(raw).error());
        }
        if (!to.secure) {
            co_return stream_type::plain(*std::move(raw));
        }
        std::string key = context_.value()->settings().sessions ? to.to_string() : std::string();
        auto cache = key.empty() ? nullptr : sessions_;
        stream_type stream(*std::move(raw), *context_, std::move(to.host), std::move(cache), std::move(key));
        auto ctx = co_await this_context();
        connect_trace* const trace = flux::detail::trace_of(ctx);
        if (trace != nullptr) {
            trace->handshake_started(stream.server_name());
        }
        auto made = co_await attempt(stream.handshake());
        if (trace != nullptr) {
            trace->handshake_ended(stream.server_name(), made ? nullptr : &made.error());
        }
        if (!made) {
            error e = std::move(made).error();
            // Nothing of the caller's was sent; but what the certificate is now it will be in a moment.
            e.retryable(e.kind() != error_kind::tls && e.kind() != error_kind::usage);
            co_return flux::fail(std::move(e));
        }
        co_return stream;
    }

    Next next_;
    result<client_context_ptr> context_;
    std::shared_ptr<session_cache> sessions_;
};

static_assert(flux::connector<connector<tcp_connector>>);

} // namespace flux::inline FLUX_ABI::tls
