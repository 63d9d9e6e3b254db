// SPDX-License-Identifier: MIT
// flux/http/client/pool_core.hpp - the connections of one client in one reactor: who may open one, who gets which.
//
//   acquire -> idle connection, the one used last | wait in turn <- freed connection | fresh connection
//   release -> first waiter | idle, watched | closed
//
// Accounting, whatever the stream: this counts and decides, connection_pool (pool.hpp) dials. Dials
// belong to the pool and not to who waits: a waiter takes what comes first, and a dial that lost is the next idle
// connection. For each origin there are as many dials as waiters, as far as the caps allow; a dial that fails fails
// the first waiter. Invariants, checked by tests/http/client/pool_model_test.cpp: dialling + active + idle never
// exceeds a cap; a waiter has a dial, or a cap is reached; a connection is idle, or in use by one exchange.
// Deliberately not here: HTTP (client_connection.hpp), when a connection may be used again (its exchange knows).
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/http/client/client_options.hpp>
#include <flux/http/client/origin_table.hpp>
#include <flux/http/client/pool_origin.hpp>
#include <flux/io/reactor.hpp>
#include <flux/net/connect_trace.hpp>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// See the head of this file.
class pool_core : private flux::detail::reactor_resident, private flux::detail::ready_node {
public:
    pool_core(scheduler& home, const pool_options& options)
        : ready_node(&on_closing), box_(home.mailbox()), home_(&home), options_(options),
          dialers_(flux::detail::make_owner<dialers>(home)) {
        if (home.kind() == scheduler_kind::reactor) {
            reactor::of(home).add_resident(*this);
        }
    }
    pool_core(const pool_core&) = delete;
    pool_core& operator=(const pool_core&) = delete;

    /// Params  trace  told of the connection that is made for the first who waits; null, or lives as long as the wait
    [[nodiscard]] acquire_op acquire(std::string_view host, std::uint16_t port, bool secure,
                                     connect_trace* trace = nullptr) noexcept {
        return acquire_op(*this, host, port, secure, trace);
    }
    /// Params  reusable  the exchange ended where its framing ends, nothing followed, and both sides go on
    void release(pool_member& m, bool reusable) noexcept {
        pool_origin& o = *m.origin_;
        list_hook_of(m).unlink();
        --o.active;
        --stats_.active;
        if (!reusable || closing_ || !is_quiet(m)) {
            drop(m);
            delete_if_over();
        } else if (o.waiting == 0) {
            keep(o, m);
        } else if (must_give_way(o)) {
            drop(m);
        } else {
            grant(o, m);
        }
    }
    /// Whether a connection that was acquired is still what it was when it was chosen: a turn of the loop may lie between.
    /// If not, release it and acquire another one.
    [[nodiscard]] bool is_usable(pool_member& m) noexcept { return !m.is_reused() || is_quiet(m); }
    /// Closes the idle connections of an origin, of which one turned out to be dead.
    void distrust(pool_member& m) noexcept {
        m.origin_->idle_members.for_each([this](pool_member& idle) { end(idle); });
    }

    /// Whether run_aside() may be called: its loop is running on this thread, and it is not ending.
    [[nodiscard]] bool can_run() const noexcept { return !closing_ && !ended_ && home_->on_own_thread(); }
    /// Runs something that belongs to the pool and not to a caller. It is stopped when the pool ends.
    void run_aside(flux::detail::child&& frame) { dialers_->scope.spawn_frame(std::move(frame)); }

    [[nodiscard]] const pool_stats& stats() const noexcept { return stats_; }
    [[nodiscard]] scheduler& home() const noexcept { return *home_; }
    [[nodiscard]] const std::shared_ptr<flux::detail::mailbox>& box() const noexcept { return box_; }

    /// Closes what is idle, gives up what is being opened, and deletes the pool once nothing is left in it.
    /// Threads  that of its reactor; any if that has ended and nothing is left in the pool.
    void retire() noexcept {
        retired_ = true;
        while (!by_age_.empty()) {
            pool_member& m = by_age_.back();
            leave_idle(m);
            drop(m);
        }
        if (!closing_) {
            begin_closing();
        }
        delete_if_over();
    }

protected:
    virtual ~pool_core() {
        FLUX_ASSERT(total_ == 0, "a pool was destroyed while its connections are in use");
        reactor_resident::unlink();
    }

    virtual void start_dial(pool_origin& o) = 0;
    /// Tells the listener of input, or the end, while it watches; nullptr ends the watch.
    virtual void watch(pool_member& m, hangup_listener* l) noexcept = 0;
    /// Whether nothing came that was not asked for, as far as can be seen without a system call.
    [[nodiscard]] virtual bool is_quiet(pool_member& m) noexcept = 0;
    virtual void destroy(pool_member& m) noexcept = 0;

    [[nodiscard]] const pool_options& options() const noexcept { return options_; }
    [[nodiscard]] task_scope& dial_scope() noexcept { return dialers_->scope; }
    /// A dial has begun to run. Returns whether it is still wanted.
    [[nodiscard]] static bool dial_starts(pool_origin& o, dial_record& r) noexcept {
        if (o.not_to_start != 0) {
            --o.not_to_start;
            return false;
        }
        o.dials.push_back(r);
        return true;
    }
    void dial_failed(pool_origin& o, error e, bool given_up) noexcept {
        --o.dialling;
        --stats_.dialling;
        --total_;
        o.unwanted -= given_up ? 1U : 0U;
        ++stats_.dial_failures;
        if (!given_up && o.waiting != 0) {
            acquire_state& first = next_waiter(o);
            first.failed_ = std::move(e);
            first.grant();
        }
        room_was_made(o);
    }
    void dial_succeeded(pool_origin& o, pool_member& m, bool given_up) noexcept {
        m.pool_ = this;
        m.origin_ = &o;
        o.unwanted -= given_up ? 1U : 0U;
        --o.dialling;
        --stats_.dialling;
        if (closing_) {
            drop(m); // what is left of the pool goes with the scope of the dials
        } else if (o.waiting != 0) {
            grant(o, m);
        } else {
            keep(o, m);
        }
    }

private:
    friend class acquire_state;
    friend class pool_member;

    static constexpr std::uint64_t patient_rounds = 16;

    // The dials and the context that they run under, which has no parent: they may outlive who asked for them.
    struct dialers {
        explicit dialers(scheduler& home) noexcept : node(home), scope(context(node), scope_policy::collect) {}
        context_node node;
        task_scope scope;
    };

    [[nodiscard]] static list_hook<by_origin_tag>& list_hook_of(pool_member& m) noexcept { return m; }
    [[nodiscard]] static list_hook<by_age_tag>& age_hook_of(pool_member& m) noexcept { return m; }

    void forget_if_unused(pool_origin& o) noexcept {
        if (o.is_unused()) {
            origins_.erase(o);
        }
    }

    // ---- taking ----
    [[nodiscard]] pool_member* try_take(pool_origin& o) noexcept {
        while (o.idle != 0) {
            pool_member& m = o.idle_members.front();
            if (!is_quiet(m)) {
                ++stats_.lost;
                end(m);
                continue;
            }
            leave_idle(m);
            watch(m, nullptr);
            activate(o, m);
            return &m;
        }
        return nullptr;
    }
    void activate(pool_origin& o, pool_member& m) noexcept {
        m.state_ = pool_member::state::active;
        o.active_members.push_back(m);
        ++o.active;
        ++stats_.active;
        stats_.reuses += m.uses_ != 0 ? 1U : 0U;
        ++m.uses_;
    }
    void grant(pool_origin& o, pool_member& m) noexcept {
        acquire_state& first = next_waiter(o);
        activate(o, m);
        first.member_ = &m;
        first.grant();
    }
    [[nodiscard]] static acquire_state& first_waiter(pool_origin& o) noexcept {
        return static_cast<acquire_state&>(o.waiters.front());
    }
    [[nodiscard]] acquire_state& next_waiter(pool_origin& o) noexcept {
        waits_less(o);
        return first_waiter(o);
    }
    void waits_less(pool_origin& o) noexcept {
        --o.waiting;
        --stats_.waiting;
        if (!lacks_dial(o)) {
            o.list_hook<starving_tag>::unlink();
        }
    }
    void joined(pool_origin& o, acquire_state& who) {
        who.number_ = ++waits_;
        ++o.waiting;
        ++stats_.waiting;
        want_dial(o);
        serve_starving();
    }
    // A waiter was stopped: the dial that was begun for it is given up, unless somebody else waits for it.
    void left(pool_origin& o) noexcept {
        waits_less(o);
        if (o.dialling > o.waiting + o.unwanted) {
            ++o.unwanted;
            if (o.dials.empty()) {
                ++o.not_to_start;
            } else {
                o.dials.back().give_up();
            }
        }
        forget_if_unused(o);
    }

    // ---- opening ----
    [[nodiscard]] static bool lacks_dial(const pool_origin& o) noexcept { return o.dialling < o.waiting + o.unwanted; }
    void want_dial(pool_origin& o) noexcept {
        if (lacks_dial(o) && o.connections() < options_.max_per_origin && !o.list_hook<starving_tag>::is_linked()) {
            starving_.push_back(o);
        }
    }
    // Opens what is wanted and allowed, one connection for each origin in turn.
    void serve_starving() {
        while (!starving_.empty() && !closing_) {
            if (total_ >= options_.max_total) {
                if (total_ - ending_ >= options_.max_total) {
                    make_room();
                }
                return; // what ends comes here again
            }
            pool_origin& o = starving_.pop_front();
            ++o.dialling;
            ++stats_.dialling;
            ++stats_.dials;
            ++total_;
            want_dial(o);
            start_dial(o);
        }
    }
    // Whether an origin with waiters gives a connection up, because somebody else waits longer who could open one then: at
    // the total cap, one with many requests must not keep all others out. Another one with as many connections has to wait
    // longer by some rounds of the pool, or busy origins would open a connection for every third request. If this one gets
    // its own, the next turn is another's.
    [[nodiscard]] bool must_give_way(pool_origin& o) noexcept {
        if (total_ - ending_ < options_.max_total || starving_.empty()) {
            return false;
        }
        if (&starving_.front() == &o) {
            starving_.push_back(starving_.pop_front());
        }
        pool_origin& other = starving_.front();
        // One of this one's is on its way out: with only one fewer, the two would change places and back again.
        const bool has_fewer = other.connections() == 0 || other.connections() < o.connections();
        const std::uint64_t rounds = has_fewer ? 0 : patient_rounds;
        return &other != &o && first_waiter(other).number_ + rounds * options_.max_total < first_waiter(o).number_;
    }
    // The longest idle connection goes.
    void make_room() noexcept {
        if (!by_age_.empty()) {
            ++stats_.evicted;
            end(by_age_.back());
        }
    }
    void room_was_made(pool_origin& o) {
        if (!closing_) {
            want_dial(o);
            serve_starving();
        }
        forget_if_unused(o);
    }

    // ---- keeping ----
    void keep(pool_origin& o, pool_member& m) noexcept {
        m.state_ = pool_member::state::idle;
        o.idle_members.push_front(m);
        by_age_.push_front(m);
        ++o.idle;
        ++stats_.idle;
        milliseconds limit = options_.idle_timeout;
        if (m.idle_limit_.count() > 0) {
            const milliseconds said = m.idle_limit_ - options_.keep_alive_margin;
            limit = limit.count() <= 0 || said < limit ? said : limit;
        }
        const bool ever = options_.idle_timeout.count() > 0 || m.idle_limit_.count() > 0;
        m.expires_ = ever ? deadline_after(home_->now(), limit) : no_deadline;
        if (ever && m.expires_ <= home_->now()) {
            ++stats_.expired;
            end(m);
            return;
        }
        // A timer that is armed for an earlier time looks again when it fires: it costs a store to be idle again.
        if (ever && !m.timer::is_armed()) {
            home_->arm(m, m.expires_);
        }
        watch(m, &m);
        if (o.idle > options_.max_idle_per_origin) {
            ++stats_.evicted;
            end(o.idle_members.back());
        }
        serve_starving();
    }
    void leave_idle(pool_member& m) noexcept {
        list_hook_of(m).unlink();
        age_hook_of(m).unlink();
        --m.origin_->idle;
        --stats_.idle;
    }
    // Takes an idle connection out of the pool; it is closed from the loop, because the stream may be what told us.
    void end(pool_member& m) noexcept {
        if (m.state_ != pool_member::state::idle) {
            return;
        }
        leave_idle(m);
        home_->disarm(m);
        m.state_ = pool_member::state::ending;
        ++m.origin_->ending;
        ++ending_;
        home_->make_ready(m);
    }
    void ended(pool_member& m) noexcept {
        pool_origin& o = *m.origin_;
        --o.ending;
        --ending_;
        --total_;
        discard(m);
        room_was_made(o);
        delete_if_over();
    }
    // Closes a connection that is in no list any more.
    void drop(pool_member& m) noexcept {
        pool_origin& o = *m.origin_;
        --total_;
        discard(m);
        room_was_made(o);
    }
    void discard(pool_member& m) noexcept {
        if (!ended_) {
            home_->disarm(m);
        }
        destroy(m);
    }

    // ---- ending ----
    void begin_closing() noexcept {
        closing_ = true;
        dialers_->scope.stop(stop_reason::shutdown);
        if (dialers_->scope.size() == 0) {
            dialers_.reset();
        } else {
            home_->make_ready(*this);
        }
    }
    static void on_closing(ready_node& n) noexcept {
        auto& self = static_cast<pool_core&>(n);
        if (self.dialers_->scope.size() != 0) {
            self.home_->make_ready(self);
            return;
        }
        self.dialers_.reset();
        self.delete_if_over();
    }
    // Nothing is closed here: the loop is going through what lives in it.
    void reactor_ends() noexcept override {
        reactor_resident::unlink();
        while (!by_age_.empty()) {
            end(by_age_.back());
        }
        if (!closing_) {
            begin_closing();
        }
        origins_.for_each([this](pool_origin& o) {
            o.active_members.for_each([this](pool_member& m) { home_->disarm(m); });
        });
        ended_ = true; // timers are gone; what is ready still runs
    }
    void delete_if_over() noexcept {
        if (retired_ && !dialers_ && total_ == 0) {
            delete this;
        }
    }

    std::shared_ptr<flux::detail::mailbox> box_;
    scheduler* home_;
    pool_options options_;
    pool_stats stats_;
    origin_table origins_;
    std::uint64_t waits_ = 0;
    std::uint32_t total_ = 0;  // dialling, active, idle and ending
    std::uint32_t ending_ = 0; // to be closed in this turn
    intrusive_list<pool_member, by_age_tag> by_age_; // idle ones, the longest idle one last
    intrusive_list<pool_origin, starving_tag> starving_; // those that lack a dial and are below their cap, in turn
    flux::detail::owner<dialers> dialers_;
    bool closing_ = false;
    bool retired_ = false;
    bool ended_ = false;
};

inline void pool_member::on_input(hangup_listener& l, bool) noexcept {
    auto& m = static_cast<pool_member&>(l);
    if (m.state_ == state::idle) {
        ++m.pool_->stats_.lost;
        m.pool_->end(m);
    }
}
inline void pool_member::on_timer(timer& t) noexcept {
    auto& m = static_cast<pool_member&>(t);
    scheduler& home = m.pool_->home();
    if (m.state_ == state::idle) {
        if (m.expires_ <= home.now()) {
            ++m.pool_->stats_.expired;
            m.pool_->watch(m, nullptr);
            m.pool_->end(m);
        } else {
            home.arm(m, m.expires_);
        }
    }
}
inline void pool_member::on_end(ready_node& n) noexcept {
    auto& m = static_cast<pool_member&>(n);
    m.pool_->ended(m);
}

inline bool acquire_state::await_ready() {
    return ready([this] {
        origin_ = &op_.pool_->origins_.find_or_make(op_.host_, op_.port_, op_.secure_);
        member_ = op_.pool_->try_take(*origin_);
        return member_ != nullptr;
    });
}
inline void acquire_state::await_suspend(std::coroutine_handle<> waiter) noexcept {
    if (granted() || origin_ == nullptr) { // there is an outcome already, and the budget is used up
        const bool yields = yield_if_out_of_budget(waiter);
        FLUX_ASSERT(yields, "a wait that is over was suspended");
        return;
    }
    wait_in(origin_->waiters, waiter);
    op_.pool_->joined(*origin_, *this);
}
inline void acquire_state::on_stop(stop_hook& hook) noexcept {
    auto& self = static_cast<acquire_state&>(hook);
    leave(hook);
    self.op_.pool_->left(*self.origin_);
}

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
