// SPDX-License-Identifier: MIT
// flux/http/server/layers/recover.hpp - a layer that turns what fails inside into an answer, and tells somebody.
//
// The server answers failures by itself; with this layer the layers outside of it see that answer, so that logs have
// its status and CORS its fields. Deliberately not here: which status stands for which error (error_answer.hpp).
#pragma once

#include <flux/coro/task.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Answers for a handler that fails: 500 for an exception, and for flux::error the status that stands for it (a bad
/// body 400 or 413, an upstream 502 or 504, the end of a time limit 503).
///
/// A failure passes where nothing can be said: the head of a streamed answer is out, or the client is gone.
///
///     app.use(http::recover([](http::request& req, const std::exception_ptr& why) { ... }));
///
/// Params   tell  called with every failure of what is inside, by all workers; what it throws is dropped.
/// Threads  calls: any.
template <class Tell = std::nullptr_t>
class recover {
    static_assert(std::same_as<Tell, std::nullptr_t> || std::invocable<const Tell&, request&, const std::exception_ptr&>,
                  "recover calls (request&, const std::exception_ptr&).");

public:
    recover() noexcept : tell_() {}
    explicit recover(Tell tell) : tell_(std::move(tell)) {}

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        std::optional<error> failed;
        std::exception_ptr thrown;
        try {
            auto answer = co_await attempt(inner(req));
            if (answer) {
                co_return std::move(answer);
            }
            failed.emplace(std::move(answer).error());
        } catch (...) {
            thrown = std::current_exception();
        }
        tell(req, failed, thrown);
        const auto ctx = co_await this_context();
        const bool too_late = req.streams_to() != nullptr && req.streams_to()->head_sent();
        if (too_late || ctx.reason() == stop_reason::disconnected) {
            if (thrown != nullptr) {
                std::rethrow_exception(thrown);
            }
            co_return fail(*std::move(failed));
        }
        if (thrown != nullptr) {
            co_return detail::plain_answer(status::internal_server_error);
        }
        co_return detail::answer_of_error(*failed, req.body().failure(), ctx.reason());
    }

private:
    void tell(request& req, const std::optional<error>& failed, const std::exception_ptr& thrown) const {
        if constexpr (!std::same_as<Tell, std::nullptr_t>) {
            try {
                tell_(req, failed ? std::make_exception_ptr(*failed) : thrown);
            } catch (...) { // an observer changes nothing
            }
        }
    }
    Tell tell_;
};
recover() -> recover<>;

} // namespace flux::inline FLUX_ABI::http
