// SPDX-License-Identifier: MIT
// flux/http/server/layers/access_log.hpp - a layer that makes one line of JSON of every exchange.
//
//   {"time":"2026-11-24T15:16:24.123Z","remote":"127.0.0.1:4711","method":"GET","target":"/users/7?x=1",
//    "route":"/users/{id}","status":200,"received":0,"sent":13,"ms":0.412,"id":"...","agent":"curl/7.88.1"}
//
// The line is made when the exchange is over, so that a streamed answer has its true length and time. Deliberately
// not here: where lines go (the program's sink), requests that are refused before they have a handler.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/time.hpp>
#include <flux/coro/task.hpp>
#include <flux/http/message/date.hpp>
#include <flux/http/server/layers/request_id.hpp>
#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

// A line of JSON, built from left to right.
class json_line {
public:
    [[gnu::cold]] json_line() : text_("{") { text_.reserve(400); }
    void text(std::string_view name, std::string_view value) {
        key(name);
        text_ += '"';
        for (const char c : value) {
            put(c);
        }
        text_ += '"';
    }
    void number(std::string_view name, std::uint64_t value) {
        key(name);
        text_ += std::to_string(value);
    }
    // Three digits behind the point.
    void thousandths(std::string_view name, std::uint64_t value) {
        key(name);
        char digits[3];
        static_cast<void>(put_digits(digits, static_cast<unsigned>(value % 1000), 3));
        text_ += std::to_string(value / 1000);
        text_ += '.';
        text_.append(digits, 3);
    }
    [[nodiscard]] std::string_view end() {
        text_ += '}';
        return text_;
    }

private:
    void key(std::string_view name) {
        text_ += text_.size() == 1 ? "\"" : ",\"";
        text_ += name;
        text_ += "\":";
    }
    // Whatever a peer sends becomes printable ASCII that cannot be taken for anything else.
    void put(char c) {
        const auto u = static_cast<unsigned char>(c);
        if (u < 0x20 || u >= 0x7f || c == '"' || c == '\\') {
            constexpr std::string_view digits = "0123456789abcdef";
            text_ += "\\u00";
            text_ += digits[u >> 4];
            text_ += digits[u & 15];
            return;
        }
        text_ += c;
    }
    std::string text_;
};

// RFC 3339, in UTC, with milliseconds.
[[nodiscard]] inline std::string log_time(std::chrono::system_clock::time_point at) {
    const long long whole = std::chrono::duration_cast<milliseconds>(at.time_since_epoch()).count();
    const long long days = (whole >= 0 ? whole : whole - 86'399'999) / 86'400'000;
    const civil_date date(days);
    const auto of_day = static_cast<unsigned>(whole - days * 86'400'000);
    char text[] = "0000-00-00T00:00:00.000Z";
    char* p = put_digits(text, date.year, 4);
    p = put_digits(p + 1, date.month, 2);
    p = put_digits(p + 1, date.day, 2);
    p = put_digits(p + 1, of_day / 3'600'000, 2);
    p = put_digits(p + 1, of_day / 60'000 % 60, 2);
    p = put_digits(p + 1, of_day / 1000 % 60, 2);
    p = put_digits(p + 1, of_day % 1000, 3);
    return {text, static_cast<std::size_t>(p + 1 - text)};
}

// What is known of an exchange before its end.
struct logged_exchange {
    time_point started{};       // by the loop, whose time stands still during a turn, and may be virtual
    time_point really_started{}; // by the clock
    std::chrono::system_clock::time_point at{};
    std::string id;
    std::string error;
};

[[nodiscard, gnu::cold]] inline std::string log_line(const request& req, const exchange_end& end,
                                                     const logged_exchange& known, time_point now) {
    json_line line;
    line.text("time", log_time(known.at));
    line.text("remote", req.remote());
    line.text("method", req.method_token());
    line.text("target", req.target());
    line.text("route", req.route());
    line.number("status", to_number(end.code));
    line.number("received", end.received);
    line.number("sent", end.sent);
    const duration took = std::max(now - known.started, clock::now() - known.really_started);
    line.thousandths("ms", static_cast<std::uint64_t>(std::chrono::duration_cast<microseconds>(took).count()));
    if (!known.id.empty()) {
        line.text("id", known.id);
    }
    if (const std::string_view agent = req.header(field::user_agent); !agent.empty()) {
        line.text("agent", agent);
    }
    if (!known.error.empty()) {
        line.text("error", known.error);
    }
    if (end.why != nullptr) {
        line.text("cut_off", end.why->message());
    } else if (!end.complete) {
        line.text("cut_off", "");
    }
    return std::string(line.end());
}

} // namespace detail

/// Hands one line of JSON per exchange to a sink, when it is over.
///
///     app.use(http::request_id());
///     app.use(http::access_log([](std::string_view line) { write_to_my_log(line); }));
///
/// `time` is when the request came here, in UTC. `status` is 0 if there was nobody to answer. `received` and `sent`
/// count octets of content, without heads and framing. `ms` ends when the last octet is on its way to the kernel.
/// `id` is that of a request_id outside of this layer. `error` is what left the handler, `cut_off` why an answer is
/// not complete; both are only there if they happened. Octets other than printable ASCII are written as \u0000 to
/// \u00ff, one for one, so that no peer can forge a line or confuse a terminal.
///
/// Params   sink  called with a line without its end, by all workers at the same time; what it throws is dropped. It
///                must not block: it runs on the reactor's thread.
/// Cost     one or two allocations per request, and the line.
template <class Sink>
    requires std::invocable<Sink&, std::string_view>
class access_log {
public:
    explicit access_log(Sink sink) : sink_(std::move(sink)) {}

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) {
        const auto ctx = co_await this_context();
        auto made = flux::detail::make_owner<detail::logged_exchange>();
        detail::logged_exchange& known = *made;
        known.started = ctx.home().now();
        known.really_started = clock::now();
        known.at = std::chrono::system_clock::now();
        if (const std::string_view* id = ctx.template get<request_id_key>()) {
            known.id = *id;
        }
        req.at_end([this, home = &ctx.home(), entry = std::move(made)](const request& r, const exchange_end& end) {
            sink_(std::string_view(detail::log_line(r, end, *entry, home->now())));
        });
        try {
            auto answer = co_await attempt(inner(req));
            if (!answer) {
                known.error = answer.error().message();
            }
            co_return std::move(answer);
        } catch (const std::exception& e) {
            known.error = e.what();
            throw;
        }
    }

private:
    Sink sink_;
};

} // namespace flux::inline FLUX_ABI::http
