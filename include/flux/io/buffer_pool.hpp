// SPDX-License-Identifier: MIT
// flux/io/buffer_pool.hpp - the receive buffers that all connections of one reactor share.
//
// A connection holds a buffer only while it has octets that nobody consumed, so an idle one costs nothing.
// The kernel (or the epoll driver) takes buffers, consumers give them back. Octets that would be held for
// long while buffers are scarce are copied to the heap instead, so that slow consumers cannot starve the
// reactor. Memory is mapped once and touched lazily.
#pragma once

#include <flux/core/intrusive_list.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>

#include <sys/mman.h>

namespace flux::inline FLUX_ABI::detail {

/// Some received octets in a queue: in a shared buffer, or in a heap block of their own.
struct chunk {
    chunk* next = nullptr;
    std::byte* data = nullptr;
    std::uint32_t size = 0;
    std::uint32_t id = 0; ///< shared buffer; heap_chunk for a block of its own
};

class buffer_pool {
public:
    static constexpr std::uint32_t heap_chunk = ~std::uint32_t{0};

    /// Where freed buffers go: back to the kernel's ring, or onto the epoll driver's free stack.
    class sink {
    public:
        virtual void buffer_free(std::uint32_t id) noexcept = 0;

    protected:
        ~sink() = default;
    };

    /// Params  count  a power of two, at most 32768.  size  octets per buffer.
    buffer_pool(std::uint32_t count, std::uint32_t size, sink& to) : sink_(&to), count_(count), size_(size) {
        void* memory = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::bad_alloc();
        }
        base_ = static_cast<std::byte*>(memory);
        chunks_ = new chunk[count];
    }
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;
    ~buffer_pool() {
        FLUX_ASSERT(taken_ == 0, "received octets outlive their reactor");
        delete[] chunks_;
        ::munmap(base_, bytes());
    }

    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    [[nodiscard]] std::uint32_t buffer_size() const noexcept { return size_; }
    [[nodiscard]] std::byte* address(std::uint32_t id) const noexcept { return base_ + std::size_t{id} * size_; }
    [[nodiscard]] std::uint32_t taken() const noexcept { return taken_; }

    /// A buffer that the kernel filled, as a chunk that must be freed.
    [[nodiscard]] chunk& filled(std::uint32_t id, std::size_t size) noexcept {
        ++taken_;
        chunk& c = chunks_[id];
        c.next = nullptr;
        c.data = address(id);
        c.size = static_cast<std::uint32_t>(size);
        c.id = id;
        return c;
    }

    /// Frees what a chunk holds.
    void free(chunk& c) noexcept {
        if (c.id == heap_chunk) {
            ::operator delete(&c);
        } else {
            free_shared(c.id);
        }
    }
    void free_shared(std::uint32_t id) noexcept {
        --taken_;
        sink_->buffer_free(id);
    }

    /// A receive that found no buffer; `retry` is called when it may look again. It must only start an op.
    struct starved : list_hook<> {
        using action = void (*)(starved&) noexcept;
        explicit starved(action r) noexcept : retry(r) {}
        action retry;
    };
    void wait_for_buffer(starved& s) noexcept { starved_.push_back(s); }
    /// For drivers, before each look at the kernel: as many starved receives try again as there are buffers.
    /// One that has nothing to receive takes none, so those behind it get their turn in the next look.
    /// Returns  whether there are such: then the driver must not sleep.
    [[nodiscard]] bool retry_starved() noexcept {
        for (std::uint32_t tries = count_ - taken_; tries > 0 && !starved_.empty(); --tries) {
            starved& first = starved_.pop_front();
            first.retry(first);
        }
        return taken_ < count_ && !starved_.empty();
    }

    /// Moves the octets out of their shared buffer if that is possible. Returns the chunk to go on with.
    [[nodiscard]] chunk& to_heap(chunk& c) noexcept {
        if (c.id == heap_chunk) {
            return c;
        }
        void* memory = ::operator new(sizeof(chunk) + c.size, std::nothrow);
        if (memory == nullptr) {
            return c;
        }
        auto* copy = ::new (memory) chunk();
        copy->data = static_cast<std::byte*>(memory) + sizeof(chunk);
        copy->size = c.size;
        copy->id = heap_chunk;
        std::memcpy(copy->data, c.data, c.size);
        copy->next = c.next;
        free(c);
        return *copy;
    }

    // Octets handed to consumers, counted so that lease() can tell when too many are out at the same time.
    void lease_begins() noexcept { ++leased_; }
    void lease_ends() noexcept { --leased_; }
    [[nodiscard]] bool leases_are_scarce() const noexcept { return leased_ > count_ / 4; }
    // Octets that arrived while nobody read.
    void unsolicited_begins() noexcept { ++unsolicited_; }
    void unsolicited_ends() noexcept { --unsolicited_; }
    [[nodiscard]] bool unsolicited_are_scarce() const noexcept { return unsolicited_ > count_ / 4; }

private:
    [[nodiscard]] std::size_t bytes() const noexcept { return std::size_t{count_} * size_; }

    sink* sink_;
    intrusive_list<starved> starved_;
    std::byte* base_ = nullptr;
    chunk* chunks_ = nullptr;
    std::uint32_t count_;
    std::uint32_t size_;
    std::uint32_t taken_ = 0;
    std::uint32_t leased_ = 0;
    std::uint32_t unsolicited_ = 0;
};

} // namespace flux::inline FLUX_ABI::detail
