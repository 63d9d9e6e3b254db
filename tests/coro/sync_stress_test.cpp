// SPDX-License-Identifier: MIT
// Mutex, semaphore and channel under random requests, stops and releases, beside a model of ten lines that says
// for each of them what must come out. The model moves in the same places as the real thing, so both agree after
// every step, whatever the interleaving.
#include <flux/coro/channel.hpp> // also proves the header is self-contained

#include <flux/coro/mutex.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/testing/prng.hpp>
#include <support/manual_loop.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

using namespace flux;
using flux::testing::prng;
using test_support::frame_check;
using test_support::manual_loop;

namespace {

constexpr int seeds = 3000;
constexpr int steps = 200;
constexpr std::size_t actors = 8;

/// How a wait ends: success, closed, or the reason of a stop.
enum class ending : unsigned char { open, success, closed, canceled, timed_out, disconnected, shutdown };

ending ending_of(stop_reason reason) {
    return static_cast<ending>(static_cast<int>(ending::closed) + static_cast<int>(reason));
}
template <class T>
ending ending_of(const result<T>& r) {
    if (r) {
        return ending::success;
    }
    const std::array<errc, 5> codes = {errc::closed, errc::canceled, errc::timed_out, errc::disconnected,
                                       errc::shutdown};
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (r.error().is(codes[i])) {
            return static_cast<ending>(static_cast<std::size_t>(ending::closed) + i);
        }
    }
    return ending::open;
}

/// One wait at a time, with what the model says about it.
struct actor {
    std::optional<task_scope> scope;
    ending expected = ending::open;
    int value = 0;          // what a send carries
    int expected_value = 0; // what a receive must yield; 0: the end of the channel
};

/// What the trials have in common.
class trial {
public:
    explicit trial(std::uint64_t seed) : random(seed) {}

    [[nodiscard]] bool idle(std::size_t id) { return !all[id].scope || all[id].scope->size() == 0; }
    [[nodiscard]] bool everybody_idle() {
        for (std::size_t id = 0; id < actors; ++id) {
            if (!idle(id)) {
                return false;
            }
        }
        return true;
    }
    template <class Task>
    void start(std::size_t id, Task wait) {
        all[id].scope.emplace(loop.root(), scope_policy::collect);
        all[id].expected = ending::open;
        all[id].scope->spawn(std::move(wait));
    }
    // In the coroutine, right before it waits. False: its context is stopped, the model need not know.
    bool begins(std::size_t id, context ctx) {
        if (ctx.stopped()) {
            all[id].expected = ending_of(ctx.reason());
            return false;
        }
        return true;
    }
    // The model: a wait that was suspended is over.
    void over(std::size_t id, ending e) {
        all[id].expected = e;
        order.push_back(id);
    }
    // In the coroutine, right after.
    void ended(std::size_t id, ending e, bool was_suspended) {
        wrong += e == all[id].expected ? 0 : 1;
        if (was_suspended) {
            wrong += !order.empty() && order.front() == id ? 0 : 1;
            if (!order.empty()) {
                order.pop_front();
            }
        }
        ++(e == ending::success ? successes : failures);
    }
    stop_reason some_reason() { return static_cast<stop_reason>(1 + random.below(4)); }

    prng random;
    frame_check frames;
    manual_loop loop;
    std::array<actor, actors> all;
    std::deque<std::size_t> order; // in which suspended waits must go on
    int wrong = 0;
    int successes = 0;
    int failures = 0;
};

// ---- semaphore; a mutex is one with one permit ----

class real_semaphore {
public:
    explicit real_semaphore(std::size_t permits) : semaphore_(permits) {}
    auto acquire(std::size_t n) { return semaphore_.acquire(n); }
    [[nodiscard]] bool agrees(std::size_t permits) const { return semaphore_.available() == permits; }
    using permit = semaphore_permit;

private:
    async_semaphore semaphore_;
};

class real_mutex {
public:
    explicit real_mutex(std::size_t) {}
    auto acquire(std::size_t) { return mutex_.lock(); }
    [[nodiscard]] bool agrees(std::size_t permits) const { return mutex_.is_locked() == (permits == 0); }
    using permit = mutex_guard;

private:
    async_mutex mutex_;
};

template <class Real>
class permit_trial : public trial {
public:
    permit_trial(std::uint64_t seed, std::size_t permits, std::size_t largest)
        : trial(seed), permits_(permits), largest_(largest), real_(permits) {}

    void run() {
        for (int i = 0; i < steps; ++i) {
            step();
            wrong += real_.agrees(permits_) ? 0 : 1;
        }
        for (std::size_t id = 0; id < actors; ++id) { // everybody lets go, everybody else is served
            stop(id);
        }
        loop.drain();
        for (std::size_t id = 0; id < actors; ++id) {
            release(id);
        }
        loop.drain();
        wrong += everybody_idle() && order.empty() && frames.alive() == 0 && real_.agrees(permits_) ? 0 : 1;
    }

private:
    void step() {
        const std::size_t id = random.below(actors);
        switch (random.below(6)) {
        case 0:
        case 1:
            if (idle(id) && !held_[id]) {
                start(id, act(*this, id, 1 + random.below(largest_)));
            }
            break;
        case 2:
            if (random.below(3) == 0) {
                stop(id);
            }
            break;
        case 3: {
            const auto holder = std::find_if(held_.begin(), held_.end(), [](const auto& h) { return h.has_value(); });
            if (holder != held_.end()) {
                release(static_cast<std::size_t>(holder - held_.begin()));
            }
            break;
        }
        default: loop.turn();
        }
    }
    static task<> act(permit_trial& self, std::size_t id, std::size_t n) {
        auto ctx = co_await this_context();
        bool suspends = false;
        if (self.begins(id, ctx)) {
            suspends = self.model_acquire(id, n);
        }
        auto permit = co_await attempt(self.real_.acquire(n));
        if (permit) {
            self.held_[id].emplace(*std::move(permit));
            self.held_count_[id] = n;
        }
        self.ended(id, ending_of(permit), suspends);
    }
    void stop(std::size_t id) {
        if (all[id].scope) {
            const stop_reason reason = some_reason();
            const auto is_this = [id](const auto& w) { return w.first == id; };
            const auto at = std::find_if(waiting_.begin(), waiting_.end(), is_this);
            if (at != waiting_.end()) {
                waiting_.erase(at);
                over(id, ending_of(reason));
                model_serve();
            }
            all[id].scope->stop(reason);
        }
    }
    void release(std::size_t id) {
        if (held_[id]) {
            permits_ += held_count_[id];
            model_serve();
            held_[id].reset();
        }
    }
    bool model_acquire(std::size_t id, std::size_t n) {
        if (waiting_.empty() && permits_ >= n) {
            permits_ -= n;
            all[id].expected = ending::success;
            return false;
        }
        waiting_.emplace_back(id, n);
        return true;
    }
    void model_serve() {
        while (!waiting_.empty() && waiting_.front().second <= permits_) {
            permits_ -= waiting_.front().second;
            over(waiting_.front().first, ending::success);
            waiting_.pop_front();
        }
    }

    std::size_t permits_;
    std::size_t largest_;
    std::deque<std::pair<std::size_t, std::size_t>> waiting_;
    Real real_;
    std::array<std::optional<typename Real::permit>, actors> held_;
    std::array<std::size_t, actors> held_count_{};
};

// ---- channel ----

class channel_trial : public trial {
public:
    channel_trial(std::uint64_t seed, std::size_t capacity) : trial(seed), capacity_(capacity), real_(capacity) {}

    void run() {
        for (int i = 0; i < steps; ++i) {
            step(i);
            wrong += real_.size() == buffered_.size() && real_.is_closed() == closed_ ? 0 : 1;
        }
        close();
        loop.drain();
        while (auto value = real_.try_receive()) {
            wrong += !buffered_.empty() && buffered_.front() == **value ? 0 : 1;
            if (!buffered_.empty()) {
                buffered_.pop_front();
            }
        }
        wrong += everybody_idle() && order.empty() && frames.alive() == 0 && buffered_.empty() ? 0 : 1;
    }

private:
    void step(int number) {
        const std::size_t id = random.below(actors);
        switch (random.below(9)) {
        case 0:
        case 1:
            if (idle(id)) {
                start(id, send(*this, id, ++last_value_));
            }
            break;
        case 2:
        case 3:
            if (idle(id)) {
                start(id, receive(*this, id));
            }
            break;
        case 4: stop(id); break;
        case 5: try_send(); break;
        case 6: try_receive(); break;
        case 7:
            if (number > steps - 40 && random.below(4) == 0) {
                close();
            }
            break;
        default: loop.turn();
        }
    }
    static task<> send(channel_trial& self, std::size_t id, int n) {
        auto ctx = co_await this_context();
        bool suspends = false;
        self.all[id].value = n;
        if (self.begins(id, ctx)) {
            suspends = self.model_send(id, n);
        }
        auto r = co_await attempt(self.real_.send(std::make_unique<int>(n)));
        self.ended(id, ending_of(r), suspends);
    }
    static task<> receive(channel_trial& self, std::size_t id) {
        auto ctx = co_await this_context();
        bool suspends = false;
        if (self.begins(id, ctx)) {
            suspends = self.model_receive(id);
        }
        auto r = co_await attempt(self.real_.receive());
        if (r) {
            self.wrong += (*r ? ***r : 0) == self.all[id].expected_value ? 0 : 1;
        }
        self.ended(id, ending_of(r), suspends);
    }
    void stop(std::size_t id) {
        if (all[id].scope) {
            const stop_reason reason = some_reason();
            if (std::erase(senders_, id) + std::erase(receivers_, id) != 0) {
                over(id, ending_of(reason));
            }
            all[id].scope->stop(reason);
        }
    }
    void try_send() {
        const int n = ++last_value_;
        const bool expected = !closed_ && model_place(n);
        wrong += real_.try_send(std::make_unique<int>(n)) == expected ? 0 : 1;
    }
    void try_receive() {
        const int expected = model_next();
        const auto got = real_.try_receive();
        wrong += (got ? **got : 0) == expected ? 0 : 1;
    }
    void close() {
        if (!closed_) {
            closed_ = true;
            for (const std::size_t id : senders_) {
                over(id, ending::closed);
            }
            for (const std::size_t id : receivers_) {
                all[id].expected_value = 0;
                over(id, ending::success);
            }
            senders_.clear();
            receivers_.clear();
        }
        real_.close();
    }

    bool model_place(int n) {
        if (!receivers_.empty()) {
            all[receivers_.front()].expected_value = n;
            over(receivers_.front(), ending::success);
            receivers_.pop_front();
            return true;
        }
        if (buffered_.size() < capacity_) {
            buffered_.push_back(n);
            return true;
        }
        return false;
    }
    int model_next() {
        int n = 0;
        if (!buffered_.empty()) {
            n = buffered_.front();
            buffered_.pop_front();
            if (!senders_.empty()) {
                buffered_.push_back(all[senders_.front()].value);
            }
        } else if (!senders_.empty()) {
            n = all[senders_.front()].value;
        }
        if (!senders_.empty()) {
            over(senders_.front(), ending::success);
            senders_.pop_front();
        }
        return n;
    }
    bool model_send(std::size_t id, int n) {
        if (closed_ || model_place(n)) {
            all[id].expected = closed_ ? ending::closed : ending::success;
            return false;
        }
        senders_.push_back(id);
        return true;
    }
    bool model_receive(std::size_t id) {
        const int n = model_next();
        if (n != 0 || closed_) {
            all[id].expected = ending::success;
            all[id].expected_value = n;
            return false;
        }
        receivers_.push_back(id);
        return true;
    }

    std::size_t capacity_;
    channel<std::unique_ptr<int>> real_;
    std::deque<int> buffered_;
    std::deque<std::size_t> senders_;
    std::deque<std::size_t> receivers_;
    bool closed_ = false;
    int last_value_ = 0;
};

/// Runs one trial for each seed; a failing seed is named.
template <class Make>
void for_all_seeds(Make make) {
    long successes = 0;
    long failures = 0;
    for (int seed = 1; seed <= seeds; ++seed) {
        CAPTURE(seed);
        auto t = make(static_cast<std::uint64_t>(seed));
        t->run();
        REQUIRE(t->wrong == 0);
        successes += t->successes;
        failures += t->failures;
    }
    // The trials do try something.
    CHECK(successes > 10L * seeds);
    CHECK(failures > 2L * seeds);
}

} // namespace

TEST_SUITE("coro/sync_stress") {

TEST_CASE("a mutex agrees with its model") {
    for_all_seeds([](std::uint64_t seed) { return std::make_unique<permit_trial<real_mutex>>(seed, 1U, 1U); });
}

TEST_CASE("a semaphore of one permit agrees with its model") {
    for_all_seeds([](std::uint64_t seed) { return std::make_unique<permit_trial<real_semaphore>>(seed, 1U, 1U); });
}

TEST_CASE("a semaphore with requests of many sizes agrees with its model") {
    for_all_seeds([](std::uint64_t seed) { return std::make_unique<permit_trial<real_semaphore>>(seed, 5U, 5U); });
}

TEST_CASE("a channel without slots agrees with its model") {
    for_all_seeds([](std::uint64_t seed) { return std::make_unique<channel_trial>(seed, 0U); });
}

TEST_CASE("a channel of one slot agrees with its model") {
    for_all_seeds([](std::uint64_t seed) { return std::make_unique<channel_trial>(seed, 1U); });
}

TEST_CASE("a channel of three slots agrees with its model") {
    for_all_seeds([](std::uint64_t seed) { return std::make_unique<channel_trial>(seed, 3U); });
}

} // TEST_SUITE
