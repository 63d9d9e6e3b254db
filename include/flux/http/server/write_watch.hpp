// SPDX-License-Identifier: MIT
// flux/http/server/write_watch.hpp - how long a peer may refuse to read while an answer is written to it.
//
// Looks ten times per write_timeout what the peer has acknowledged; as long as that is enough, the write goes on. So a
// slow reader of a large body gets it whole, also one that reads much at a time and then nothing for a while, and one
// that stopped is noticed wherever in the body it is. A write that ends soon costs a timer, and no look.
#pragma once

#include <flux/coro/context.hpp>
#include <flux/http/server/server_options.hpp>
#include <flux/net/stream.hpp>

#include <cstdint>

namespace flux::inline FLUX_ABI::http::detail {

using flux::detail::context_node;

/// Around one write, which runs under node().
template <class Stream>
class write_watch : private timer {
public:
    /// Whether the stream can say how many octets of what was written its peer has acknowledged.
    static constexpr bool tells_progress = requires(const Stream& s) { s.octets_acknowledged(); };

    write_watch(const Stream& stream, context_node& parent, const server_options& options)
        : timer(&on_look), stream_(&stream), options_(&options), node_(parent) {
        arm();
    }
    write_watch(const write_watch&) = delete;
    write_watch& operator=(const write_watch&) = delete;
    ~write_watch() { node_.home().disarm(*this); }

    [[nodiscard]] context_node& node() noexcept { return node_; }

private:
    [[nodiscard]] std::uint64_t progress() const noexcept {
        if constexpr (tells_progress) {
            return stream_->octets_acknowledged();
        } else {
            return 0;
        }
    }
    [[nodiscard]] milliseconds period() const noexcept {
        return tells_progress ? options_->write_timeout / looks : options_->write_timeout;
    }
    void arm() {
        const bool last = periods_ == looks - 1; // has what the division left over
        const milliseconds wait = last ? options_->write_timeout - period() * (looks - 1) : period();
        node_.home().arm(*this, deadline_after(node_.home().now(), wait));
    }
    static void on_look(timer& t) noexcept { static_cast<write_watch&>(t).look(); }
    void look() noexcept {
        const std::uint64_t now = progress();
        const std::uint64_t enough =
            options_->write_min_rate * static_cast<std::uint64_t>((period() * periods_).count()) / 1000;
        if (periods_ == 0 || (now > acknowledged_ && now - acknowledged_ >= enough)) {
            acknowledged_ = now;
            periods_ = 0;
        }
        if (tells_progress && periods_ < looks - 1) { // with the time before a look that begins it, a write_timeout
            ++periods_;
            arm();
        } else {
            node_.stop(stop_reason::timed_out);
        }
    }

    static constexpr int looks = 10; // in a write_timeout

    const Stream* stream_;
    const server_options* options_;
    context_node node_;
    std::uint64_t acknowledged_ = 0; // at the last look that found enough, as the first one does
    int periods_ = 0;                // from then to the next look
};

} // namespace flux::inline FLUX_ABI::http::detail
