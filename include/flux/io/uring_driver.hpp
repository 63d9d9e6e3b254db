// SPDX-License-Identifier: MIT
// flux/io/uring_driver.hpp - the default driver: one io_uring per reactor.
//
//   start() -> SQE -> [one enter per turn: submit, wait, run task work] -> CQEs -> completions
//
// SINGLE_ISSUER|DEFER_TASKRUN: completions appear only inside our own enter, on our own thread. Multishot
// accept and receive; receives share one provided-buffer ring, so an idle connection holds none. An op's
// address is its user_data; cancel requests carry 0 and their completions are ignored, since only the op's own
// completion decides (the order of the two is not defined). Needs Linux 6.1; older kernels and sandboxes
// get the epoll driver. Deliberately not here: SQPOLL, registered files, link timeouts, zero-copy send (each
// measured as no gain or a loss for small messages).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/time.hpp>
#include <flux/io/driver.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>

#include <liburing.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace flux::inline FLUX_ABI::detail {

class uring_driver final : public driver, private buffer_pool::sink {
public:
    /// nullptr and an errno if this kernel or sandbox does not offer what is needed.
    [[nodiscard]] static owner<uring_driver> open(std::uint32_t buffer_count, std::uint32_t buffer_size,
                                                            int& error_number) {
        owner<uring_driver> driver(new uring_driver(buffer_count, buffer_size));
        error_number = driver->set_up(buffer_count);
        if (error_number != 0) {
            driver.reset();
        }
        return driver;
    }
    ~uring_driver() override {
        if (is_open_) {
            rings_ended().fetch_add(1, std::memory_order_release);
            ::io_uring_queue_exit(&ring_);
        }
        if (buffer_ring_ != nullptr) {
            ::munmap(buffer_ring_, buffer_ring_bytes());
        }
    }

    void start(io_op& op) noexcept override {
        op.mark_started();
        ++in_flight_;
        ::io_uring_sqe& sqe = next_sqe();
        sqe.fd = op.fd();
        sqe.user_data = reinterpret_cast<std::uintptr_t>(&op);
        describe(op, sqe);
    }

    void cancel(io_op& op) noexcept override {
        if (!op.in_flight()) {
            return;
        }
        ::io_uring_sqe& sqe = next_sqe();
        sqe.opcode = IORING_OP_ASYNC_CANCEL;
        sqe.fd = -1;
        sqe.addr = reinterpret_cast<std::uintptr_t>(&op);
    }

    std::size_t wait(time_point now, time_point deadline) noexcept override {
        ++stats_.waits;
        const bool starving = pool_.retry_starved();
        const bool may_sleep = deadline > now && !starving && !has_completions();
        enter(may_sleep ? 1 : 0, now, deadline);
        return reap();
    }

    void forget(int) noexcept override {}
    [[nodiscard]] bool batches_sends() const noexcept override { return true; }
    [[nodiscard]] buffer_pool& buffers() noexcept override { return pool_; }
    [[nodiscard]] const char* name() const noexcept override { return "uring"; }
    /// Whether a receive ends by itself after `max_received` octets; else it may take some 1.5 MB more than is wanted.
    [[nodiscard]] bool limits_receives() const noexcept { return receive_limit_ != 0; }

private:
    static constexpr unsigned sq_entries = 1024;
    static constexpr unsigned cq_entries = 8192; // 8x: an overflow would end multishot operations
    static constexpr int buffer_group = 0;
    static constexpr std::uint32_t max_received = 131'072; // octets; then the receiver arms it again, or does not

    uring_driver(std::uint32_t buffer_count, std::uint32_t buffer_size) : pool_(buffer_count, buffer_size, *this) {}

    [[nodiscard, gnu::cold]] int set_up(std::uint32_t buffer_count) noexcept {
        ::io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                       IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        params.cq_entries = cq_entries;
        if (const int r = ::io_uring_queue_init_params(sq_entries, &ring_, &params); r < 0) {
            return -r;
        }
        is_open_ = true;
        std::ignore = rings_ended().load(std::memory_order_acquire);
        if ((params.features & IORING_FEAT_EXT_ARG) == 0 || (params.features & IORING_FEAT_NODROP) == 0) {
            return ENOSYS;
        }
        if (can_limit_receives()) {
            receive_limit_ = max_received;
        }
        return set_up_buffers(buffer_count);
    }

    // A ring often gets the addresses of one that another thread has ended. The kernel puts the two in order, in
    // calls of liburing that ThreadSanitizer does not see; this it sees.
    static std::atomic<unsigned>& rings_ended() noexcept {
        static constinit std::atomic<unsigned> count{0};
        return count;
    }

    [[nodiscard, gnu::cold]] int set_up_buffers(std::uint32_t count) noexcept {
        void* memory = ::mmap(nullptr, count * sizeof(::io_uring_buf), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            return ENOMEM;
        }
        buffer_ring_ = static_cast<::io_uring_buf_ring*>(memory);
        ::io_uring_buf_reg registration{};
        registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
        registration.ring_entries = count;
        registration.bgid = buffer_group;
        if (const int r = ::io_uring_register_buf_ring(&ring_, &registration, 0); r < 0) {
            return -r;
        }
        for (std::uint32_t id = 0; id < count; ++id) {
            buffer_free(id);
        }
        return 0;
    }
    [[nodiscard]] std::size_t buffer_ring_bytes() const noexcept { return pool_.count() * sizeof(::io_uring_buf); }

    void buffer_free(std::uint32_t id) noexcept override {
        // The first entry overlaps the ring's head; only these three members may be written.
        auto* entries = reinterpret_cast<::io_uring_buf*>(buffer_ring_);
        ::io_uring_buf& entry = entries[buffer_tail_ & (pool_.count() - 1)];
        entry.addr = reinterpret_cast<std::uintptr_t>(pool_.address(id));
        entry.len = pool_.buffer_size();
        entry.bid = static_cast<std::uint16_t>(id);
        ++buffer_tail_;
        __atomic_store_n(&buffer_ring_->tail, buffer_tail_, __ATOMIC_RELEASE);
    }

    [[nodiscard]] ::io_uring_sqe& next_sqe() noexcept {
        ::io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
        while (sqe == nullptr) {
            enter(0, time_point(), time_point()); // the queue is full: hand it over now
            sqe = ::io_uring_get_sqe(&ring_);
        }
        std::memset(sqe, 0, sizeof *sqe);
        return *sqe;
    }

    // A multishot receive goes on inside of the kernel, 512 KiB at a time, and a cancel may miss it in between. Since Linux
    // 6.17 it can be told to end by itself. Asked for a descriptor that is none: EBADF, and EINVAL where it cannot.
    [[nodiscard, gnu::cold]] bool can_limit_receives() noexcept {
        ::io_uring_sqe& sqe = next_sqe();
        sqe.fd = -1;
        describe_receive(sqe, max_received);
        ::io_uring_cqe* answer = nullptr;
        if (::io_uring_submit_and_wait(&ring_, 1) < 0 || ::io_uring_peek_cqe(&ring_, &answer) != 0) {
            return false;
        }
        const bool known = answer->res == -EBADF;
        ::io_uring_cqe_seen(&ring_, answer);
        return known;
    }

    static void describe_receive(::io_uring_sqe& sqe, std::uint32_t limit) noexcept {
        sqe.opcode = IORING_OP_RECV;
        sqe.ioprio = IORING_RECV_MULTISHOT;
        sqe.flags = IOSQE_BUFFER_SELECT;
        sqe.buf_group = buffer_group;
        sqe.file_index = limit; // the kernel's `optlen`
    }
    void describe(const io_op& op, ::io_uring_sqe& sqe) const noexcept {
        switch (op.kind()) {
        case io_kind::accept:
            sqe.opcode = IORING_OP_ACCEPT;
            sqe.ioprio = IORING_ACCEPT_MULTISHOT;
            sqe.accept_flags = SOCK_CLOEXEC;
            break;
        case io_kind::receive: describe_receive(sqe, receive_limit_); break;
        case io_kind::send:
            sqe.opcode = IORING_OP_SEND;
            memory_of(op, sqe);
            sqe.msg_flags = send_flags(op);
            break;
        case io_kind::send_message:
        case io_kind::recv_message:
            sqe.opcode = op.kind() == io_kind::send_message ? IORING_OP_SENDMSG : IORING_OP_RECVMSG;
            sqe.addr = reinterpret_cast<std::uintptr_t>(op.message());
            sqe.len = 1;
            sqe.msg_flags = op.kind() == io_kind::send_message ? send_flags(op) : std::uint32_t{MSG_CMSG_CLOEXEC};
            break;
        case io_kind::connect:
            sqe.opcode = IORING_OP_CONNECT;
            sqe.addr = reinterpret_cast<std::uintptr_t>(op.data);
            sqe.off = op.size;
            break;
        case io_kind::poll:
            sqe.opcode = IORING_OP_POLL_ADD;
            sqe.poll32_events = op.events; // little-endian layout; flux supports x86-64
            break;
        case io_kind::read:
        case io_kind::write:
            sqe.opcode = op.kind() == io_kind::read ? IORING_OP_READ : IORING_OP_WRITE;
            memory_of(op, sqe);
            sqe.off = ~std::uint64_t{0}; // the file's own position
            break;
        }
    }
    [[nodiscard]] static std::uint32_t send_flags(const io_op& op) noexcept {
        return op.in_parts ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_WAITALL;
    }
    static void memory_of(const io_op& op, ::io_uring_sqe& sqe) noexcept {
        sqe.addr = reinterpret_cast<std::uintptr_t>(op.data);
        // a completion's result is an int: longer sends go out in pieces
        sqe.len = static_cast<std::uint32_t>(std::min<std::size_t>(op.size, 1U << 30));
    }

    [[nodiscard]] bool has_completions() const noexcept {
        return *ring_.cq.khead != __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE);
    }

    // One io_uring_enter: submits everything, runs task work, waits if asked to.
    void enter(unsigned wait_for, time_point now, time_point deadline) noexcept {
        const unsigned to_submit = ring_.sq.sqe_tail - ring_.sq.sqe_head;
        __atomic_store_n(ring_.sq.ktail, ring_.sq.sqe_tail, __ATOMIC_RELEASE);
        ::__kernel_timespec limit{};
        ::io_uring_getevents_arg arg{};
        if (wait_for > 0 && deadline != no_deadline) {
            const auto left = std::chrono::duration_cast<nanoseconds>(deadline - now).count();
            limit.tv_sec = left / 1'000'000'000;
            limit.tv_nsec = left % 1'000'000'000;
            arg.ts = reinterpret_cast<std::uintptr_t>(&limit);
        }
        ++stats_.enters;
        const int r = ::io_uring_enter2(static_cast<unsigned>(ring_.ring_fd), to_submit, wait_for,
                                        IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                        reinterpret_cast<::sigset_t*>(&arg), sizeof arg);
        // EINTR, ETIME, EBUSY (completions first): the next turn goes on. What was taken shows in khead.
        std::ignore = r;
        ring_.sq.sqe_head = __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);
    }

    std::size_t reap() noexcept {
        const unsigned mask = *ring_.cq.kring_mask;
        unsigned head = *ring_.cq.khead;
        const unsigned tail = __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE);
        std::size_t count = 0;
        for (; head != tail; ++head) {
            const ::io_uring_cqe cqe = ring_.cq.cqes[head & mask];
            if (cqe.user_data == 0) {
                continue; // the answer to a cancel request
            }
            auto& op = *reinterpret_cast<io_op*>(static_cast<std::uintptr_t>(cqe.user_data));
            const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
            in_flight_ -= more ? 0 : 1;
            ++count;
            stats_.starved += cqe.res == -ENOBUFS ? 1 : 0;
            op.complete(cqe.res, more, cqe.flags >> IORING_CQE_BUFFER_SHIFT);
        }
        __atomic_store_n(ring_.cq.khead, head, __ATOMIC_RELEASE);
        stats_.completions += count;
        return count;
    }

    ::io_uring ring_{};
    std::uint32_t receive_limit_ = 0; // 0: the kernel does not know one
    bool is_open_ = false;
    ::io_uring_buf_ring* buffer_ring_ = nullptr;
    std::uint16_t buffer_tail_ = 0;
    buffer_pool pool_;
};

} // namespace flux::inline FLUX_ABI::detail
