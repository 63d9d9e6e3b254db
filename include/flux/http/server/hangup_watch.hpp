// SPDX-License-Identifier: MIT
// flux/http/server/hangup_watch.hpp - a client that goes away stops the context of the handler that works for it.
#pragma once

#include <flux/coro/context.hpp>
#include <flux/net/stream.hpp>

namespace flux::inline FLUX_ABI::http::detail {

using flux::detail::context_node;

/// While it exists, a client that goes away stops `node` with `disconnected`: at once after a reset, after a grace
/// after the end of its stream. Nobody needs to read for that.
template <buffered_stream Stream>
class hangup_watch : private hangup_listener, private timer {
public:
    hangup_watch(Stream& stream, context_node& node, milliseconds end_grace) noexcept
        : hangup_listener(&on_hangup), timer(&on_grace_over), stream_(&stream), node_(&node), end_grace_(end_grace) {
        stream.watch_hangup(this);
    }
    hangup_watch(const hangup_watch&) = delete;
    hangup_watch& operator=(const hangup_watch&) = delete;
    ~hangup_watch() {
        stream_->watch_hangup(nullptr);
        node_->home().disarm(*this);
    }

private:
    static void on_hangup(hangup_listener& listener, bool reset) noexcept {
        auto& self = static_cast<hangup_watch&>(listener);
        if (reset) {
            self.node_->stop(stop_reason::disconnected);
        } else {
            self.node_->home().arm(self, deadline_after(self.node_->home().now(), self.end_grace_));
        }
    }
    static void on_grace_over(timer& t) noexcept { static_cast<hangup_watch&>(t).node_->stop(stop_reason::disconnected); }

    Stream* stream_;
    context_node* node_;
    milliseconds end_grace_;
};

} // namespace flux::inline FLUX_ABI::http::detail
