// SPDX-License-Identifier: MIT
// The pool against a model, on a virtual clock, with everything that happens drawn from a seed: callers that come, are
// stopped and release; connections that are slow, fail or hang; servers that close or talk out of turn.
//
//   FLUX_POOL_SEED=N      only that seed, with an account of what happened
//   FLUX_POOL_SEEDS=N     how many instead of the default
#include <flux/http/client/pool.hpp>

#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/testing/prng.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/transport.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace flux;
using namespace std::chrono_literals;
using flux::testing::prng;
using test_support::any_stream;

namespace {

struct world;

/// A stream that the model counts as long as it is open.
class counted_stream {
public:
    counted_stream() noexcept = default;
    counted_stream(world* w, std::string where, any_stream s) : world_(w), where_(std::move(where)), stream_(std::move(s)) {}
    counted_stream(counted_stream&& o) noexcept
        : world_(std::exchange(o.world_, nullptr)), where_(std::move(o.where_)), stream_(std::move(o.stream_)) {}
    counted_stream& operator=(counted_stream&& o) noexcept {
        close();
        world_ = std::exchange(o.world_, nullptr);
        where_ = std::move(o.where_);
        stream_ = std::move(o.stream_);
        return *this;
    }
    ~counted_stream() { close(); }

    auto receive() { return stream_.receive(); }
    auto read_some(mutable_buffer out) { return stream_.read_some(out); }
    auto write_all(const_buffer in) { return stream_.write_all(in); }
    auto write_all(std::span<const const_buffer> list) { return stream_.write_all(list); }
    result<void> shutdown_write() noexcept { return stream_.shutdown_write(); }
    void close() noexcept;
    void abort() noexcept { close(); }
    bool is_open() const noexcept { return stream_.is_open(); }
    void watch_hangup(hangup_listener* l) noexcept { stream_.watch_hangup(l); }
    void watch_input(hangup_listener* l) noexcept { stream_.watch_input(l); }
    bool has_input() noexcept { return stream_.has_input(); }

private:
    world* world_ = nullptr;
    std::string where_;
    any_stream stream_;
};

class model_connection final : public http::detail::pool_member {
public:
    explicit model_connection(counted_stream&& s) : stream_(std::move(s)) {}
    counted_stream& stream() noexcept { return stream_; }

private:
    counted_stream stream_;
};

class model_connector {
public:
    using stream_type = counted_stream;
    static constexpr bool secures = false;
    explicit model_connector(world& w) noexcept : world_(&w) {}
    task<counted_stream> connect(const destination& to);

private:
    world* world_;
};

using model_pool = http::detail::connection_pool<model_connector, model_connection>;

struct world {
    explicit world(std::uint64_t s, bool chatter) : random(s), talks(chatter) {
        options.max_per_origin = static_cast<std::uint32_t>(random.between(1, 4));
        options.max_total = static_cast<std::uint32_t>(random.between(1, 6));
        options.max_idle_per_origin = static_cast<std::uint32_t>(random.between(0, 3));
        options.idle_timeout = milliseconds(random.between(1, 40));
        options.connect_timeout = milliseconds(random.between(5, 30));
        dial_failures = static_cast<double>(random.between(0, 4)) / 10;
        cancels = static_cast<double>(random.between(0, 5)) / 10;
        server_acts = static_cast<double>(random.between(0, 5)) / 10;
    }

    prng random;
    bool talks;
    http::pool_options options;
    double dial_failures = 0;
    double cancels = 0;
    double server_acts = 0;
    model_pool* pool = nullptr;
    std::map<std::string, std::uint32_t> open;    // connections and dials, by origin
    std::map<int, any_stream> servers;            // the other ends
    int next_server = 0;
    std::set<const http::detail::pool_member*> in_use;
    std::vector<std::string> broken; // rules

    void note(const std::string& what) const {
        if (talks) {
            std::fprintf(stderr, "%s\n", what.c_str());
        }
    }
    void rule(bool kept, const char* which) {
        if (!kept) {
            note(std::string("BROKEN: ") + which);
            broken.emplace_back(which);
        }
    }
    void opened(const std::string& where) {
        ++open[where];
        std::uint32_t total = 0;
        for (const auto& [name, n] : open) {
            total += n;
        }
        rule(open[where] <= options.max_per_origin, "never above the cap of an origin");
        rule(total <= options.max_total, "never above the total cap");
    }
    void closed(const std::string& where) { --open[where]; }
    bool draw(double p) { return random.chance(p); }
    milliseconds some(std::uint64_t most) { return milliseconds(random.between(0, most)); }
};

void counted_stream::close() noexcept {
    if (world_ != nullptr) {
        std::exchange(world_, nullptr)->closed(where_);
    }
    stream_.close();
}

/// Counts a dial from its start until it becomes a stream or fails.
struct dial_count {
    dial_count(world* w, std::string at) : world_(w), where(std::move(at)) { world_->opened(where); }
    ~dial_count() {
        if (world_ != nullptr) {
            world_->closed(where);
        }
    }
    dial_count(const dial_count&) = delete;
    dial_count& operator=(const dial_count&) = delete;
    void becomes_stream() { world_ = nullptr; }
    world* world_;
    std::string where;
};

task<counted_stream> dial(world* w, std::string where) {
    dial_count counted(w, where);
    w->note("dial " + where);
    if (w->draw(0.8)) {
        auto slept = co_await attempt(sleep_for(w->draw(0.1) ? milliseconds(1000) : w->some(20)));
        if (!slept) {
            w->note("dial stopped " + where);
            co_return fail(slept.error());
        }
    }
    if (w->draw(w->dial_failures)) {
        w->note("dial failed " + where);
        co_return fail(error::from_errno(ECONNREFUSED));
    }
    auto ends = test_support::any_pair();
    const auto ready = co_await attempt(when_all(ends.first.ready(), ends.second.ready()));
    if (!ready) {
        w->note("handshake stopped " + where);
        co_return fail(ready.error());
    }
    w->servers.emplace(w->next_server++, std::move(ends.second));
    counted.becomes_stream();
    w->note("dialled " + where);
    co_return counted_stream(w, where, std::move(ends.first));
}

task<counted_stream> model_connector::connect(const destination& to) { return dial(world_, to.host); }

/// A connection in use; whatever happens, it goes back exactly once.
class lease {
public:
    lease(world& w, http::detail::pool_member& m) : world_(&w), member_(&m) {
        w.rule(w.in_use.insert(&m).second, "none is shared by two exchanges");
    }
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() {
        world_->in_use.erase(member_);
        world_->pool->release(*member_, reusable);
    }
    model_connection& connection() const { return static_cast<model_connection&>(*member_); }
    bool reusable = false;

private:
    world* world_;
    http::detail::pool_member* member_;
};

task<> use_once(world* w, std::string where) {
    auto got = co_await attempt(w->pool->acquire(where, 80, false));
    for (int i = 0; i < 100 && got && !w->pool->is_usable(**got); ++i) {
        w->note("no longer usable " + where);
        w->pool->release(**got, false);
        got = co_await attempt(w->pool->acquire(where, 80, false));
    }
    if (!got) {
        w->note("refused " + where + ": " + got.error().message());
        co_return;
    }
    lease held(*w, **got);
    w->rule(!(*got)->is_reused() || !held.connection().stream().has_input(), "none is reused with surplus octets");
    w->note("got " + where + ((*got)->is_reused() ? " again" : ""));
    if (w->draw(0.7)) {
        auto slept = co_await attempt(sleep_for(w->some(10)));
        if (!slept) {
            co_return;
        }
    }
    held.reusable = w->draw(0.8);
    w->note("release " + where + (held.reusable ? "" : " not reusable"));
}

task<> caller(world* w) {
    const std::uint64_t rounds = w->random.between(1, 4);
    for (std::uint64_t i = 0; i < rounds; ++i) {
        const std::string where = w->draw(0.6) ? "a" : w->draw(0.6) ? "b" : "c";
        if (w->draw(0.5)) {
            const auto slept = co_await attempt(sleep_for(w->some(20)));
            ignore_result(slept, "a stop ends the next operation");
        }
        if (w->draw(w->cancels)) {
            const auto done = co_await attempt(with_timeout(w->some(25), use_once(w, where)));
            ignore_result(done, "it may have been stopped anywhere");
        } else {
            const auto done = co_await attempt(use_once(w, where));
            ignore_result(done, "it never fails");
        }
    }
}

task<> server(world* w) {
    for (int i = 0; i < 40; ++i) {
        const auto slept = co_await attempt(sleep_for(w->some(5)));
        if (!slept) {
            co_return;
        }
        if (w->servers.empty() || !w->draw(w->server_acts)) {
            continue;
        }
        auto at = w->servers.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(w->random.below(w->servers.size())));
        if (w->draw(0.4)) {
            w->note("server writes");
            const auto written = co_await attempt(at->second.write_all(as_octets("surplus")));
            ignore_result(written, "the client may have closed");
        } else {
            w->note("server closes");
            if (w->draw(0.5)) {
                at->second.abort();
            }
            w->servers.erase(at);
        }
    }
}

task<> scenario(world* w) {
    auto ctx = co_await this_context();
    auto* pool = new model_pool(ctx.home(), w->options, model_connector(*w));
    w->pool = pool;
    task_scope scope(ctx, scope_policy::collect);
    task_scope servers(ctx, scope_policy::collect);
    servers.spawn(server, w);
    const std::uint64_t callers = w->random.between(2, 10);
    for (std::uint64_t i = 0; i < callers; ++i) {
        if (w->draw(w->cancels / 2)) {
            scope.spawn(with_timeout(w->some(60), caller(w)));
        } else {
            scope.spawn(caller, w);
        }
    }
    const auto joined = co_await attempt(scope.join()); // hangs if a waiter was forgotten
    ignore_result(joined, "some were stopped");
    w->rule(pool->stats().waiting == 0 && pool->stats().active == 0, "nobody waits and nothing is in use at the end");
    const bool early = w->draw(0.5);
    if (!early) { // everything expires or ends by itself
        const auto slept = co_await attempt(sleep_for(2s));
        ignore_result(slept, "nobody stops it");
        w->rule(pool->stats().idle == 0 && pool->stats().dialling == 0, "idle connections expire, dials end");
    }
    pool->retire();
    const auto settled = co_await attempt(sleep_for(1ms));
    ignore_result(settled, "nobody stops it");
    for (const auto& [name, n] : w->open) {
        w->rule(n == 0, "no connection is leaked");
    }
    servers.stop();
    const auto ended = co_await attempt(servers.join());
    ignore_result(ended, "it was stopped");
}

bool run_seed(std::uint64_t seed, bool talks) {
    const frame_stats before = coroutine_frame_stats();
    world w(seed, talks);
    flux::testing::virtual_loop_options how;
    how.shuffle_seed = seed;
    how.max_steps = 200'000;
    result<void> done;
    {
        flux::testing::virtual_loop loop(how);
        done = loop.run(scenario(&w));
    }
    std::string wrong;
    if (!done) {
        wrong = done.error().message();
    }
    for (const std::string& rule : w.broken) {
        wrong += (wrong.empty() ? "" : ", ") + rule;
    }
    if (coroutine_frame_stats().live != before.live) {
        wrong += " frames are left";
    }
    if (!wrong.empty()) {
        std::fprintf(stderr, "pool model: FLUX_POOL_SEED=%llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
    }
    return wrong.empty();
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

#if FLUX_SANITIZED || !defined(__OPTIMIZE__)
constexpr std::uint64_t default_seeds = 1'000;
#else
constexpr std::uint64_t default_seeds = 20'000;
#endif

} // namespace

TEST_SUITE("http/client/pool_model") {

TEST_CASE("caps hold, nobody is forgotten, nothing leaks or is shared, whatever happens in whatever order") {
    if (const std::uint64_t seed = number_from("FLUX_POOL_SEED", 0); seed != 0) {
        CHECK(run_seed(seed, true));
        return;
    }
    const std::uint64_t seeds = number_from("FLUX_POOL_SEEDS", default_seeds / (test_support::over_tls() ? 20 : 1)); // 3 ms each
    int failures = 0;
    for (std::uint64_t seed = 1; seed <= seeds && failures < 5; ++seed) {
        failures += run_seed(seed, false) ? 0 : 1;
    }
    CHECK(failures == 0);
}

} // TEST_SUITE
