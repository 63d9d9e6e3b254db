// SPDX-License-Identifier: MIT
// flux/http/server/date_cache.hpp - the value of Date, formatted once per second.
#pragma once

#include <flux/core/time.hpp>
#include <flux/http/message/date.hpp>

#include <string_view>

namespace flux::inline FLUX_ABI::http::detail {

class date_cache {
public:
    /// Params  now  the reactor's time; decides only whether to look at the wall clock again.
    [[nodiscard]] std::string_view get(time_point now) noexcept {
        if (now >= valid_until_) {
            refresh(now);
        }
        return {text_, sizeof text_};
    }

private:
    [[gnu::noinline]] void refresh(time_point now) noexcept {
        const auto wall = std::chrono::system_clock::now();
        const auto second = std::chrono::floor<seconds>(wall);
        format_date(second, text_);
        valid_until_ = now + std::chrono::ceil<duration>(second + seconds(1) - wall);
    }
    time_point valid_until_ = time_point::min();
    char text_[date_size];
};

} // namespace flux::inline FLUX_ABI::http::detail
