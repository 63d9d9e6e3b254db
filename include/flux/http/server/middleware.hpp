// SPDX-License-Identifier: MIT
// flux/http/server/middleware.hpp - layers around handlers: the concept, and the calls between them.
//
//   request -> layer -> layer -> handler -> response -> layer -> layer
//
// A layer is a callable `task<response>(request&, next&)`: it may answer itself, change the request's context,
// change the response. It is an object that lives as long as the router, so its coroutine may use captures and
// members. The calls are linked when routes are registered; a request costs the frames and nothing else.
//
// A handler that streams runs inside of its layers, too, under their contexts; but when it comes back its head is
// out. What a layer adds to the head it must add beforehand, to `req.streams_to()`, if that is not null.
// Deliberately not here: which layers a route has (router.hpp), the stock layers (layers/).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/server/handler.hpp>

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

class next;

namespace detail {

class layer;
class layered_handler;

// Puts layers around a handler. Named only where a layer is made: a program without layers does not compile it.
template <class Next>
void wrap_in_layers(layered_handler& to, const any_handler& handler, const flux::detail::dynamic_array<layer*>& layers);

class layer {
public:
    using wrapper = void (*)(layered_handler&, const any_handler&, const flux::detail::dynamic_array<layer*>&);
    explicit layer(wrapper w) noexcept : wrap(w) {}
    layer(const layer&) = delete;
    layer& operator=(const layer&) = delete;
    virtual ~layer() = default;
    [[nodiscard]] virtual task<response> call(request& req, next& inner) = 0;
    const wrapper wrap;
};

} // namespace detail

/// What a layer calls to get the answer: the layers inside of it, then the handler.
///
/// `auto answer = co_await inner(req);` throws what they threw; `co_await attempt(inner(req))` gives flux::error
/// as a result. It may be called not at all, or again after the first call has ended, if the handler can stand it.
/// Lifetime  as long as the router; taken by reference or by value.
class next {
public:
    next(const next&) noexcept = default;
    next& operator=(const next&) = delete;

    /// Params  req  borrowed until the task ends.
    template <class Response = response>
    [[nodiscard]] task<Response> operator()(request& req) const {
        return layer_ != nullptr ? layer_->call(req, *rest_) : handler_->call(req);
    }

private:
    template <class Next>
    friend void detail::wrap_in_layers(detail::layered_handler&, const any_handler&,
                                       const flux::detail::dynamic_array<detail::layer*>&);
    explicit next(const any_handler& handler) noexcept : handler_(&handler) {}
    next(detail::layer& outer, next& rest) noexcept : layer_(&outer), rest_(&rest) {}

    detail::layer* layer_ = nullptr; // null: the handler is next
    next* rest_ = nullptr;
    const any_handler* handler_ = nullptr;
};

/// A layer: `task<response>(request&, next&)`. Called for many requests at once, by all workers of a server.
template <class M>
concept middleware = std::invocable<M&, request&, next&> &&
                     std::same_as<std::invoke_result_t<M&, request&, next&>, task<response>>;

namespace detail {

template <class M>
class layer_of final : public layer {
public:
    explicit layer_of(M m) : layer(&wrap_in_layers<next>), middleware_(std::move(m)) {}
    [[nodiscard]] task<response> call(request& req, next& inner) override { return middleware_(req, inner); }

private:
    M middleware_;
};

template <class M>
[[nodiscard]] flux::detail::owner<layer> make_layer(M&& m) {
    using D = std::decay_t<M>;
    static_assert(std::invocable<D&, request&, next&>,
                  "This is no middleware: a layer is called with (request&, next&), and calls next(request) for the "
                  "answer of what is inside.");
    static_assert(!std::invocable<D&, request&, next&> || middleware<D>, "A layer returns task<response>.");
    if constexpr (middleware<D>) {
        return flux::detail::make_owner<layer_of<D>>(std::forward<M>(m));
    } else {
        return flux::detail::owner<layer>();
    }
}

/// Sends a response by a responder whose head is not out yet.
template <class Response>
task<> send_response(responder& out, Response& answer) {
    class sink final : public body_sink {
    public:
        explicit sink(responder& r) noexcept : out_(&r) {}
        [[nodiscard]] task<> write(std::string_view octets) override { return out_->write(octets); }
        [[nodiscard]] task<> flush() override { return out_->flush(); }
        [[nodiscard]] result<void> add_trailer(std::string_view name, std::string_view value) override {
            return out_->add_trailer(name, value);
        }
        [[nodiscard]] direct_output* direct(std::uint64_t octets) override { return out_->direct(octets); }

    private:
        responder* out_;
    };
    out.code(answer.code());
    const fields_view all = answer.fields().view();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const field_view f = all[i];
        if (all.find(f.name) == i) {
            out.header(f.name, f.value);
        } else {
            out.add_header(f.name, f.value);
        }
    }
    if (const auto length = answer.length()) {
        out.length(*length);
    }
    if (!answer.is_streamed()) {
        co_await out.write(answer.octets());
        co_return;
    }
    sink to(out);
    body_writer writer(to);
    co_await answer.producer()(writer);
}

// What the request knows of the responder ends with the chain, however it ends.
class streaming_scope {
public:
    streaming_scope(request& req, responder& out) noexcept : req_(&req) { req.set_streams_to(&out); }
    streaming_scope(const streaming_scope&) = delete;
    streaming_scope& operator=(const streaming_scope&) = delete;
    ~streaming_scope() { req_->set_streams_to(nullptr); }

private:
    request* req_;
};

template <class Next>
task<> run_streaming(const Next& outermost, request& req, responder& out) {
    const streaming_scope scope(req, out);
    auto answer = co_await attempt(outermost(req));
    if (!answer) {
        co_await fail(std::move(answer).error());
    }
    if (req.was_streamed()) {
        co_return; // the handler has said it all
    }
    if (out.head_sent()) {
        co_await fail(error(flux::errc::invalid_argument).doing("answer of a layer after the head was sent"));
    }
    co_await send_response(out, *answer);
}

/// A handler with the layers around it, as one handler again. Does not move: its parts know each other.
class layered_handler {
public:
    layered_handler() noexcept = default;
    layered_handler(const layered_handler&) = delete;
    layered_handler& operator=(const layered_handler&) = delete;

    /// Params  handler, layers  borrowed; the outermost layer first.
    void set(const any_handler& handler, const flux::detail::dynamic_array<layer*>& layers) {
        calls_.clear();
        outer_ = any_handler();
        effective_ = &handler;
        if (layers.empty()) {
            return;
        }
        layers.front()->wrap(*this, handler, layers);
        effective_ = &outer_;
    }
    [[nodiscard]] const any_handler& get() const noexcept { return *effective_; }

private:
    template <class Next>
    friend void wrap_in_layers(layered_handler&, const any_handler&, const flux::detail::dynamic_array<layer*>&);
    flux::detail::dynamic_array<next> calls_; // the innermost first
    any_handler outer_;       // empty without layers
    const any_handler* effective_ = nullptr;
};

template <class Next>
void wrap_in_layers(layered_handler& to, const any_handler& handler, const flux::detail::dynamic_array<layer*>& layers) {
    auto& calls = to.calls_;
    calls.reserve(layers.size() + 1); // the calls know each other's addresses
    calls.push_back(Next(handler));
    for (std::size_t i = layers.size(); i-- > 0;) {
        calls.push_back(Next(*layers[i], calls.back()));
    }
    if (handler.kind() == handler_kind::streaming) {
        to.outer_ = any_handler([outermost = &calls.back()](request& req, responder& out) -> task<> {
            return run_streaming(*outermost, req, out);
        });
    } else {
        to.outer_ = any_handler([outermost = &calls.back()](request& req) { return (*outermost)(req); });
    }
}

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
