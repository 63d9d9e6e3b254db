// SPDX-License-Identifier: MIT
// flux/http/server/exchange.hpp - the memory of a connection while it is busy with a request.
//
// An idle connection has none: exchanges are pooled by the server and reused, so that a warm server handles
// requests without allocating. Deliberately not here: what is done with it (server_connection.hpp).
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/core/vacate.hpp>
#include <flux/coro/placed.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/server/connection_observer.hpp>
#include <flux/http/server/handler.hpp>
#include <flux/http/server/server_options.hpp>
#include <flux/http/wire/chunked.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/request_parser.hpp>
#include <flux/net/octet_input.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::http::detail {

/// byte_buffer as the writers' octet_sink.
static_assert(octet_sink<byte_buffer>);

/// What is known about the answer before it exists.
struct answer_terms {
    http::method asked = http::method::get;
    http::version version = http::version::http_1_1;
    std::string_view date;
    bool keep_alive = true;       ///< we may keep the connection
    bool said_keep_alive = false; ///< a 1.0 client asked for it
    bool upgrade = false;         ///< the client offers another protocol

    /// Whether this answer may go out as it is: final, and no 2xx to CONNECT, which would promise a tunnel.
    [[nodiscard]] bool may_say(const response& answer) const noexcept {
        return to_number(answer.code()) - 200U < 800U && !answer.hands_over() &&
               (asked != http::method::connect || !is_success(answer.code()));
    }
    /// Whether HTTP may end with this status.
    [[nodiscard]] bool may_hand_over(status code) const noexcept {
        return code == status::switching_protocols ? upgrade : asked == http::method::connect && is_success(code);
    }
};

/// What an exchange tells the log of its connection.
struct exchange_tally {
    std::uint64_t in = 0;  ///< octets received while it ran
    std::uint64_t out = 0; ///< octets sent while it ran
    close_reason reason = close_reason::open; ///< why the answer could not go out whole
};

struct exchange {
    explicit exchange(const server_options& options) : parser(options.limits, entries), chunks(options.limits) {
        entries.reserve(24);
    }
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    /// Makes the request independent of the receive buffer: its handler may suspend.
    void pin_head() {
        const std::string_view octets = input.view().substr(0, parser.consumed());
        head.clear();
        head.append(octets);
        answering = false;
        request.rebase(parser.head(head.view()));
        input.consume(octets.size());
    }

    /// Back to what a new one is, keeping the memory that the next request will want.
    void reset() noexcept {
        input.reset();
        out.clear();
        out.shrink_above(16'384);
        head.clear();
        head.shrink_above(4096);
        remote.clear();
        if (is_ready) {
            ready.emplace();
            is_ready = false;
        }
        taker = nullptr;
        tally = {};
        in_head = false;
    }

    field_storage entries;
    request_parser parser;
    flux::detail::octet_input input;
    byte_buffer out;  ///< answers that were not sent yet
    byte_buffer head; ///< the head of a request whose handler may suspend
    http::request request;
    body_framing framing;
    expectation expects = expectation::none;
    answer_terms terms;
    const any_handler* handler = nullptr;
    result<response> ready; ///< an answer too large for the out buffer
    bool is_ready = false;  ///< there is one
    flux::detail::placed_operation<288> write; ///< the state of a write, which the loop's frame need not hold
    flux::detail::placed_operation<64> whole;  ///< the same of the exchange that may suspend
    stream_taker taker; ///< who gets the stream after HTTP
    exchange_tally tally;
    chunked_decoder chunks;
    std::string remote;        ///< the peer's address, once asked for
    bool in_head = false;      ///< octets of a head arrived, its deadline runs
    bool answering = false;    ///< the head of the answer is on its way: too late for a 100
    exchange* next = nullptr;  ///< in the pool
};

/// Exchanges that nobody uses now. One reactor's.
class exchange_pool {
public:
    explicit exchange_pool(const server_options& options) noexcept : options_(&options) {}
    exchange_pool(const exchange_pool&) = delete;
    exchange_pool& operator=(const exchange_pool&) = delete;
    ~exchange_pool() {
        while (free_ != nullptr) {
            delete flux::detail::vacate_for(free_, free_->next);
        }
    }
    [[nodiscard]] exchange* take() {
        if (free_ == nullptr) {
            return new exchange(*options_);
        }
        --kept_;
        return flux::detail::vacate_for(free_, free_->next);
    }
    void give(exchange* e) noexcept {
        e->reset();
        if (kept_ == max_kept) {
            delete e;
            return;
        }
        ++kept_;
        e->next = flux::detail::vacate_for(free_, e);
    }

private:
    static constexpr std::size_t max_kept = 256; // as many as can be busy in one turn: some 1.5 MiB
    const server_options* options_;
    exchange* free_ = nullptr;
    std::size_t kept_ = 0;
};

} // namespace flux::inline FLUX_ABI::http::detail
