// SPDX-License-Identifier: MIT
// flux/http/server/exchange_run.hpp - one request with all that may suspend: body, handler, answer, hand-over.
//
//   head pinned -> answers owed to earlier requests -> handler (reads the body) -> answer -> rest of the body dropped
//
// Knows the connection only as a place: where octets come from and go to, and under which context. How an exchange
// ends decides what becomes of the connection. Deliberately not here: requests that need none of this
// (server_connection.hpp).
#pragma once

#include <flux/core/vacate.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/connection_observer.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/hangup_watch.hpp>
#include <flux/http/server/hand_over.hpp>
#include <flux/http/server/request_body.hpp>
#include <flux/http/server/response_channel.hpp>
#include <flux/http/server/server_core.hpp>

#include <exception>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

/// What becomes of the connection after an exchange.
enum class exchange_outcome : std::uint8_t {
    keep,      ///< the next request may be read
    close,     ///< its answer was the last one
    linger,    ///< the same, while the peer may still send
    aborted,   ///< the answer did not go out whole: the stream is closed already
    hand_over, ///< HTTP has ended; `taker` gets the stream
};

/// Where an exchange takes place. Everything is borrowed until it ends.
template <buffered_stream Stream>
struct exchange_place {
    server_core* server;
    Stream* stream;
    exchange* ex;
    context_node* node;
    stream_taker* taker; // set by the outcome hand_over
    exchange_tally* tally;

    [[nodiscard]] const server_options& options() const noexcept { return server->options; }
};

// Tells those who watch a request how its exchange ended, also if an exception takes it away.
template <buffered_stream Stream>
class exchange_report {
public:
    exchange_report(request& req, const response_channel<Stream>& channel, const request_body<Stream>& body) noexcept
        : request_(&req), channel_(&channel), body_(&body) {}
    exchange_report(const exchange_report&) = delete;
    exchange_report& operator=(const exchange_report&) = delete;
    ~exchange_report() { tell({channel_->code(), false, body_->taken(), channel_->octets(), nullptr}); }

    void ended(const error* why) noexcept {
        tell({channel_->code(), why == nullptr, body_->taken(), channel_->octets(), why});
    }

private:
    void tell(const exchange_end& end) noexcept {
        if (request_->is_observed()) {
            request_->finish(end);
        }
    }
    request* request_;
    const response_channel<Stream>* channel_;
    const request_body<Stream>* body_;
};

template <buffered_stream Stream>
task<response> run_handler(exchange_place<Stream> at, response_channel<Stream>& channel, request_body<Stream>& body) {
    exchange& ex = *at.ex;
    const bool streams = ex.handler->kind() == handler_kind::streaming;
    auto limit = co_await within(streams ? milliseconds::max() : at.options().handler_timeout);
    auto ctx = co_await this_context();
    const hangup_watch<Stream> watch(*at.stream, ctx.node(), at.options().end_grace);
    result<response> answer;
    std::exception_ptr thrown;
    try {
        switch (ex.handler->kind()) {
        case handler_kind::sync: answer.emplace(ex.handler->call_sync(ex.request)); break;
        case handler_kind::async: {
            auto r = co_await attempt(ex.handler->call_async(ex.request));
            if (r) {
                answer.emplace(*std::move(r));
            } else {
                answer = fail(std::move(r).error());
            }
            break;
        }
        case handler_kind::streaming: {
            responder out(channel);
            auto r = co_await attempt(ex.handler->call_streaming(ex.request, out));
            if (r) {
                r = out.begin();
            }
            if (!r) {
                answer = fail(std::move(r).error());
            }
            break;
        }
        }
    } catch (const error& e) {
        answer = fail(e);
    } catch (...) {
        thrown = std::current_exception();
    }
    if (answer && thrown == nullptr) {
        co_return *std::move(answer);
    }
    // Nothing can be said any more: the head is out, or nobody listens.
    if (channel.begun() || ctx.reason() == stop_reason::disconnected) {
        if (thrown != nullptr) {
            std::rethrow_exception(thrown);
        }
        co_return fail(std::move(answer).error());
    }
    if (thrown != nullptr) {
        co_return plain_answer(status::internal_server_error);
    }
    co_return answer_of_error(answer.error(), body.failure(), ctx.reason());
}

// Reads what the handler left of the body, up to the limit.
template <buffered_stream Stream>
task<> drain_body(exchange_place<Stream> at, request_body<Stream>& body) {
    const std::uint64_t limit = body.taken() + at.options().drain_octets;
    while (!body.ended() && body.taken() <= limit) {
        const auto piece = co_await attempt(body.next());
        if (!piece) {
            co_await fail(piece.error());
        }
    }
    body.release_piece();
}

// An answer that has to wait for the client: large, produced while it is sent, or the end of HTTP.
template <buffered_stream Stream>
task<> send_answer(exchange_place<Stream> at, response_channel<Stream>& channel, request_body<Stream>& body,
                   response& answer) {
    if (answer.hands_over()) { // another protocol begins where this request ends
        co_await drain_body(at, body);
        if (!body.ended()) {
            co_await fail(errc::body_too_large);
        }
    }
    if (const auto begun = channel.begin(answer.code(), answer.fields(), answer.length()); !begun) {
        co_await fail(begun.error());
    }
    if (answer.hands_over()) {
        co_await channel.flush();
        co_return;
    }
    if (at.ex->terms.asked == method::head) {
        channel.skip_body();
        co_return;
    }
    if (!answer.is_streamed()) {
        co_await channel.write(answer.octets());
        co_return;
    }
    auto ctx = co_await this_context();
    const hangup_watch<Stream> watch(*at.stream, ctx.node(), at.options().end_grace);
    body_writer writer(channel);
    co_await answer.producer()(writer);
}

[[nodiscard, gnu::cold]] inline close_reason reason_of(const error& e) noexcept {
    if (e.is(flux::errc::timed_out)) {
        return close_reason::slow;
    }
    return e.kind() == error_kind::network || e.is(flux::errc::disconnected) ? close_reason::peer_left
                                                                             : close_reason::failed;
}

// A handler may say anything; what would not be an answer to this request becomes 500.
inline void make_sayable(response& answer, const answer_terms& terms) {
    const bool allowed = answer.hands_over() ? terms.may_hand_over(answer.code()) : terms.may_say(answer);
    if (!allowed) {
        answer = plain_answer(status::internal_server_error);
    }
}

// Whether the connection can be used again: what is left of the body is dropped for that.
template <buffered_stream Stream>
task<exchange_outcome> after_answer(exchange_place<Stream> at, response_channel<Stream>& channel, request_body<Stream>& body) {
    bool keep = channel.keep_alive() && !body.failed() && !at.node->stopped();
    if (keep && !body.ended()) {
        keep = !body.awaits_continue();
        if (keep) {
            const auto flushed = co_await attempt(channel.flush());
            const auto drained = co_await attempt(drain_body(at, body));
            keep = flushed && drained && body.ended();
        }
    }
    if (keep) {
        co_return exchange_outcome::keep;
    }
    const bool peer_may_send = !body.ended() || body.failed();
    co_return peer_may_send ? exchange_outcome::linger : exchange_outcome::close;
}

/// Runs the request whose head is at the front of the input. What a producer or a streaming handler throws while its
/// answer is on its way, and is no flux::error, passes: the connection ends with a reset.
template <buffered_stream Stream>
task<exchange_outcome> run_exchange(exchange_place<Stream> at) {
    exchange& ex = *at.ex;
    ex.pin_head();
    ex.terms.date = at.server->date.get(at.node->home().now());
    request_body<Stream> body(*at.stream, ex, at.options(), at.node->home());
    if (!body.ended()) {
        ex.request.set_body(body);
    }
    response_channel<Stream> channel(*at.stream, ex, at.options());
    exchange_report<Stream> report(ex.request, channel, body);
    result<response> answer;
    const bool answered = flux::detail::vacate(ex.is_ready);
    if (answered) {
        answer.emplace(*std::move(ex.ready));
    }
    result<void> sent;
    if (!ex.out.empty()) { // answers to earlier requests do not wait for this one
        sent = co_await attempt(channel.flush());
    }
    if (sent && !answered) {
        auto handled = co_await attempt(run_handler(at, channel, body));
        if (handled) {
            answer.emplace(*std::move(handled));
        } else {
            sent = fail(std::move(handled).error());
        }
    }
    if (at.server->is_draining()) { // it may have begun while the handler ran
        channel.close_after();
    }
    if (sent && !channel.begun()) {
        make_sayable(*answer, ex.terms);
        if (!channel.put(*answer)) {
            sent = co_await attempt(send_answer(at, channel, body, *answer));
        }
    }
    body.release_piece();
    if (sent) {
        sent = channel.finish();
    }
    report.ended(sent ? nullptr : &sent.error());
    exchange_outcome outcome = exchange_outcome::aborted; // the client must not take what it got for a whole message
    if (!sent) {
        at.tally->reason = reason_of(sent.error());
    } else if (answer->hands_over()) {
        *at.taker = std::move(answer->taker());
        outcome = exchange_outcome::hand_over;
    } else if (channel.keep_alive() && body.ended() && !body.failed() && !at.node->stopped()) {
        outcome = exchange_outcome::keep;
    } else {
        const auto after = co_await attempt(after_answer(at, channel, body));
        outcome = after ? *after : exchange_outcome::aborted;
    }
    at.tally->in += body.arrived();
    at.tally->out += channel.sent();
    co_return outcome;
}

} // namespace flux::inline FLUX_ABI::http::detail
