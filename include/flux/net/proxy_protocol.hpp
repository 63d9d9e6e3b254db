// SPDX-License-Identifier: MIT
// flux/net/proxy_protocol.hpp - the PROXY protocol, versions 1 and 2: whom a proxy speaks for.
//
//   proxy_listener -> proxied_stream -> header (first receive) -> the octets behind it, peer_endpoint() of the client
//
// A listener of its own: every connection must begin with a header, and come from a proxy that is trusted; any other
// one fails at its first receive. Where TLS follows, this comes below it. The header is read by the connection's own
// first operation, so a slow one delays nobody, and the connection's own deadline is its limit.
// Deliberately not here: Forwarded and its relatives (http/server/client_address.hpp), TLVs.
// Source: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/coro/task.hpp>
#include <flux/net/network_set.hpp>
#include <flux/net/stream.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI {

/// What the first octets of a connection say about the PROXY protocol.
struct proxy_header {
    enum class state : std::uint8_t { need_more, done, failed };
    state outcome = state::need_more;
    std::size_t size = 0;           ///< octets of the header, when done
    std::optional<endpoint> source; ///< the client; nothing if the proxy speaks for itself (LOCAL, UNKNOWN)
};

namespace detail {

// Octets of a version 2 header behind the first 16: addresses and TLVs. More is no address.
inline constexpr std::size_t max_proxy_rest = 4096;

// The number; -1 for anything else.
[[nodiscard]] inline int proxy_port(std::string_view digits) noexcept {
    if (digits.empty() || digits.size() > 5 || (digits.size() > 1 && digits[0] == '0')) {
        return -1;
    }
    int n = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') {
            return -1;
        }
        n = n * 10 + (c - '0');
    }
    return n <= 65'535 ? n : -1;
}

// "PROXY TCP4 source destination port port" CRLF
[[nodiscard]] inline proxy_header parse_proxy_line(std::string_view octets) {
    constexpr std::size_t longest = 107;
    proxy_header out;
    out.outcome = proxy_header::state::failed;
    const std::size_t end = octets.substr(0, longest).find('\n');
    if (end == std::string_view::npos) {
        out.outcome = octets.size() < longest ? proxy_header::state::need_more : proxy_header::state::failed;
        return out;
    }
    if (end == 0 || octets[end - 1] != '\r') {
        return out;
    }
    std::array<std::string_view, 6> words;
    std::size_t count = 0;
    for (std::string_view rest = octets.substr(0, end - 1); count < words.size();) {
        const std::size_t space = count + 1 < words.size() ? rest.find(' ') : std::string_view::npos;
        words[count++] = rest.substr(0, space);
        if (space == std::string_view::npos) {
            break; // a space in the sixth word is no port
        }
        rest.remove_prefix(space + 1);
    }
    out.size = end + 1;
    if (count >= 2 && words[1] == "UNKNOWN") {
        out.outcome = proxy_header::state::done;
        return out;
    }
    const bool v4 = words[1] == "TCP4";
    const int port = count == 6 ? proxy_port(words[4]) : -1;
    if ((!v4 && words[1] != "TCP6") || port < 0 || proxy_port(words[5]) < 0) {
        return out;
    }
    const auto source = endpoint::parse_ip(words[2], static_cast<std::uint16_t>(port));
    const auto destination = endpoint::parse_ip(words[3], 0);
    const address_family family = v4 ? address_family::ipv4 : address_family::ipv6;
    if (source && destination && source->family() == family && destination->family() == family) {
        out.outcome = proxy_header::state::done;
        out.source = *source;
    }
    return out;
}

[[nodiscard]] inline proxy_header parse_proxy_block(std::string_view octets) {
    const auto number = [&](std::size_t at) { return static_cast<unsigned>(static_cast<unsigned char>(octets[at])); };
    proxy_header out;
    if (octets.size() < 16) {
        return out;
    }
    const std::size_t rest = number(14) << 8 | number(15);
    const unsigned command = number(12);
    out.outcome = proxy_header::state::failed;
    if ((command != 0x20 && command != 0x21) || rest > max_proxy_rest) {
        return out;
    }
    out.size = 16 + rest;
    const unsigned family = number(13);
    const std::size_t need = family == 0x11 ? 12 : family == 0x21 ? 36 : 0;
    if (command == 0x21 && rest < need) {
        return out;
    }
    if (octets.size() < out.size) {
        out.outcome = proxy_header::state::need_more;
        return out;
    }
    out.outcome = proxy_header::state::done;
    if (command == 0x21 && family == 0x11) {
        std::array<std::uint8_t, 4> address{};
        std::memcpy(address.data(), octets.data() + 16, 4);
        out.source = endpoint::ipv4(address, static_cast<std::uint16_t>(number(24) << 8 | number(25)));
    } else if (command == 0x21 && family == 0x21) {
        std::array<std::uint8_t, 16> address{};
        std::memcpy(address.data(), octets.data() + 16, 16);
        out.source = endpoint::ipv6(address, static_cast<std::uint16_t>(number(48) << 8 | number(49)));
    }
    return out;
}

} // namespace detail

/// Reads a header, of either version, from the first octets of a connection: all there are so far. Never asks for more
/// than 4112.
[[nodiscard]] inline proxy_header parse_proxy_header(std::string_view octets) {
    constexpr std::string_view line("PROXY ");
    constexpr std::string_view block("\r\n\r\n\0\r\nQUIT\n", 12);
    const std::size_t n = octets.size();
    if (octets.substr(0, block.size()) == block.substr(0, n)) {
        return n < block.size() ? proxy_header() : detail::parse_proxy_block(octets);
    }
    if (octets.substr(0, line.size()) == line.substr(0, n)) {
        return n < line.size() ? proxy_header() : detail::parse_proxy_line(octets);
    }
    proxy_header refused;
    refused.outcome = proxy_header::state::failed;
    return refused;
}

/// A stream that begins with a PROXY header, which its first receive() reads.
///
/// Threads  those of Next.  Cost  one frame per receive; everything else is that of Next.
template <buffered_stream Next>
class proxied_stream {
public:
    proxied_stream() noexcept = default;
    /// Params  trusted  borrowed; proxies whose word counts
    proxied_stream(Next next, const network_set& trusted) : next_(std::move(next)), trusted_(&trusted) {}

    /// Errors  as Next; errc::invalid_argument if there is no header, or none from a trusted proxy.
    [[nodiscard]] task<received> receive() { return receive_from(this); }
    [[nodiscard]] task<std::size_t> read_some(mutable_buffer out) { return read_from(this, out); }
    [[nodiscard]] auto write_all(const_buffer in) noexcept { return next_.write_all(in); }
    [[nodiscard]] auto write_all(std::span<const const_buffer> list) noexcept { return next_.write_all(list); }
    [[nodiscard]] result<void> shutdown_write() noexcept { return next_.shutdown_write(); }
    void close() noexcept { next_.close(); }
    void abort() noexcept { next_.abort(); }
    [[nodiscard]] bool is_open() const noexcept { return next_.is_open(); }
    void watch_hangup(hangup_listener* l) noexcept { next_.watch_hangup(l); }

    /// The client; before the first receive, and where the proxy speaks for itself, the proxy.
    [[nodiscard]] result<endpoint> peer_endpoint() const {
        return client_ ? result<endpoint>(*client_) : next_.peer_endpoint();
    }
    [[nodiscard]] result<endpoint> proxy_endpoint() const { return next_.peer_endpoint(); }
    [[nodiscard]] Next& next() noexcept { return next_; }

private:
    template <class Self>
    static task<received> receive_from(Self* self) {
        if (!self->begun_) {
            const auto begun = co_await attempt(self->read_header());
            if (!begun) {
                co_return fail(begun.error());
            }
        }
        if (!self->early_.empty()) {
            self->handed_ = std::move(self->early_);
            self->early_.clear();
            co_return received(as_octets(self->handed_), nullptr, nullptr, 0);
        }
        co_return co_await attempt(self->next_.receive());
    }
    template <class Self>
    static task<std::size_t> read_from(Self* self, mutable_buffer out) {
        if (!self->begun_) {
            const auto begun = co_await attempt(self->read_header());
            if (!begun) {
                co_return fail(begun.error());
            }
        }
        if (!self->early_.empty()) {
            const std::size_t n = std::min(out.size(), self->early_.size());
            std::memcpy(out.data(), self->early_.data(), n);
            self->early_.erase(0, n);
            co_return n;
        }
        co_return co_await attempt(self->next_.read_some(out));
    }
    [[nodiscard]] task<> read_header() {
        const auto peer = next_.peer_endpoint();
        if (!peer || !trusted_->contains(*peer)) {
            co_await fail(error(errc::invalid_argument).doing("PROXY header from a peer that is not trusted"));
        }
        for (;;) {
            const proxy_header h = parse_proxy_header(early_);
            if (h.outcome == proxy_header::state::failed) {
                co_await fail(error(errc::invalid_argument).doing("PROXY header"));
            }
            if (h.outcome == proxy_header::state::done) {
                client_ = h.source;
                early_.erase(0, h.size);
                begun_ = true;
                co_return;
            }
            const auto octets = co_await attempt(next_.receive());
            if (!octets) {
                co_await fail(octets.error());
            }
            if (octets->empty()) {
                co_await fail(error(errc::eof).doing("PROXY header"));
            }
            early_ += as_text(octets->octets());
        }
    }

    Next next_;
    const network_set* trusted_ = nullptr;
    std::optional<endpoint> client_;
    std::string early_;  // octets behind the header that came with it
    std::string handed_; // those that the last receive() gave out
    bool begun_ = false;
};

/// A listener whose connections begin with a PROXY header: `proxy_listener(std::move(tcp), trusted)`.
///
/// Params  trusted  borrowed; must outlive the listener and its connections
template <class Next>
class proxy_listener {
public:
    using stream_type = proxied_stream<typename Next::stream_type>;
    proxy_listener(Next next, const network_set& trusted) : next_(std::move(next)), trusted_(&trusted) {}

    /// The next connection, before its header. Errors, Cancel  as Next.
    [[nodiscard]] task<stream_type> accept() { return accept_one(this); }
    void close() noexcept { next_.close(); }
    void stop_accepting() noexcept
        requires requires(Next& n) { n.stop_accepting(); }
    {
        next_.stop_accepting();
    }
    [[nodiscard]] bool is_open() const noexcept { return next_.is_open(); }
    [[nodiscard]] auto local_endpoint() const { return next_.local_endpoint(); }

private:
    template <class Self>
    static task<stream_type> accept_one(Self* self) {
        auto accepted = co_await attempt(self->next_.accept());
        if (!accepted) {
            co_return fail(std::move(accepted).error());
        }
        co_return stream_type(*std::move(accepted), *self->trusted_);
    }
    Next next_;
    const network_set* trusted_;
};

} // namespace flux::inline FLUX_ABI
