// SPDX-License-Identifier: MIT
// flux/http/client/client.hpp - the HTTP client: requests over a pool of connections, redirects, safe repetition.
//
//   client_request -> (layers) -> pool -> connection -> response head -> redirect? | repeat? -> client_response
//
// One coroutine frame for an exchange. A client is a handle: copies share configuration and, within one reactor,
// connections. Each reactor has a pool of its own, so that handlers on many threads can use one client.
// Deliberately not here: how connections are made (net/connector.hpp), retries by policy (resilience/).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/vacate.hpp>
#include <flux/http/client/client_connection.hpp>
#include <flux/http/client/client_layer.hpp>
#include <flux/http/client/client_request.hpp>
#include <flux/http/client/client_settings.hpp>
#include <flux/http/client/cookie_jar.hpp>
#include <flux/http/client/request_upload.hpp>
#include <flux/http/client/resend.hpp>
#include <flux/net/connector.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

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

/// A connection until the head of the response is there: then the response has it. Gives it up otherwise, also where the
/// caller's code has thrown.
class connection_lease {
public:
    connection_lease(pool_core& pool, pool_member& m, client_exchange& ex) noexcept : pool_(&pool), member_(&m), ex_(&ex) {}
    connection_lease(const connection_lease&) = delete;
    connection_lease& operator=(const connection_lease&) = delete;
    ~connection_lease() {
        if (member_ != nullptr) {
            ex_->source = nullptr;
            pool_->release(*member_, false);
        }
    }
    void pass_on() noexcept { member_ = nullptr; }

private:
    pool_core* pool_;
    pool_member* member_;
    client_exchange* ex_;
};

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

    [[nodiscard]] task<client_response> send(exchange_handle ex, scheduler& home) override {
        if (!ex->single_try && !layers.empty()) {
            return layers.send(std::move(ex));
        }
        return run(this, &pool_of(home), std::move(ex));
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

    client_layers layers;

private:
    struct place {
        pool_type* pool;
        place* next;
    };
    // Retires a pool when it goes.
    class retirement {
    public:
        explicit retirement(pool_type* pool) noexcept : pool_(pool) {}
        retirement(retirement&& other) noexcept : pool_(flux::detail::vacate(other.pool_)) {}
        retirement& operator=(retirement&&) = delete;
        ~retirement() {
            if (pool_ != nullptr) {
                pool_->retire();
            }
        }

    private:
        pool_type* pool_;
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
        if (own) {
            pool->retire();
            return;
        }
        // Refused by a reactor that has ended, or dropped by one that ends first: then by its end, which is as good.
        reactor::post_to(*box, [retiring = retirement(pool)] {});
    }

    static task<client_response> run(client_core* self, pool_type* pool, exchange_handle ex);

    Connector connector_; // each pool has a copy
    Observer observer_;
    std::atomic<place*> places_{nullptr};
};

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
    flux::detail::owner<redirect_chain> chain;
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
        connection_lease lease(*pool, c, *ex);
        c.begin_exchange(*pool);
        if (!pool->is_usable(c)) {
            if (++stale > max_stale) {
                co_return fail(explained(*ex, error(errc::surplus_octets), error_phase::connect));
            }
            continue;
        }
        ex->reused = c.is_reused();
        if (ex->trace != nullptr) {
            ex->trace->got_connection(ex->elapsed(), ex->reused);
        }
        if constexpr (requires { c.stream().tls_facts(); }) {
            ex->tls = c.stream().tls_facts();
            if (ex->trace != nullptr && ex->tls != nullptr) {
                ex->trace->got_tls(*ex->tls);
            }
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
                ++resends;
                if (ex->trace != nullptr) {
                    ex->trace->repeated(ex->elapsed(), failed);
                }
                continue;
            }
            co_return fail(explained(*ex, std::move(failed), phase));
        }
        lease.pass_on();
        if (self->cookies != nullptr) {
            self->cookies->store(ex->url, ex->head.fields);
        }
        const bool unread = asks_again(*ex) && resends < options.max_resends;
        ex->is_hop = unread || (ex->max_redirects != 0 && is_followed(ex->head.status));
        c.take_early(*ex);
        if (unread) {
            const error why = say_again(*ex);
            if (ex->source != nullptr) {
                c.skip(*ex);
            }
            ++resends;
            if (ex->trace != nullptr) {
                ex->trace->repeated(ex->elapsed(), why);
            }
            continue;
        }
        if (ex->is_hop) {
            if (!chain) {
                redirect_options how = options.redirects;
                how.max_redirects = ex->max_redirects;
                chain = flux::detail::owner<redirect_chain>(new redirect_chain(ex->url, ex->method, how));
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
    /// Puts a layer around all exchanges, inside of those that are there already: `api.use(http::retry())`. Before the
    /// first request. See http/client/client_layer.hpp.
    template <class Layer>
    basic_client& use(Layer&& layer) {
        core_->layers.add(std::forward<Layer>(layer));
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
