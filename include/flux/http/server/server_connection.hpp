// SPDX-License-Identifier: MIT
// flux/http/server/server_connection.hpp - one HTTP/1.1 connection: a loop from octets to answers.
//
//   receive -> input -> parser -> framing -> router -> handler -> out buffer -> stream
//
// advance() is the fast path, without a coroutine: it parses and answers all requests that are there, as long as
// they have no body and a synchronous handler, so pipelined answers leave in one write. Everything else goes
// through one transient coroutine, exchange_one(). While idle the connection holds neither buffers nor an
// exchange. An answer that is owed is written before a refusal; a refusal closes, and the close lingers so that
// it is not lost to a reset. Deliberately not here: accepting, limits on connections (server.hpp).
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/request_body.hpp>
#include <flux/http/server/response_channel.hpp>
#include <flux/http/server/server_core.hpp>

#include <exception>
#include <string>
#include <utility>

namespace flux::inline FLUX_ABI::http::detail {

using flux::detail::context_node;

template <class Stream>
[[nodiscard]] std::string remote_text(Stream& stream) {
    if constexpr (requires { stream.peer_endpoint(); }) {
        const auto peer = stream.peer_endpoint();
        return peer ? peer->to_string() : std::string();
    } else {
        return "memory";
    }
}

template <buffered_stream Stream>
class server_connection final : private drainable, private request::remote_source {
public:
    server_connection(server_core& server, Stream&& stream, context_node& parent)
        : server_(&server), stream_(std::move(stream)), node_(parent) {
        server.connections.push_back(*this);
        ++server.stats.connections;
    }
    server_connection(const server_connection&) = delete;
    server_connection& operator=(const server_connection&) = delete;
    ~server_connection() {
        release_exchange();
        drainable::unlink();
        server_->stats.connections -= turned_away_ ? 0 : 1;
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
                node_.limit(deadline_after(now(), options().head_timeout));
            }
            const parse_state state = ex_->parser.parse(octets);
            if (state == parse_state::need_more) {
                ex_->input.carry_over();
                return step::read;
            }
            if (state == parse_state::failed) {
                refuse(ex_->parser.error().answer());
                return step::close;
            }
            ex_->in_head = false;
            const step next = handle(octets);
            if (next != step::read) {
                return next;
            }
            if (ex_->out.size() >= flush_threshold) {
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
    void output_written() noexcept { ex_->out.clear(); }

    /// Before receive(): the deadline is that of the head in progress, or of idleness.
    void prepare_to_read() {
        if (in_head()) {
            return;
        }
        release_exchange();
        node_.limit(deadline_after(now(), requests_ == 0 ? options().head_timeout : options().idle_timeout));
        if (server_->draining) {
            node_.stop(stop_reason::shutdown);
        }
    }
    [[nodiscard]] auto receive() { return attempt(stream_.receive()); }
    void arrived(received&& octets) {
        if (ex_ == nullptr) {
            ex_ = server_->exchanges.take();
            ++server_->stats.active;
        }
        ex_->input.add(std::move(octets));
    }
    /// No further octets come: a head that began deserves an answer, an idle connection none.
    [[nodiscard]] step give_up(bool timed_out) {
        if (in_head()) {
            refuse(timed_out ? status::request_timeout : status::bad_request);
        }
        return step::close;
    }

    [[nodiscard]] step turn_away() {
        turned_away_ = true;
        --server_->stats.connections;
        arrived(received());
        refuse(status::service_unavailable);
        return step::close;
    }

    /// The request at the front of the input, with all that may suspend. True: the connection goes on.
    [[nodiscard]] task<bool> exchange_one();
    /// Writes what is owed and closes so that it arrives. Has its own limits: the connection's may have passed.
    [[nodiscard]] task<> say_goodbye();

    void abort() noexcept { stream_.abort(); }
    [[nodiscard]] context_node& node() noexcept { return node_; }

private:
    static constexpr std::size_t flush_threshold = 65'536; // octets of answers that wait for the end of a batch
    static constexpr std::size_t copy_limit = 16'384;      // a larger body goes out beside the buffer

    [[nodiscard]] const server_options& options() const noexcept { return server_->options; }
    [[nodiscard]] time_point now() const noexcept { return node_.home().now(); }
    [[nodiscard]] bool in_head() const noexcept { return ex_ != nullptr && ex_->in_head; }

    // One whole head is at the front of the input.
    [[nodiscard]] step handle(std::string_view octets) {
        exchange& ex = *ex_;
        const request_head head = ex.parser.head(octets);
        ++requests_;
        ++server_->stats.requests;
        ex.framing = body_length(head);
        ex.expects = expectation_of(head, ex.framing);
        if (const status refusal = judge(ex); refusal != status::ok) {
            refuse(refusal);
            return step::close;
        }
        const connection_options said = connection_of(head);
        ex.terms.asked = head.method;
        ex.terms.version = head.version;
        // what follows CONNECT was meant for a tunnel
        ex.terms.keep_alive = said.persistent && requests_ < options().max_requests && !server_->draining &&
                              head.method != method::connect;
        ex.terms.said_keep_alive = said.keep_alive && head.version == version::http_1_0;
        ex.request.assign(head, this);
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
        if (answer.is_streamed() || answer.octets().size() > copy_limit) {
            ex.ready.emplace(std::move(answer));
            return step::exchange;
        }
        put_answer(answer);
        if (ex.request.is_observed()) {
            ex.request.finish({answer.code(), true, 0, answer_sent(ex, answer), nullptr});
        }
        ex.input.consume(ex.parser.consumed());
        return ex.terms.keep_alive ? step::read : step::close;
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
    void refuse(status code) {
        server_->stats.bad_requests += code == status::service_unavailable ? 0 : 1;
        ex_->in_head = false;
        ex_->terms = answer_terms();
        ex_->terms.keep_alive = false;
        lingers_ = true;
        response answer = plain_answer(code);
        if (code == status::service_unavailable) {
            answer.header(field::retry_after, "1");
        }
        put_answer(answer);
    }

    [[nodiscard]] task<response> run_handler(response_channel<Stream>& channel, request_body<Stream>& body);
    [[nodiscard]] task<> send_answer(response_channel<Stream>& channel, response& answer);
    [[nodiscard]] task<> drain_body(request_body<Stream>& body);

    void release_exchange() noexcept {
        if (ex_ != nullptr) {
            --server_->stats.active;
            server_->exchanges.give(std::exchange(ex_, nullptr));
        }
    }

    // drainable
    void drain() noexcept override {
        if (ex_ == nullptr) {
            node_.stop(stop_reason::shutdown);
        }
    }
    // request::remote_source
    [[nodiscard]] std::string_view text() override {
        if (ex_->remote.empty()) {
            ex_->remote = remote_text(stream_);
        }
        return ex_->remote;
    }
    // While it exists, a client that goes away stops `node`: at once after a reset, after a grace after FIN.
    class hangup_watch : private hangup_listener, private timer {
    public:
        hangup_watch(server_connection& c, context_node& node) noexcept
            : hangup_listener(&on_hangup), timer(&on_grace_over), connection_(&c), node_(&node) {
            c.stream_.watch_hangup(this);
        }
        hangup_watch(const hangup_watch&) = delete;
        hangup_watch& operator=(const hangup_watch&) = delete;
        ~hangup_watch() {
            connection_->stream_.watch_hangup(nullptr);
            node_->home().disarm(*this);
        }

    private:
        static void on_hangup(hangup_listener& listener, bool reset) noexcept {
            auto& self = static_cast<hangup_watch&>(listener);
            if (reset) {
                self.node_->stop(stop_reason::disconnected);
            } else {
                self.node_->home().arm(self, deadline_after(self.connection_->now(), self.connection_->options().end_grace));
            }
        }
        static void on_grace_over(timer& t) noexcept { static_cast<hangup_watch&>(t).node_->stop(stop_reason::disconnected); }

        server_connection* connection_;
        context_node* node_;
    };

    server_core* server_;
    Stream stream_;
    context_node node_;
    exchange* ex_ = nullptr; // null while idle
    std::uint32_t requests_ = 0;
    bool lingers_ = false;
    bool turned_away_ = false;
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
task<bool> server_connection<Stream>::exchange_one() {
    exchange& ex = *ex_;
    node_.limit(no_deadline); // from here on every step has its own
    ex.pin_head();
    ex.terms.date = server_->date.get(now());
    request_body<Stream> body(stream_, ex, options(), node_.home());
    if (!body.ended()) {
        ex.request.set_body(body);
    }
    response_channel<Stream> channel(stream_, ex, options().write_timeout);
    exchange_report<Stream> report(ex.request, channel, body);
    if (!ex.out.empty()) { // answers to earlier requests do not wait for this one
        const auto sent = co_await attempt(channel.flush());
        if (!sent) {
            co_return fail(sent.error());
        }
    }
    std::optional<response> answer = std::exchange(ex.ready, std::nullopt);
    std::optional<error> failed;
    if (!answer) {
        auto handled = co_await attempt(run_handler(channel, body));
        if (handled) {
            answer.emplace(*std::move(handled));
        } else {
            failed.emplace(std::move(handled).error());
        }
    }
    if (server_->draining) { // it may have begun while the handler ran
        channel.close_after();
    }
    if (answer && !channel.put(*answer)) {
        const auto sent = co_await attempt(send_answer(channel, *answer));
        if (!sent) {
            failed.emplace(sent.error());
        }
    }
    body.release_piece();
    if (!failed) {
        if (const auto whole = channel.finish(); !whole) {
            failed.emplace(whole.error());
        }
    }
    report.ended(failed ? &*failed : nullptr);
    if (failed) {
        stream_.abort(); // the client must not take what it got for a whole message
        co_return false;
    }
    bool keep = channel.keep_alive() && !body.failed() && !node_.stopped();
    if (keep && !body.ended()) {
        keep = !body.awaits_continue();
        if (keep) {
            const auto flushed = co_await attempt(channel.flush());
            const auto drained = co_await attempt(drain_body(body));
            keep = flushed && drained && body.ended();
        }
    }
    lingers_ = lingers_ || !body.ended() || body.failed();
    co_return keep;
}

template <buffered_stream Stream>
task<response> server_connection<Stream>::run_handler(response_channel<Stream>& channel, request_body<Stream>& body) {
    exchange& ex = *ex_;
    const bool streams = ex.handler->kind() == handler_kind::streaming;
    auto limit = co_await within(streams ? duration::max() : duration(options().handler_timeout));
    auto ctx = co_await this_context();
    const hangup_watch watch(*this, ctx.node());
    std::optional<error> failed;
    std::optional<response> answer;
    bool threw = false;
    try {
        switch (ex.handler->kind()) {
        case handler_kind::sync: answer.emplace(ex.handler->call_sync(ex.request)); break;
        case handler_kind::async: {
            auto r = co_await attempt(ex.handler->call_async(ex.request));
            if (r) {
                answer.emplace(*std::move(r));
            } else {
                failed.emplace(std::move(r).error());
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
                failed.emplace(std::move(r).error());
            } else {
                answer.emplace();
            }
            break;
        }
        }
    } catch (const error& e) {
        failed.emplace(e);
    } catch (...) {
        threw = true;
    }
    if (answer) {
        co_return std::move(*answer);
    }
    // Nothing can be said any more: the head is out, or nobody listens.
    if (channel.begun() || ctx.reason() == stop_reason::disconnected) {
        co_return fail(failed ? *failed : error(flux::errc::disconnected));
    }
    if (threw) {
        co_return plain_answer(status::internal_server_error);
    }
    co_return answer_of_error(*failed, body.failure(), ctx.reason());
}

// An answer that has to wait for the client: large, or produced while it is sent.
template <buffered_stream Stream>
task<> server_connection<Stream>::send_answer(response_channel<Stream>& channel, response& answer) {
    if (const auto begun = channel.begin(answer.code(), answer.fields(), answer.length()); !begun) {
        co_await fail(begun.error());
    }
    if (ex_->terms.asked == method::head) {
        channel.skip_body();
        co_return;
    }
    if (!answer.is_streamed()) {
        co_await channel.write(answer.octets());
        co_return;
    }
    auto ctx = co_await this_context();
    const hangup_watch watch(*this, ctx.node());
    body_writer writer(channel);
    co_await answer.producer()(writer);
}

template <buffered_stream Stream>
task<> server_connection<Stream>::drain_body(request_body<Stream>& body) {
    const std::uint64_t limit = body.taken() + options().drain_octets;
    while (!body.ended() && body.taken() <= limit) {
        const auto piece = co_await attempt(body.next());
        if (!piece) {
            co_await fail(piece.error());
        }
    }
    body.release_piece();
}

template <buffered_stream Stream>
task<> server_connection<Stream>::say_goodbye() {
    context_node own(node_, context_node::link::shielded);
    const auto inside = co_await flux::detail::enter_request(own);
    if (has_output()) {
        const auto sent = co_await attempt(
            with_timeout(options().write_timeout, stream_.write_all(as_octets(ex_->out.view()))));
        if (!sent) {
            stream_.abort();
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
template <buffered_stream Stream>
flux::detail::child serve_connection(server_core& server, Stream stream, bool too_many = false) {
    using connection = server_connection<Stream>;
    using step = typename connection::step;
    auto ctx = co_await this_context();
    connection c(server, std::move(stream), ctx.node());
    const auto inside = co_await flux::detail::enter_request(c.node());
    step next = too_many ? c.turn_away() : step::read;
    while (next != step::close) {
        next = c.advance();
        if (next == step::exchange) {
            const auto goes_on = co_await attempt(c.exchange_one());
            next = goes_on && *goes_on ? step::write : step::close;
        } else if (c.has_output() && next != step::close) {
            const auto written = co_await c.write_out();
            if (!written) {
                c.abort();
                co_return result<void>();
            }
            c.output_written();
        }
        if (next == step::read) {
            c.prepare_to_read();
            auto octets = co_await c.receive();
            if (octets && !octets->empty()) {
                c.arrived(*std::move(octets));
            } else {
                next = c.give_up(!octets && octets.error().is(flux::errc::timed_out));
            }
        }
    }
    co_return co_await attempt(c.say_goodbye());
}

} // namespace flux::inline FLUX_ABI::http::detail
