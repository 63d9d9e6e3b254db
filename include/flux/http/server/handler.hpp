// SPDX-License-Identifier: MIT
// flux/http/server/handler.hpp - any_handler: every shape of callable that may answer a request, behind one type.
//
//   f()                                -> X or task<X>
//   f(request&)                        -> X or task<X>
//   f(request&, path arguments...)     -> X or task<X>
//   f(request&, responder&)            -> task<>             writes the answer itself
//
// X is a response, a status, a std::string, or text that lives until the answer is written (a literal). What
// answers without waiting is called without a coroutine and without an allocation. A handler object lives as
// long as the router that it was given to, so coroutine lambdas may capture here. Deliberately not here: finding
// the handler for a request (router.hpp), layers around it (middleware.hpp).
#pragma once

#include <flux/core/error.hpp>
#include <flux/core/vacate.hpp>
#include <flux/coro/task.hpp>
#include <flux/http/message/body_codec.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/server/path_arguments.hpp>
#include <flux/http/server/responder.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// How a handler is called.
enum class handler_kind : std::uint8_t {
    sync,      ///< call_sync(): the answer is there when it returns
    async,     ///< call(): a coroutine yields the answer
    streaming, ///< call_streaming(): a coroutine writes the answer to a responder
};

namespace detail {

// ---- what a handler may return ----

inline response static_text(std::string_view body) {
    response answer(text_type_line);
    answer.static_body(body);
    return answer;
}

inline response to_response(response answer) noexcept { return answer; }
inline response to_response(status code) noexcept { return response(code); }
inline response to_response(std::string body) { return text(std::move(body)); }
inline response to_response(std::string_view body) { return static_text(body); }
inline response to_response(const char* body) { return static_text(body); }
response to_response(std::nullptr_t) = delete;
/// A type of the program's own; see body_codec.hpp.
template <writable_body T>
response to_response(const T& value) {
    return bytes(to_body(value), content_type_of<T>());
}

template <class R>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

template <class R>
concept answer_now = requires { detail::to_response(std::declval<R>()); };
template <class R>
concept answer_later = is_task<R> && answer_now<typename R::value_type>;

template <class T>
task<response> as_response(task<T> inner) {
    auto answer = co_await attempt(std::move(inner));
    if (!answer) {
        co_return fail(std::move(answer).error());
    }
    co_return to_response(*std::move(answer));
}
inline task<response> as_response(task<response> inner) noexcept { return inner; }

// ---- shapes ----

enum class handler_shape : std::uint8_t { none, plain, request, streaming, typed };

template <class F>
[[nodiscard]] consteval handler_shape shape_of() {
    if constexpr (std::is_invocable_v<F&, request&>) {
        return handler_shape::request;
    } else if constexpr (std::is_invocable_v<F&>) {
        return handler_shape::plain;
    } else if constexpr (std::is_invocable_v<F&, request&, responder&>) {
        return handler_shape::streaming;
    } else if constexpr (has_signature<F>) {
        return handler_shape::typed;
    } else {
        return handler_shape::none;
    }
}

template <class F, handler_shape Shape>
struct result_of_shape {
    using type = void;
};
template <class F>
struct result_of_shape<F, handler_shape::plain> {
    using type = std::invoke_result_t<F&>;
};
template <class F>
struct result_of_shape<F, handler_shape::request> {
    using type = std::invoke_result_t<F&, request&>;
};
template <class F>
struct result_of_shape<F, handler_shape::streaming> {
    using type = std::invoke_result_t<F&, request&, responder&>;
};
template <class F>
struct result_of_shape<F, handler_shape::typed> {
    using type = typename signature_of<F>::result;
};

template <class F, bool Typed = shape_of<F>() == handler_shape::typed>
struct parameters_of {
    using type = typed_parameters<type_list<>>;
};
template <class F>
struct parameters_of<F, true> {
    using type = typed_parameters<typename signature_of<F>::parameters>;
};

/// What is known about a callable, and the sentences for one that cannot be a handler.
template <class F>
struct handler_traits {
    static constexpr handler_shape shape = shape_of<F>();
    using result = typename result_of_shape<F, shape>::type;
    using parameters = typename parameters_of<F>::type;

    static constexpr bool is_typed = shape == handler_shape::typed;
    static constexpr bool is_callable = shape != handler_shape::none && (!is_typed || parameters::takes_request);
    static constexpr bool is_readable = !is_typed || !is_callable || parameters::readable;
    static constexpr bool is_safe = !is_typed || !is_callable || !is_task<result> || parameters::by_value;
    static constexpr bool streams = shape != handler_shape::streaming || std::same_as<result, task<>>;
    static constexpr bool answers =
        shape == handler_shape::streaming || !is_callable || answer_now<result> || answer_later<result>;

    static constexpr handler_kind kind = shape == handler_shape::streaming ? handler_kind::streaming
                                         : is_task<result>                 ? handler_kind::async
                                                                           : handler_kind::sync;

    [[nodiscard]] static consteval bool check() {
        static_assert(is_callable,
                      "This cannot handle requests. A handler is one function or function object that is called as "
                      "f(), f(request&), f(request&, path arguments...) or f(request&, responder&).");
        static_assert(is_readable,
                      "A path argument of this handler has a type that cannot be read from text. Path arguments are "
                      "integers, floating-point numbers, bool, std::string, std::string_view, and types T with a "
                      "function bool from_param(std::string_view, T&) in their namespace.");
        static_assert(is_safe,
                      "A handler that is a coroutine takes its path arguments by value: a reference would dangle "
                      "when it suspends.");
        static_assert(streams, "A handler that takes a responder writes its answer there, and returns task<>.");
        static_assert(answers,
                      "This handler returns nothing that can be sent. It returns, or its task yields, a response, a "
                      "status, a std::string, a literal, or a type with std::string to_body(const T&) beside it.");
        return is_callable && is_readable && is_safe && streams && answers;
    }
};

/// One table per type of handler. Null functions are those that its kind does not have.
struct handler_operations {
    handler_kind kind = handler_kind::sync;
    std::uint8_t path_arguments = 0;
    response (*call_sync)(void*, request&) = nullptr;
    task<response> (*call)(void*, request&) = nullptr;
    task<> (*call_streaming)(void*, request&, responder&) = nullptr;
    bool (*accepts)(const request&) = nullptr; // null: whatever the path says
    void (*destroy)(void*) noexcept = nullptr; // null: nothing to do
};

// A small trivial callable lives in the storage itself, any other one on the heap: both move as plain octets.
struct handler_storage {
    static constexpr std::size_t size = 2 * sizeof(void*);
    alignas(void*) std::byte octets[size];
};
template <class F>
inline constexpr bool is_stored_inline = sizeof(F) <= handler_storage::size && alignof(F) <= alignof(void*) &&
                                         std::is_trivially_copyable_v<F> && std::is_trivially_destructible_v<F>;

template <class F>
[[nodiscard]] F& stored_handler(void* at) noexcept {
    if constexpr (is_stored_inline<F>) {
        return *std::launder(static_cast<F*>(at));
    } else {
        return **std::launder(static_cast<F**>(at));
    }
}

// What a handler has set in a head that it did not send is none of the answer that a layer gives in its place.
class unsent_head {
public:
    explicit unsent_head(responder& out) : out_(&out), before_(out.head_fields()) {}
    unsent_head(const unsent_head&) = delete;
    unsent_head& operator=(const unsent_head&) = delete;
    ~unsent_head() {
        if (out_ != nullptr) {
            out_->start_over(std::move(before_));
        }
    }
    void keep() noexcept { out_ = nullptr; }

private:
    responder* out_;
    fields before_;
};

template <class Status>
[[nodiscard]] task<response> ready_answer(Status code) {
    co_return response(code);
}

// Calls a handler that answers by itself; `refused` where a path argument cannot be read.
template <class F, class Refused>
auto call_handler(void* at, request& req, Refused refused, auto finish) {
    using traits = handler_traits<F>;
    F& f = stored_handler<F>(at);
    if constexpr (traits::shape == handler_shape::plain) {
        return finish(f());
    } else if constexpr (traits::shape == handler_shape::request) {
        return finish(f(req));
    } else {
        typename traits::parameters::values arguments;
        if (!traits::parameters::read(req, arguments)) {
            return refused();
        }
        return finish(traits::parameters::call(f, req, arguments));
    }
}

template <class F>
[[nodiscard]] consteval handler_operations make_handler_operations() {
    using traits = handler_traits<F>;
    handler_operations ops;
    ops.kind = traits::kind;
    ops.path_arguments = static_cast<std::uint8_t>(traits::parameters::count);
    if constexpr (traits::kind == handler_kind::streaming) {
        ops.call_streaming = [](void* at, request& req, responder& out) -> task<> {
            return stored_handler<F>(at)(req, out);
        };
    } else if constexpr (traits::kind == handler_kind::async) {
        ops.call = [](void* at, request& req) -> task<response> {
            return call_handler<F>(
                at, req, [] { return ready_answer(status::not_found); },
                [](auto&& inner) -> task<response> { return as_response(std::move(inner)); });
        };
    } else {
        ops.call_sync = [](void* at, request& req) -> response {
            return call_handler<F>(
                at, req, [] { return response(status::not_found); },
                [](auto&& answer) -> response { return to_response(std::forward<decltype(answer)>(answer)); });
        };
    }
    if constexpr (traits::parameters::count != 0) {
        ops.accepts = [](const request& req) -> bool {
            typename traits::parameters::values arguments;
            try {
                return traits::parameters::read(req, arguments);
            } catch (...) {
                return true; // it will throw again where the handler is called, and what handlers throw is caught
            }
        };
    }
    if constexpr (!is_stored_inline<F>) {
        ops.destroy = [](void* at) noexcept { delete &stored_handler<F>(at); };
    }
    return ops;
}

template <class F>
inline constexpr handler_operations operations_of = make_handler_operations<F>();

} // namespace detail

/// Answers requests: a callable of one of the shapes at the head of this file.
///
/// Path arguments are converted from the parameters of the pattern, in order, decoded. Integers must fill the
/// whole text and be in range, floating-point numbers finite, bool is true, false, 1 or 0; own types have
/// `bool from_param(std::string_view, T&)` found by ADL. A path that cannot be converted is answered 404. String
/// views live until the handler's task ends.
///
/// Lifetime  owns the callable. It is called for many requests at once, by all workers of a server: what it
///           captures must stand that.
/// Threads   calls: any. Everything else: one at a time.
/// Cost      three words; one allocation for a callable that is larger than two words or not trivial. A call is
///           one indirect call; task<X> with another X than response costs one more frame.
class any_handler {
public:
    /// Empty; must not be called.
    any_handler() noexcept = default;
    /// Errors: throws flux::error (errc::invalid_argument) for a null function pointer; what copying `f` throws.
    template <class F>
        requires(!std::same_as<std::remove_cvref_t<F>, any_handler>)
    any_handler(F&& f) {
        using D = std::decay_t<F>;
        if constexpr (detail::handler_traits<D>::check()) {
            if constexpr (std::is_pointer_v<D>) {
                const D pointer = f;
                require(pointer != nullptr);
            }
            if constexpr (detail::is_stored_inline<D>) {
                ::new (static_cast<void*>(storage_.octets)) D(std::forward<F>(f));
            } else {
                ::new (static_cast<void*>(storage_.octets)) D*(new D(std::forward<F>(f)));
            }
            operations_ = &detail::operations_of<D>;
        }
    }
    /// Leaves `other` empty.
    any_handler(any_handler&& other) noexcept
        : operations_(flux::detail::vacate(other.operations_)), storage_(other.storage_) {}
    any_handler& operator=(any_handler&& other) noexcept {
        any_handler taken(std::move(other));
        std::swap(operations_, taken.operations_);
        std::swap(storage_, taken.storage_);
        return *this;
    }
    ~any_handler() {
        if (operations_ != nullptr && operations_->destroy != nullptr) {
            operations_->destroy(storage_.octets);
        }
    }

    [[nodiscard]] explicit operator bool() const noexcept { return operations_ != nullptr; }
    [[nodiscard]] handler_kind kind() const noexcept { return operations_->kind; }
    /// How many typed path arguments it takes; 0 if it reads the path itself.
    [[nodiscard]] std::size_t path_arguments() const noexcept { return operations_->path_arguments; }
    /// Whether the parameters of the request convert to its path arguments. True also where converting throws.
    [[nodiscard]] bool accepts(const request& req) const {
        return operations_->accepts == nullptr || operations_->accepts(req);
    }

    /// Answers now. Only for kind() sync. Errors: whatever the callable throws.
    [[nodiscard]] response call_sync(request& req) const { return operations_->call_sync(storage_.octets, req); }
    /// Answers when the task ends. For kind() async, and with one more frame for sync. A streaming handler
    /// writes to `req.streams_to()`, which must be set, and what the task then yields is only for layers to see.
    /// Params  req  borrowed until the task ends.
    template <class Response = response>
    [[nodiscard]] task<Response> call(request& req) const {
        switch (kind()) {
        case handler_kind::async: return call_async(req);
        case handler_kind::sync: return call_sync_later<Response>(*this, req);
        case handler_kind::streaming: break;
        }
        return stream_later<Response>(*this, req);
    }
    /// Answers when the task ends. Only for kind() async.
    [[nodiscard]] task<response> call_async(request& req) const { return operations_->call(storage_.octets, req); }
    /// Writes the answer to `out`. Only for kind() streaming. Params: borrowed until the task ends.
    [[nodiscard]] task<> call_streaming(request& req, responder& out) const {
        return operations_->call_streaming(storage_.octets, req, out);
    }

private:
    static void require(bool is_callable) {
        if (!is_callable) {
            flux::detail::throw_error(error(flux::errc::invalid_argument).doing("handler that is a null pointer"));
        }
    }
    template <class Response>
    static task<Response> call_sync_later(const any_handler& self, request& req) {
        co_return self.call_sync(req);
    }
    template <class Response>
    static task<Response> stream_later(const any_handler& self, request& req) {
        responder* out = req.streams_to();
        FLUX_ASSERT(out != nullptr, "a streaming handler was called without a responder");
        detail::unsent_head head(*out);
        auto end = co_await attempt(self.call_streaming(req, *out));
        if (end) {
            end = out->begin();
        }
        if (!end) {
            co_return fail(std::move(end).error());
        }
        head.keep();
        req.set_streamed();
        co_return response();
    }

    const detail::handler_operations* operations_ = nullptr;
    mutable detail::handler_storage storage_{};
};

} // namespace flux::inline FLUX_ABI::http
