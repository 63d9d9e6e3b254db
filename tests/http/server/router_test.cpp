// SPDX-License-Identifier: MIT
#include <flux/http/server/router.hpp> // also proves the header is self-contained

#include <flux/http/server/layers/request_id.hpp>
#include <flux/http/server/layers/timeout.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <http/server/memory_sink.hpp>
#include <http/server/parsed_request.hpp>
#include <support/counting_new.cpp> // in one source of the program: all of its tests can count then
#include <support/counting_new.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

namespace {

using flux::task;
using http::next;
using http::request;
using http::response;
using http::router;
using test_support::manual_loop;
using test_support::parsed_request;

std::string show(const response& r) {
    std::string text = std::to_string(to_number(r.code()));
    for (const auto f : r.fields()) {
        if (f.id != http::field::content_type) {
            text += " " + std::string(f.name) + ": " + std::string(f.value);
        }
    }
    return r.octets().empty() ? text : text + " " + std::string(r.octets());
}

// What a server would answer: resolves, and calls the handler.
std::string answer(const router& app, request& req) {
    const http::any_handler* h = app.resolve(req);
    REQUIRE(h != nullptr);
    if (h->kind() == http::handler_kind::sync) {
        return show(h->call_sync(req));
    }
    manual_loop loop;
    if (h->kind() == http::handler_kind::streaming) {
        test_support::memory_sink sink;
        http::responder out(sink);
        const auto end = loop.run(h->call_streaming(req, out));
        return end ? sink.text() : end.error().message();
    }
    auto r = loop.run(h->call(req));
    return r ? show(*r) : r.error().message();
}
std::string ask(const router& app, std::string_view method, std::string_view target,
                std::string_view host = "example.com") {
    parsed_request req(std::string(method) + " " + std::string(target) + " HTTP/1.1",
                       "Host: " + std::string(host) + "\r\n");
    return answer(app, req);
}
std::string get(const router& app, std::string_view target) {
    return ask(app, "GET", target);
}

// A handler that tells which route it is, and its parameters.
auto tell(std::string name) {
    return [name = std::move(name)](request& req) {
        std::string text = name + "@" + std::string(req.route());
        for (std::size_t i = 0; i < req.param_count(); ++i) {
            text += "|" + std::string(req.param(i));
        }
        return text;
    };
}

// A layer that adds its name to the answer's "by" fields.
auto by(std::string name) {
    return [name = std::move(name)](request& req, next& inner) -> task<response> {
        auto r = co_await inner(req);
        r.add_header("by", name);
        co_return r;
    };
}

struct fussy {};
bool from_param(std::string_view, fussy&) {
    throw std::runtime_error("from_param");
}

template <class F>
std::string complaint(F f) {
    try {
        f();
    } catch (const flux::error& e) {
        CHECK(e.is(flux::errc::invalid_argument));
        return e.message();
    }
    return "none";
}

} // namespace

TEST_SUITE("http/server/router") {

    TEST_CASE("each verb registers its method") {
        router app;
        app.get("/x", tell("get"))
            .post("/x", tell("post"))
            .put("/x", tell("put"))
            .patch("/x", tell("patch"))
            .del("/x", tell("del"));
        app.handle("BREW", "/x", tell("brew")).handle(http::method::query, "/x", tell("query")).any("/y", tell("any"));
        app.options("/o", tell("options"))
            .head("/h", tell("head"))
            .route("PUT /r/{id}", tell("r"))
            .route("/s", tell("s"));
        CHECK(app.route_count() == 12);
        CHECK(get(app, "/x") == "200 get@/x");
        CHECK(ask(app, "HEAD", "/x") == "200 get@/x");
        CHECK(ask(app, "POST", "/x") == "200 post@/x");
        CHECK(ask(app, "PUT", "/x") == "200 put@/x");
        CHECK(ask(app, "PATCH", "/x") == "200 patch@/x");
        CHECK(ask(app, "DELETE", "/x") == "200 del@/x");
        CHECK(ask(app, "BREW", "/x") == "200 brew@/x");
        CHECK(ask(app, "QUERY", "/x") == "200 query@/x");
        CHECK(ask(app, "TRACE", "/y") == "200 any@/y");
        CHECK(ask(app, "OPTIONS", "/o") == "200 options@/o");
        CHECK(ask(app, "HEAD", "/h") == "200 head@/h");
        CHECK(ask(app, "PUT", "/r/7?q=1") == "200 r@/r/{id}|7");
        CHECK(get(app, "/s") == "200 s@/s");
    }

    TEST_CASE("parameters come decoded, also after the head has moved") {
        router app;
        app.get("/a/{x}/b/{rest...}", tell("r"));
        parsed_request req("GET /a/1%202/b/c/d%2fe?q=%20 HTTP/1.1");
        CHECK(app.resolve(req) != nullptr);
        CHECK(req->param("x") == "1 2");
        CHECK(req->param("rest") == "c/d/e");
        CHECK(req->param("none").empty());
        parsed_request plain("GET /a/first/b/second/third HTTP/1.1");
        CHECK(app.resolve(plain) != nullptr);
        plain.move_octets();
        req.move_octets();
        CHECK(plain->param("x") == "first");
        CHECK(plain->param("rest") == "second/third");
        CHECK(req->param("x") == "1 2");
        parsed_request empty("GET /a/1/b/ HTTP/1.1");
        CHECK(app.resolve(empty) != nullptr);
        empty.move_octets();
        CHECK(empty->param("rest").empty());
        CHECK(empty->param("x") == "1");
    }

    TEST_CASE("path arguments are checked when the route is registered") {
        router app;
        const auto two = [](request&, int, std::string_view) { return "x"; };
        CHECK(complaint([&] { app.get("/a/{x}", two); }) ==
              "router: \"GET /a/{x}\": the handler takes 2 path arguments, the pattern has 1: invalid argument");
        CHECK(complaint([&] { app.get("/a/{x}/{y}/{z}", two); }).find("the pattern has 3") != std::string::npos);
        CHECK(complaint([&] { app.not_found([](request&, int) { return "x"; }); }).find("not_found()") !=
              std::string::npos);
        CHECK(complaint([&] { app.get("/b", http::any_handler()); }) ==
              "router: \"GET /b\": an empty handler: invalid argument");
        app.get("/a/{x}/{y}", two).get("/n/{id}", [](request&, int id) { return std::to_string(id); });
        CHECK(app.route_count() == 2);
        CHECK(get(app, "/a/1/y") == "200 x");
        CHECK(get(app, "/n/12") == "200 12");
    }

    TEST_CASE("path arguments that cannot be read are not found") {
        router app;
        app.get("/n/{id}", [](request&, int id) { return std::to_string(id); });
        CHECK(get(app, "/n/twelve") == "404 404 Not Found\n");
        app.not_found(
            [](request& req) { return http::text("mine" + std::string(req.route())).code(http::status::not_found); });
        CHECK(get(app, "/n/twelve") == "404 mine");
        parsed_request req("GET /n/x HTTP/1.1");
        CHECK(app.resolve(req) != nullptr);
        CHECK(req->param_count() == 0);
    }

    TEST_CASE("what converting an argument throws comes from the handler, not from the search") {
        router app;
        app.get("/{x}", [](request&, fussy) { return "x"; });
        parsed_request req("GET /a HTTP/1.1");
        const http::any_handler* h = app.resolve(req);
        CHECK_THROWS_WITH_AS(static_cast<void>(h->call_sync(req)), "from_param", std::runtime_error);
    }

    TEST_CASE("conflicts, bad patterns and bad methods are refused with the pattern's name") {
        router app;
        app.get("/posts/{id}", tell("a"));
        CHECK(complaint([&] { app.get("/{kind}/latest", tell("b")); }) ==
              "route \"GET /{kind}/latest\" and route \"GET /posts/{id}\" take some of the same requests, and neither "
              "is more "
              "specific: invalid argument");
        CHECK(complaint([&] { app.get("GET /x", tell("b")); }).find("a space; the method is given apart") !=
              std::string::npos);
        CHECK(complaint([&] { app.get("x", tell("b")); }).find("no path") != std::string::npos);
        CHECK(complaint([&] { app.handle("", "/x", tell("b")); }).find("a method without a name") != std::string::npos);
        CHECK(complaint([&] { app.handle("A B", "/x", tell("b")); }).find("a method is a token") != std::string::npos);
        CHECK(app.route_count() == 1);
        CHECK(get(app, "/posts/1") == "200 a@/posts/{id}|1");
    }

    TEST_CASE("what has no route is answered: 404, 405, OPTIONS, redirects, bad paths") {
        router app;
        app.get("/a", tell("a")).post("/a", tell("p")).get("/sub/", tell("s")).put("/sub/{x}", tell("t"));
        CHECK(get(app, "/none") == "404 404 Not Found\n");
        CHECK(ask(app, "DELETE", "/a") == "405 Allow: GET, HEAD, OPTIONS, POST 405 Method Not Allowed\n");
        CHECK(ask(app, "OPTIONS", "/a") == "204 Allow: GET, HEAD, OPTIONS, POST");
        CHECK(ask(app, "OPTIONS", "*") == "204 Allow: GET, HEAD, OPTIONS, POST, PUT");
        CHECK(ask(app, "OPTIONS", "/none") == "404 404 Not Found\n");
        CHECK(get(app, "/sub") == "308 Location: /sub/ 308 Permanent Redirect\n");
        CHECK(get(app, "/sub?a=b|c&d=%20") == "308 Location: /sub/?a=b%7Cc&d=%20 308 Permanent Redirect\n");
        CHECK(get(app, "/sub?") == "308 Location: /sub/? 308 Permanent Redirect\n");
        CHECK(get(app, "//a") == "308 Location: /a 308 Permanent Redirect\n");
        CHECK(get(app, "/sub/../a?x") == "308 Location: /a?x 308 Permanent Redirect\n");
        CHECK(get(app, "/sub/..%2fa") == "400 400 Bad Request\n");
        CHECK(get(app, "/a%") == "400 400 Bad Request\n");
        CHECK(ask(app, "CONNECT", "example.com:443") ==
              "405 Allow: GET, HEAD, OPTIONS, POST, PUT 405 Method Not Allowed\n");
        CHECK(get(app, "http://example.com") == "404 404 Not Found\n");
        CHECK(get(app, "http://example.com/a") == "200 a@/a");
        parsed_request req("GET /none HTTP/1.1");
        CHECK(app.resolve(req)->kind() == http::handler_kind::sync);
        CHECK(req->route().empty());
    }

    TEST_CASE("layers of a router are around all its routes, whenever they were registered, the first one outside") {
        router app;
        app.get("/before", tell("b"));
        app.use(by("one"));
        app.use(by("two"));
        app.get("/after", tell("a"));
        CHECK(get(app, "/before") == "200 by: two by: one b@/before");
        CHECK(get(app, "/after") == "200 by: two by: one a@/after");
    }

    TEST_CASE("layers see what has no route, too") {
        router app;
        app.get("/a/", tell("a"));
        app.use(by("l"));
        CHECK(get(app, "/none") == "404 by: l 404 Not Found\n");
        CHECK(ask(app, "OPTIONS", "/a/") == "204 Allow: GET, HEAD, OPTIONS by: l");
        CHECK(ask(app, "PUT", "/a/") == "405 Allow: GET, HEAD, OPTIONS by: l 405 Method Not Allowed\n");
        CHECK(get(app, "/a") == "308 Location: /a/ by: l 308 Permanent Redirect\n");
        CHECK(get(app, "/%") == "400 by: l 400 Bad Request\n");
    }

    TEST_CASE("a mounted router keeps its layers, inside of those around it") {
        router admin;
        admin.use(by("admin"));
        admin.get("/{rest...}", tell("root")).get("/", tell("index")).get("/users/{id}", tell("user"));
        router api;
        api.use(by("api"));
        api.get("/x", tell("x"));
        api.mount("/admin", std::move(admin));
        router app;
        app.mount("/api/", std::move(api));
        app.get("/x", tell("top"));
        app.use(by("app"));
        CHECK(get(app, "/x") == "200 by: app top@/x");
        CHECK(get(app, "/api/x") == "200 by: api by: app x@/api/x");
        CHECK(get(app, "/api/admin/users/7") == "200 by: admin by: api by: app user@/api/admin/users/{id}|7");
        CHECK(get(app, "/api/admin/") == "200 by: admin by: api by: app index@/api/admin/");
        CHECK(get(app, "/api/admin/z") == "200 by: admin by: api by: app root@/api/admin/{rest...}|z");
        CHECK(get(app, "/api/admin") == "308 Location: /api/admin/ by: admin by: api by: app 308 Permanent Redirect\n");
        CHECK(ask(app, "OPTIONS", "/api/x") == "204 Allow: GET, HEAD, OPTIONS by: api by: app");
        CHECK(get(app, "/api/z") == "404 by: api by: app 404 Not Found\n");
        CHECK(get(app, "/apix") == "404 by: app 404 Not Found\n");
        CHECK(get(app, "/z") == "404 by: app 404 Not Found\n");
        CHECK(get(app, "/api/%00") == "400 by: api by: app 400 Bad Request\n");
    }

    TEST_CASE("a bare slash is that path and no other, wherever it is mounted") {
        router inner;
        inner.get("/", tell("inner")).get("/tree/", tell("tree"));
        router middle;
        middle.mount("/middle", std::move(inner));
        router app;
        app.mount("/app", std::move(middle));
        app.get("/", tell("app"));
        app.get("h.test/", tell("host"));
        CHECK(get(app, "/") == "200 app@/");
        CHECK(get(app, "/x") == "404 404 Not Found\n");
        CHECK(get(app, "//") == "308 Location: / 308 Permanent Redirect\n");
        CHECK(ask(app, "POST", "/") == "405 Allow: GET, HEAD, OPTIONS 405 Method Not Allowed\n");
        CHECK(ask(app, "POST", "/x") == "404 404 Not Found\n");
        CHECK(get(app, "/app/middle/") == "200 inner@/app/middle/");
        CHECK(get(app, "/app/middle") == "308 Location: /app/middle/ 308 Permanent Redirect\n");
        CHECK(get(app, "/app/middle/x") == "404 404 Not Found\n");
        CHECK(get(app, "/app/middle/tree/x/y") == "200 tree@/app/middle/tree/");
        router twice;
        twice.get("/", tell("one"));
        CHECK_THROWS_AS(twice.get("/{$}", tell("two")), flux::error);
        CHECK_NOTHROW(twice.get("/{all...}", tell("all")));
        CHECK(get(twice, "/") == "200 one@/");
        CHECK(get(twice, "/x") == "200 all@/{all...}|x");
    }

    TEST_CASE("routers mounted at the same place keep apart what is theirs") {
        router a;
        a.use(by("a"));
        a.get("/one", tell("1"));
        router b;
        b.use(by("b"));
        b.get("/two", tell("2"));
        router app;
        app.mount("", std::move(a)).mount("/", std::move(b));
        CHECK(get(app, "/one") == "200 by: a 1@/one");
        CHECK(get(app, "/two") == "200 by: b 2@/two");
        CHECK(ask(app, "OPTIONS", "/two") == "204 Allow: GET, HEAD, OPTIONS by: b");
    }

    TEST_CASE("a prefix may have parameters; path arguments are those of the handler's own pattern") {
        router users;
        users.get("/users/{id}",
                  [](request& req, int id) { return std::string(req.param("tenant")) + ":" + std::to_string(id); });
        users.not_found(
            [](request& req) { return http::text("no " + std::string(req.raw_path())).code(http::status::not_found); });
        router app;
        app.mount("/t/{tenant}", std::move(users));
        CHECK(get(app, "/t/acme/users/7") == "200 acme:7");
        CHECK(get(app, "/t/acme/users/x") == "404 no /t/acme/users/x");
        CHECK(get(app, "/t/acme/x") == "404 no /t/acme/x");
        CHECK(get(app, "/t//x") == "404 404 Not Found\n");
        router twice;
        twice.get("/{tenant}", tell("x"));
        CHECK(complaint([&] { app.mount("/u/{tenant}", std::move(twice)); }).find("the same name") !=
              std::string::npos);
    }

    TEST_CASE("mount refuses what cannot be a prefix, conflicts, and routers that were mounted") {
        const auto mounted_at = [](std::string_view prefix) {
            router app;
            router sub;
            sub.get("/x", tell("x"));
            return complaint([&] { app.mount(prefix, std::move(sub)); });
        };
        CHECK(mounted_at("/a/{b}/c") == "none");
        CHECK(mounted_at("a") != "none");
        CHECK(mounted_at("h.test/a") == "router: \"h.test/a\": a prefix has no host; use host(): invalid argument");
        CHECK(mounted_at("/a//") != "none");
        CHECK(mounted_at("/a/{b...}") ==
              "router: \"/a/{b...}\": a prefix has literals and parameters only: invalid argument");
        CHECK(mounted_at("/a/{$}") ==
              "router: \"/a/{$}\": a prefix has literals and parameters only: invalid argument");

        router app;
        app.get("/a/x", tell("first"));
        router sub;
        router at_host = sub.host("h.test");
        sub.get("/w", tell("w")).get("/x", tell("second"));
        CHECK(complaint([&] { app.mount("/a", std::move(sub)); }).find("take the same requests") != std::string::npos);
        CHECK(get(app, "/a/x") == "200 first@/a/x");
        CHECK(get(app, "/a/w") == "200 w@/a/w");
        CHECK(complaint([&] { at_host.get("/y", tell("y")); }).find("cannot change") != std::string::npos);
        CHECK(complaint([&] { app.mount("/b", std::move(at_host)); }).find("only once") != std::string::npos);
        router moved(std::move(app));
        CHECK(get(moved, "/a/x") == "200 first@/a/x");
        CHECK(complaint([&] { app.get("/y", tell("y")); }).find("cannot change") !=
              std::string::npos); // NOLINT(bugprone-use-after-move)
        CHECK(complaint([&] { moved.mount("/z", std::move(moved)); }).find("only once") != std::string::npos);
    }

    TEST_CASE("a router of a host comes first, has its layers, and mounts like any other") {
        router app;
        app.use(by("app"));
        app.get("/x", tell("any")).get("both.test/y", tell("pattern"));
        router own = app.host("Own.test");
        own.use(by("own"));
        own.get("/x", tell("own")).not_found([] { return http::status::gone; });
        router sub;
        sub.get("/z", tell("z")).get("own.test/w", tell("w"));
        own.mount("/sub", std::move(sub));
        CHECK(ask(app, "GET", "/x", "own.test") == "200 by: own by: app own@own.test/x");
        CHECK(ask(app, "GET", "/x", "OWN.TEST:81") == "200 by: own by: app own@own.test/x");
        CHECK(ask(app, "GET", "/x", "other.test") == "200 by: app any@/x");
        CHECK(ask(app, "GET", "/y", "both.test") == "200 by: app pattern@both.test/y");
        CHECK(ask(app, "GET", "/y", "own.test") == "410 by: own by: app");
        CHECK(ask(app, "GET", "/sub/z", "own.test") == "200 by: own by: app z@own.test/sub/z");
        CHECK(ask(app, "GET", "/sub/w", "own.test") == "200 by: own by: app w@own.test/sub/w");
        CHECK(ask(app, "GET", "/sub/z", "other.test") == "404 by: app 404 Not Found\n");
        CHECK(complaint([&] { own.get("other.test/q", tell("q")); }).find("two hosts") != std::string::npos);
        CHECK(complaint([&] { static_cast<void>(own.host("other.test")); }).find("two hosts") != std::string::npos);
        CHECK(complaint([&] { static_cast<void>(app.host("")); }).find("not the name of a host") != std::string::npos);
        CHECK(complaint([&] { static_cast<void>(app.host("a/b")); }).find("not the name of a host") !=
              std::string::npos);
        CHECK(complaint([&] { app.get("own.test/x", tell("again")); }).find("take the same requests") !=
              std::string::npos);
        router foreign;
        foreign.get("other.test/q", tell("q"));
        CHECK(complaint([&] { own.mount("/f", std::move(foreign)); }).find("two hosts") != std::string::npos);
    }

    TEST_CASE("a fallback gets every request that has no route, as it came") {
        router app;
        app.fallback([](request& req) { return "fell " + std::string(req.target()); });
        CHECK(get(app, "/") == "200 fell /");
        app.get("/a", tell("a")).get("/sub/", tell("s")).get("/n/{n}", [](request&, int) { return "n"; });
        CHECK(get(app, "/a") == "200 a@/a");
        CHECK(get(app, "/n/x") == "200 fell /n/x");
        CHECK(ask(app, "DELETE", "/a") == "200 fell /a");
        CHECK(ask(app, "BREW", "/pot") == "200 fell /pot");
        CHECK(ask(app, "OPTIONS", "*") == "200 fell *");
        CHECK(ask(app, "CONNECT", "example.com:443") == "200 fell example.com:443");
        for (const char* const path : {"/sub", "//a", "/x/../a", "/sub/..%2fa", "/a%", "/%00"}) {
            CHECK(get(app, path) == "200 fell " + std::string(path));
        }
        router inner;
        inner.not_found([] { return http::status::gone; });
        app.mount("/inner", std::move(inner));
        CHECK(get(app, "/inner/none") == "410");
        CHECK(get(app, "/inner/%") == "200 fell /inner/%");
        CHECK_THROWS_AS(app.fallback([](request&, int) { return "x"; }), flux::error);
    }

    TEST_CASE("the longest prefix of the right host answers what has no route") {
        router app;
        app.not_found([] { return "app"; });
        router a;
        a.not_found([] { return "a"; });
        router b;
        b.not_found([] { return "b"; });
        a.mount("/b", std::move(b));
        app.mount("/a", std::move(a));
        router h = app.host("h.test");
        h.not_found([] { return "h"; });
        CHECK(get(app, "/") == "200 app");
        CHECK(get(app, "/a") == "200 a");
        CHECK(get(app, "/a/x") == "200 a");
        CHECK(get(app, "/a/b/x") == "200 b");
        CHECK(get(app, "/a/bb") == "200 a");
        CHECK(ask(app, "GET", "/a/b/x", "h.test") == "200 h");
    }

    TEST_CASE("shared objects are found by type, those of a sub-router first") {
        int number = 1;
        int other = 2;
        const std::string text = "constant";
        const auto read = [](request& req) {
            const auto* t = req.find_state<const std::string>();
            return std::to_string(req.state<int>()) + (t != nullptr ? *t : "none");
        };
        router sub;
        sub.share(other).get("/", read);
        router app;
        app.get("/before", read);
        app.share(number);
        app.mount("/sub", std::move(sub));
        app.get("/after", read).not_found(read);
        CHECK(get(app, "/before") == "200 1none");
        CHECK(get(app, "/sub/") == "200 2none");
        app.share(text);
        CHECK(get(app, "/after") == "200 1constant");
        CHECK(get(app, "/sub/") == "200 2constant");
        CHECK(get(app, "/none") == "200 1constant");
    }

    TEST_CASE("an object given by shared_ptr lives as long as the router, and the handlers end before it") {
        struct noisy {
            explicit noisy(std::string& l) : log(&l) {}
            noisy(const noisy&) = delete;
            noisy& operator=(const noisy&) = delete;
            ~noisy() { *log += "object "; }
            std::string* log;
        };
        struct farewell {
            explicit farewell(std::string& l) : log(&l) {}
            farewell(farewell&& f) noexcept : log(std::exchange(f.log, nullptr)) {}
            farewell& operator=(farewell&&) = delete;
            ~farewell() {
                if (log != nullptr) {
                    *log += "handler ";
                }
            }
            const char* operator()() const { return "x"; }
            std::string* log;
        };
        std::string log;
        {
            router app;
            {
                router sub;
                sub.share(std::make_shared<noisy>(log)).get("/x", farewell(log));
                app.mount("/sub", std::move(sub));
            }
            app.share(std::make_shared<const int>(4));
            app.get("/four", [](request& req) { return std::to_string(req.state<const int>()); });
            CHECK(get(app, "/four") == "200 4");
            CHECK(get(app, "/sub/x") == "200 x");
            CHECK(log.empty());
            CHECK(complaint([&] { app.share(std::shared_ptr<int>()); }).find("null pointer") != std::string::npos);
        }
        CHECK(log == "handler object ");
    }

    TEST_CASE("streaming handlers keep their kind, in layers too") {
        router app;
        app.get("/s", [](request&, http::responder& out) -> task<> { co_await out.write("streamed"); });
        CHECK(get(app, "/s") == "200\n\nstreamed");
        app.use(http::request_id(1));
        app.use(http::timeout(flux::seconds(1)));
        CHECK(get(app, "/s").starts_with("200\nX-Request-Id: "));
    }

    TEST_CASE("a warm route without layers is found and called without an allocation and without a frame") {
        router app;
        app.get("/", [] { return "Hello, World!"; });
        app.get("/users/{id}/posts/{post}", [](request&, int, std::string_view) { return http::status::ok; });
        app.get("/static/", [](request& req) { return req.raw_path(); });
        parsed_request hello("GET / HTTP/1.1");
        parsed_request users("GET /users/12/posts/intro?full=1 HTTP/1.1");
        parsed_request files("GET /static/css/site.css HTTP/1.1");
        parsed_request* const all[] = {&hello, &users, &files};
        std::uint64_t allocations = 0;
        const test_support::frame_check frames;
        for (int round = 0; round < 3; ++round) {
            for (parsed_request* r : all) {
                (*r)->clear_params();
                const test_support::allocation_count count;
                const http::any_handler* h = app.resolve(*r);
                const response answered = h->call_sync(*r);
                CHECK(answered.code() == http::status::ok);
                allocations = round == 0 ? 0 : allocations + count.allocations();
            }
        }
        CHECK(frames.made() == 0);
        if (test_support::allocations_are_counted() && FLUX_SANITIZED == 0) {
            CHECK(allocations == 0);
        }
    }

    TEST_CASE("a warm route with layers costs frames and no allocation") {
        router app;
        app.use(http::request_id(1)).use(http::timeout(flux::seconds(1)));
        app.get("/users/{id}", [](request&, int) { return http::status::ok; });
        parsed_request req("GET /users/12 HTTP/1.1");
        manual_loop loop;
        std::uint64_t allocations = 0;
        for (int round = 0; round < 3; ++round) {
            req->clear_params();
            const test_support::allocation_count count;
            auto r = loop.run(app.resolve(req)->call(req));
            REQUIRE(r.has_value());
            allocations = count.allocations();
        }
        if (test_support::allocations_are_counted() && FLUX_SANITIZED == 0) {
            CHECK(allocations == 0);
        }
    }

    TEST_CASE("a served router is searched by many threads at the same time") {
        router app;
        app.get("/users/{id}", [](request&, int id) { return std::to_string(id); });
        app.not_found([] { return "none"; });
        app.seal();
        const router& shared = app;
        std::vector<int> wrong(4);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&shared, &wrong, t] {
                for (int i = 0; i < 500; ++i) {
                    parsed_request req("GET /users/" + std::to_string(i) + " HTTP/1.1");
                    const auto r = shared.resolve(req)->call_sync(req);
                    wrong[static_cast<std::size_t>(t)] += r.octets() == std::to_string(i) ? 0 : 1;
                    parsed_request bad("PUT /users/" + std::to_string(i) + " HTTP/1.1");
                    wrong[static_cast<std::size_t>(t)] +=
                        shared.resolve(bad)->call_sync(bad).octets().size() == 23 ? 0 : 1;
                }
            });
        }
        for (std::thread& t : threads) {
            t.join();
        }
        CHECK(wrong == std::vector<int>(4));
    }

} // TEST_SUITE
