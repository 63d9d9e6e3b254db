// SPDX-License-Identifier: MIT
// flux/http/server/sse.hpp - server-sent events: a response that goes on, event by event.
//
//   server_event --event_stream::send()--> "event: ..\nid: ..\ndata: ..\n\n" --> responder, flushed
//
// The stream ends when the client goes (the handler's context is stopped), when the server drains, and when the handler
// returns. Deliberately not here: where events come from; queues (channel.hpp: a slow client holds up whoever sends).
// Source: the HTML standard, 9.2 "Server-sent events".
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/time.hpp>
#include <flux/coro/channel.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/server/drain_signal.hpp>
#include <flux/http/server/responder.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// One event: `server_event("text").name("tick").id("17")`.
///
/// Data of several lines stays so; the client gets each line break as "\n". A name or an id with a line break or NUL
/// would be another event: it is refused when it is set.
/// Threads  as a value.
class server_event {
public:
    explicit server_event(std::string_view data) { put_lines("data: ", data); }

    /// The type that the client listens to; without one, "message".
    /// Errors  throws flux::error (errc::invalid_argument).
    server_event& name(std::string_view name) & {
        put_field("event: ", name);
        return *this;
    }
    [[nodiscard]] server_event name(std::string_view n) && { return std::move(name(n)); }
    /// What the client sends as Last-Event-ID when it comes back. Errors: as name().
    server_event& id(std::string_view id) & {
        put_field("id: ", id);
        return *this;
    }
    [[nodiscard]] server_event id(std::string_view i) && { return std::move(id(i)); }
    /// How long the client waits before it comes back.
    server_event& retry(milliseconds delay) & {
        text_ += "retry: " + std::to_string(delay.count() < 0 ? 0 : delay.count()) + '\n';
        return *this;
    }
    [[nodiscard]] server_event retry(milliseconds delay) && { return std::move(retry(delay)); }

    /// The lines of the event, with the empty line at its end.
    [[nodiscard]] std::string text() const { return text_ + '\n'; }

    /// Lines that clients skip.
    [[nodiscard]] static std::string comment(std::string_view text) {
        server_event lines;
        lines.put_lines(text.empty() ? ":" : ": ", text);
        return lines.text();
    }

private:
    server_event() noexcept = default;

    void put_field(std::string_view label, std::string_view value) {
        if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
            flux::detail::throw_error(error(flux::errc::invalid_argument).doing("server-sent event: a line break in its name or id"));
        }
        ((text_ += label) += value) += '\n';
    }
    void put_lines(std::string_view label, std::string_view lines) {
        for (;;) {
            const std::size_t end = lines.find_first_of("\r\n");
            ((text_ += label) += lines.substr(0, end)) += '\n';
            if (end == std::string_view::npos) {
                return;
            }
            lines.remove_prefix(end + (lines.substr(end, 2) == "\r\n" ? 2 : 1));
        }
    }
    std::string text_;
};

/// The answer of a streaming handler as a stream of events.
///
///     app.get("/ticks", [](http::request& req, http::responder& out) -> flux::task<> {
///         http::event_stream events(req, out);
///         for (bool open = true; open; open = co_await events.pause(1s)) {
///             co_await events.send(http::server_event("tick"));
///         }
///     });
///
/// Lifetime  within the handler; borrows request and responder.
/// Threads   the reactor thread.  Overlap: one call at a time.
class event_stream {
public:
    /// Params  keep_alive  how long nothing may be said before a comment is, so that what is between the two ends does
    ///                     not take the connection for dead.
    event_stream(request& req, responder& out, milliseconds keep_alive = milliseconds(15'000))
        : out_(&out), keep_alive_(std::max(keep_alive, milliseconds(1))), last_id_(req.header(field::last_event_id)),
          is_open_(req.method() != method::head) {
        out.header(field::content_type, "text/event-stream");
        out.header(field::cache_control, "no-cache");
        out.header("X-Accel-Buffering", "no"); // proxies that gather answers are told not to
    }
    event_stream(const event_stream&) = delete;
    event_stream& operator=(const event_stream&) = delete;

    /// The id of the last event that the client has seen, when it comes back; else empty.
    [[nodiscard]] std::string_view last_event_id() const noexcept { return last_id_; }

    /// Sends an event now. Waits while the client is slow.
    /// Errors  as responder::write().
    template <class Event = server_event>
    [[nodiscard]] task<> send(const Event& e) {
        return put(*out_, e.text());
    }
    template <class Event = server_event>
    [[nodiscard]] task<> comment(std::string_view text) {
        return put(*out_, Event::comment(text));
    }

    /// Waits, and keeps the connection alive meanwhile. Returns: false if the stream is to end, because the server drains
    /// or the request was HEAD. Errors: as send(); the context's reason, errc::disconnected when the client has gone.
    template <class Rep, class Period>
    [[nodiscard]] task<bool> pause(std::chrono::duration<Rep, Period> length) {
        return pause_for(length);
    }

    /// Takes the next value of a channel, and keeps the connection alive meanwhile. Returns: nothing if the channel is
    /// closed, or the stream is to end. Errors: as pause().
    template <class T>
    [[nodiscard]] task<std::optional<T>> next(channel<T>& from) {
        if (!is_open_) {
            co_return std::nullopt;
        }
        if (!out_->head_sent()) {
            co_await out_->flush(); // the client learns that it is connected
        }
        const auto ctx = co_await this_context();
        for (;;) {
            auto either = when_any(from.receive(), until_draining());
            auto got = co_await attempt(with_timeout(keep_alive_, std::move(either)));
            if (got) {
                if (got->index() == 1) {
                    co_return std::nullopt;
                }
                co_return std::move(got->template get<0>());
            }
            if (!got.error().is(flux::errc::timed_out) || ctx.stopped()) {
                co_return fail(std::move(got).error());
            }
            co_await comment("");
        }
    }

private:
    template <class Text>
    static task<> put(responder& out, Text text) {
        const auto written = co_await attempt(out.write(text));
        if (!written) {
            co_await fail(written.error());
        }
        co_await out.flush();
    }
    template <class Length>
    task<bool> pause_for(Length length) {
        if (!is_open_) {
            co_return false;
        }
        if (!out_->head_sent()) {
            co_await out_->flush();
        }
        const auto ctx = co_await this_context();
        const time_point end = deadline_after(ctx.home().now(), length);
        for (;;) {
            if (is_draining(ctx)) {
                co_return false;
            }
            const time_point now = ctx.home().now();
            if (now >= end) {
                co_return true;
            }
            const time_point wake = std::min(end, deadline_after(now, keep_alive_));
            const auto drained = co_await attempt(with_deadline(wake, until_draining()));
            if (drained) {
                co_return false;
            }
            if (!drained.error().is(flux::errc::timed_out) || ctx.stopped()) {
                co_return fail(drained.error());
            }
            if (wake != end) {
                co_await comment("");
            }
        }
    }

    responder* out_;
    milliseconds keep_alive_;
    std::string_view last_id_;
    bool is_open_;
};

} // namespace flux::inline FLUX_ABI::http
