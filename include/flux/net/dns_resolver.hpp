// SPDX-License-Identifier: MIT
// flux/net/dns_resolver.hpp - dns_resolver: flux's own stub resolver, on the reactor and cancellable at once.
//
//   host: IP literal -> localhost -> hosts file -> search list -> for each name, AAAA and A at the same time:
//   name and type: cache -> somebody asks already -> servers in order, each with its timeout -> cache
//
// One who is stopped while others wait for the answer to the same question leaves it to the first of them, who asks
// anew: no work outlives whoever wants it. Deliberately not here: nsswitch (system_resolver.hpp), DNSSEC, other records.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <flux/net/dns_cache.hpp>
#include <flux/net/dns_config.hpp>
#include <flux/net/dns_exchange.hpp>
#include <flux/net/resolver.hpp>

#include <memory>
#include <optional>
#include <string>

#include <sys/random.h>

namespace flux::inline FLUX_ABI {

class dns_options {
public:
    dns_options() = default;
    dns_options(const dns_options&) = default;
    dns_options(dns_options&&) noexcept = default;
    dns_options& operator=(const dns_options&) = default;
    dns_options& operator=(dns_options&&) noexcept = default;
    ~dns_options() = default;

    std::string resolv_conf = "/etc/resolv.conf"; ///< read when it changes, looked at once a second at most
    std::string hosts = "/etc/hosts";             ///< the same; empty: none
    std::optional<dns_config> config;             ///< instead of resolv_conf
    std::size_t cache_entries = 1000;             ///< names and types; about 400 octets each; 0: no cache
    seconds max_ttl{3600};                        ///< an answer is kept no longer than that
    seconds max_negative_ttl{60};                 ///< nor is one that says that there is nothing
    seconds server_pause{30};                     ///< a server that did not answer is asked last for so long
};

/// What a resolver has done since it was made.
struct dns_stats {
    std::uint64_t lookups = 0;   ///< hosts that were asked for
    std::uint64_t exchanges = 0; ///< questions that were sent to a server
    std::uint64_t cached = 0;    ///< questions that the cache has answered
    std::uint64_t shared = 0;    ///< questions that waited for the same one of somebody else
};
static_assert(__is_trivially_copyable(dns_stats));

namespace detail {

/// What a resolver is inside; look-ups that run share it.
template <class Exchange>
class dns_core {
public:
    dns_core(dns_options o, Exchange e)
        : options(std::move(o)), exchange(std::move(e)), cache(options.cache_entries),
          config_file_(options.config ? std::string() : options.resolv_conf, 65'536),
          hosts_file_(options.hosts, hosts_table::max_text) {
        use(options.config ? *options.config : dns_config());
    }
    dns_core(const dns_core&) = delete;
    dns_core& operator=(const dns_core&) = delete;

    /// Reads what has changed on the disk.
    void refresh(time_point now) {
        std::string text;
        if (config_file_.refresh(now, text)) {
            use(dns_config::parse(std::string_view(text)));
            cache.clear();
        }
        if (hosts_file_.refresh(now, text)) {
            hosts = hosts_table(std::move(text));
        }
    }

    /// The servers in the order in which they are to be asked.
    [[nodiscard]] dynamic_array<std::size_t> order(time_point now) {
        const std::size_t n = config.servers.size();
        const std::size_t first = config.rotate ? turn_++ % n : 0;
        dynamic_array<std::size_t> all;
        for (const bool paused : {false, true}) {
            for (std::size_t i = 0; i < n; ++i) {
                const std::size_t server = (first + i) % n;
                if ((paused_until_[server] > now) == paused) {
                    all.push_back(server);
                }
            }
        }
        return all;
    }
    void did_not_answer(const endpoint& server, time_point now) {
        for (std::size_t i = 0; i < config.servers.size(); ++i) {
            if (config.servers[i] == server) {
                paused_until_[i] = deadline_after(now, options.server_pause);
            }
        }
    }

    [[nodiscard]] std::shared_ptr<dns_pending> find_pending(const dns_key& key) const {
        for (const auto& p : pending) {
            if (p->key == key) {
                return p;
            }
        }
        return nullptr;
    }

    dns_options options;
    Exchange exchange;
    dns_config config; // has at least one server
    hosts_table hosts;
    dns_cache<dns_found> cache;
    dynamic_array<std::shared_ptr<dns_pending>> pending;
    dns_stats stats;

private:
    void use(dns_config c) {
        config = std::move(c);
        if (config.servers.empty()) {
            config.servers.push_back(endpoint::loopback(53));
        }
        paused_until_.clear();
        paused_until_.resize(config.servers.size());
    }

    watched_file<std::string> config_file_;
    watched_file<std::string> hosts_file_;
    dynamic_array<time_point> paused_until_; // as config.servers
    std::size_t turn_ = 0;
};

/// Holds a question in `pending` while it is asked.
template <class Core>
class dns_leading {
public:
    dns_leading(Core& core, const dns_key& key) : core_(core), mine_(std::make_shared<dns_pending>(key)) {
        core_.pending.push_back(mine_);
    }
    dns_leading(const dns_leading&) = delete;
    dns_leading& operator=(const dns_leading&) = delete;
    ~dns_leading() {
        core_.pending.erase_if([this](const auto& p) { return p == mine_; });
        mine_->done.set();
    }
    void found(dns_found f) noexcept { mine_->found = std::move(f); }

private:
    Core& core_;
    std::shared_ptr<dns_pending> mine_;
};

/// An id that nobody can guess. RFC 5452 9.2.
[[nodiscard]] inline std::uint16_t random_dns_id() noexcept {
    std::uint16_t id = 0;
    while (::getrandom(&id, sizeof id, 0) != sizeof id) { // ends: so few octets are given at once, or after a signal
    }
    return id;
}

/// One server, one question: without EDNS if it does not know that, over TCP if the answer does not fit.
template <class Core>
task<dns::answer> dns_ask_server(Core& core, endpoint server, dns_key key) {
    bool tcp = core.config.tcp;
    bool edns = true;
    for (int changes = 0; changes < 3; ++changes) { // each of the two can change once
        const dns::query q(key.name, key.type, random_dns_id(), edns);
        ++core.stats.exchanges;
        result<dns::answer> a = fail(errc::unavailable);
        if (tcp) {
            a = co_await attempt(core.exchange.tcp(server, q));
        } else {
            a = co_await attempt(core.exchange.udp(server, q));
        }
        if (!a) {
            co_return fail(std::move(a).error());
        }
        const bool no_edns = a->code == dns::response_code::form_error || a->code == dns::response_code::not_implemented ||
                             a->code == dns::response_code::bad_version;
        if (a->truncated && !tcp) {
            tcp = true;
        } else if (edns && no_edns) {
            edns = false;
        } else {
            co_return a;
        }
    }
    co_return fail(resolve_errc::bad_answer);
}

/// What the servers said that did not answer the question.
class dns_failures {
public:
    void add(const endpoint& server, std::string_view what, resolve_errc kind) {
        if (text_.size() < 1000) {
            text_.append(text_.empty() ? "" : ", ").append(server.to_string()).append(" ").append(what);
        }
        code_ = worse(kind, code_);
    }
    [[nodiscard]] error why() const { return error(code_).doing(text_); }

private:
    // Of several servers, the one that came nearest to an answer says what it was.
    [[nodiscard]] static resolve_errc worse(resolve_errc a, resolve_errc b) noexcept {
        for (const resolve_errc e : {resolve_errc::bad_answer, resolve_errc::server_failed}) {
            if (a == e || b == e) {
                return e;
            }
        }
        return a;
    }
    std::string text_;
    resolve_errc code_ = resolve_errc::timed_out;
};

[[nodiscard]] inline const char* text_of(dns::response_code code) noexcept {
    switch (code) {
    case dns::response_code::form_error: return "format error";
    case dns::response_code::server_failure: return "server failure";
    case dns::response_code::not_implemented: return "not implemented";
    case dns::response_code::refused: return "refused";
    default: return "unknown failure";
    }
}

template <class Core>
[[nodiscard]] dns_found dns_accept(const Core& core, dns::answer&& a, time_point now) {
    auto out = std::make_shared<dns_outcome>();
    const bool positive = !a.addresses.empty();
    const seconds most = positive ? core.options.max_ttl : core.options.max_negative_ttl;
    const seconds ttl = a.cacheable ? std::min(seconds(a.ttl), most) : seconds(0);
    out->good_until = deadline_after(now, ttl);
    out->addresses = std::move(a.addresses);
    if (!positive) {
        const bool exists = a.code == dns::response_code::no_error;
        out->why = error(exists ? resolve_errc::no_address : resolve_errc::no_such_name);
    }
    return out;
}

/// Asks the servers until one knows. Yields also failures of all of them, which others may share.
/// Errors  the context's reason only.
template <class Core>
task<dns_found> dns_ask(Core& core, dns_key key) {
    auto ctx = co_await this_context();
    dns_failures failures;
    const unsigned attempts = core.config.attempts;
    for (unsigned round = 0; round < attempts; ++round) {
        const auto order = core.order(ctx.home().now());
        for (const std::size_t i : order) {
            if (i >= core.config.servers.size()) {
                break; // the file has changed meanwhile
            }
            const endpoint server = core.config.servers[i];
            auto a = co_await attempt(with_timeout(core.config.timeout, dns_ask_server(core, server, key)));
            if (!a) {
                if (ctx.stopped()) {
                    co_return fail(std::move(a).error());
                }
                const bool timed_out = a.error().is(errc::timed_out);
                const bool bad = a.error().code() == make_error_code(resolve_errc::bad_answer);
                if (timed_out) {
                    core.did_not_answer(server, ctx.home().now());
                }
                failures.add(server, timed_out ? std::string("timed out") : a.error().code().message(),
                             timed_out ? resolve_errc::timed_out : bad ? resolve_errc::bad_answer : resolve_errc::server_failed);
                continue;
            }
            const bool known = a->code == dns::response_code::no_error || a->code == dns::response_code::no_such_name;
            if (known && !a->lame) {
                co_return dns_accept(core, *std::move(a), ctx.home().now());
            }
            failures.add(server, a->lame ? "does not know and does not ask others" : text_of(a->code),
                         resolve_errc::server_failed);
        }
    }
    auto out = std::make_shared<dns_outcome>();
    out->why = failures.why();
    co_return dns_found(std::move(out));
}

template <class Core>
task<dns_found> dns_find(Core& core, dns_key key) {
    auto ctx = co_await this_context();
    for (;;) { // comes back only after somebody was stopped who asked before: there are finitely many
        if (auto found = core.cache.find(key, ctx.home().now())) {
            ++core.stats.cached;
            co_return found;
        }
        if (auto other = core.find_pending(key)) {
            ++core.stats.shared;
            auto waited = co_await attempt(other->done.wait());
            if (!waited) {
                co_return fail(std::move(waited).error());
            }
            if (other->found != nullptr) {
                co_return other->found;
            }
            continue;
        }
        dns_leading<Core> leading(core, key);
        auto found = co_await attempt(dns_ask(core, key));
        if (!found) {
            co_return fail(std::move(found).error());
        }
        core.cache.put(key, *found, ctx.home().now());
        leading.found(*found);
        co_return *std::move(found);
    }
}

/// One name and family, into the feed.
/// Params  last  no other name will be tried.
template <class Core>
task<dns_found> dns_feed(Core& core, dns_key key, address_feed& to, bool last) {
    const bool v4 = key.type == dns::record_type::a;
    const address_family family = v4 ? address_family::ipv4 : address_family::ipv6;
    if (!to.wants(family) || (core.config.ipv4_only && !v4 && to.wants(address_family::ipv4))) {
        if (last) {
            to.answered(family);
        }
        co_return dns_found();
    }
    auto found = co_await attempt(dns_find(core, key));
    if (!found) {
        co_return fail(std::move(found).error());
    }
    for (const endpoint& e : (*found)->addresses) {
        to.add(e);
    }
    if (last || !(*found)->addresses.empty()) {
        to.answered(family);
    }
    co_return *std::move(found);
}

/// The names that may be meant, in order. Source  resolv.conf(5), `search` and `ndots`.
template <class Text>
[[nodiscard]] dynamic_array<dns::name> dns_candidates(const dns_config& config, const Text& host, const dns::name& plain) {
    dynamic_array<dns::name> all;
    if (host.ends_with('.')) {
        all.push_back(plain);
        return all;
    }
    std::size_t dots = 0;
    for (const char c : host) {
        dots += c == '.' ? 1U : 0U;
    }
    if (dots >= config.ndots) {
        all.push_back(plain);
    }
    for (const std::string& zone : config.search) {
        if (auto n = dns::name::parse(host + "." + zone)) {
            all.push_back(*n);
        }
    }
    if (dots < config.ndots) {
        all.push_back(plain);
    }
    return all;
}

enum class special_name : std::uint8_t { none, loopback, nowhere };

/// Names with a fixed meaning. Source  RFC 6761 6.3 and 6.4, RFC 7686 2.
template <class Name>
[[nodiscard]] special_name dns_special(const Name& name) {
    if (name.is_under(*dns::name::parse("localhost"))) {
        return special_name::loopback;
    }
    const bool nowhere = name.is_under(*dns::name::parse("invalid")) || name.is_under(*dns::name::parse("onion"));
    return nowhere ? special_name::nowhere : special_name::none;
}

/// What is known without asking anybody. True: that is all.
template <class Core, class Text>
[[nodiscard]] bool dns_known(const Core& core, const Text& host, const dns::name& name, address_feed& to) {
    const special_name kind = dns_special(name);
    if (kind == special_name::loopback) { // whatever the hosts file says
        std::array<std::uint8_t, 16> v6{};
        v6[15] = 1;
        to.add(endpoint::ipv6(v6, 0));
        to.add(endpoint::loopback(0));
        return true;
    }
    core.hosts.find(host, [&to](const endpoint& e) { to.add(e); });
    return kind == special_name::nowhere || !to.addresses().empty();
}

/// Of two failures of one host, the one that says more: servers that fail, no address, no name.
[[nodiscard]] inline error dns_worse(error a, error b) {
    const auto rank = [](const error& e) {
        if (e.code() == make_error_code(resolve_errc::no_such_name)) {
            return 1;
        }
        return !e.code() ? 0 : e.code() == make_error_code(resolve_errc::no_address) ? 2 : 3;
    };
    return rank(b) > rank(a) ? b : a;
}

/// Asks for the names that may be meant, until one has addresses. Yields why none has.
template <class Core, class Text>
task<error> dns_try_names(Core& core, Text host, dns::name plain, address_feed& to) {
    error why{std::error_code()};
    const auto names = dns_candidates(core.config, host, plain);
    for (const dns::name& name : names) {
        const bool last = &name == names.end() - 1;
        auto both = co_await attempt(when_all(dns_feed(core, dns_key(name, dns::record_type::aaaa), to, last),
                                              dns_feed(core, dns_key(name, dns::record_type::a), to, last)));
        if (!both) {
            co_return fail(std::move(both).error());
        }
        const dns_found& v6 = std::get<0>(*both);
        const dns_found& v4 = std::get<1>(*both);
        why = v6 != nullptr ? dns_worse(std::move(why), v6->why) : why;
        why = v4 != nullptr ? dns_worse(std::move(why), v4->why) : why;
        const bool away = why.code() == make_error_code(resolve_errc::timed_out); // for the other names as well
        if (away || !to.addresses().empty()) {
            break;
        }
    }
    co_return why;
}

template <class Core, class Text>
task<> dns_lookup(std::shared_ptr<Core> core, Text host, address_feed& to) {
    auto ctx = co_await this_context();
    ++core->stats.lookups;
    auto literal = endpoint::parse_ip(host, 0);
    if (literal) {
        to.add(*literal);
    }
    auto plain = dns::name::parse(host);
    if (!literal && !plain) {
        error e = resolve_error(std::move(plain).error(), host);
        e.retryable(false);
        co_await fail(std::move(e));
    }
    core->refresh(ctx.home().now());
    error why(resolve_errc::no_such_name);
    if (!literal && !dns_known(*core, host, *plain, to)) {
        auto end = co_await attempt(dns_try_names(*core, host, *plain, to));
        if (!end) {
            co_await fail(resolve_error(std::move(end).error(), host));
        }
        why = *std::move(end);
    }
    to.answered(address_family::ipv6);
    to.answered(address_family::ipv4);
    if (to.addresses().empty()) {
        co_await fail(resolve_error(std::move(why), host));
    }
}

} // namespace detail

/// A resolver that asks the machine's name servers itself.
///
/// A copy has the options and nothing else: it may belong to another reactor.
/// Threads  the thread of one reactor; may be copied on any thread.
/// Cost     of a cached name: no system call but a look at the two files once a second.
/// Source   RFC 1034, 1035, 2181, 2308, 5452, 6761, 6891, 7766; resolv.conf(5), hosts(5).
template <class Exchange>
class basic_dns_resolver {
public:
    explicit basic_dns_resolver(dns_options options = dns_options(), Exchange exchange = Exchange())
        : core_(std::make_shared<core>(std::move(options), std::move(exchange))) {}
    basic_dns_resolver(const basic_dns_resolver& other)
        : core_(std::make_shared<core>(other.core_->options, other.core_->exchange)) {}
    basic_dns_resolver(basic_dns_resolver&&) noexcept = default;
    basic_dns_resolver& operator=(const basic_dns_resolver& other) {
        return *this = basic_dns_resolver(other);
    }
    basic_dns_resolver& operator=(basic_dns_resolver&&) noexcept = default;
    ~basic_dns_resolver() = default; // look-ups that run keep what they need

    /// As the concept `resolver` says. Errors name the servers and what became of each.
    [[nodiscard]] task<> lookup(const std::string& host, address_feed& to) {
        return detail::dns_lookup<core, std::string>(core_, host, to);
    }

    /// Forgets all answers.
    void clear_cache() noexcept { core_->cache.clear(); }
    [[nodiscard]] dns_stats stats() const noexcept { return core_->stats; }

private:
    using core = detail::dns_core<Exchange>;
    std::shared_ptr<core> core_;
};
using dns_resolver = basic_dns_resolver<detail::dns_sockets>;

} // namespace flux::inline FLUX_ABI
