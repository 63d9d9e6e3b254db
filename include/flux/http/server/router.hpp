// SPDX-License-Identifier: MIT
// flux/http/server/router.hpp - which handler answers which request: routes, sub-routers, layers, shared objects.
//
//   request -> resolve() -> route_table -> params, route, states into the request -> the handler to call
//
// What has no route has a handler as well: 404, 405 with Allow, 204 to OPTIONS, a redirect, 400. So layers (logs,
// CORS) see every request. A router is set up once, by one thread, and then shared by all workers as const; a
// sub-router becomes a part of the one that it is mounted in, so that a request costs one search whatever the
// structure of the program. Deliberately not here: the rules of patterns (route_pattern.hpp, route_table.hpp).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/middleware.hpp>
#include <flux/http/server/route_table.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

static_assert(route_pattern::max_params == request::max_params);

namespace detail {

/// What the routes of one router have in common. Sub-routers have scopes of their own, below that of the router
/// that they are mounted in.
struct router_scope {
    struct shared_object {
        shared_object(const void* t, void* o) noexcept : tag(t), object(o) {}
        const void* tag;
        void* object;
    };

    router_scope* parent = nullptr; // null: the whole application
    std::string host;
    flux::detail::dynamic_array<route_pattern::segment> prefix; // of all that it was mounted at
    flux::detail::dynamic_array<flux::detail::owner<layer>> own_layers;
    flux::detail::dynamic_array<shared_object> own_states;
    any_handler own_not_found; // empty: that of the parent
    any_handler own_fallback;  // the same

    // What follows from this scope and those above it; made by router_core::link().
    flux::detail::dynamic_array<layer*> layers; // the outermost first
    state_table states;
    layered_handler not_found;
    layered_handler refused;
    layered_handler redirected;
    layered_handler bad_path;
};

struct router_route {
    router_route(any_handler h, router_scope& s) noexcept : handler(std::move(h)), scope(&s) {}
    any_handler handler;
    router_scope* scope;
    layered_handler layered;
};

/// All that one application has. Stays where it is; const while it serves.
class router_core {
public:
    router_core()
        : not_found_([](request&) { return plain_answer(status::not_found); }),
          bad_path_([](request&) { return plain_answer(status::bad_request); }),
          refused_([this](request& req) { return answer_other_method(req); }),
          redirected_([this](request& req) { return answer_redirect(req); }) {
        scopes.push_back(flux::detail::make_owner<router_scope>());
        link();
    }
    router_core(const router_core&) = delete;
    router_core& operator=(const router_core&) = delete;

    [[gnu::cold]] void add(route_pattern pattern, any_handler handler, router_scope& scope) {
        if (routes.size() == routes.capacity()) {
            routes.reserve(2 * routes.size() + 8); // beforehand, so that table and routes cannot come apart
        }
        auto route = flux::detail::make_owner<router_route>(std::move(handler), scope);
        route->layered.set(route->handler, scope.layers);
        table.add(std::move(pattern));
        routes.push_back(std::move(route));
    }

    /// Makes what scopes inherit, and the calls of every route, anew. Parents come before their children.
    [[gnu::cold]] void link() {
        for (const auto& s : scopes) {
            const any_handler* nobody_found = &not_found_;
            const any_handler* fallback = nullptr;
            s->layers.clear();
            s->states = state_table();
            if (s->parent != nullptr) {
                s->layers = s->parent->layers;
                s->states = s->parent->states;
            }
            for (const auto& own : s->own_layers) {
                s->layers.push_back(own.get());
            }
            for (const router_scope::shared_object& own : s->own_states) {
                s->states.set(own.tag, own.object);
            }
            for (const router_scope* at = s.get(); at != nullptr && fallback == nullptr; at = at->parent) {
                if (at->own_not_found && nobody_found == &not_found_) {
                    nobody_found = &at->own_not_found;
                }
                fallback = at->own_fallback ? &at->own_fallback : nullptr;
            }
            s->not_found.set(fallback != nullptr && nobody_found == &not_found_ ? *fallback : *nobody_found, s->layers);
            s->bad_path.set(fallback != nullptr ? *fallback : bad_path_, s->layers);
            s->refused.set(fallback != nullptr ? *fallback : refused_, s->layers);
            s->redirected.set(fallback != nullptr ? *fallback : redirected_, s->layers);
        }
        for (const auto& r : routes) {
            r->layered.set(r->handler, r->scope->layers);
        }
    }

    [[nodiscard]] const any_handler* resolve(request& req) const {
        const request_head& head = req.head();
        const route_match m = table.match(head.method, head.method_token, head.authority, head.path);
        if (m.kind() == match_kind::found) {
            const router_route& r = *routes[m.route()];
            for (std::size_t i = 0; i < m.param_count(); ++i) {
                const bool added = req.add_param(m.param_name(i), m.raw_param(i));
                FLUX_CHECK(added, "a request with more parameters than a pattern can have");
                static_cast<void>(added);
            }
            req.set_states(&r.scope->states);
            if (r.handler.accepts(req)) {
                req.set_route(table.pattern(m.route()).text());
                return &r.layered.get();
            }
            req.clear_params();
            return &r.scope->not_found.get();
        }
        return without_route(req, m);
    }

    // Shared objects first: handlers may use them to their end.
    flux::detail::dynamic_array<std::shared_ptr<void>> kept;
    flux::detail::dynamic_array<flux::detail::owner<router_scope>> scopes; // the first one is the application's
    route_table table;
    flux::detail::dynamic_array<flux::detail::owner<router_route>> routes; // by the table's index
    std::atomic<bool> sealed{false};
    bool mounted = false; // its content belongs to another core now

private:
    [[nodiscard, gnu::cold]] const any_handler* without_route(request& req, const route_match& m) const {
        const router_scope& scope =
            m.route() == route_match::no_route ? scope_of(req.head()) : *routes[m.route()]->scope;
        req.set_states(&scope.states);
        switch (m.kind()) {
        case match_kind::method_not_allowed: return &scope.refused.get();
        case match_kind::redirect: return &scope.redirected.get();
        case match_kind::bad_path: return &scope.bad_path.get();
        case match_kind::found:
        case match_kind::not_found: break;
        }
        const bool whole_server = req.head().path.empty();
        return whole_server ? &scope.refused.get() : &scope.not_found.get();
    }

    // The router that a path without a route belongs to: its host's, with the longest prefix.
    [[nodiscard]] const router_scope& scope_of(const request_head& head) const noexcept {
        const router_scope* best = scopes.front().get();
        if (head.path.empty()) {
            return *best;
        }
        const cut_path path(head.path);
        const std::string_view host = route_table::host_of(head.authority);
        for (const auto& s : scopes) {
            const bool fits = (s->host.empty() || iequals(s->host, host)) && has_prefix(path, s->prefix);
            const bool better = s->host.empty() == best->host.empty() ? s->prefix.size() > best->prefix.size()
                                                                      : best->host.empty();
            best = fits && better ? s.get() : best;
        }
        return *best;
    }
    [[nodiscard]] static bool has_prefix(const cut_path& path,
                                         const flux::detail::dynamic_array<route_pattern::segment>& prefix) noexcept {
        if (path.count() < prefix.size()) {
            return false;
        }
        for (std::uint32_t i = 0; i < prefix.size(); ++i) {
            const bool literal = prefix[i].kind == route_pattern::segment_kind::literal;
            if (literal ? path.segment(i) != prefix[i].text : path.is_empty(i)) {
                return false;
            }
        }
        return true;
    }

    // An empty path is the whole server's: OPTIONS *, or CONNECT, which it does not offer.
    [[nodiscard]] response answer_other_method(const request& req) const {
        const request_head& head = req.head();
        response answer = head.method == method::options ? response(status::no_content)
                                                         : plain_answer(status::method_not_allowed);
        answer.header(field::allow, table.allowed(head.authority, head.path));
        return answer;
    }
    [[nodiscard]] response answer_redirect(const request& req) const {
        const request_head& head = req.head();
        std::string to = table.location(head.method, head.method_token, head.authority, head.path);
        if (head.has_query) {
            to += '?';
            for (const char c : head.query) {
                route_table::append_encoded(to, c, octet_class::query);
            }
        }
        return plain_answer(status::permanent_redirect).header(field::location, to);
    }

    const any_handler not_found_;
    const any_handler bad_path_;
    const any_handler refused_;
    const any_handler redirected_;
};

} // namespace detail

/// The routes of a server, set up once and then served.
///
///     http::router app;
///     app.use(http::request_id());
///     app.share(database);
///     app.get("/users/{id}", [](http::request& req, int id) { ... });
///     app.mount("/admin", admin_routes());
///
/// Patterns are those of route_pattern, the most specific one wins. GET routes answer HEAD as well; OPTIONS is
/// answered with 204, a wrong method with 405, both with Allow; a path that only lacks its last slash, or is not
/// clean, with a redirect (308). A route of one's own for any of these comes first.
///
/// Layers and shared objects are those of the whole router, whether they are added before or after a route. A
/// sub-router has those of its parents, outside of its own; what it shares hides the same type above.
///
/// Errors   registering throws flux::error (errc::invalid_argument) that names the pattern: bad syntax, a route
///          that conflicts with another one, a handler whose path arguments are not the pattern's parameters.
/// Threads  setting up: one. Once served it must not change (FLUX_CHECKED builds abort), and resolve() may be
///          called by all threads at the same time.
class router {
public:
    router() : core_(new detail::router_core), scope_(core_->scopes.front().get()) {}
    router(router&&) noexcept = default;
    router& operator=(router&&) noexcept = default;
    router(const router&) = delete;
    router& operator=(const router&) = delete;
    ~router() = default;

    // ---- routes: [host]/path and any shape of handler, see handler.hpp ----
    // A bare "/" takes that path only; "/static/" takes all below it, and "/{rest...}" everything.
    router& get(std::string_view pattern, any_handler h) { return add("GET", pattern, std::move(h)); }
    router& head(std::string_view pattern, any_handler h) { return add("HEAD", pattern, std::move(h)); }
    router& post(std::string_view pattern, any_handler h) { return add("POST", pattern, std::move(h)); }
    router& put(std::string_view pattern, any_handler h) { return add("PUT", pattern, std::move(h)); }
    router& patch(std::string_view pattern, any_handler h) { return add("PATCH", pattern, std::move(h)); }
    router& del(std::string_view pattern, any_handler h) { return add("DELETE", pattern, std::move(h)); }
    router& options(std::string_view pattern, any_handler h) { return add("OPTIONS", pattern, std::move(h)); }
    /// Every method that has no route of its own there.
    router& any(std::string_view pattern, any_handler h) { return add({}, pattern, std::move(h)); }
    router& handle(method m, std::string_view pattern, any_handler h) {
        return handle(to_string(m), pattern, std::move(h));
    }
    /// Params  token  the method, registered or not; case matters.
    router& handle(std::string_view token, std::string_view pattern, any_handler h) {
        require(!token.empty(), pattern, "a method without a name");
        return add(token, pattern, std::move(h));
    }
    /// `route("GET /x", h)`: the method is in the pattern; without one it is any().
    router& route(std::string_view pattern, any_handler h) {
        const route_pattern whole(pattern);
        return add(whole.method(), whole.text(), std::move(h));
    }

    /// Puts layers around all routes of this router and of those mounted in it; the first one is the outermost.
    /// Params  m  `task<response>(request&, next&)`; see middleware.hpp.
    template <class M>
    router& use(M&& m) {
        require_open();
        scope_->own_layers.push_back(detail::make_layer(std::forward<M>(m)));
        core_->link();
        return *this;
    }

    /// Makes an object known to the handlers of this router: `req.state<T>()`. Params: borrowed; must outlive the
    /// server. All workers use it at the same time.
    template <class T>
    router& share(T& object) {
        return share(&detail::type_tag<T>, const_cast<std::remove_const_t<T>*>(&object));
    }
    /// The same, kept alive by the router.
    template <class T>
    router& share(std::shared_ptr<T> object) {
        require(object != nullptr, "", "share() of a null pointer");
        T& borrowed = *object;
        core_->kept.push_back(std::const_pointer_cast<std::remove_const_t<T>>(std::move(object)));
        return share(borrowed);
    }

    /// Answers what has no route below this router's prefix, or whose path arguments cannot be read.
    router& not_found(any_handler h) {
        require_open();
        require(static_cast<bool>(h), "", "not_found() with an empty handler");
        require(h.path_arguments() == 0, "", "not_found() with a handler that takes path arguments");
        scope_->own_not_found = std::move(h);
        core_->link();
        return *this;
    }

    /// Answers every request that no route answers, as it came: other methods of a path that has routes, paths that
    /// are not clean or not well-formed, and targets without a path, which are `*` and the host:port of CONNECT. Only
    /// not_found() comes before it. A router with nothing else hands on every request.
    router& fallback(any_handler h) {
        require_open();
        require(static_cast<bool>(h), "", "fallback() with an empty handler");
        require(h.path_arguments() == 0, "", "fallback() with a handler that takes path arguments");
        scope_->own_fallback = std::move(h);
        core_->link();
        return *this;
    }

    /// Takes over all routes of another router, below a prefix: its "/x" becomes "/prefix/x", its "/" the subtree.
    ///
    /// Parameters of the prefix come first and are read by name; path arguments of its handlers are still those of
    /// their own patterns. Handlers see the whole path.
    /// Params  prefix  literals and parameters: "/api", "/tenants/{tenant}"; "" and "/" are none.
    ///         other   whole, not what host() gave. Nothing can be added to it afterwards.
    /// Errors  as for routes. After a conflict the routes before it are there, and `other` is used up all the same.
    router& mount(std::string_view prefix, router&& other) {
        require_open();
        require(other.core_ != nullptr && other.core_ != core_ && other.scope_->parent == nullptr &&
                    !other.core_->mounted, prefix, "mount() takes a whole router, and only once");
        if (prefix.ends_with('/')) {
            prefix.remove_suffix(1);
        }
        detail::router_core& from = *other.core_;
        const flux::detail::dynamic_array<route_pattern::segment> path = segments_of_prefix(prefix);
        flux::detail::dynamic_array<route_pattern> patterns; // made first: what is wrong with them is found before anything changes
        for (std::uint32_t i = 0; i < from.routes.size(); ++i) {
            const route_pattern& own = from.table.pattern(i);
            patterns.push_back(within_scope(own, own.method(), prefix));
        }
        for (const auto& s : from.scopes) {
            require_one_host(s->host, prefix);
        }
        from.mounted = true;
        for (auto& s : from.scopes) {
            s->parent = s->parent == nullptr ? scope_ : s->parent;
            s->host = s->host.empty() ? scope_->host : s->host;
            s->prefix.insert(s->prefix.begin(), path.begin(), path.end());
            core_->scopes.push_back(std::move(s));
        }
        for (auto& object : from.kept) {
            core_->kept.push_back(std::move(object));
        }
        core_->link();
        for (std::size_t i = 0; i < patterns.size(); ++i) {
            core_->add(std::move(patterns[i]), std::move(from.routes[i]->handler), *from.routes[i]->scope);
        }
        return *this;
    }

    /// A router for one host, a part of this one: its routes come before those without a host. Serve this one.
    /// Params  name  a name or an address, without a port.
    [[nodiscard]] router host(std::string_view name) {
        require_open();
        const route_pattern check({}, std::string(name) + '/');
        require(!check.host().empty() && check.path() == "/", name, "not the name of a host");
        require_one_host(check.host(), name);
        auto scope = flux::detail::make_owner<detail::router_scope>();
        scope->parent = scope_;
        scope->host = check.host();
        core_->scopes.push_back(std::move(scope));
        core_->link();
        return router(core_, core_->scopes.back().get());
    }

    // ---- for servers ----

    /// The handler for a request, never null. Sets the request's parameters, route and states.
    /// Params  req  as request::assign() left it. The handler is called with it.
    /// Errors  throws std::bad_alloc, and only for paths with a percent sign or that are not clean.
    /// Cost    no allocation for other paths.
    [[nodiscard]] const any_handler* resolve(request& req) const { return core_->resolve(req); }
    /// From now on the router must not change. Servers call it before they share it.
    void seal() const noexcept { core_->sealed.store(true, std::memory_order_relaxed); }
    [[nodiscard]] std::size_t route_count() const noexcept { return core_->routes.size(); }

private:
    router(std::shared_ptr<detail::router_core> core, detail::router_scope* scope) noexcept
        : core_(std::move(core)), scope_(scope) {}

    static void require(bool holds, std::string_view subject, const char* rule) {
        if (!holds) {
            refuse(subject, rule);
        }
    }
    [[noreturn, gnu::cold, gnu::noinline]] static void refuse(std::string_view subject, std::string rule) {
        std::string text("router: ");
        if (!subject.empty()) {
            text += '"' + std::string(subject) + "\": ";
        }
        flux::detail::throw_error(error(flux::errc::invalid_argument).doing(text + rule));
    }
    void require_open() const {
        require(core_ != nullptr && !core_->mounted, "", "a router that was moved or mounted cannot change");
        FLUX_CHECK(!core_->sealed.load(std::memory_order_relaxed), "a router was changed while it is served");
    }

    [[gnu::cold]] router& add(std::string_view method, std::string_view pattern, any_handler h) {
        require_open();
        const route_pattern own(method, pattern);
        require(static_cast<bool>(h), own.full_text(), "an empty handler");
        if (h.path_arguments() != 0 && h.path_arguments() != own.params().size()) {
            refuse(own.full_text(), "the handler takes " + std::to_string(h.path_arguments()) +
                                        " path arguments, the pattern has " + std::to_string(own.params().size()));
        }
        core_->add(within_scope(own, method, {}), std::move(h), *scope_);
        return *this;
    }
    // The pattern below a prefix, for this router's host if it has one.
    [[nodiscard, gnu::cold]] route_pattern within_scope(const route_pattern& own, std::string_view method,
                                             std::string_view prefix) const {
        require_one_host(own.host(), own.full_text());
        const std::string& host = own.host().empty() ? scope_->host : own.host();
        route_pattern whole(method, host + std::string(prefix) + std::string(own.path()));
        if (own.path() == "/" || own.is_exact()) { // docs/decisions/0009
            whole.take_only_itself();
        }
        return whole;
    }
    void require_one_host(const std::string& host, std::string_view subject) const {
        require(host.empty() || scope_->host.empty() || host == scope_->host, subject, "two hosts for one route");
    }
    router& share(const void* tag, void* object) {
        require_open();
        scope_->own_states.emplace_back(tag, object);
        core_->link();
        return *this;
    }
    [[nodiscard]] static flux::detail::dynamic_array<route_pattern::segment> segments_of_prefix(std::string_view prefix) {
        if (prefix.empty()) {
            return {};
        }
        const route_pattern whole({}, prefix);
        require(whole.host().empty(), prefix, "a prefix has no host; use host()");
        for (const route_pattern::segment& s : whole.segments()) {
            using kind = route_pattern::segment_kind;
            const bool inner = s.kind == kind::literal || s.kind == kind::param;
            require(inner, prefix, "a prefix has literals and parameters only");
        }
        return whole.segments();
    }

    std::shared_ptr<detail::router_core> core_; // null after a move
    detail::router_scope* scope_;
};

} // namespace flux::inline FLUX_ABI::http
