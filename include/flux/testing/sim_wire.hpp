// SPDX-License-Identifier: MIT
// flux/testing/sim_wire.hpp - what lies between two ends of a simulated connection: delay, loss of time, resets.
//
//   write -> segments of random size -> one queue per direction -> due time -> visible to the reader
//
// Order is kept, as TCP keeps it: a segment that is late holds up those behind it. Windows open without delay.
// Deliberately not here: who connects to whom (sim_network.hpp).
#pragma once

#include <flux/core/time.hpp>
#include <flux/testing/memory_listener.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace flux::inline FLUX_ABI::testing {

/// How octets travel from one host to another. Changes apply to what is sent afterwards.
struct sim_link {
    duration delay = milliseconds(1);   ///< one way
    duration jitter{};                  ///< added to each segment: zero up to this
    std::uint64_t octets_per_second = 0; ///< 0: no limit
    std::size_t max_segment = 1460;     ///< segments have 1 to so many octets
    double stall_chance = 0;            ///< of a segment to come late by `stall`, as if it had been lost and sent again
    duration stall = milliseconds(200);
    double reset_chance = 0;            ///< of a segment to be the end of its connection: both sides see a reset
    double refuse_chance = 0;           ///< of a connect to be refused
    double short_read_chance = 0.25;    ///< of an arrival to be read in a small piece first
};
static_assert(std::is_trivially_destructible_v<sim_link>);

enum class sim_event_kind : std::uint8_t { connect, accept, refuse, data, end, reset, note };

[[nodiscard]] constexpr std::string_view to_string(sim_event_kind k) noexcept {
    constexpr std::string_view names[] = {"connect", "accept", "refuse", "data", "end", "reset", "note"};
    return names[static_cast<std::size_t>(k)];
}

/// Something that happened, in the order of happening.
struct sim_event {
    duration at{};                ///< since the start of the world
    std::uint64_t connection = 0; ///< counted from 1; 0: none
    std::uint64_t octets = 0;     ///< of data; of a note: what was noted
    sim_event_kind kind = sim_event_kind::note;
    bool to_server = false;       ///< data, end, reset: which way it went
};

/// The last events of a run, and one number that stands for all of them.
class sim_trace {
public:
    explicit sim_trace(std::size_t limit) noexcept : limit_(limit) {}

    void record(const sim_event& e, const_buffer first = {}, const_buffer second = {}) {
        mix(static_cast<std::uint64_t>(e.at.count()));
        mix(e.connection);
        mix(e.octets);
        mix(static_cast<std::uint64_t>(e.kind) * 2 + (e.to_server ? 1 : 0));
        mix(first);
        mix(second);
        ++count_;
        if (limit_ == 0) {
            return;
        }
        if (events_.size() < limit_) {
            events_.push_back(e);
        } else {
            events_[(count_ - 1) % limit_] = e;
        }
    }

    /// Covers every event since the start, times and contents included.
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    /// One line per event that is still known.
    [[nodiscard]] std::string text() const {
        std::string out;
        const std::size_t first = events_.size() < limit_ || limit_ == 0 ? 0 : count_ % limit_;
        for (std::size_t i = 0; i < events_.size(); ++i) {
            const sim_event& e = events_[(first + i) % events_.size()];
            out += std::to_string(std::chrono::duration_cast<microseconds>(e.at).count()) + " us  #" +
                   std::to_string(e.connection) + (e.to_server ? " > " : " < ");
            out += to_string(e.kind);
            out += ' ' + std::to_string(e.octets) + '\n';
        }
        return out;
    }

private:
    void mix(std::uint64_t value) noexcept { hash_ = prng(hash_ ^ value).next(); }
    void mix(const_buffer octets) noexcept {
        std::uint64_t word = octets.size();
        for (const std::byte b : octets) {
            word = word * 0x100000001b3U + std::to_integer<std::uint64_t>(b);
        }
        mix(word);
    }

    std::uint64_t hash_ = 0;
    std::uint64_t count_ = 0;
    std::size_t limit_;
    std::vector<sim_event> events_;
};

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

/// What all wires of a world share.
class sim_core {
public:
    sim_core(std::uint64_t seed, const testing::sim_link& link, bool shuffle, std::uint64_t max_steps,
             std::size_t trace_limit)
        : seeds_(seed), network_(seeds_.fork()), scenario_(seeds_.fork()),
          loop_({.shuffle_seed = shuffle ? seeds_.next() | 1 : 0, .max_steps = max_steps}), default_link_(link),
          trace_(trace_limit) {}
    sim_core(const sim_core&) = delete;
    sim_core& operator=(const sim_core&) = delete;
    ~sim_core() { FLUX_ASSERT(wires == 0, "sim_world destroyed before its connections were closed"); }

    [[nodiscard]] testing::virtual_loop& loop() noexcept { return loop_; }
    [[nodiscard]] testing::prng& network() noexcept { return network_; }
    [[nodiscard]] testing::prng& scenario() noexcept { return scenario_; }
    [[nodiscard]] testing::sim_trace& trace() noexcept { return trace_; }

    [[nodiscard]] const testing::sim_link& link(std::size_t from, std::size_t to) const noexcept {
        const path* p = find(from, to);
        return p != nullptr && p->own_link ? p->link : default_link_;
    }
    void set_default_link(const testing::sim_link& link) noexcept { default_link_ = link; }
    void set_link(std::size_t from, std::size_t to, const testing::sim_link& link) {
        path& p = make(from, to);
        p.link = link;
        p.own_link = true;
    }
    [[nodiscard]] bool is_cut(std::size_t from, std::size_t to) const noexcept {
        const path* p = find(from, to);
        return p != nullptr && p->cut;
    }
    void set_cut(std::size_t from, std::size_t to, bool cut) { make(from, to).cut = cut; }

    /// How long one packet takes now, without bandwidth and stalls.
    [[nodiscard]] duration travel(std::size_t from, std::size_t to) noexcept {
        const testing::sim_link& l = link(from, to);
        return l.delay + network_.up_to(l.jitter);
    }
    void record(testing::sim_event_kind kind, std::uint64_t connection, bool to_server, std::uint64_t octets = 0,
                const_buffer first = {}, const_buffer second = {}) {
        testing::sim_event e;
        e.at = loop_.elapsed();
        e.connection = connection;
        e.octets = octets;
        e.kind = kind;
        e.to_server = to_server;
        trace_.record(e, first, second);
    }

    std::size_t wires = 0; // that exist

private:
    struct path {
        path(std::size_t f, std::size_t t) noexcept : from(f), to(t) {}
        std::size_t from;
        std::size_t to;
        testing::sim_link link;
        bool own_link = false;
        bool cut = false;
    };
    [[nodiscard]] const path* find(std::size_t from, std::size_t to) const noexcept {
        for (const path& p : paths_) {
            if (p.from == from && p.to == to) {
                return &p;
            }
        }
        return nullptr;
    }
    [[nodiscard]] path& make(std::size_t from, std::size_t to) {
        for (path& p : paths_) {
            if (p.from == from && p.to == to) {
                return p;
            }
        }
        return paths_.emplace_back(from, to);
    }

    testing::prng seeds_;
    testing::prng network_;
    testing::prng scenario_;
    testing::virtual_loop loop_;
    testing::sim_link default_link_;
    std::vector<path> paths_;
    testing::sim_trace trace_;
};

/// Both directions of one connection. End 0 connected, end 1 was accepted.
class sim_wire final : public memory_wire {
public:
    sim_wire(sim_core& core, memory_channel& channel, std::size_t client, std::size_t server, std::uint64_t id) noexcept
        : core_(&core), channel_(&channel), hosts_{client, server}, id_(id) {
        ++core_->wires;
    }
    ~sim_wire() override {
        --core_->wires;
        disarm();
    }

    void sent(unsigned from, std::size_t octets) noexcept override {
        const testing::sim_link& link = core_->link(hosts_[from], hosts_[1 - from]);
        testing::prng& random = core_->network();
        while (octets > 0) {
            const std::size_t n = std::min<std::size_t>(octets, random.between(1, std::max<std::size_t>(link.max_segment, 1)));
            octets -= n;
            const duration stall = random.chance(link.stall_chance) ? link.stall : duration::zero();
            const bool reset = random.chance(link.reset_chance);
            push(from, reset ? kind::broken : kind::data, n, stall);
        }
    }
    void ended(unsigned from) noexcept override { push(from, kind::end, 0); }
    void reset(unsigned from) noexcept override { push(from, kind::reset, 0); }

private:
    enum class kind : std::uint8_t { data, end, reset, broken };
    struct item {
        item(time_point when, kind w, std::size_t n) noexcept : at(when), octets(n), what(w) {}
        time_point at;
        std::size_t octets;
        kind what;
    };
    class lane : public timer {
    public:
        lane(sim_wire& w, unsigned f) noexcept : timer(&due), wire(&w), from(f) {}
        [[nodiscard]] bool empty() const noexcept { return next == items.size(); }

        sim_wire* wire;
        unsigned from;
        std::vector<item> items; // [next, size) are on their way
        std::size_t next = 0;
        time_point sent_until{}; // when the link has sent what it was given
        duration backoff{};      // while the link is cut
        duration waited{};
        bool rejected = false;

    private:
        static void due(timer& t) noexcept {
            auto& self = static_cast<lane&>(t);
            self.wire->arrive(self);
        }
    };

    // How TCP behaves where nothing gets through: it tries again, less and less often, and then gives up.
    static constexpr duration first_backoff = milliseconds(200);
    static constexpr duration last_backoff = minutes(2);
    static constexpr duration patience = minutes(15);

    void push(unsigned from, kind what, std::size_t octets, duration stall = {}) noexcept {
        lane& l = lanes_[from];
        const testing::sim_link& link = core_->link(hosts_[from], hosts_[1 - from]);
        const time_point now = core_->loop().now();
        l.sent_until = std::max(l.sent_until, now);
        if (link.octets_per_second != 0) {
            l.sent_until += nanoseconds(octets * 1'000'000'000 / link.octets_per_second);
        }
        const time_point at = l.sent_until + core_->travel(hosts_[from], hosts_[1 - from]) + stall;
        l.items.emplace_back(at, what, octets); // may be earlier than those before it, but does not overtake them
        if (!l.is_armed()) {
            core_->loop().arm(l, at);
        }
    }

    void arrive(lane& l) noexcept {
        testing::virtual_loop& loop = core_->loop();
        if (core_->is_cut(hosts_[l.from], hosts_[1 - l.from])) {
            l.backoff = l.backoff == duration::zero() ? first_backoff : std::min(l.backoff * 2, last_backoff);
            l.waited += l.backoff;
            if (l.waited > patience) {
                lose(ETIMEDOUT);
            } else {
                loop.arm(l, loop.now() + l.backoff);
            }
            return;
        }
        l.backoff = l.waited = duration::zero();
        while (!l.empty() && l.items[l.next].at <= loop.now()) {
            const item i = l.items[l.next++];
            deliver(l, i);
        }
        if (l.empty()) {
            l.items.clear();
            l.next = 0;
        } else {
            loop.arm(l, l.items[l.next].at);
        }
    }

    void deliver(lane& l, const item& i) noexcept {
        const unsigned to = 1 - l.from;
        memory_pipe& pipe = channel_->to(to);
        switch (i.what) {
        case kind::data: {
            const auto [first, second] = pipe.on_their_way(i.octets);
            core_->record(testing::sim_event_kind::data, id_, to == 1, i.octets, first, second);
            if (pipe.reader_left()) {
                reject(l);
                break;
            }
            channel_->octets_arrive(to, i.octets);
            if (core_->network().chance(core_->link(hosts_[l.from], hosts_[to]).short_read_chance)) {
                pipe.limit_next_read(core_->network().between(1, 32));
            }
            break;
        }
        case kind::end:
            core_->record(testing::sim_event_kind::end, id_, to == 1);
            channel_->end_arrives(to);
            break;
        case kind::reset:
            core_->record(testing::sim_event_kind::reset, id_, to == 1);
            channel_->reset_arrives(to);
            break;
        case kind::broken: lose(ECONNRESET); break;
        }
    }

    // Octets for an end that is closed: it answers with a reset, once.
    void reject(lane& l) noexcept {
        if (!l.rejected) {
            l.rejected = true;
            push(1 - l.from, kind::reset, 0);
        }
    }
    // The connection is gone at both ends, with everything on its way.
    void lose(int number) noexcept {
        core_->record(testing::sim_event_kind::reset, id_, false, static_cast<std::uint64_t>(number));
        disarm();
        for (lane& l : lanes_) {
            l.items.clear();
            l.next = 0;
        }
        channel_->reset_arrives(0, number);
        channel_->reset_arrives(1, number);
    }
    void disarm() noexcept {
        for (lane& l : lanes_) {
            core_->loop().disarm(l);
        }
    }

    sim_core* core_;
    memory_channel* channel_; // owns this
    std::size_t hosts_[2];
    std::uint64_t id_;
    lane lanes_[2]{lane(*this, 0), lane(*this, 1)};
};

} // namespace flux::inline FLUX_ABI::detail
