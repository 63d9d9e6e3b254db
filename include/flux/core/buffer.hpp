// SPDX-License-Identifier: MIT
// flux/core/buffer.hpp - byte_buffer: octets that are appended at one end and consumed at the other.
//
//   [ consumed | readable: view() | room: prepare() ]
//
// What protocol code gathers its input and output in. Growth does not fill with zeros; consumed octets are
// reclaimed when room is needed or when everything was consumed. How large it may grow is the caller's rule.
#pragma once

#include <flux/config.hpp>
#include <flux/core/vacate.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>

namespace flux::inline FLUX_ABI {

/// A contiguous, growable queue of octets. Views and pointers live until the next call that changes it.
///
/// Errors   std::bad_alloc when it has to grow; nothing has changed then.
/// Threads  as a value.
/// Cost     one block, kept until release(): at most 1 KiB, or three times what was readable plus one and a half
///          times what was prepared. An octet is copied O(1) times on average however the calls are mixed.
class byte_buffer {
public:
    byte_buffer() noexcept = default;
    byte_buffer(byte_buffer&& other) noexcept
        : data_(detail::vacate(other.data_)), begin_(detail::vacate(other.begin_)),
          end_(detail::vacate(other.end_)), capacity_(detail::vacate(other.capacity_)) {}
    byte_buffer& operator=(byte_buffer&& other) noexcept {
        if (this != &other) {
            release();
            data_ = detail::vacate(other.data_);
            begin_ = detail::vacate(other.begin_);
            end_ = detail::vacate(other.end_);
            capacity_ = detail::vacate(other.capacity_);
        }
        return *this;
    }
    ~byte_buffer() { ::operator delete(data_); }

    [[nodiscard]] std::string_view view() const& noexcept { return {data_ + begin_, end_ - begin_}; }
    void view() const&& = delete;
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    /// n writable octets behind what is readable; they count after commit(). Their content is unspecified.
    [[nodiscard]] char* prepare(std::size_t n) {
        if (capacity_ - end_ < n) {
            make_room(n);
        }
        return data_ + end_;
    }
    /// prepare(n) in the form that streams read into.
    [[nodiscard]] std::span<std::byte> room(std::size_t n) {
        return std::as_writable_bytes(std::span<char>(prepare(n), n));
    }
    /// Keeps the first n of the prepared octets.
    void commit(std::size_t n) noexcept {
        FLUX_ASSERT(n <= capacity_ - end_, "byte_buffer: more committed than prepared");
        end_ += n;
    }
    /// Params  `octets` may be a part of this buffer.
    void append(std::string_view octets) {
        if (octets.empty()) {
            return;
        }
        if (capacity_ - end_ < octets.size()) {
            append_with_growth(octets);
            return;
        }
        std::memcpy(data_ + end_, octets.data(), octets.size());
        end_ += octets.size();
    }
    void push_back(char octet) {
        *prepare(1) = octet;
        ++end_;
    }
    /// Drops the first n readable octets. n <= size().
    void consume(std::size_t n) noexcept {
        FLUX_ASSERT(n <= size(), "byte_buffer: more consumed than there is");
        begin_ += n;
        if (begin_ == end_) {
            begin_ = end_ = 0;
        }
    }
    /// Drops everything, keeps the block.
    void clear() noexcept { begin_ = end_ = 0; }
    /// Drops everything and gives the block back.
    void release() noexcept {
        ::operator delete(detail::vacate(data_));
        begin_ = end_ = capacity_ = 0;
    }
    /// release() if the block is larger than `octets` and nothing is readable: after an unusually large message,
    /// or with 0 when a connection becomes idle.
    void shrink_above(std::size_t octets) noexcept {
        if (empty() && capacity_ > octets) {
            release();
        }
    }

private:
    static constexpr std::size_t first_capacity = 1024;

    [[gnu::cold, gnu::noinline]] void append_with_growth(std::string_view octets) {
        // Where in this buffer it starts; at least size() if it is foreign.
        const std::size_t own = reinterpret_cast<std::uintptr_t>(octets.data()) -
                                reinterpret_cast<std::uintptr_t>(data_ + begin_);
        const bool foreign = own >= size();
        make_room(octets.size());
        std::memcpy(data_ + end_, foreign ? octets.data() : data_ + begin_ + own, octets.size());
        end_ += octets.size();
    }

    [[gnu::cold, gnu::noinline]] void make_room(std::size_t n) {
        const std::size_t used = size();
        if (capacity_ - used >= n && begin_ >= used) {
            // Each octet that moves is paid for by one that was consumed, and the two places cannot overlap.
            std::memcpy(data_, data_ + begin_, used);
        } else {
            constexpr std::size_t most = static_cast<std::size_t>(PTRDIFF_MAX) / 4;
            if (n > most || used > most) {
                throw std::bad_alloc();
            }
            // Room for as many octets as are copied now, so that the next copy is paid for by octets that came.
            std::size_t wanted = 2 * used + n;
            const std::size_t half_more = capacity_ + capacity_ / 2;
            wanted = wanted < half_more ? half_more : wanted;
            wanted = wanted < first_capacity ? first_capacity : wanted;
            auto* block = static_cast<char*>(::operator new(wanted));
            if (used != 0) {
                std::memcpy(block, data_ + begin_, used);
            }
            ::operator delete(data_);
            data_ = block;
            capacity_ = wanted;
        }
        begin_ = 0;
        end_ = used;
    }

    char* data_ = nullptr;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t capacity_ = 0;
};

} // namespace flux::inline FLUX_ABI
