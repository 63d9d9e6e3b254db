// SPDX-License-Identifier: MIT
// flux/http/server/server_connection.hpp - one HTTP/1.1 connection: a loop from octets to answers.
//
//   receive -> input -> parser -> framing -> router -> handler -> out buffer -> stream
//
// advance() is the fast path, without a coroutine: it parses and answers all requests that are there, as long as
// they have no body and a synchronous handler, so pipelined answers leave in one write. Everything else goes
// through one transient coroutine, run_exchange(). While idle the connection holds neither buffers nor an
// exchange. An answer that is owed is written before a refusal; a refusal closes, and the close lingers so that
// it is not lost to a reset. Deliberately not here: accepting, limits on connections (server.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/vacate.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/connection_observer.hpp>
#include <flux/http/server/exchange_run.hpp>

#include <string>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

template <buffered_stream Stream, class Observer = no_connection_observer>
class server_connection final : private drainable, private request::remote_source {
public:
    server_connection(server_core& server, Stream&& stream, context_node& parent, Observer* observer)
        : server_(&server), stream_(std::move(stream)), node_(parent), ends_at_(deadline_after(now(), options().lifetime)),
          head_by_(deadline_after(now(), options().head_timeout)),
          log_(observer, server.stats.accepted, now(), stream_) {
        server.connections.push_back(*this);
    }
    server_connection(const server_connection&) = delete;
    server_connection& operator=(const server_connection&) = delete;
    ~server_connection() {
        release_exchange();
        drainable::unlink();
    }

    /// What the loop does next.
    enum class step : std::uint8_t { read, write, exchange, close };

    /// Handles what is in the input; see the head of this file.
    [[nodiscard]] step advance() {
        if (ex_ == nullptr) {
            return step::read;
        }
        for (;;) {
            const std::string_view octets = ex_->input.view();
            if (octets.empty()) {
                return step::read;
            }
            if (!ex_->in_head) {
                ex_->parser.reset();
                ex_->in_head = true;
                head_by_ = deadline_after(now(), options().head_timeout);
                node_.limit(head_by_);
            }
            const parse_state state = ex_->parser.parse(octets);
            if (state == parse_state::need_more) {
                ex_->input.carry_over();
                return step::read;
            }
            if (state == parse_state::failed) {
                refuse(ex_->parser.error().answer(), close_reason::refused);
                return step::close;
            }
            ex_->in_head = false;
            const step next = handle(octets);
            if (next != step::read) {
                return next;
            }
            if (ex_->out.size() >= options().pipeline_octets) {
                return step::write;
            }
        }
    }

    /// `co_await c.write_out()` sends the answers that are ready.
    [[nodiscard]] auto write_out() {
        node_.limit(deadline_after(now(), options().write_timeout));
        return ex_->write.run(stream_.write_all(as_octets(ex_->out.view())), node_);
    }
    [[nodiscard]] bool has_output() const noexcept { return ex_ != nullptr && !ex_->out.empty(); }
    void output_written(const result<void>& outcome) noexcept {
        if (!outcome) {
            log_.ends(outcome.error().is(flux::errc::timed_out) ? close_reason::slow : close_reason::peer_left);
            stream_.abort();
        }
        log_.out(ex_->out.size());
        ex_->out.clear();
        if (ex_->in_head) {
            was_not_listening();
        }
    }

    /// Before receive(): the deadline is that of the head in progress, or of idleness.
    void prepare_to_read() {
        if (in_head()) {
            limit_head();
            return;
        }
        if (ex_ != nullptr) {
            release_exchange();
            log_.tell(connection_event::idle);
        }
        if (requests_ == 0) {
            node_.limit(head_by_);
        } else {
            node_.limit(deadline_after(now(), options().idle_timeout));
        }
        if (server_->is_draining()) {
            drain();
        }
    }
    [[nodiscard]] auto receive() { return attempt(stream_.receive()); }
    void arrived(received&& octets) {
        if (ex_ == nullptr) {
            ex_ = server_->exchanges.take();
            ++server_->stats.active;
            log_.tell(connection_event::active);
        }
        last_request_ = now() >= ends_at_;
        log_.in(octets.size());
        ex_->input.add(std::move(octets));
    }
    /// No further octets come: a head that began deserves an answer, an idle connection none. 408 is what may be sent
    /// once more, so it is the answer where the end of the drain was what cut the request off.
    void give_up(const result<received>& last) {
        const bool timed_out = !last && last.error().is(flux::errc::timed_out);
        if (in_head() && !timed_out && node_.stopped()) {
            refuse(status::request_timeout, close_reason::shutdown);
        } else if (in_head()) {
            refuse(timed_out ? status::request_timeout : status::bad_request,
                   timed_out ? close_reason::slow : close_reason::peer_left);
        } else if (timed_out) {
            log_.ends(close_reason::idle);
        } else {
            log_.ends(node_.stopped() ? close_reason::shutdown : close_reason::peer_closed);
        }
    }
    /// Something was thrown that no answer can be made of: out of memory, or by a program whose answer was on its way.
    void broke() noexcept {
        log_.ends(close_reason::failed);
        stream_.abort();
    }
    void turn_away() {
        arrived(received());
        refuse(status::service_unavailable, close_reason::over_limit);
    }

    /// The request at the front of the input, with all that may suspend.
    [[nodiscard]] auto exchange_one() {
        node_.limit(no_deadline); // from here on every step has its own
        return ex_->whole.run(
            run_exchange(exchange_place<Stream>{server_, &stream_, ex_, &node_, &ex_->taker, &ex_->tally}), node_);
    }
    [[nodiscard]] step exchange_ended(const result<exchange_outcome>& outcome) {
        log_.in(flux::detail::vacate(ex_->tally.in));
        log_.out(flux::detail::vacate(ex_->tally.out));
        if (!outcome || *outcome == exchange_outcome::aborted) {
            log_.ends(ex_->tally.reason == close_reason::open ? close_reason::failed : ex_->tally.reason);
            stream_.abort();
            return step::close;
        }
        if (*outcome == exchange_outcome::keep) {
            return step::write;
        }
        lingers_ = lingers_ || *outcome == exchange_outcome::linger;
        if (*outcome != exchange_outcome::hand_over) {
            answered_last();
        }
        return step::close;
    }
    /// Whether somebody else gets the stream now.
    [[nodiscard]] bool is_handed_over() const noexcept { return ex_ != nullptr && ex_->taker; }
    /// The rest of the connection's life after HTTP.
    [[nodiscard]] task<> run_taker();
    /// Writes what is owed and closes so that it arrives. Has its own limits: the connection's may have passed. The end of
    /// a drain holds all the same.
    /// Params  server_context  what the end of a drain stops; the connection's own is below it
    [[nodiscard]] task<> say_goodbye(context_node& server_context);

    [[nodiscard]] context_node& node() noexcept { return node_; }

private:
    static constexpr std::size_t copy_limit = 16'384; // a larger body goes out beside the buffer
    // Without one of these there is neither a body nor an expectation: nothing to judge.
    static constexpr field_set body_fields{field::transfer_encoding, field::content_length, field::expect};

    [[nodiscard]] const server_options& options() const noexcept { return server_->options; }
    [[nodiscard]] time_point now() const noexcept { return node_.home().now(); }
    [[nodiscard]] bool in_head() const noexcept { return ex_ != nullptr && ex_->in_head; }

    // One whole head is at the front of the input.
    [[nodiscard]] step handle(std::string_view octets) {
        exchange& ex = *ex_;
        request_head& head = ex.request.begin(this);
        ex.parser.read_head(octets, head);
        ++requests_;
        ++server_->stats.requests;
        log_.request();
        ex.framing = body_framing();
        ex.expects = expectation::none;
        if (head.fields.present().intersects(body_fields)) {
            ex.framing = body_length(head);
            ex.expects = expectation_of(head, ex.framing);
            if (const status refusal = judge(ex); refusal != status::ok) {
                refuse(refusal, close_reason::refused);
                return step::close;
            }
        }
        const connection_options said = connection_of(head);
        ex.terms.asked = head.method;
        ex.terms.version = head.version;
        // what follows CONNECT was meant for a tunnel
        ex.terms.keep_alive = said.persistent && requests_ < options().max_requests && !last_request_ &&
                              !server_->is_draining() && head.method != method::connect;
        ex.terms.said_keep_alive = said.keep_alive && head.version == version::http_1_0;
        ex.terms.upgrade = said.upgrade;
        ex.handler = server_->application->resolve(ex.request);
        const bool has_body = ex.framing.kind == body_kind::chunked || ex.framing.length != 0;
        if (has_body || ex.handler->kind() != handler_kind::sync) {
            return step::exchange;
        }
        return answer_at_once(ex);
    }
    [[nodiscard]] status judge(const exchange& ex) const noexcept {
        if (ex.framing.error) {
            return ex.framing.error.answer();
        }
        if (ex.expects == expectation::unknown) {
            return status::expectation_failed;
        }
        const bool too_large = ex.framing.kind == body_kind::length && ex.framing.length > options().limits.body_octets;
        return too_large ? status::content_too_large : status::ok;
    }

    // A synchronous handler, no body: answered without a coroutine.
    [[nodiscard]] step answer_at_once(exchange& ex) {
        response answer = call_sync(ex);
        if (answer.octets().size() > copy_limit || !ex.terms.may_say(answer) || answer.is_special()) {
            ex.ready.emplace(std::move(answer));
            ex.is_ready = true;
            return step::exchange;
        }
        put_answer(answer);
        if (ex.request.is_observed()) {
            ex.request.finish({answer.code(), true, 0, answer_sent(ex, answer), nullptr});
        }
        ex.input.consume(ex.parser.consumed());
        if (ex.terms.keep_alive) {
            return step::read;
        }
        answered_last();
        return step::close;
    }
    [[nodiscard]] response call_sync(exchange& ex) {
        try {
            return ex.handler->call_sync(ex.request);
        } catch (const error& e) {
            return plain_answer(status_of(e));
        } catch (...) {
            return plain_answer(status::internal_server_error);
        }
    }
    void put_answer(const response& answer) {
        ex_->terms.date = server_->date.get(now());
        const std::string_view octets = answer.octets();
        if (write_head(ex_->out, ex_->terms, answer.code(), answer.fields(), octets.size()) == body_kind::length) {
            ex_->out.append(octets);
        }
    }
    [[nodiscard]] static std::uint64_t answer_sent(const exchange& ex, const response& answer) noexcept {
        const bool none = is_bodyless(answer.code()) || ex.terms.asked == method::head;
        return none ? 0 : answer.octets().size();
    }
    void answered_last() noexcept {
        log_.ends(server_->is_draining() ? close_reason::shutdown : close_reason::last_answer);
    }
    void refuse(status code, close_reason why) {
        const bool too_many = why == close_reason::over_limit;
        server_->stats.bad_requests += too_many ? 0 : 1;
        log_.ends(why);
        ex_->in_head = false;
        ex_->terms = answer_terms();
        ex_->terms.keep_alive = false;
        if (!too_many && ex_->parser.method() == method::head) { // its answer has no content, whatever it is
            ex_->terms.asked = method::head;
        }
        lingers_ = true;
        response answer = plain_answer(code);
        if (too_many) {
            answer.header(field::retry_after, std::to_string(options().retry_after.count()));
        }
        put_answer(answer);
    }

    void release_exchange() noexcept {
        if (ex_ != nullptr) {
            --server_->stats.active;
            server_->exchanges.give(flux::detail::vacate(ex_));
        }
    }

    // While answers were written, nothing was read of the head behind them.
    [[gnu::cold]] void was_not_listening() noexcept {
        head_by_ = std::max(deadline_after(now(), options().fresh_grace), head_by_);
    }
    // Of a head that has begun: a write may have had another limit.
    [[gnu::cold]] void limit_head() {
        node_.limit(head_by_);
        if (server_->is_draining()) {
            drain();
        }
    }

    // drainable
    void drain() noexcept override {
        if (over_ || server_->accepts_still || (ex_ != nullptr && !in_head())) {
            return; // a request in progress has the drain's own limit
        }
        if (requests_ != 0 && !in_head()) {
            node_.stop(stop_reason::shutdown);
            return;
        }
        if (has_output()) {
            return; // it is being written; prepare_to_read() comes here again after that
        }
        // Its first request, or what is left of the one that has begun, may be on its way.
        head_by_ = std::min(deadline_after(now(), options().fresh_grace), head_by_);
        node_.limit(head_by_, in_head() ? stop_reason::timed_out : stop_reason::shutdown);
    }
    // request::remote_source
    [[nodiscard]] std::string_view text() override {
        if (ex_->remote.empty()) {
            ex_->remote = remote_text(stream_);
        }
        return ex_->remote;
    }
    [[nodiscard]] bool draining() const noexcept override { return server_->is_draining(); }
    [[nodiscard]] const tls::connection_facts* tls() override {
        if constexpr (requires { stream_.tls_facts(); }) {
            return stream_.tls_facts().get(); // the stream keeps them
        } else {
            return nullptr;
        }
    }

    server_core* server_;
    Stream stream_;
    context_node node_;
    exchange* ex_ = nullptr; // null while idle
    time_point ends_at_;     // from then on an answer is the last one
    time_point head_by_;     // for the first octet of the first head, then for the last octet of the one in progress
    std::uint32_t requests_ = 0;
    bool last_request_ = false;
    bool lingers_ = false;
    bool over_ = false; // HTTP has ended: its taker has the stream, or it is being closed
    [[no_unique_address]] connection_log<Observer> log_;
};

template <buffered_stream Stream, class Observer>
task<> server_connection<Stream, Observer>::run_taker() {
    flux::detail::raw_connection_over<Stream> raw(stream_, ex_->input.view());
    stream_taker taker = std::move(ex_->taker);
    over_ = true;
    release_exchange();
    log_.tell(connection_event::upgraded);
    raw_stream handle(raw);
    const auto ended = co_await attempt(taker(handle));
    log_.ends(close_reason::taker_ended);
    if (!ended) {
        stream_.abort();
    }
}

template <buffered_stream Stream, class Observer>
task<> server_connection<Stream, Observer>::say_goodbye(context_node& server_context) {
    // A stop before, which may be why there is something to say, does not count; the end of a drain that comes now does.
    over_ = true;
    node_.limit(no_deadline);
    context_node own(server_context,
                     server_context.stopped() ? context_node::link::shielded : context_node::link::inherit_stop);
    const auto inside = co_await flux::detail::enter_request(own);
    if (has_output()) {
        const auto sent = co_await attempt(
            with_timeout(options().write_timeout, stream_.write_all(as_octets(ex_->out.view()))));
        output_written(sent);
        if (!sent) {
            co_return;
        }
    }
    const bool unread = ex_ != nullptr && !ex_->input.empty();
    release_exchange();
    if (!lingers_ && !unread) {
        co_return;
    }
    // Closing with unread octets would reset the connection and take the answer with it.
    if (!stream_.shutdown_write()) {
        co_return;
    }
    auto limit = co_await within(options().linger_timeout);
    for (std::size_t dropped = 0; dropped < options().linger_octets;) {
        const auto octets = co_await attempt(stream_.receive());
        if (!octets || octets->empty()) {
            co_return;
        }
        dropped += octets->size();
    }
}

/// Serves one connection to its end; one that is too many is turned away with a 503.
/// Params  ticket  counts it until its end
template <buffered_stream Stream, class Observer = no_connection_observer>
flux::detail::child serve_connection(server_core& server, Stream stream, connection_ticket ticket = connection_ticket(),
                                     Observer* observer = nullptr) {
    using connection = server_connection<Stream, Observer>;
    using step = typename connection::step;
    auto ctx = co_await this_context();
    connection c(server, std::move(stream), ctx.node(), observer);
    const auto inside = co_await flux::detail::enter_request(c.node());
    try {
        step next = step::read;
        if (ticket.is_too_many()) {
            c.turn_away();
            next = step::close;
        }
        while (next != step::close) {
            next = c.advance();
            if (next == step::exchange) {
                const auto outcome = co_await c.exchange_one();
                next = c.exchange_ended(outcome);
            } else if (c.has_output() && next != step::close) {
                const auto written = co_await c.write_out();
                c.output_written(written);
                if (!written) {
                    co_return result<void>();
                }
            }
            if (next == step::read) {
                c.prepare_to_read();
                auto octets = co_await c.receive();
                if (octets && !octets->empty()) {
                    c.arrived(*std::move(octets));
                } else {
                    c.give_up(octets);
                    next = step::close;
                }
            }
        }
        // One await for both: each keeps some 100 octets of the frame, for as long as the connection is idle.
        auto last = c.is_handed_over() ? c.run_taker() : c.say_goodbye(ctx.node());
        co_return co_await attempt(std::move(last));
    } catch (...) {
        c.broke();
    }
    co_return result<void>();
}

} // namespace flux::inline FLUX_ABI::http::detail
