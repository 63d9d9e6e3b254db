// SPDX-License-Identifier: MIT
// flux/http/client/client.hpp - the HTTP client: requests over a pool of connections, redirects, safe repetition.
//
//   client_request -> pool -> connection -> response head -> redirect? | repeat? -> client_response
//
// One coroutine frame for an exchange. A client is a handle: copies share configuration and, within one reactor,
// connections. Each reactor has a pool of its own, so that handlers on many threads can use one client.
// Deliberately not here: how connections are made (net/connector.hpp), retries by policy (resilience/).
#pragma once

#include <flux/http/client/client_connection.hpp>
#include <flux/http/client/client_request.hpp>
#include <flux/http/client/cookie_jar.hpp>
#include <flux/http/client/request_upload.hpp>
#include <flux/net/connector.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// What does not depend on the connector: options, defaults, and what a request must be to be sent.
class client_settings : public client_engine {
public:
    explicit client_settings(const client_options& o) : options_(o), base_text_(o.base_url) {
        if (!o.user_agent.empty()) {
            defaults.set(field::user_agent, o.user_agent);
        }
        options_.base_url = base_text_;
        options_.user_agent = {};
        if (!base_text_.empty()) {
            auto base = http::url::parse(base_text_);
            if (!base) {
                flux::detail::throw_error(std::move(base).error().doing("client_options::base_url"));
            }
            base_ = *std::move(base);
        }
    }
    [[nodiscard]] const client_options& options() const noexcept override { return options_; }

    [[nodiscard]] client_exchange* make(http::method m, std::string_view token, std::string_view where) {
        client_exchange* const ex = exchange_cache::take();
        ex->method = m;
        if (m == http::method::other) {
            ex->other_method = token;
            if (!is_token(token)) {
                ex->refuse(error(errc::invalid_head).doing("the method is not a token"));
            }
        }
        ex->lim = options_.limits;
        ex->timeout = options_.timeout;
        ex->max_redirects = options_.redirects.max_redirects;
        assign_url(*ex, where);
        return ex;
    }

    /// Once per request, before anything is sent.
    [[nodiscard]] result<void> judge(client_exchange& ex, bool can_secure) const;
    /// Once per attempt: the head, and a body that is small enough to go with it, to ex.out.
    [[nodiscard]] result<void> write_head(client_exchange& ex) const;
    /// Once per response, before it is handed out.
    void decode(client_exchange& ex) const;

    http::fields defaults; ///< of all requests; fields of a request win
    std::shared_ptr<cookie_jar> cookies;
    std::shared_ptr<const content_decoding> decoding;

protected:
    ~client_settings() = default;

private:
    void assign_url(client_exchange& ex, std::string_view where) const {
        auto done = ex.url.try_assign(where);
        if (!done && !base_text_.empty() && !split_uri(where).has_scheme) {
            done = ex.url.try_assign(resolve_reference(base_.text(), where));
        }
        if (!done) {
            ex.refuse(std::move(done).error());
        }
    }

    client_options options_;
    std::string base_text_;
    http::url base_;
};

[[nodiscard, gnu::cold]] inline failure refuse_request(const char* why, flux::errc code = flux::errc::invalid_argument) {
    return fail(error(code).doing(why));
}

inline result<void> client_settings::judge(client_exchange& ex, bool can_secure) const {
    if (ex.refused.code()) {
        return fail(ex.refused);
    }
    if (ex.url.is_websocket()) {
        return refuse_request("the scheme is neither http nor https");
    }
    if (ex.url.is_secure() && !can_secure) {
        return refuse_request("this client cannot do TLS", flux::errc::unavailable);
    }
    for (const field_view f : defaults) {
        if (!ex.fields.contains(f.name)) {
            if (auto added = ex.fields.try_add(f.name, f.value); !added) {
                return added;
            }
        }
    }
    if (decoding != nullptr && !ex.fields.contains(field::accept_encoding) && !ex.fields.contains(field::range)) {
        if (auto added = ex.fields.try_add(field::accept_encoding, decoding->accepted()); !added) {
            return added;
        }
        ex.asks_coding = true;
    }
    if (!ex.url.userinfo().empty() && !ex.fields.contains(field::authorization)) {
        if (auto added = ex.fields.try_add(field::authorization, "Basic " + base64_encode(percent_decode(ex.url.userinfo())));
            !added) {
            return added;
        }
    }
    const field_set said = ex.fields.present();
    constexpr field_set questionable(field::transfer_encoding, field::content_length, field::connection, field::host);
    ex.asks_upgrade = said.contains(field::upgrade);
    ex.asks_close = false;
    if (!said.intersects(questionable)) {
        return {};
    }
    const fields_view fields = ex.fields;
    if (said.contains(field::transfer_encoding)) {
        return refuse_request("Transfer-Encoding is the client's to say");
    }
    if (fields.repeated().contains(field::host)) {
        return refuse_request("more than one Host");
    }
    if (said.contains(field::content_length)) {
        std::uint64_t n = 0;
        const bool produced = ex.body == request_body_kind::produced;
        const bool right = !fields.repeated().contains(field::content_length) &&
                           parse_decimal(*fields.get(field::content_length), max_body_length, n) &&
                           (produced ? ex.produced_length == n : n == ex.body_octets().size());
        if (!right) {
            return refuse_request("Content-Length is not that of the body");
        }
    }
    ex.asks_close = fields.has_token(field::connection, "close");
    ex.asks_upgrade = ex.asks_upgrade && fields.has_token(field::connection, "upgrade");
    return {};
}

inline result<void> client_settings::write_head(client_exchange& ex) const {
    request_start start;
    start.method = ex.method_token();
    start.target = ex.url.target();
    start.host = ex.url.authority();
    std::string target;
    if (ex.method == http::method::connect) { // authority form [RFC 9112 3.2.3]
        target = std::string(ex.url.host()) + ':' + std::to_string(ex.url.port());
        start.target = target;
    } else if (ex.via_proxy) { // absolute form [RFC 9112 3.2.2]
        ((target += ex.url.scheme()) += "://") += ex.url.authority();
        target += ex.url.target();
        start.target = target;
    }
    switch (ex.body) {
    case request_body_kind::none:
        // Servers expect a length where a body is usual [RFC 9110 8.6].
        start.body = ex.method == http::method::post || ex.method == http::method::put ||
                             ex.method == http::method::patch
                         ? body_kind::length
                         : body_kind::none;
        break;
    case request_body_kind::owned:
    case request_body_kind::literal:
        start.body = body_kind::length;
        start.length = ex.body_octets().size();
        break;
    case request_body_kind::produced:
        start.body = ex.produced_length ? body_kind::length : body_kind::chunked;
        start.length = ex.produced_length.value_or(0);
        break;
    }
    if (ex.asks_close) {
        start.connection = connection_line::close;
    } else if (ex.asks_upgrade) {
        start.connection = connection_line::upgrade;
    }
    // For this place only: another hop has others.
    const bool own_cookies = cookies != nullptr && !ex.fields.contains(field::cookie);
    if (own_cookies) {
        const std::string value = cookies->header(ex.url);
        if (!value.empty()) {
            ignore_result(ex.fields.try_add(field::cookie, value), "what a jar took can be sent");
        }
    }
    const bool own_proxy = !ex.proxy_authorization.empty() && !ex.fields.contains(field::proxy_authorization);
    if (own_proxy) {
        if (auto added = ex.fields.try_add(field::proxy_authorization, ex.proxy_authorization); !added) {
            return added;
        }
    }
    const errc failed = write_request_head(ex.out, start, ex.fields);
    if (own_cookies) {
        ex.fields.remove(field::cookie);
    }
    if (own_proxy) {
        ex.fields.remove(field::proxy_authorization);
    }
    if (failed != errc::none) {
        return fail(error(failed));
    }
    return {};
}

inline void client_settings::decode(client_exchange& ex) const {
    const bool may_be_coded = ex.asks_coding && ex.framing.kind != body_kind::none &&
                              ex.framing.kind != body_kind::tunnel &&
                              ex.head.fields.present().contains(field::content_encoding);
    if (may_be_coded && !ex.head.fields.repeated().contains(field::content_encoding)) {
        ex.decoded = decoding->decode(*ex.head.fields.get(field::content_encoding), ex);
        if (ex.decoded) {
            ex.drop_coded_fields();
        }
    }
}

} // namespace detail

/// Nobody watches.
struct no_observer {};

namespace detail {

/// Asks the connector, or one inside it, which way it will go: a forward proxy gets requests for plain http in another
/// form. Such a connector has `route_of(destination)`, see http/client/connect_tunnel.hpp.
template <class Connector>
void find_proxy(Connector& how, client_exchange& ex) {
    if constexpr (requires(const destination& d) { how.route_of(d).via; }) {
        ex.via_proxy = false;
        ex.proxy_authorization.clear();
        if (!ex.url.is_secure()) {
            const destination to(std::string(ex.url.host_name()), ex.url.port());
            const auto way = how.route_of(to);
            if (way.kind == decltype(way.kind)::forward) {
                ex.via_proxy = true;
                ex.proxy_authorization = way.via->authorization();
            }
        }
    } else if constexpr (requires { how.next(); }) {
        find_proxy(how.next(), ex);
    }
}

/// The configuration of a client, and its pools, one for each reactor that uses it.
template <connector Connector, class Observer>
class client_core final : public client_settings, public std::enable_shared_from_this<client_core<Connector, Observer>> {
public:
    using connection = client_connection<typename Connector::stream_type>;
    using pool_type = connection_pool<Connector, connection>;

    client_core(const client_options& o, Connector c, Observer observer)
        : client_settings(o), connector_(std::move(c)), observer_(std::move(observer)) {}
    client_core(const client_core&) = delete;
    client_core& operator=(const client_core&) = delete;
    ~client_core() {
        for (place* p = places_.load(); p != nullptr;) {
            end_pool(p->pool);
            delete std::exchange(p, p->next);
        }
    }

    [[nodiscard]] task<client_response> send(exchange_handle ex, context_node& ctx) override {
        return run(this, &pool_of(ctx.home()), std::move(ex));
    }
    /// The pool of one reactor; nullptr if it has none yet.
    [[nodiscard]] pool_type* find_pool(const scheduler& home) const noexcept {
        for (place* p = places_.load(std::memory_order_acquire); p != nullptr; p = p->next) {
            if (p->pool->box() == home.mailbox()) {
                return p->pool;
            }
        }
        return nullptr;
    }
    [[nodiscard]] client_request request(http::method m, std::string_view token, std::string_view where) {
        exchange_handle ex(make(m, token, where));
        ex->engine = this->shared_from_this();
        return client_request(std::move(ex));
    }

private:
    struct place {
        pool_type* pool;
        place* next;
    };

    // Reactors are few and stay: the list only grows.
    [[nodiscard]] pool_type& pool_of(scheduler& home) {
        if (pool_type* found = find_pool(home)) {
            return *found;
        }
        auto* fresh = new place{new pool_type(home, options().pool, connector_), places_.load(std::memory_order_relaxed)};
        while (!places_.compare_exchange_weak(fresh->next, fresh, std::memory_order_acq_rel)) {
        }
        return *fresh->pool;
    }
    static void end_pool(pool_type* pool) {
        const auto box = pool->box(); // outlives the pool
        const scheduler* here = scheduler::current();
        const bool own = here != nullptr && here->mailbox() == box;
        if (own || !reactor::post_to(*box, [pool] { pool->retire(); })) {
            pool->retire();
        }
    }

    static task<client_response> run(client_core* self, pool_type* pool, exchange_handle ex);

    Connector connector_; // each pool has a copy
    Observer observer_;
    std::atomic<place*> places_{nullptr};
};

// Connections in a row that end between their choice and their use: far more than one turn of a loop can spoil.
inline constexpr std::uint32_t max_stale = 1000;

inline constexpr seconds late_answer_time{1}; // for what a server said before it stopped to read
inline constexpr std::size_t one_record = 16'384; // octets, of TLS

/// Whether sending it once more cannot do what sending it once would not have done.
[[nodiscard]] inline bool may_resend(const client_exchange& ex, const error& e) noexcept {
    return ex.allow_resend && e.kind() == error_kind::network &&
           (!ex.sent_any || (ex.reused && !ex.got_any && is_idempotent(ex.method)));
}

[[nodiscard, gnu::cold]] inline error explained(client_exchange& ex, error e, error_phase phase) {
    const bool unsent = !ex.sent_any && e.kind() != error_kind::usage;
    if (e.phase() == error_phase::none) {
        e.phase(phase);
    }
    e.doing(ex.what()).attempt(ex.attempts).retryable(unsent || may_resend(ex, e));
    ex.end_trace(&e);
    return e;
}

template <connector Connector, class Observer>
task<client_response> client_core<Connector, Observer>::run(client_core* self, pool_type* pool, exchange_handle ex) {
    const client_options& options = self->options();
    if constexpr (!std::is_same_v<Observer, no_observer>) {
        if (ex->trace == nullptr) {
            ex->trace = self->observer_(ex->method_token(), ex->url);
        }
    }
    if (ex->trace != nullptr) {
        ex->trace->started(ex->method_token(), ex->url);
    }
    if (auto fine = self->judge(*ex, Connector::secures); !fine) {
        co_return fail(explained(*ex, std::move(fine).error(), error_phase::none));
    }
    auto ctx = co_await this_context();
    context_node node(ctx.node());
    const auto inside = co_await flux::detail::enter_request(node);
    scheduler& home = node.home();
    ex->home = &home;
    ex->started = home.now();
    ex->progress = options.progress_timeout;
    ex->deadline = deadline_after(home.now(), or_for_ever(ex->timeout));
    std::optional<redirect_chain> chain;
    std::uint32_t resends = 0;
    std::uint32_t stale = 0;
    for (;;) { // bounded by max_stale, max_resends and max_redirects
        ex->begin_answer();
        ex->next_early = &rest_of_early<std::string_view>;
        find_proxy(pool->connector(), *ex);
        if (auto written = self->write_head(*ex); !written) {
            co_return fail(explained(*ex, std::move(written).error(), error_phase::none));
        }
        ex->attempts = resends + 1;
        node.limit(ex->deadline);
        auto got = co_await attempt(pool->acquire(ex->url.host_name(), ex->url.port(), ex->url.is_secure(), ex->trace));
        if (!got) {
            co_return fail(explained(*ex, std::move(got).error(), error_phase::connect));
        }
        connection& c = static_cast<connection&>(**got);
        c.begin_exchange(*pool);
        if (!pool->is_usable(c)) {
            pool->release(c, false);
            if (++stale > max_stale) {
                co_return fail(explained(*ex, error(errc::surplus_octets), error_phase::connect));
            }
            continue;
        }
        ex->reused = c.is_reused();
        if (ex->trace != nullptr) {
            ex->trace->got_connection(ex->elapsed(), ex->reused);
        }
        error failed{std::error_code()};
        error_phase phase = error_phase::write;
        bool whole = false;
        const bool small = ex->body != request_body_kind::produced && ex->body_octets().size() <= upload_threshold &&
                           !ex->fields.contains(field::expect);
        if (small) {
            ex->out.append(ex->body_octets());
            node.limit(std::min(ex->deadline, deadline_after(home.now(), or_for_ever(options.progress_timeout))));
            auto written = co_await attempt(c.stream().write_all(as_octets(ex->out.view())));
            if (!written) {
                failed = std::move(written).error();
            }
            // A TLS stream that fails has not sent a whole record, which no peer can read, as far as this fits one.
            ex->sent_any = !failed.code() || failed.kind() != error_kind::network || failed.bytes_sent() != 0 ||
                           ex->out.size() > one_record;
            ex->sent_whole = !failed.code();
            if (ex->trace != nullptr && ex->sent_whole) {
                ex->trace->wrote_head(ex->elapsed());
                ex->trace->wrote_request(ex->elapsed());
            }
        } else {
            auto sent = co_await attempt(upload_body<typename Connector::stream_type>(&c, ex.get(), &node));
            if (sent) {
                whole = *sent;
            } else {
                failed = std::move(sent).error();
            }
        }
        // A server that does not want the request may answer and close before it has read all of it.
        if (failed.code() && failed.kind() == error_kind::network && !whole && !node.stopped()) {
            const auto late = co_await attempt(with_timeout(
                late_answer_time, await_head<typename Connector::stream_type>(&c, ex.get(), false)));
            whole = late && *late;
        }
        node.limit(std::min(ex->deadline, deadline_after(home.now(), or_for_ever(options.first_byte_timeout))));
        while (!failed.code() && !whole) {
            auto octets = co_await attempt(c.stream().receive());
            phase = error_phase::head;
            if (!octets) {
                failed = std::move(octets).error();
            } else if (octets->empty()) {
                failed = error(errc::incomplete_head);
            } else {
                c.add_input(*std::move(octets));
                auto parsed = c.take_head(*ex, options);
                if (parsed) {
                    whole = *parsed;
                } else {
                    failed = std::move(parsed).error();
                }
            }
        }
        if (!whole) {
            const bool again = may_resend(*ex, failed) && resends < options.max_resends && !node.stopped();
            if (again) {
                pool->distrust(c);
            }
            ex->source = nullptr;
            pool->release(c, false);
            if (again) {
                ++resends;
                if (ex->trace != nullptr) {
                    ex->trace->repeated(ex->elapsed(), failed);
                }
                continue;
            }
            co_return fail(explained(*ex, std::move(failed), phase));
        }
        if (self->cookies != nullptr) {
            self->cookies->store(ex->url, ex->head.fields);
        }
        ex->is_hop = ex->max_redirects != 0 && is_followed(ex->head.status);
        c.take_early(*ex);
        if (ex->is_hop) {
            if (!chain) {
                redirect_options how = options.redirects;
                how.max_redirects = ex->max_redirects;
                chain.emplace(ex->url, ex->method, how);
            }
            auto follow = chain->advance(ex->head.status, ex->head.fields);
            if (!follow) {
                co_return fail(explained(*ex, std::move(follow).error(), error_phase::head));
            }
            if (*follow) {
                if (ex->source != nullptr) {
                    c.skip(*ex);
                }
                chain->apply(ex->fields);
                ex->url = chain->url();
                ex->method = chain->method();
                ex->redirects = chain->followed();
                if (ex->trace != nullptr) {
                    ex->trace->redirected(ex->elapsed(), ex->url);
                }
                if (chain->drops_body()) {
                    ex->body = request_body_kind::none;
                }
                if (ex->url.is_secure() && !Connector::secures) {
                    co_return fail(explained(*ex, refuse_request("this client cannot do TLS", flux::errc::unavailable).error(),
                                             error_phase::none));
                }
                continue;
            }
        }
        if (std::exchange(ex->is_hop, false) && ex->source == nullptr && !ex->failed) {
            ex->end_trace(nullptr);
        }
        self->decode(*ex);
        co_return client_response(std::move(ex));
    }
}

} // namespace detail

/// A client over connections that `Connector` makes. `Observer` is called as observer(method, url) for each request that has
/// no trace of its own, and returns a client_trace* or null.
///
/// Cheap to copy; copies share everything. There is no hidden global one.
/// Lifetime  responses may outlive it. In a loop that is no reactor (a virtual clock) it must die before the loop does.
/// Threads   any number of reactors may use one client at the same time; what it gives out stays with the reactor that
///           asked. Configure it before.
template <connector Connector, class Observer = no_observer>
class basic_client {
public:
    explicit basic_client(const client_options& options = {}, Connector how = Connector(), Observer observer = {})
        : core_(std::make_shared<core>(options, std::move(how), std::move(observer))) {}

    /// Params  url  absolute, or relative to client_options::base_url.
    [[nodiscard]] client_request get(std::string_view url) { return request(method::get, url); }
    [[nodiscard]] client_request head(std::string_view url) { return request(method::head, url); }
    [[nodiscard]] client_request post(std::string_view url) { return request(method::post, url); }
    [[nodiscard]] client_request put(std::string_view url) { return request(method::put, url); }
    [[nodiscard]] client_request patch(std::string_view url) { return request(method::patch, url); }
    [[nodiscard]] client_request del(std::string_view url) { return request(method::delete_, url); }
    [[nodiscard]] client_request request(method m, std::string_view url) { return core_->request(m, {}, url); }
    /// Params  token  any method, registered or not. One that is no token cannot be sent.
    [[nodiscard]] client_request request(std::string_view token, std::string_view url) {
        return core_->request(to_method(token), token, url);
    }

    /// Sets a field of all requests that do not set it themselves. Before the first request.
    /// Errors  throws flux::error (errc::invalid_argument) for what could split a message.
    basic_client& default_header(name_ref name, std::string_view value) {
        core_->defaults.set(name, value);
        return *this;
    }
    /// Cookies of responses are kept there and sent where they belong, redirects included, unless a request has a Cookie of
    /// its own. Before the first request; a jar is for the clients of one reactor.
    basic_client& use_cookies(std::shared_ptr<cookie_jar> jar) {
        core_->cookies = std::move(jar);
        return *this;
    }
    /// Asks for content codings and removes them: `api.use_decoding(zlib::client_decoding())`. Before the first request.
    /// A decoded response has neither Content-Encoding nor Content-Length any more. A request that sets Accept-Encoding
    /// itself, or asks for a Range, gets what comes as it comes.
    basic_client& use_decoding(std::shared_ptr<const content_decoding> how) {
        core_->decoding = std::move(how);
        return *this;
    }
    [[nodiscard]] const client_options& options() const noexcept { return core_->options(); }
    /// Of the connections in the calling thread's reactor.
    [[nodiscard]] pool_stats stats() const noexcept {
        const scheduler* home = scheduler::current();
        const auto* pool = home == nullptr ? nullptr : core_->find_pool(*home);
        return pool == nullptr ? pool_stats() : pool->stats();
    }

private:
    using core = detail::client_core<Connector, Observer>;
    std::shared_ptr<core> core_;
};

/// The client of programs without TLS and proxies.
using client = basic_client<tcp_connector>;

} // namespace flux::inline FLUX_ABI::http
