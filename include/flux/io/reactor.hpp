// SPDX-License-Identifier: MIT
// flux/io/reactor.hpp - one thread's loop: ready queue, timers and mailbox (scheduler) joined to the kernel.
//
//   turn:  mail -> timers -> ready coroutines -> driver.wait(next deadline) -> completions -> ready queue
//
// Everything that belongs to a reactor is used on its thread only; from other threads there are exactly
// post() and cancel_source::cancel(). Ops are never abandoned: run() ends when nothing but the reactor's own
// wake-up is in flight. Deliberately not here: signals and exit status (run.hpp), several threads (workers.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/function.hpp>
#include <flux/coro/scope.hpp>
#include <flux/io/epoll_driver.hpp>
#include <flux/io/unique_fd.hpp>
#include <flux/io/uring_driver.hpp>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI {

/// Which kernel interface a reactor uses.
enum class driver_kind : std::uint8_t {
    automatic, ///< FLUX_DRIVER=uring|epoll if set, else io_uring, else epoll where io_uring is refused
    uring,
    epoll,
};

/// Tunables of a reactor; fixed once it exists.
struct reactor_options {
    driver_kind driver = driver_kind::automatic;
    std::uint32_t buffer_count = 256;    ///< shared receive buffers, a power of two up to 32768
    std::uint32_t buffer_size = 16'384;  ///< octets each
    microseconds spin{0};                ///< how long to look for completions before sleeping; 0: sleep at once
};
static_assert(std::is_trivially_destructible_v<reactor_options>);

namespace detail {

/// A mailbox whose owner sleeps in the kernel. Outlives its reactor, descriptor included.
class eventfd_mailbox final : public mailbox {
public:
    eventfd_mailbox() : event_(::eventfd(0, EFD_CLOEXEC)) {
        if (event_.get() < 0) {
            throw error::from_errno(errno).doing("eventfd");
        }
    }
    [[nodiscard]] int fd() const noexcept { return event_.get(); }

private:
    void wake() noexcept override {
        const std::uint64_t one = 1;
        // Cannot fail but by overflow of 2^64 wake-ups, which the owner's read resets.
        std::ignore = ::write(event_.get(), &one, sizeof one);
    }
    unique_fd event_;
};

/// A callable on its way to a reactor.
class posted final : public mail {
public:
    explicit posted(unique_function<void()> f) : mail(&run_it, &drop_it), f_(std::move(f)) {}

private:
    static void run_it(mail& m) noexcept {
        const detail::owner<posted> self(static_cast<posted*>(&m));
        self->f_();
    }
    static void drop_it(mail& m) noexcept { delete static_cast<posted*>(&m); }
    unique_function<void()> f_;
};

} // namespace detail

namespace detail {

/// Something with operations armed on behalf of itself (a socket, a listener): asked to end them when run()
/// ends while it still exists.
class reactor_resident : public list_hook<> {
public:
    virtual void reactor_ends() noexcept = 0;

protected:
    ~reactor_resident() = default;
};

} // namespace detail

/// Why the driver is the one it is; `refused` is the errno of io_uring_setup where epoll had to step in.
struct driver_choice {
    driver_kind kind = driver_kind::uring;
    int refused = 0;
};

class reactor final : public scheduler {
public:
    /// Threads  must be created on the thread that runs it.
    /// Errors   throws flux::error where neither driver can be had, or the one asked for is refused;
    ///          errc::invalid_argument for options or a FLUX_DRIVER that cannot be.
    explicit reactor(reactor_options options = reactor_options())
        : scheduler(std::shared_ptr<detail::mailbox>(new detail::eventfd_mailbox), scheduler_kind::reactor), options_(checked(options)),
          wake_op_(*this, static_cast<detail::eventfd_mailbox&>(*mailbox()).fd()) {
        open_driver();
        set_now(clock::now());
    }
    ~reactor() {
        FLUX_ASSERT(driver_->in_flight() == 0, "reactor destroyed while operations are in flight");
    }

    /// Runs a task and everything it starts to the end, and yields its value.
    /// Errors  throws what the task threw.
    /// Threads the creating thread; not re-entrant.
    template <class T>
    T run(task<T> main) {
        FLUX_ASSERT(scheduler::current() == nullptr, "a reactor is already running on this thread");
        FLUX_ASSERT(::pthread_equal(owner_, ::pthread_self()) != 0, "a reactor must run on the thread that created it");
        const thread_binding binding(*this);
        detail::context_node root(*this);
        detail::outcome<T> end;
        {
            task_scope scope((context(root)), scope_policy::collect);
            root_ = &root;
            scope.spawn_frame(capture(std::move(main), end));
            wake_op_.arm();
            turn_until([&scope] { return scope.size() == 0; });
            residents_.for_each([](detail::reactor_resident& r) { r.reactor_ends(); });
            wake_op_.disarm();
            turn_until([this] { return driver_->in_flight() == 0 && !has_ready(); });
            root_ = nullptr;
        }
        auto outcome = end.take();
        return std::move(outcome).value();
    }

    /// Runs `f` on the reactor's thread, in the loop, soon. Any thread. False: the reactor has ended, f was
    /// dropped. Order of posts from one thread is kept. What `f` does may end the reactor before post() returns.
    bool post(unique_function<void()> f) const {
        const auto box = mailbox(); // the reactor and its reference may go as soon as the mail is there
        return post_to(*box, std::move(f));
    }
    /// As post(), for those who hold only the mailbox; safe after the reactor ended.
    static bool post_to(detail::mailbox& to, unique_function<void()> f) {
        auto node = detail::make_owner<detail::posted>(std::move(f));
        if (!to.push(*node)) {
            return false;
        }
        std::ignore = node.release();
        return true;
    }

    /// The reactor of the running coroutine; aborts where its scheduler is another kind of loop.
    [[nodiscard]] static reactor& of(scheduler& home) noexcept {
        FLUX_ASSERT(home.kind() == scheduler_kind::reactor, "this operation needs a reactor: it does real I/O");
        return static_cast<reactor&>(home);
    }

    /// The root context while run() is active, to stop everything: `r.root().stop(stop_reason::shutdown)`.
    [[nodiscard]] context root() const noexcept {
        FLUX_ASSERT(root_ != nullptr, "the reactor is not running");
        return context(*root_);
    }

    [[nodiscard]] detail::driver& driver() noexcept { return *driver_; }
    [[nodiscard]] driver_choice choice() const noexcept { return choice_; }
    [[nodiscard]] const driver_stats& stats() const noexcept { return driver_->stats(); }
    [[nodiscard]] std::uint64_t turns() const noexcept { return turns_; }

    /// How many operations completed in this turn: few of them are better answered without the ring.
    [[nodiscard]] bool prefers_direct_send() const noexcept { return !driver_->batches_sends() || completed_ <= 2; }

    void add_resident(detail::reactor_resident& r) noexcept { residents_.push_back(r); }

private:
    class wake_up final : public detail::io_op {
    public:
        wake_up(reactor& r, int fd) noexcept : io_op(detail::io_kind::read, fd, &on_wake), reactor_(&r) {
            data = &value_;
            size = sizeof value_;
        }
        void arm() noexcept {
            wanted_ = true;
            reactor_->driver_->start(*this);
        }
        void disarm() noexcept {
            wanted_ = false;
            reactor_->driver_->cancel(*this);
        }

    private:
        static void on_wake(io_op& op, const completion&) noexcept {
            auto& self = static_cast<wake_up&>(op);
            if (self.wanted_) {
                self.reactor_->driver_->start(self);
            }
        }
        reactor* reactor_;
        std::uint64_t value_ = 0;
        bool wanted_ = false;
    };

    template <class T>
    static detail::child capture(task<T> main, detail::outcome<T>& end) {
        try {
            auto r = co_await attempt(std::move(main));
            if (!r) {
                end.set_error(std::move(r).error());
            } else if constexpr (std::is_void_v<T>) {
                end.set_value();
            } else {
                end.set_value(*std::move(r));
            }
        } catch (...) {
            end.set_current_exception();
        }
        co_return result<void>();
    }

    template <class Done>
    void turn_until(Done done) noexcept {
        for (;;) {
            ++turns_;
            mailbox()->run_all();
            timer_heap().fire_due(now());
            run_ready();
            if (done()) {
                return;
            }
            time_point until = has_ready() ? now() : timers().next();
            // pushes after this point wake us through the eventfd
            const bool announced = until > now() && mailbox()->announce_sleep();
            completed_ = wait_driver(announced ? until : now());
            if (announced) {
                mailbox()->announce_awake();
            }
            set_now(clock::now());
        }
    }

    // Sleeping and being woken costs more than a short look around, where another CPU produces the events.
    std::size_t wait_driver(time_point until) noexcept {
        if (options_.spin.count() == 0 || until <= now()) {
            return driver_->wait(now(), until);
        }
        const time_point start = clock::now();
        if (spin_misses_ < max_spin_misses) {
            const time_point end = std::min(until, start + options_.spin);
            do {
                if (const std::size_t n = driver_->wait(start, start); n != 0) {
                    spin_misses_ = 0;
                    return n;
                }
            } while (clock::now() < end);
            ++spin_misses_;
        }
        const std::size_t n = driver_->wait(clock::now(), until);
        if (clock::now() - start < 2 * options_.spin) {
            spin_misses_ = 0; // it would have been worth it
        }
        return n;
    }

    [[nodiscard]] static const reactor_options& checked(const reactor_options& o) {
        const std::uint32_t n = o.buffer_count;
        if (n == 0 || n > 32'768 || (n & (n - 1)) != 0) {
            throw error(errc::invalid_argument).doing("reactor_options: buffer_count must be a power of two up to 32768");
        }
        if (o.buffer_size == 0) {
            throw error(errc::invalid_argument).doing("reactor_options: buffer_size must not be 0");
        }
        return o;
    }
    [[gnu::cold]] void open_driver() {
        driver_kind wanted = options_.driver;
        if (wanted == driver_kind::automatic) {
            const char* forced = std::getenv("FLUX_DRIVER");
            const std::string_view name = forced == nullptr ? "" : forced;
            if (name == "uring") {
                wanted = driver_kind::uring;
            } else if (name == "epoll") {
                wanted = driver_kind::epoll;
            } else if (!name.empty()) {
                throw error(errc::invalid_argument).doing("FLUX_DRIVER must be uring or epoll");
            }
        }
        if (wanted != driver_kind::epoll) {
            int failed = 0;
            driver_ = detail::uring_driver::open(options_.buffer_count, options_.buffer_size, failed);
            if (driver_) {
                choice_.kind = driver_kind::uring;
                return;
            }
            if (wanted == driver_kind::uring) {
                throw error::from_errno(failed).doing("io_uring");
            }
            choice_.refused = failed;
        }
        auto epoll = detail::make_owner<detail::epoll_driver>(options_.buffer_count, options_.buffer_size);
        if (!epoll->is_open()) {
            throw error::from_errno(errno).doing("epoll_create1");
        }
        choice_.kind = driver_kind::epoll;
        driver_ = std::move(epoll);
    }

    static constexpr int max_spin_misses = 4; // then sleep at once until a short wait shows up again

    reactor_options options_;
    ::pthread_t owner_ = ::pthread_self(); // the ring takes no work from others
    driver_choice choice_;
    detail::owner<detail::driver> driver_;
    detail::context_node* root_ = nullptr;
    wake_up wake_op_;
    intrusive_list<detail::reactor_resident> residents_;
    std::size_t completed_ = 0;
    std::uint64_t turns_ = 0;
    int spin_misses_ = 0;
};

} // namespace flux::inline FLUX_ABI
