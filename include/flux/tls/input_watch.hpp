// SPDX-License-Identifier: MIT
// flux/tls/input_watch.hpp - what a TLS stream can say about its input without waiting, for who keeps it idle.
//
//   Next tells of octets -> records are worked on -> octets of the application, the end, a failure: told on
//                                                 -> a session ticket, a key update: used up, the watch goes on
//
// Deliberately not here: reading and writing (stream.hpp).
#pragma once

#include <flux/net/stream.hpp>
#include <flux/tls/engine.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace flux::inline FLUX_ABI::tls::detail {

enum class stream_role : std::uint8_t { plain, client, server };

inline void free_plain(void* block, std::uint32_t) noexcept { ::operator delete(block); }
struct plain_deleter {
    void operator()(std::byte* block) const noexcept { ::operator delete(block); }
};
using plain_block = std::unique_ptr<std::byte, plain_deleter>;

/// A part of the stream's core, in it.
template <class Core>
class input_watch final : private hangup_listener {
public:
    explicit input_watch(Core& core) noexcept : hangup_listener(&on_input), core_(&core) {}
    input_watch(const input_watch&) = delete;
    input_watch& operator=(const input_watch&) = delete;

    /// Whether a read would yield something without waiting.
    [[nodiscard]] bool has_input() noexcept {
        if (core_->role == stream_role::plain || !core_->is_open || core_->reading_) {
            return core_->pipe.next.has_input();
        }
        try {
            return look();
        } catch (...) {
            return true; // without memory nothing more can be said of it
        }
    }
    /// Octets of the application that are there; empty if there are none.
    [[nodiscard]] received try_receive() {
        if (core_->role == stream_role::plain) {
            return core_->pipe.next.try_receive();
        }
        if (!core_->is_open || core_->reading_ || !has_input()) {
            return {};
        }
        const std::size_t room = core_->pipe.tls->next_read_size();
        plain_block block(static_cast<std::byte*>(::operator new(std::max<std::size_t>(room, 1))));
        std::size_t n = 0;
        if (room == 0 || core_->pipe.tls->read(mutable_buffer(block.get(), room), n) != engine::progress::done) {
            return {};
        }
        std::byte* const octets = block.release();
        return received(const_buffer(octets, n), &free_plain, octets, 0);
    }
    /// Tells `listener` once. nullptr ends the watch.
    void watch(hangup_listener* listener) noexcept {
        told_ = listener;
        if (listener == nullptr) {
            core_->pipe.next.watch_input(nullptr);
        } else if (has_input()) {
            std::exchange(told_, nullptr)->notify(false);
        } else {
            core_->pipe.next.watch_input(this);
        }
    }

private:
    [[nodiscard]] bool look() {
        engine& e = *core_->pipe.tls;
        for (;;) { // each turn uses octets that have come, and no more are taken than Next has queued
            if (e.has_input()) {
                if (e.peek() != engine::progress::want_more) {
                    return true;
                }
            }
            if (!core_->pipe.next.has_input()) {
                e.release_buffers();
                return core_->pipe.input_ended;
            }
            const received octets = core_->pipe.next.try_receive();
            if (octets.empty()) {
                return true; // the end, or a failure
            }
            e.feed(as_text(octets.octets()));
        }
    }
    static void on_input(hangup_listener& l, bool reset) noexcept {
        auto& self = static_cast<input_watch&>(l);
        if (self.told_ == nullptr) {
            return;
        }
        if constexpr (requires(Core& c) { c.pipe.next.try_receive(); }) {
            if (!reset && !self.has_input()) {
                self.core_->pipe.next.watch_input(&self);
                return;
            }
        }
        std::exchange(self.told_, nullptr)->notify(reset);
    }

    Core* core_;
    hangup_listener* told_ = nullptr;
};

} // namespace flux::inline FLUX_ABI::tls::detail
