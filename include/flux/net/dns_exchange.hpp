// SPDX-License-Identifier: MIT
// flux/net/dns_exchange.hpp - one DNS question and its answer over sockets: UDP, and TCP for long answers.
//
// A socket for each question: its port is chosen by the kernel at random and its peer is fixed, so an answer from
// elsewhere must guess port and id. Deliberately not here: which server, how long, how often (dns_resolver.hpp).
#pragma once

#include <flux/coro/task.hpp>
#include <flux/io/reactor.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/dns_message.hpp>
#include <flux/net/read.hpp>
#include <flux/net/udp.hpp>

#include <array>
#include <string>

namespace flux::inline FLUX_ABI::detail {

/// How dns_resolver talks to servers. Tests have others.
class dns_sockets {
public:
    /// Datagrams that are not the answer and are passed over before an exchange is given up: far more than delayed
    /// answers ever are, and few enough that a flood cannot keep the thread busy.
    static constexpr int max_foreign = 100;

    /// Errors  of the kernel; resolve_errc::bad_answer. It waits until the context is stopped.
    template <class Query>
    [[nodiscard]] task<dns::answer> udp(endpoint server, Query q) {
        auto ctx = co_await this_context();
        auto socket = udp_socket::connect(reactor::of(ctx.home()), server);
        if (!socket) {
            co_return fail(std::move(socket).error());
        }
        auto sent = co_await attempt(socket->send(q.octets()));
        if (!sent) {
            co_return fail(std::move(sent).error());
        }
        std::string buffer(2 * dns::max_udp_size, '\0');
        for (int foreign = 0; foreign < max_foreign; ++foreign) {
            auto got = co_await attempt(socket->receive_from(std::as_writable_bytes(std::span(buffer))));
            if (!got) {
                co_return fail(std::move(got).error());
            }
            dns::answer a;
            const auto v = dns::read_answer(as_octets(std::string_view(buffer).substr(0, got->size)), q, a);
            if (v == dns::verdict::foreign) {
                continue;
            }
            if (got->truncated) {
                a = dns::answer();
                a.truncated = true;
            } else if (v == dns::verdict::malformed) {
                break;
            }
            co_return a;
        }
        co_return fail(resolve_errc::bad_answer);
    }

    /// Source  RFC 1035 4.2.2, RFC 7766.
    template <class Query>
    [[nodiscard]] task<dns::answer> tcp(endpoint server, Query q) {
        auto stream = co_await attempt(connect_op<socket_stream>(server));
        if (!stream) {
            co_return fail(std::move(stream).error());
        }
        const std::size_t size = q.octets().size();
        std::string text{static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
        text += as_text(q.octets());
        auto sent = co_await attempt(stream->write_all(as_octets(text)));
        if (!sent) {
            co_return fail(std::move(sent).error());
        }
        std::array<std::byte, 2> head{};
        auto got = co_await attempt(read_exact(*stream, std::span(head)));
        if (!got) {
            co_return fail(std::move(got).error());
        }
        text.resize(std::to_integer<std::size_t>(head[0]) << 8 | std::to_integer<std::size_t>(head[1]));
        got = co_await attempt(read_exact(*stream, std::as_writable_bytes(std::span(text))));
        if (!got) {
            co_return fail(std::move(got).error());
        }
        dns::answer a;
        const auto v = dns::read_answer(as_octets(text), q, a);
        if (v != dns::verdict::ours || a.truncated) {
            co_return fail(resolve_errc::bad_answer);
        }
        co_return a;
    }
};

} // namespace flux::inline FLUX_ABI::detail
