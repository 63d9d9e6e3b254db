// SPDX-License-Identifier: MIT
// flux/net/socks5.hpp - connections through a SOCKS 5 proxy: without authentication, or with user and password.
//
//   greeting (methods) -> choice -> [user, password -> yes] -> target -> reply -> the connection is the target's
//
// Names go to the proxy as they are: it looks them up. Not one octet behind the reply is read. Deliberately not here:
// SOCKS 4, UDP, incoming connections, GSSAPI.
#pragma once

#include <flux/coro/task.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/endpoint.hpp>
#include <flux/net/proxy_errc.hpp>
#include <flux/net/read.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace flux::inline FLUX_ABI {

/// Who we are to the proxy. Empty: nobody.
class socks5_credentials {
public:
    socks5_credentials() = default;
    /// Params  1 to 255 octets each; others make every connection fail with errc::invalid_argument.
    socks5_credentials(std::string u, std::string p) : user(std::move(u)), password(std::move(p)) {}
    socks5_credentials(const socks5_credentials&) = default;
    socks5_credentials(socks5_credentials&&) noexcept = default;
    socks5_credentials& operator=(const socks5_credentials&) = default;
    socks5_credentials& operator=(socks5_credentials&&) noexcept = default;
    ~socks5_credentials() = default;

    [[nodiscard]] bool empty() const noexcept { return user.empty() && password.empty(); }
    std::string user;
    std::string password;
};

namespace detail {

/// The target as in a request: address type, address, port. Empty: it cannot be written.
[[nodiscard]] inline std::string socks5_target(const destination& to) {
    std::string out;
    if (auto ip = endpoint::parse_ip(to.host, to.port)) {
        if (ip->scope_id() != 0) {
            return out; // it means something on this machine only
        }
        out += ip->family() == address_family::ipv4 ? '\1' : '\4';
        out += as_text(ip->address());
    } else {
        const auto odd = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == ':'; };
        for (const char c : to.host) {
            if (odd(c)) {
                return out;
            }
        }
        if (to.host.empty() || to.host.size() > 255) {
            return out;
        }
        out += '\3';
        out += static_cast<char>(to.host.size());
        out += to.host;
    }
    out += static_cast<char>(to.port >> 8);
    out += static_cast<char>(to.port & 0xff);
    return out;
}

[[nodiscard, gnu::cold]] inline error socks5_refusal(std::uint8_t reply) {
    struct meaning {
        const char* text;
        proxy_errc code;
    };
    constexpr meaning all[] = {{"general failure", proxy_errc::unreachable},
                               {"not allowed by its rules", proxy_errc::refused},
                               {"network unreachable", proxy_errc::unreachable},
                               {"host unreachable", proxy_errc::unreachable},
                               {"connection refused", proxy_errc::unreachable},
                               {"TTL expired", proxy_errc::unreachable},
                               {"command not supported", proxy_errc::refused},
                               {"address type not supported", proxy_errc::refused}};
    if (reply == 0 || reply > std::size(all)) {
        return error(proxy_errc::refused).doing("reply " + std::to_string(reply));
    }
    return error(all[reply - 1].code).doing(all[reply - 1].text);
}

template <class Stream>
task<> socks5_authenticate(Stream& s, const socks5_credentials& who) {
    std::string text = "\1";
    text += static_cast<char>(who.user.size());
    text += who.user;
    text += static_cast<char>(who.password.size());
    text += who.password;
    auto done = co_await attempt(s.write_all(as_octets(text)));
    if (!done) {
        co_await fail(std::move(done).error());
    }
    std::array<std::byte, 2> answer{};
    done = co_await attempt(read_exact(s, std::span(answer)));
    if (!done) {
        co_await fail(std::move(done).error());
    }
    if (answer[0] != std::byte{1}) {
        co_await fail(proxy_errc::bad_answer);
    }
    if (answer[1] != std::byte{0}) {
        co_await fail(proxy_errc::needs_credentials);
    }
}

/// Reads the reply to the end of its bound address, and no further.
template <class Stream>
task<> socks5_reply(Stream& s) {
    std::array<std::byte, 5> head{}; // version, reply, reserved, type, first octet of the address
    auto got = co_await attempt(read_exact(s, std::span(head)));
    if (!got) {
        co_await fail(std::move(got).error());
    }
    if (head[0] != std::byte{5}) {
        co_await fail(proxy_errc::bad_answer);
    }
    if (head[1] != std::byte{0}) {
        co_await fail(socks5_refusal(std::to_integer<std::uint8_t>(head[1])));
    }
    std::size_t rest = 0;
    switch (std::to_integer<unsigned>(head[3])) {
    case 1: rest = 4 - 1 + 2; break;
    case 3: rest = std::to_integer<std::size_t>(head[4]) + 2; break;
    case 4: rest = 16 - 1 + 2; break;
    default: break;
    }
    if (rest == 0) {
        co_await fail(proxy_errc::bad_answer);
    }
    std::string address(rest, '\0');
    got = co_await attempt(read_exact(s, std::as_writable_bytes(std::span(address))));
    if (!got) {
        co_await fail(std::move(got).error());
    }
}

template <class Stream>
task<> socks5_open(Stream& s, std::string target, const socks5_credentials& who) {
    const std::string greeting = who.empty() ? std::string("\5\1\0", 3) : std::string("\5\2\0\2", 4);
    auto done = co_await attempt(s.write_all(as_octets(greeting)));
    if (!done) {
        co_await fail(std::move(done).error());
    }
    std::array<std::byte, 2> choice{};
    done = co_await attempt(read_exact(s, std::span(choice)));
    if (!done) {
        co_await fail(std::move(done).error());
    }
    const auto method = std::to_integer<unsigned>(choice[1]);
    if (method == 0xff) {
        co_await fail(proxy_errc::needs_credentials);
    }
    if (choice[0] != std::byte{5} || (method != 0 && (method != 2 || who.empty()))) {
        co_await fail(proxy_errc::bad_answer);
    }
    if (method == 2) {
        done = co_await attempt(socks5_authenticate(s, who));
        if (!done) {
            co_await fail(std::move(done).error());
        }
    }
    const std::string request = std::string("\5\1\0", 3) + target;
    done = co_await attempt(s.write_all(as_octets(request)));
    if (!done) {
        co_await fail(std::move(done).error());
    }
    done = co_await attempt(socks5_reply(s));
    if (!done) {
        co_await fail(std::move(done).error());
    }
}

/// Params  what: "CONNECT example.org:443", "socks5 example.org:80"
[[nodiscard, gnu::cold]] inline error through_proxy(error e, const char* what, const destination& to, const destination& proxy) {
    const std::string at = proxy.to_string();
    const bool ended = e.is(errc::eof); // the peer is not the caller's, so neither is the end of its stream
    e = ended ? error(proxy_errc::bad_answer).doing("the connection ended") : std::move(e);
    e.doing(std::string(what) + " " + to.to_string() + " through " + at).phase(error_phase::connect).retryable(true);
    return e;
}

template <class Next>
task<typename Next::stream_type> connect_through_socks5(Next& next, destination proxy, socks5_credentials who, destination to) {
    std::string target = socks5_target(to);
    const bool fits = who.empty() || (!who.user.empty() && who.user.size() <= 255 && !who.password.empty() && who.password.size() <= 255);
    if (target.empty() || !fits) {
        error e = error(errc::invalid_argument).doing(fits ? "the host cannot be given to a SOCKS proxy" : "user or password");
        e.doing("socks5 " + to.to_string()).phase(error_phase::connect);
        co_return fail(std::move(e));
    }
    auto stream = co_await attempt(next.connect(proxy));
    if (!stream) {
        co_return fail(std::move(stream).error().doing("proxy " + proxy.to_string()));
    }
    auto open = co_await attempt(socks5_open(*stream, std::move(target), who));
    if (!open) {
        co_return fail(through_proxy(std::move(open).error(), "socks5", to, proxy));
    }
    co_return std::move(*stream);
}

} // namespace detail

/// Connects through a SOCKS 5 proxy, which it reaches through another connector.
///
/// Errors   of connecting to the proxy, with `proxy <host>:<port>` before; a proxy_errc with its reply; all of phase
///          connect and retryable. errc::invalid_argument for a host that does not fit, before anything is sent.
/// Source   RFC 1928, RFC 1929.
template <connector Next>
class socks5_connector {
public:
    using stream_type = typename Next::stream_type;
    static constexpr bool secures = false;

    socks5_connector(Next next, destination proxy, socks5_credentials who = socks5_credentials())
        : next_(std::move(next)), proxy_(std::move(proxy)), who_(std::move(who)) {}

    [[nodiscard]] task<stream_type> connect(const destination& to) {
        return detail::connect_through_socks5(next_, proxy_, who_, to);
    }

private:
    Next next_;
    destination proxy_;
    socks5_credentials who_;
};

} // namespace flux::inline FLUX_ABI
