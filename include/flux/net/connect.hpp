// SPDX-License-Identifier: MIT
// flux/net/connect.hpp - a connection to one address. Deliberately not here: names, several addresses.
#pragma once

#include <flux/io/io_state.hpp>
#include <flux/net/socket_stream.hpp>

namespace flux::inline FLUX_ABI {

namespace detail {

template <class Stream>
class connect_state;

template <class Stream>
class [[nodiscard]] connect_op {
public:
    using value_type = Stream;
    using state_type = connect_state<Stream>;
    explicit connect_op(const endpoint& peer) noexcept : peer_(peer) {}

private:
    friend class connect_state<Stream>;
    endpoint peer_;
};

template <class Stream>
class connect_state : public io_state {
public:
    connect_state(connect_op<Stream> op, context_node& ctx) noexcept
        : io_state(ctx, io_kind::connect, -1), peer_(op.peer_) {}

    bool await_ready() {
        if (io_state::await_ready()) {
            return true;
        }
        auto socket = open_socket(peer_, SOCK_STREAM);
        if (!socket) {
            refused_ = std::move(socket).error();
            return true;
        }
        fd_ = *std::move(socket);
        if (auto prepared = Stream::prepare(fd_.get(), peer_); !prepared) {
            refused_ = std::move(prepared).error();
            return true;
        }
        set_fd(fd_.get());
        size = peer_.to_sockaddr(address_);
        data = &address_;
        return false;
    }
    [[nodiscard]] result<Stream> take() {
        if (refused_.code()) {
            return fail(explained(std::move(refused_)));
        }
        const auto connected = outcome();
        if (fd_) {
            reactor::of(home()).driver().forget(fd_.get());
        }
        if (!connected) {
            return fail(explained(connected.error()));
        }
        return Stream(reactor::of(home()), std::move(fd_));
    }

private:
    [[nodiscard]] error explained(error e) const {
        const std::string peer = peer_.to_string();
        e.doing("connect " + peer).phase(error_phase::connect).peer(peer).retryable(true);
        return e;
    }

    endpoint peer_;
    unique_fd fd_;
    error refused_{std::error_code()};
    ::sockaddr_storage address_{};
};

} // namespace detail

/// Connects to one TCP address.
/// Errors   ECONNREFUSED, ENETUNREACH, ETIMEDOUT ...; the context's reason. The error names the address, has
///          phase connect, and is retryable: nothing was sent.
/// Cancel   the attempt is ended and its socket closed; a connection that was made all the same is returned.
[[nodiscard]] inline detail::connect_op<tcp_stream> tcp_connect(const endpoint& peer) noexcept {
    return detail::connect_op<tcp_stream>(peer);
}
/// Connects to a Unix socket.
[[nodiscard]] inline detail::connect_op<unix_stream> unix_connect(const endpoint& peer) noexcept {
    return detail::connect_op<unix_stream>(peer);
}

} // namespace flux::inline FLUX_ABI
