// SPDX-License-Identifier: MIT
// flux/testing/sim_network.hpp - a network in one process and on one virtual clock, decided by a seed.
//
//   sim_world world(seed);  auto server = world.host("server");  auto client = world.host("client");
//   auto listener = server.listen(80).value();   auto s = co_await client.connect("server", 80);
//   auto r = world.run(scenario(...));           CHECK(world.trace().hash() == ...);
//
// Streams and listeners are memory streams and memory listeners; only the time between write and read is
// simulated. The same seed gives the same run, octet by octet and nanosecond by nanosecond. Deliberately not
// here: names (a host is known by its name at once), datagrams, hosts that crash.
#pragma once

#include <flux/testing/sim_wire.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace flux::inline FLUX_ABI::testing {

struct sim_options {
    sim_link link = {};                   ///< between all hosts for which set_link() did not say otherwise
    memory_options streams = {};          ///< of all connections; `capacity` is the window of each direction
    bool shuffle = true;                  ///< ready coroutines run in an order drawn from the seed
    std::uint64_t max_steps = 10'000'000; ///< as for virtual_loop
    std::size_t trace_limit = 1000;       ///< events that trace().text() remembers
};
static_assert(std::is_trivially_destructible_v<sim_options>);

class sim_world;

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

/// Hosts, listeners and connections.
class sim_network : public sim_core {
public:
    sim_network(std::uint64_t seed, const testing::sim_options& o)
        : sim_core(seed, o.link, o.shuffle, o.max_steps, o.trace_limit), options_(o) {}

    static constexpr std::size_t nowhere = ~std::size_t{0};

    [[nodiscard]] std::size_t find_host(std::string_view name) const noexcept {
        for (std::size_t i = 0; i < hosts_.size(); ++i) {
            if (hosts_[i].name == name) {
                return i;
            }
        }
        return nowhere;
    }
    [[nodiscard]] std::size_t find_host(const endpoint& where) const noexcept {
        for (std::size_t i = 0; i < hosts_.size(); ++i) {
            if (address(i, where.port()) == where) {
                return i;
            }
        }
        return nowhere;
    }
    [[nodiscard]] std::size_t add_host(std::string_view name) {
        FLUX_ASSERT(hosts_.size() < 60'000, "a simulated world has at most 60000 hosts");
        hosts_.emplace_back(name);
        return hosts_.size() - 1;
    }
    [[nodiscard]] const std::string& name(std::size_t host) const noexcept { return hosts_[host].name; }
    /// 10.0.0.1 for the first host, and so on.
    [[nodiscard]] endpoint address(std::size_t host, std::uint16_t port) const noexcept {
        const std::size_t n = host + 1;
        return endpoint::ipv4({10, 0, static_cast<std::uint8_t>(n / 256), static_cast<std::uint8_t>(n % 256)}, port);
    }
    [[nodiscard]] endpoint next_endpoint(std::size_t host) noexcept {
        std::uint16_t& port = hosts_[host].last_port;
        port = port == 65'535 ? std::uint16_t{40'000} : static_cast<std::uint16_t>(port + 1);
        return address(host, port);
    }

    [[nodiscard]] result<testing::memory_listener> listen(std::size_t host, std::uint16_t port, std::size_t backlog) {
        const endpoint where = port == 0 ? next_endpoint(host) : address(host, port);
        std::erase_if(listeners_, [](const auto& l) { return !l->is_open(); });
        if (find_listener(where) != nullptr) {
            return fail(error::from_errno(EADDRINUSE).doing("listen " + where.to_string()));
        }
        testing::memory_listener_options o;
        o.backlog = backlog;
        o.streams = options_.streams;
        listeners_.push_back(std::make_shared<memory_listener_core>(where, o));
        return memory_listener_access::make(listeners_.back());
    }
    [[nodiscard]] memory_listener_core* find_listener(const endpoint& where) const noexcept {
        for (const auto& l : listeners_) {
            if (l->is_open() && l->where() == where) {
                return l.get();
            }
        }
        return nullptr;
    }

    /// A connect has reached its host. Yields the connecting end; the other one waits for accept().
    [[nodiscard]] result<testing::memory_stream> arrive(std::size_t from, std::size_t to, const endpoint& where,
                                                        std::uint64_t id) {
        memory_listener_core* listener = find_listener(where);
        const bool refused = network().chance(link(from, to).refuse_chance);
        if (refused || listener == nullptr || !listener->takes_more()) {
            record(testing::sim_event_kind::refuse, id, false);
            return fail(error::from_errno(ECONNREFUSED));
        }
        record(testing::sim_event_kind::accept, id, true);
        auto* channel = new memory_channel(options_.streams, next_endpoint(from), where);
        testing::memory_stream near = memory_access::make(*channel, 0);
        testing::memory_stream far = memory_access::make(*channel, 1);
        channel->set_wire(std::make_unique<sim_wire>(*this, *channel, from, to, id));
        listener->offer(std::move(far));
        return near;
    }
    [[nodiscard]] std::uint64_t next_connection() noexcept { return ++connections_; }

private:
    struct host_entry {
        explicit host_entry(std::string_view n) : name(n) {}
        std::string name;
        std::uint16_t last_port = 40'000;
    };
    testing::sim_options options_;
    std::vector<host_entry> hosts_;
    std::vector<std::shared_ptr<memory_listener_core>> listeners_;
    std::uint64_t connections_ = 0;
};

class sim_connect_state;
class [[nodiscard]] sim_connect_op {
public:
    using value_type = testing::memory_stream;
    using state_type = sim_connect_state;
    sim_connect_op(sim_network& net, std::size_t from, const endpoint& to) noexcept : net_(&net), from_(from), to_(to) {}

private:
    friend class sim_connect_state;
    sim_network* net_;
    std::size_t from_;
    endpoint to_;
};

// One timer: first the way there, then, with the answer known, the way back.
class sim_connect_state : public suspension, private timer {
public:
    sim_connect_state(sim_connect_op op, context_node& ctx) noexcept
        : suspension(ctx, &on_stop), timer(&on_timer), net_(op.net_), from_(op.from_), where_(op.to_),
          to_(net_->find_host(where_)) {}

    bool await_ready() noexcept {
        if (ctx().stopped()) {
            outcome_ = fail(ctx().stop_error());
            return true;
        }
        id_ = net_->next_connection();
        net_->record(testing::sim_event_kind::connect, id_, true);
        return false;
    }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        suspend(waiter);
        if (to_ == sim_network::nowhere) {
            answer(fail(error::from_errno(EHOSTUNREACH)), duration::zero());
        } else {
            home().arm(*this, home().now() + net_->travel(from_, to_));
        }
    }
    [[nodiscard]] result<testing::memory_stream> take() {
        if (!outcome_) {
            const std::string peer = where_.to_string();
            outcome_.error().doing("connect " + peer).phase(error_phase::connect).peer(peer).retryable(true);
        }
        return std::move(outcome_);
    }

private:
    static constexpr duration first_retry = seconds(1); // then 2 s, 4 s, ... as Linux does with 6 retries
    static constexpr duration patience = seconds(127);

    void answer(result<testing::memory_stream> r, duration way_back) noexcept {
        outcome_ = std::move(r);
        answered_ = true;
        home().arm(*this, home().now() + way_back);
    }
    void arrive() noexcept {
        if (net_->is_cut(from_, to_) || net_->is_cut(to_, from_)) {
            retry_ = retry_ == duration::zero() ? first_retry : retry_ * 2;
            waited_ += retry_;
            if (waited_ >= patience) {
                answer(fail(error::from_errno(ETIMEDOUT)), retry_);
            } else {
                home().arm(*this, home().now() + retry_);
            }
            return;
        }
        auto arrived = net_->arrive(from_, to_, where_, id_); // draws numbers, and so does travel(): in this order
        answer(std::move(arrived), net_->travel(to_, from_));
    }
    static void on_timer(timer& t) noexcept {
        auto& self = static_cast<sim_connect_state&>(t);
        if (self.answered_) {
            self.finish();
        } else {
            self.arrive();
        }
    }
    // A connection that was made already is reset, as when a connecting socket is closed.
    static void on_stop(stop_hook& hook) noexcept {
        auto& self = static_cast<sim_connect_state&>(hook);
        self.home().disarm(self);
        if (self.answered_ && self.outcome_) {
            self.outcome_->abort();
        }
        self.outcome_ = fail(self.ctx().stop_error());
        self.finish();
    }

    sim_network* net_;
    std::size_t from_;
    endpoint where_;
    std::size_t to_;
    std::uint64_t id_ = 0;
    duration retry_{};
    duration waited_{};
    bool answered_ = false;
    result<testing::memory_stream> outcome_ = fail(errc::closed);
};

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::testing {

/// One host of a sim_world; a small value that borrows the world.
class sim_host {
public:
    [[nodiscard]] const std::string& name() const noexcept { return net_->name(index_); }
    /// 10.0.0.n:port
    [[nodiscard]] endpoint address(std::uint16_t port) const noexcept { return net_->address(index_, port); }

    /// Params   port     0: one that is free.
    ///          backlog  connections that wait for accept(); more are refused.
    /// Errors   EADDRINUSE.
    [[nodiscard]] result<memory_listener> listen(std::uint16_t port, std::size_t backlog = 128) const {
        return net_->listen(index_, port, backlog);
    }

    /// Connects after one round trip.
    /// Errors   ECONNREFUSED: nobody listens, the backlog is full, or by chance. ETIMEDOUT: the link is cut.
    ///          EHOSTUNREACH: no such host. The context's reason. All of phase connect and retryable.
    /// Cancel   at once; the other side sees a reset if it had accepted already.
    [[nodiscard]] detail::sim_connect_op connect(const endpoint& to) const noexcept {
        return detail::sim_connect_op(*net_, index_, to);
    }
    /// The same by name.
    [[nodiscard]] detail::sim_connect_op connect(std::string_view host, std::uint16_t port) const noexcept {
        const std::size_t to = net_->find_host(host);
        return connect(to == detail::sim_network::nowhere ? endpoint() : net_->address(to, port));
    }

private:
    friend class sim_world;
    sim_host(detail::sim_network& net, std::size_t index) noexcept : net_(&net), index_(index) {}
    detail::sim_network* net_;
    std::size_t index_;
};

/// A loop, a network, and everything random in both, from one seed.
///
/// Must outlive its streams and listeners.
/// Threads  one.
class sim_world {
public:
    explicit sim_world(std::uint64_t seed, sim_options options = {}) : net_(seed, options) {}

    [[nodiscard]] virtual_loop& loop() noexcept { return net_.loop(); }
    /// For choices of the scenario itself; what it draws does not change what the network draws.
    [[nodiscard]] prng& random() noexcept { return net_.scenario(); }

    /// The host of that name, made when it is named first.
    [[nodiscard]] sim_host host(std::string_view name) {
        const std::size_t known = net_.find_host(name);
        return sim_host(net_, known == detail::sim_network::nowhere ? net_.add_host(name) : known);
    }

    /// How octets travel between two hosts, both ways.
    void set_link(sim_host a, sim_host b, const sim_link& link) {
        set_one_way(a, b, link);
        set_one_way(b, a, link);
    }
    void set_one_way(sim_host from, sim_host to, const sim_link& link) { net_.set_link(from.index_, to.index_, link); }
    /// For all hosts between which nothing else was set.
    void set_default_link(const sim_link& link) noexcept { net_.set_default_link(link); }

    /// From now on nothing gets through. What is on its way and what is sent meanwhile waits, is tried again
    /// as TCP does, and after 15 minutes the connection is lost with ETIMEDOUT.
    void cut(sim_host a, sim_host b) { set_cut(a, b, true); }
    void heal(sim_host a, sim_host b) { set_cut(a, b, false); }

    /// As virtual_loop::run().
    template <operation Op>
        requires(!std::is_lvalue_reference_v<Op>)
    auto run(Op&& op) {
        return net_.loop().run(std::forward<Op>(op));
    }

    /// What happened. Equal hashes: equal runs.
    [[nodiscard]] const sim_trace& trace() noexcept { return net_.trace(); }
    /// Adds something of the scenario to the trace, so that the hash covers it.
    void note(std::uint64_t what) { net_.record(sim_event_kind::note, 0, false, what); }
    /// Connections with at least one open end.
    [[nodiscard]] std::size_t connections() const noexcept { return net_.wires; }

private:
    void set_cut(sim_host a, sim_host b, bool cut) {
        net_.set_cut(a.index_, b.index_, cut);
        net_.set_cut(b.index_, a.index_, cut);
    }

    detail::sim_network net_;
};

} // namespace flux::inline FLUX_ABI::testing
