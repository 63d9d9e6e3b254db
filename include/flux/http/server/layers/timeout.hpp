// SPDX-License-Identifier: MIT
// flux/http/server/layers/timeout.hpp - a layer that bounds how long an answer may take.
//
// Deliberately not here: the limit that every handler has anyway (server_options::handler_timeout).
#pragma once

#include <flux/core/time.hpp>
#include <flux/coro/with.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Answers 503 when what is inside takes longer than the limit.
///
/// The clock starts when the layer is called. What is in flight inside is stopped with `timed_out` and awaited; an
/// answer that comes all the same is sent. A time-out of an enclosing limit, or of a shorter one inside, is not
/// this layer's and passes. So does its own once a streaming handler has sent the head: the connection then ends.
class timeout {
public:
    template <class Rep, class Period>
    explicit timeout(std::chrono::duration<Rep, Period> limit) noexcept
        : limit_(deadline_after(time_point(), limit) - time_point()) {}

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        const auto outside = co_await this_context();
        const auto limit = co_await within(limit_);
        auto answer = co_await attempt(inner(req));
        if (!answer && answer.error().is(flux::errc::timed_out) && limit.expired() && !outside.stopped() &&
            (req.streams_to() == nullptr || !req.streams_to()->head_sent())) {
            co_return detail::plain_answer(status::service_unavailable);
        }
        co_return std::move(answer);
    }

private:
    duration limit_;
};

} // namespace flux::inline FLUX_ABI::http
