// SPDX-License-Identifier: MIT
// flux/testing/fail_point.hpp - let operation number n fail, for every n, and see whether the program copes.
//
//   for_each_fault(scenario):  fault kind x operation 0, 1, 2, ... until a run in which nothing was left to fail
//
// A faulty_stream counts the operations that go through it and asks a fail_plan about each. Deliberately not here:
// faults by chance (sim_network.hpp), failing allocations.
#pragma once

#include <flux/testing/leak_check.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <flux/net/stream.hpp>

#include <algorithm>
#include <cerrno>
#include <string>

namespace flux::inline FLUX_ABI::testing {

/// What happens to the chosen operation.
enum class fault : std::uint8_t {
    none,
    error,            ///< it does nothing and fails with errc::injected
    short_transfer,   ///< a read yields one octet; a write sends half of its octets and fails with errc::injected
    cancel,           ///< its context is stopped before it starts
    cancel_in_flight, ///< its context is stopped one turn after it started, or as it completes
    reset,            ///< the connection is reset: it and all later ones fail with ECONNRESET, at the peer too
};

[[nodiscard]] constexpr std::string_view to_string(fault f) noexcept {
    constexpr std::string_view names[] = {"none", "error", "short transfer", "cancel", "cancel in flight", "reset"};
    return names[static_cast<std::size_t>(f)];
}

/// Counts operations and says which one fails. One plan may be shared by several streams.
class fail_plan {
public:
    /// Fails nothing, and counts.
    fail_plan() noexcept = default;
    fail_plan(fault kind, std::uint64_t at) noexcept : at_(at), kind_(kind) {}

    /// Called at the start of every operation.
    [[nodiscard]] fault next() noexcept {
        const bool chosen = kind_ != fault::none && count_ == at_;
        ++count_;
        fired_ = fired_ || chosen;
        return chosen ? kind_ : fault::none;
    }
    /// A fail point in any code: `if (auto r = plan.point(); !r) return fail(r.error());`. Every kind of fault
    /// is an errc::injected here.
    [[nodiscard]] result<void> point() noexcept {
        if (next() == fault::none) {
            return {};
        }
        return fail(errc::injected);
    }

    /// Whether the chosen operation came.
    [[nodiscard]] bool fired() const noexcept { return fired_; }
    [[nodiscard]] std::uint64_t operations() const noexcept { return count_; }
    [[nodiscard]] fault kind() const noexcept { return kind_; }

private:
    std::uint64_t count_ = 0;
    std::uint64_t at_ = 0;
    fault kind_ = fault::none;
    bool fired_ = false;
};

template <buffered_stream Next>
class faulty_stream;

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

template <class Next>
concept resettable = requires(Next n) { n.inject_reset(); };

// The four verbs: how each starts at the stream below, whole or shortened, and what a short read leaves behind.

class faulty_receive {
public:
    using value_type = received;
    static constexpr bool reads = true;

    template <class Next>
    [[nodiscard]] auto start(Next& next, bool) noexcept {
        return next.receive();
    }
    [[nodiscard]] result<received> from(received& kept) noexcept { return std::move(kept); }
    // One octet now, in a block of its own; the rest for the next read.
    void shorten(result<received>& r, received& kept) {
        if (r && r->size() > 1) {
            auto* octet = new std::byte(r->octets().front());
            r->consume(1);
            kept = *std::move(r);
            *r = received(const_buffer(octet, 1), &free_octet, octet, 0);
        }
    }

private:
    static void free_octet(void* octet, std::uint32_t) noexcept { delete static_cast<std::byte*>(octet); }
};

class faulty_read_some {
public:
    using value_type = std::size_t;
    static constexpr bool reads = true;
    explicit faulty_read_some(mutable_buffer out) noexcept : out_(out) {}

    template <class Next>
    [[nodiscard]] auto start(Next& next, bool shortened) noexcept {
        return next.read_some(shortened ? out_.first(std::min<std::size_t>(out_.size(), 1)) : out_);
    }
    [[nodiscard]] result<std::size_t> from(received& kept) noexcept {
        const std::size_t n = std::min(out_.size(), kept.size());
        std::copy_n(kept.octets().data(), n, out_.data());
        kept.consume(n);
        if (kept.empty()) {
            kept.reset();
        }
        return n;
    }
    void shorten(result<std::size_t>&, received&) noexcept {}

private:
    mutable_buffer out_;
};

class faulty_write {
public:
    using value_type = void;
    static constexpr bool reads = false;
    explicit faulty_write(const_buffer octets) noexcept : octets_(octets) {}

    template <class Next>
    [[nodiscard]] auto start(Next& next, bool shortened) noexcept {
        return next.write_all(shortened ? octets_.first(octets_.size() / 2) : octets_);
    }

private:
    const_buffer octets_;
};

class faulty_gather {
public:
    using value_type = void;
    static constexpr bool reads = false;
    explicit faulty_gather(std::span<const const_buffer> list) noexcept : list_(list) {}

    template <class Next>
    [[nodiscard]] auto start(Next& next, bool shortened) noexcept {
        if (shortened && !list_.empty()) {
            half_ = list_.front().first(list_.front().size() / 2);
            return next.write_all(std::span<const const_buffer>(&half_, 1));
        }
        return next.write_all(list_);
    }

private:
    std::span<const const_buffer> list_;
    const_buffer half_;
};

template <class Next, class Verb>
class faulty_state;

template <class Next, class Verb>
class [[nodiscard]] faulty_op {
public:
    using value_type = typename Verb::value_type;
    using state_type = faulty_state<Next, Verb>;
    faulty_op(testing::faulty_stream<Next>& stream, Verb verb) noexcept : stream_(&stream), verb_(verb) {}

private:
    friend class faulty_state<Next, Verb>;
    testing::faulty_stream<Next>* stream_;
    Verb verb_;
};

template <class Next, class Verb>
class faulty_state : private timer {
    using inner_op = decltype(std::declval<Verb&>().start(std::declval<Next&>(), false));

public:
    using value_type = typename Verb::value_type;
    faulty_state(faulty_op<Next, Verb> op, context_node& ctx)
        : timer(&on_timer), stream_(op.stream_), ctx_(&ctx), verb_(op.verb_), fault_(begin()),
          inner_(verb_.start(stream_->next_, fault_ == testing::fault::short_transfer), ctx) {}

    bool await_ready() noexcept { return skips_ || inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> waiter) noexcept {
        if (fault_ == testing::fault::cancel_in_flight) {
            ctx_->home().arm(*this, ctx_->home().now());
        }
        return inner_.await_suspend(waiter);
    }
    [[nodiscard]] result<value_type> take() {
        ctx_->home().disarm(*this);
        if (refused_) {
            return fail(refused_);
        }
        if (fault_ == testing::fault::cancel_in_flight) {
            ctx_->stop(stop_reason::canceled);
        }
        if constexpr (Verb::reads) {
            if (skips_) {
                return verb_.from(stream_->kept_);
            }
        }
        result<value_type> r = inner_.take();
        if (fault_ == testing::fault::short_transfer) {
            if constexpr (Verb::reads) {
                verb_.shorten(r, stream_->kept_);
            } else {
                stream_->broken_ = make_error_code(errc::closed);
                return fail(error(errc::injected).bytes_sent(1)); // at least
            }
        }
        return r;
    }

private:
    // Decides what this operation will be; runs before the one below is made.
    [[nodiscard]] testing::fault begin() noexcept {
        const testing::fault f = stream_->plan_->next();
        if (f == testing::fault::cancel) {
            ctx_->stop(stop_reason::canceled);
        } else if (f == testing::fault::error) {
            refused_ = make_error_code(errc::injected);
        } else if (f == testing::fault::reset) {
            stream_->reset();
        }
        if (!refused_ && ctx_->stopped()) {
            refused_ = make_error_code(to_errc(ctx_->reason()));
        }
        if (!refused_) {
            refused_ = Verb::reads ? stream_->reset_ : stream_->broken_;
        }
        skips_ = static_cast<bool>(refused_) || (Verb::reads && !stream_->kept_.empty());
        return f;
    }
    static void on_timer(timer& t) noexcept {
        static_cast<faulty_state&>(t).ctx_->stop(stop_reason::canceled);
    }

    testing::faulty_stream<Next>* stream_;
    context_node* ctx_;
    Verb verb_;
    bool skips_ = false;
    std::error_code refused_;
    testing::fault fault_;
    state_of<inner_op> inner_;
};

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::testing {

/// A buffered_stream that passes everything on, but for the operation that its plan chose.
///
/// receive(), read_some(), both write_all() and shutdown_write() count as one operation each, when they are
/// awaited or called. shutdown_write() knows error and reset only.
/// Params   plan  must outlive the stream.
template <buffered_stream Next>
class faulty_stream {
public:
    faulty_stream(Next next, fail_plan& plan) noexcept : next_(std::move(next)), plan_(&plan) {}
    faulty_stream(faulty_stream&&) noexcept = default;
    faulty_stream& operator=(faulty_stream&&) noexcept = default;

    [[nodiscard]] auto receive() noexcept { return op(detail::faulty_receive()); }
    [[nodiscard]] auto read_some(mutable_buffer out) noexcept { return op(detail::faulty_read_some(out)); }
    [[nodiscard]] auto write_all(const_buffer octets) noexcept { return op(detail::faulty_write(octets)); }
    [[nodiscard]] auto write_all(std::span<const const_buffer> list) noexcept { return op(detail::faulty_gather(list)); }

    result<void> shutdown_write() noexcept {
        const fault f = plan_->next();
        if (f == fault::reset) {
            reset();
        }
        if (f == fault::error) {
            return fail(errc::injected);
        }
        if (broken_) {
            return fail(broken_);
        }
        return next_.shutdown_write();
    }
    void close() noexcept {
        kept_.reset();
        if (reset_) {
            next_.abort();
        } else {
            next_.close();
        }
    }
    void abort() noexcept {
        kept_.reset();
        next_.abort();
    }
    [[nodiscard]] bool is_open() const noexcept { return next_.is_open(); }
    void watch_hangup(hangup_listener* listener) noexcept { next_.watch_hangup(listener); }
    void watch_input(hangup_listener* listener) noexcept requires requires(Next& n) { n.watch_input(listener); }
    {
        next_.watch_input(listener);
    }
    [[nodiscard]] bool has_input() const noexcept requires requires(const Next& n) { n.has_input(); }
    {
        return next_.has_input();
    }

    [[nodiscard]] auto local_endpoint() const requires requires(const Next& n) { n.local_endpoint(); }
    {
        return next_.local_endpoint();
    }
    [[nodiscard]] auto peer_endpoint() const requires requires(const Next& n) { n.peer_endpoint(); }
    {
        return next_.peer_endpoint();
    }
    [[nodiscard]] Next& next_layer() noexcept { return next_; }

private:
    template <class, class>
    friend class detail::faulty_state;

    template <class Verb>
    [[nodiscard]] auto op(Verb verb) noexcept {
        return detail::faulty_op<Next, Verb>(*this, verb);
    }
    // Where the stream below cannot do it by itself, the peer sees the reset when this end is closed.
    void reset() noexcept {
        kept_.reset();
        reset_ = broken_ = std::error_code(ECONNRESET, std::system_category());
        if constexpr (detail::resettable<Next>) {
            next_.inject_reset();
        }
    }

    Next next_;
    fail_plan* plan_;
    received kept_;           // what a short receive left behind
    std::error_code reset_;   // what reads fail with
    std::error_code broken_;  // what writes fail with
};

/// What for_each_fault() did.
struct fault_summary {
    std::uint64_t runs = 0;       ///< times the scenario ran
    std::uint64_t operations = 0; ///< operations of a run without a fault
};

/// Runs `scenario(fail_plan&)`, which returns a task, on a fresh virtual loop: first without a fault, then for each
/// kind of fault with operation 0, 1, 2, ... failing, until a run ends before the chosen operation.
///
/// The scenario wraps its streams into faulty_stream. It must pass where no fault fired; where one did, it may
/// fail with any flux::error or cope. It must always end, and leave no coroutine, timer or descriptor.
/// Errors   the first run that broke this, with fault and operation in its message.
/// Throws   what a scenario throws that is not a flux::error.
template <class Scenario>
result<fault_summary> for_each_fault(Scenario&& scenario, virtual_loop_options options = {}) {
    constexpr fault kinds[] = {fault::none, fault::error, fault::short_transfer, fault::cancel, fault::cancel_in_flight, fault::reset};
    constexpr std::uint64_t most_operations = 1'000'000; // a scenario that counts on for ever must end too
    fault_summary summary;
    for (const fault kind : kinds) {
        for (std::uint64_t at = 0;; ++at) {
            fail_plan plan(kind, at);
            const auto blame = [&](error e) {
                return fail(std::move(e).doing("fault '" + std::string(to_string(kind)) + "' at operation " + std::to_string(at)));
            };
            virtual_loop loop(options);
            const leak_snapshot before(&loop);
            auto r = loop.run(scenario(plan));
            ++summary.runs;
            if (!r && (loop.gave_up() || !plan.fired())) {
                return blame(std::move(r).error());
            }
            const std::string leaked = before.difference_to(leak_snapshot(&loop));
            if (!leaked.empty()) {
                return blame(error(errc::limit).doing("leaked: " + leaked));
            }
            if (kind == fault::none) {
                summary.operations = plan.operations();
            }
            if (!plan.fired()) {
                break;
            }
            if (at == most_operations) {
                return blame(error(errc::limit));
            }
        }
    }
    return summary;
}

} // namespace flux::inline FLUX_ABI::testing
