// SPDX-License-Identifier: MIT
// flux/http/client/client_layer.hpp - layers around a client's exchanges: the concept, and the calls between them.
//
//   client_request -> layer -> layer -> the client's own exchange -> client_response -> layer -> layer
//
// A layer is a callable `task<client_response>(client_request&, client_next&)`, the mirror of a server's: it may change the
// request, send it any number of times, look at the response, or answer in its place with an error. It is an object that
// lives as long as the client. A client without layers pays nothing for them.
// Deliberately not here: the stock layers (resilience/), what one exchange does (client.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/time.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/client/client_request.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

class client_next;

namespace detail {

class client_layer_base {
public:
    client_layer_base() noexcept = default;
    client_layer_base(const client_layer_base&) = delete;
    client_layer_base& operator=(const client_layer_base&) = delete;
    virtual ~client_layer_base() = default;
    [[nodiscard]] virtual task<client_response> call(client_request& req, client_next& inner) = 0;
};

/// The request as it is now, to be sent once. What is large or cannot be copied is borrowed: `from` outlives the sending.
[[nodiscard]] inline exchange_handle copy_for_one_try(client_exchange& from, time_point now) {
    exchange_handle to(exchange_cache::take());
    client_exchange& ex = *to;
    ex.engine = from.engine;
    ex.method = from.method;
    ex.other_method = from.other_method;
    ex.url = from.url;
    ex.fields = from.fields;
    ex.lim = from.lim;
    ex.max_redirects = from.max_redirects;
    ex.allow_resend = from.allow_resend;
    ex.trace = from.trace;
    ex.refused = from.refused;
    ex.single_try = true;
    ex.body = from.body;
    ex.literal = from.body_octets();
    ex.produced_length = from.produced_length;
    if (ex.body == request_body_kind::owned) {
        ex.body = request_body_kind::literal;
    }
    if (from.producer) {
        ex.producer = [make = &from.producer](body_writer& out) { return (*make)(out); };
    }
    if (from.on_interim) {
        ex.on_interim = [tell = &from.on_interim](status s, const fields_view& f) { (*tell)(s, f); };
    }
    // All tries together have the time of one request.
    ex.timeout = milliseconds(0);
    if (from.deadline != no_deadline) {
        ex.timeout = std::max(std::chrono::duration_cast<milliseconds>(from.deadline - now + duration(999'999)), milliseconds(1));
    }
    return to;
}

[[nodiscard]] inline task<client_response> send_one_try(client_request& req) {
    scheduler& home = *scheduler::current();
    exchange_handle one = copy_for_one_try(req.exchange(), home.now());
    client_engine& engine = *one->engine;
    return engine.send(std::move(one), home);
}

class client_layers;

} // namespace detail

/// What a layer calls to get the response: the layers inside of it, then the client's own exchange, which follows redirects
/// and repeats what provably had no effect.
///
/// `auto r = co_await inner(req);` throws what went wrong; `co_await attempt(inner(req))` gives it as a result. It may be
/// called not at all, or again after the call before has ended: the body is sent again then.
/// Lifetime  as long as the client.
class client_next {
public:
    client_next(const client_next&) = delete;
    client_next& operator=(const client_next&) = delete;

    /// Params  req  borrowed until the task ends.
    template <class Response = client_response>
    [[nodiscard]] task<Response> operator()(client_request& req) const {
        return layer_ != nullptr ? layer_->call(req, *rest_) : detail::send_one_try(req);
    }

private:
    friend class detail::client_layers;
    client_next() noexcept = default;

    detail::client_layer_base* layer_ = nullptr; // null: the exchange is next
    client_next* rest_ = nullptr;
};

/// A layer: `task<client_response>(client_request&, client_next&)`. Called for many requests at once, by all reactors that
/// use the client.
template <class L>
concept client_layer = std::invocable<L&, client_request&, client_next&> &&
                       std::same_as<std::invoke_result_t<L&, client_request&, client_next&>, task<client_response>>;

namespace detail {

template <class L>
class client_layer_of final : public client_layer_base {
public:
    explicit client_layer_of(L l) : layer_(std::move(l)) {}
    [[nodiscard]] task<client_response> call(client_request& req, client_next& inner) override { return layer_(req, inner); }

private:
    L layer_;
};

// The whole way of one request. Named only where a layer is added: a program without layers does not compile it.
template <class Request>
task<client_response> through_layers(const client_next* outermost, exchange_handle ex) {
    Request request(std::move(ex));
    client_exchange& own = request.exchange();
    auto ctx = co_await this_context();
    const bool limited = own.timeout.count() > 0;
    own.deadline = limited ? deadline_after(ctx.home().now(), own.timeout) : no_deadline;
    auto limit = co_await within(limited ? duration(own.timeout) : duration::max());
    auto answer = co_await attempt((*outermost)(request));
    if (!answer) {
        co_return fail(std::move(answer).error());
    }
    answer->exchange().let_go_of_request();
    co_return std::move(answer);
}

/// The layers of one client, the outermost first.
class client_layers {
public:
    client_layers() noexcept = default;
    client_layers(const client_layers&) = delete;
    client_layers& operator=(const client_layers&) = delete;
    ~client_layers() {
        for (client_next* n = first_; n != nullptr;) {
            client_next* const rest = n->rest_;
            delete n->layer_;
            delete n;
            n = rest;
        }
    }

    template <class L>
    void add(L&& l) {
        using D = std::decay_t<L>;
        static_assert(std::invocable<D&, client_request&, client_next&>,
                      "This is no layer: it is called with (client_request&, client_next&), and calls next(request) for the "
                      "response.");
        static_assert(!std::invocable<D&, client_request&, client_next&> || client_layer<D>,
                      "A layer of a client returns task<client_response>.");
        if constexpr (client_layer<D>) {
            send_ = &through_layers<client_request>;
            if (first_ == nullptr) {
                first_ = last_ = new client_next();
            }
            last_->layer_ = new client_layer_of<D>(std::forward<L>(l));
            last_ = last_->rest_ = new client_next();
        }
    }
    [[nodiscard]] bool empty() const noexcept { return send_ == nullptr; }
    [[nodiscard]] task<client_response> send(exchange_handle ex) const { return send_(first_, std::move(ex)); }

private:
    task<client_response> (*send_)(const client_next*, exchange_handle) = nullptr;
    client_next* first_ = nullptr;
    client_next* last_ = nullptr;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
