// SPDX-License-Identifier: MIT
#include <flux/http/server/route_table.hpp> // also proves the header is self-contained
#include <flux/testing/prng.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <support/counting_new.hpp>

namespace {

using flux::http::match_kind;
using flux::http::relation;
using flux::http::route_match;
using flux::http::route_pattern;
using flux::http::route_table;

route_table table_of(const std::vector<std::string>& patterns) {
    route_table t;
    for (const std::string& p : patterns) {
        t.add(route_pattern(p));
    }
    return t;
}

// What a request gets, as text: "GET /a/{x}(x=1)", "404", "400", "405 GET, HEAD, OPTIONS", "-> /a/".
std::string ask(const route_table& t, std::string_view method, std::string_view authority, std::string_view path) {
    const auto known = flux::http::to_method(method);
    const route_match m = t.match(known, method, authority, path);
    switch (m.kind()) {
    case match_kind::not_found:
        return "404";
    case match_kind::bad_path:
        return "400";
    case match_kind::method_not_allowed:
        return "405 " + t.allowed(authority, path);
    case match_kind::redirect:
        return "-> " + t.location(known, method, authority, path);
    case match_kind::found:
        break;
    }
    std::string text = t.pattern(m.route()).full_text();
    for (std::size_t i = 0; i < m.param_count(); ++i) {
        text += i == 0 ? "(" : ",";
        text += m.param_name(i);
        text += '=';
        text += m.raw_param(i);
    }
    return m.param_count() == 0 ? text : text + ")";
}
std::string get(const route_table& t, std::string_view path) {
    return ask(t, "GET", "example.com", path);
}

std::string conflict(const std::vector<std::string>& patterns) {
    try {
        const route_table t = table_of(patterns);
        return {};
    } catch (const flux::error& e) {
        CHECK(e.is(flux::errc::invalid_argument));
        return e.message();
    }
}

// ---- a naive matcher, and relations by sets of requests ----

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::string_view one = path.substr(0, path.find('/'));
        parts.emplace_back(one);
        path.remove_prefix(one.size());
    }
    return parts;
}

// A pattern as the generator makes it: text, and the same in parts.
struct naive_pattern {
    std::string method;
    std::string host;
    std::vector<std::string> parts; // "a", "{x}", "{x...}", "{$}", or "" for the slash at the end

    [[nodiscard]] std::string text() const {
        std::string all = method + (method.empty() ? "" : " ") + host;
        for (const std::string& p : parts) {
            all += '/' + p;
        }
        return all;
    }
    [[nodiscard]] bool ends_in_rest() const { return parts.back().empty() || parts.back().ends_with("...}"); }
    [[nodiscard]] bool takes_method(const std::string& m) const {
        return method.empty() || method == m || (method == "GET" && m == "HEAD");
    }
    [[nodiscard]] bool takes_path(const std::string& path) const {
        const std::vector<std::string> have = split(path);
        for (std::size_t i = 0; i < parts.size(); ++i) {
            const std::string& p = parts[i];
            const bool missing = i >= have.size();
            if (p.empty() || p.ends_with("...}")) {
                return !missing;
            }
            if (missing || (p == "{$}" ? !have[i].empty() : have[i].empty())) {
                return false;
            }
            if (p.front() != '{' && p != have[i]) {
                return false;
            }
        }
        return parts.size() == have.size();
    }
    [[nodiscard]] bool takes(const std::string& m, const std::string& h, const std::string& path) const {
        return takes_method(m) && (host.empty() || host == h) && takes_path(path);
    }
    // It took all of the path but an empty rest.
    [[nodiscard]] bool exactly(const std::string& path) const {
        return takes_path(path) && (!ends_in_rest() || (split(path).size() == parts.size() && path.back() == '/'));
    }
};

struct naive_request {
    std::string method;
    std::string host;
    std::string path;
};

// All requests with paths of up to four segments over the literals of the generator and one more.
std::vector<naive_request> all_requests() {
    std::vector<std::string> paths{""};
    for (std::size_t from = 0, depth = 0; depth < 4; ++depth) {
        const std::size_t to = paths.size();
        for (; from < to; ++from) {
            for (const char* s : {"/a", "/b", "/z"}) {
                paths.push_back(paths[from] + s);
            }
        }
    }
    std::vector<naive_request> all;
    for (const std::string& p : paths) {
        for (const char* m : {"GET", "HEAD", "POST", "PUT"}) {
            for (const char* h : {"h.test", "o.test"}) {
                if (!p.empty()) {
                    all.push_back({m, h, p});
                }
                all.push_back({m, h, p + "/"});
            }
        }
    }
    return all;
}

naive_pattern random_pattern(flux::testing::prng& random) {
    naive_pattern p;
    const char* const methods[] = {"", "GET", "GET", "HEAD", "POST"};
    p.method = methods[random.below(5)];
    p.host = random.chance(0.2) ? "h.test" : "";
    const std::size_t depth = random.below(4);
    for (std::size_t i = 0; i < depth; ++i) {
        switch (random.below(4)) {
        case 0:
            p.parts.push_back("{p" + std::to_string(i) + "}");
            break;
        case 1:
            p.parts.push_back("a");
            break;
        default:
            p.parts.push_back(random.chance(0.5) ? "a" : "b");
        }
    }
    const auto end = random.below(6);
    if (p.parts.empty() || end < 3) {
        p.parts.push_back(end == 0 ? "{$}" : end == 1 ? "{r...}" : "");
    }
    return p;
}

using request_set = std::vector<bool>;

request_set requests_of(const naive_pattern& p, const std::vector<naive_request>& all) {
    request_set set(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        set[i] = p.takes(all[i].method, all[i].host, all[i].path);
    }
    return set;
}
bool within(const request_set& a, const request_set& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] && !b[i]) {
            return false;
        }
    }
    return true;
}
bool intersect(const request_set& a, const request_set& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i] && b[i]) {
            return true;
        }
    }
    return false;
}
relation relation_of(const request_set& a, const request_set& b) {
    if (!intersect(a, b)) {
        return relation::disjoint;
    }
    const bool in = within(a, b);
    const bool out = within(b, a);
    if (in && out) {
        return relation::same;
    }
    return in ? relation::more_specific : out ? relation::more_general : relation::overlapping;
}

struct naive_table {
    std::vector<naive_pattern> patterns;
    std::vector<request_set> sets;

    // The pattern that takes the request and whose requests all the others take too; of the host first.
    [[nodiscard]] std::optional<std::size_t> best(const std::string& m, const std::string& h,
                                                  const std::string& path) const {
        for (const bool with_host : {true, false}) {
            std::vector<std::size_t> fit;
            for (std::size_t i = 0; i < patterns.size(); ++i) {
                if (patterns[i].host.empty() != with_host && patterns[i].takes(m, h, path)) {
                    fit.push_back(i);
                }
            }
            for (const std::size_t i : fit) {
                const bool least =
                    std::all_of(fit.begin(), fit.end(), [&](std::size_t k) { return within(sets[i], sets[k]); });
                if (least) {
                    return i;
                }
            }
            REQUIRE(fit.empty());
        }
        return {};
    }
    [[nodiscard]] std::string ask(const naive_request& r) const {
        const auto found = best(r.method, r.host, r.path);
        if (r.path.back() != '/' && (!found || !patterns[*found].exactly(r.path))) {
            const auto slash = best(r.method, r.host, r.path + "/");
            if (slash && patterns[*slash].exactly(r.path + "/")) {
                return "-> " + r.path + "/";
            }
        }
        if (found) {
            return describe(patterns[*found], r.path);
        }
        std::set<std::string> methods;
        for (const naive_pattern& p : patterns) {
            if ((p.host.empty() || p.host == r.host) &&
                (p.takes_path(r.path) || (r.path.back() != '/' && p.takes_path(r.path + "/")))) {
                methods.insert(p.method);
            }
        }
        if (methods.empty()) {
            return "404";
        }
        methods.insert("OPTIONS");
        if (methods.contains("GET")) {
            methods.insert("HEAD");
        }
        std::string text = "405 ";
        for (const std::string& m : methods) {
            text += (m == *methods.begin() ? "" : ", ") + m;
        }
        return text;
    }
    static std::string describe(const naive_pattern& p, const std::string& path) {
        std::string text = p.text();
        const std::vector<std::string> have = split(path);
        const char* separator = "(";
        for (std::size_t i = 0; i < p.parts.size(); ++i) {
            const std::string& part = p.parts[i];
            if (part.size() < 2 || part == "{$}") {
                continue;
            }
            std::string value = have[i];
            if (part.ends_with("...}")) {
                for (std::size_t k = i + 1; k < have.size(); ++k) {
                    value += '/' + have[k];
                }
            }
            text += separator + part.substr(1, part.find_first_of(".}") - 1) + '=' + value;
            separator = ",";
        }
        return *separator == ',' ? text + ")" : text;
    }
};

} // namespace

TEST_SUITE("http/server/route_table") {

    TEST_CASE("a literal matches itself, a parameter one segment, a rest everything below") {
        const route_table t = table_of({"/", "/a", "/users/{id}", "/users/{id}/posts/{post}", "/files/{path...}",
                                        "/static/", "/only/{$}", "/users/me"});
        CHECK(get(t, "/a") == "/a");
        CHECK(get(t, "/users/7") == "/users/{id}(id=7)");
        CHECK(get(t, "/users/me") == "/users/me");
        CHECK(get(t, "/users/mee") == "/users/{id}(id=mee)");
        CHECK(get(t, "/users/7/posts/x.y") == "/users/{id}/posts/{post}(id=7,post=x.y)");
        CHECK(get(t, "/users/me/posts/1") == "/users/{id}/posts/{post}(id=me,post=1)");
        CHECK(get(t, "/files/") == "/files/{path...}(path=)");
        CHECK(get(t, "/files/x") == "/files/{path...}(path=x)");
        CHECK(get(t, "/files/x/y/") == "/files/{path...}(path=x/y/)");
        CHECK(get(t, "/static/") == "/static/");
        CHECK(get(t, "/static/css/site.css") == "/static/");
        CHECK(get(t, "/only/") == "/only/{$}");
        CHECK(get(t, "/only/x") == "/");
        CHECK(get(t, "/") == "/");
        CHECK(get(t, "/elsewhere") == "/");
        CHECK(get(t, "/users/7/") == "/");
    }

    TEST_CASE("without a pattern that fits there is nothing") {
        const route_table none;
        CHECK(get(none, "/") == "404");
        const route_table t = table_of({"/{$}", "/a/b", "/a/{x}/c"});
        CHECK(get(t, "/") == "/{$}");
        CHECK(get(t, "/a") == "404");
        CHECK(get(t, "/a/x") == "404");
        CHECK(get(t, "/a/b/c") == "/a/{x}/c(x=b)");
        CHECK(get(t, "/a/b/") == "404");
        CHECK(get(t, "/A/b") == "404");
        CHECK(ask(t, "OPTIONS", "", "") == "404");
        CHECK(ask(t, "CONNECT", "example.com:443", "") == "404");
    }

    TEST_CASE("a branch that leads nowhere is left again") {
        const route_table t = table_of({"/a/b/c", "/a/{x}/d", "/{y}/{z}/{rest...}", "/{y...}"});
        CHECK(get(t, "/a/b/c") == "/a/b/c");
        CHECK(get(t, "/a/b/d") == "/a/{x}/d(x=b)");
        CHECK(get(t, "/a/b/e") == "/{y}/{z}/{rest...}(y=a,z=b,rest=e)");
        CHECK(get(t, "/z/b/d/") == "/{y}/{z}/{rest...}(y=z,z=b,rest=d/)");
        CHECK(get(t, "/a") == "/{y...}(y=a)");
    }

    TEST_CASE("the most specific pattern wins, in whatever order they were added") {
        std::vector<std::string> patterns{"/", "/a/", "/a/{x}", "/a/b", "GET /a/b", "HEAD /a/b", "h.test/"};
        std::sort(patterns.begin(), patterns.end());
        do {
            const route_table t = table_of(patterns);
            CHECK(get(t, "/q") == "/");
            CHECK(get(t, "/a/") == "/a/");
            CHECK(get(t, "/a/q") == "/a/{x}(x=q)");
            CHECK(get(t, "/a/q/r") == "/a/");
            CHECK(get(t, "/a/b") == "GET /a/b");
            CHECK(ask(t, "HEAD", "", "/a/b") == "HEAD /a/b");
            CHECK(ask(t, "PUT", "", "/a/b") == "/a/b");
            CHECK(ask(t, "GET", "h.test", "/a/b") == "h.test/");
        } while (std::next_permutation(patterns.begin(), patterns.end()));
    }

    TEST_CASE("patterns of which neither is more specific are refused, and both are named") {
        CHECK(conflict({"/a", "/a"}) == "route \"/a\" and route \"/a\" take the same requests: invalid argument");
        CHECK(conflict({"/posts/{id}", "/{resource}/latest"}) ==
              "route \"/{resource}/latest\" and route \"/posts/{id}\" take some of the same requests, and neither is "
              "more "
              "specific: invalid argument");
        CHECK_FALSE(conflict({"/{x}", "/{y}"}).empty());
        CHECK_FALSE(conflict({"/a/", "/a/{x...}"}).empty());
        CHECK_FALSE(conflict({"GET /{x}", "/a"}).empty());
        CHECK_FALSE(conflict({"h.test/a", "GET H.test/a", "h.test/a"}).empty());
        CHECK(conflict({"GET /a", "POST /a", "/a", "HEAD /a"}).empty());
        CHECK(conflict({"h.test/a", "g.test/a", "/a"}).empty());
        CHECK(conflict({"/a/{$}", "/a/", "/a/{x}", "/a"}).empty());
    }

    TEST_CASE("a refused pattern leaves the table as it was") {
        route_table t = table_of({"/posts/{id}"});
        CHECK_THROWS_AS(t.add(route_pattern("/{x}/latest")), flux::error);
        CHECK(t.size() == 1);
        CHECK(get(t, "/other/latest") == "404");
        CHECK(t.add(route_pattern("/x")) == 1);
    }

    TEST_CASE("methods: GET answers HEAD, another one is 405 with a sorted list [RFC 9110 15.5.6, 10.2.1]") {
        const route_table t =
            table_of({"GET /a", "POST /a", "BREW /a", "PUT /a/{x}", "DELETE /{x}/b", "/any", "POST /sub/"});
        CHECK(ask(t, "HEAD", "", "/a") == "GET /a");
        CHECK(ask(t, "BREW", "", "/a") == "BREW /a");
        CHECK(ask(t, "STEEP", "", "/a") == "405 BREW, GET, HEAD, OPTIONS, POST");
        CHECK(ask(t, "get", "", "/a") == "405 BREW, GET, HEAD, OPTIONS, POST");
        CHECK(ask(t, "OPTIONS", "", "/a") == "405 BREW, GET, HEAD, OPTIONS, POST");
        CHECK(ask(t, "GET", "", "/a/b") == "405 DELETE, OPTIONS, PUT");
        CHECK(ask(t, "TRACE", "", "/any") == "/any");
        CHECK(ask(t, "GET", "", "/sub") == "405 OPTIONS, POST");
        CHECK(ask(t, "POST", "", "/sub") == "-> /sub/");
        CHECK(t.allowed("", "") == "BREW, DELETE, GET, HEAD, OPTIONS, POST, PUT");
        const route_match m = t.match(flux::http::method::get, "GET", "", "/a/b");
        CHECK(t.pattern(m.route()).full_text() == "PUT /a/{x}");
    }

    TEST_CASE("hosts compare without case and port, and come before patterns without a host") {
        const route_table t = table_of({"/a", "GET h.test/", "[::1]/a", "other.test/b", "POST other.test/a"});
        CHECK(ask(t, "GET", "h.test", "/a") == "GET h.test/");
        CHECK(ask(t, "GET", "H.TEST:8080", "/a") == "GET h.test/");
        CHECK(ask(t, "POST", "h.test", "/a") == "/a");
        CHECK(ask(t, "GET", "h.testx", "/a") == "/a");
        CHECK(ask(t, "GET", "[::1]:80", "/a") == "[::1]/a");
        CHECK(ask(t, "GET", "[::1]", "/a") == "[::1]/a");
        CHECK(ask(t, "GET", "other.test", "/a") == "/a");
        CHECK(ask(t, "GET", "", "/a") == "/a");
        CHECK(ask(t, "GET", "other.test", "/c") == "404");
    }

    TEST_CASE("many hosts are told apart") {
        route_table t;
        for (int i = 0; i < 300; ++i) {
            t.add(route_pattern("Host" + std::to_string(i) + ".test/"));
        }
        for (int i = 0; i < 300; ++i) {
            const std::string name = "hoSt" + std::to_string(i) + ".test";
            CHECK(ask(t, "GET", name, "/x") == "Host" + std::to_string(i) + ".test/");
        }
        CHECK(ask(t, "GET", "host300.test", "/x") == "404");
    }

    TEST_CASE("a path without its last slash is redirected where only the subtree has a route") {
        const route_table t = table_of({"/", "/a/", "/b/{x...}", "/c/{$}", "/d", "/d/", "/e/{x}/", "/f/{x}/{$}"});
        CHECK(get(t, "/a") == "-> /a/");
        CHECK(get(t, "/b") == "-> /b/");
        CHECK(get(t, "/c") == "-> /c/");
        CHECK(get(t, "/d") == "/d");
        CHECK(get(t, "/d/") == "/d/");
        CHECK(get(t, "/e/q") == "-> /e/q/");
        CHECK(get(t, "/f/%41") == "-> /f/%41/");
        CHECK(get(t, "/f/1/2") == "/");
        CHECK(ask(t, "POST", "", "/a") == "-> /a/");
    }

    TEST_CASE("a path that is not clean is redirected to the clean one if that has a route") {
        const route_table t = table_of({"/a/b", "/sub/", "/files/{path...}", "PUT /put"});
        CHECK(get(t, "//a/b") == "-> /a/b");
        CHECK(get(t, "/a//b") == "-> /a/b");
        CHECK(get(t, "/a/./b") == "-> /a/b");
        CHECK(get(t, "/x/../a/b") == "-> /a/b");
        CHECK(get(t, "/../../a/b") == "-> /a/b");
        CHECK(get(t, "/%2e%2E/a/%2e/b") == "-> /a/b");
        CHECK(get(t, "/files/../a/b") == "-> /a/b");
        CHECK(get(t, "/files/x/..") == "-> /files/");
        CHECK(get(t, "/files/x/../../sub") == "-> /sub/");
        CHECK(get(t, "//sub") == "-> /sub/");
        CHECK(get(t, "/sub//") == "-> /sub/");
        CHECK(get(t, "/sub/.") == "-> /sub/");
        CHECK(get(t, "/files/x//y/.hidden") == "-> /files/x/y/.hidden");
        CHECK(get(t, "/x//y") == "404");
        CHECK(get(t, "/files/../x") == "404");
        CHECK(get(t, "//put") == "405 OPTIONS, PUT");
        CHECK(get(t, "/files/...") == "/files/{path...}(path=...)");
        CHECK(get(t, "/files/.a/..b/c.") == "/files/{path...}(path=.a/..b/c.)");
    }

    TEST_CASE("nothing that hides behind encoding climbs out of a subtree") {
        const route_table t = table_of({"/", "/files/{path...}", "/one/{name}"});
        for (const char* path :
             {"/files/..%2fetc", "/files/a%2f..%2fb", "/files/%2e%2e%2fetc", "/files/a/..%2F..", "/files/.%2f",
              "/one/..%2fx", "/one/%2e%2e%2f", "/files/x%00.txt", "/one/%00", "/a%2f..", "/%2f.."}) {
            CAPTURE(path);
            CHECK(get(t, path) == "400");
        }
        for (const char* path : {"/%", "/files/%", "/files/a%2", "/files/%zz", "/files/%4g", "/x/%%41"}) {
            CAPTURE(path);
            CHECK(get(t, path) == "400");
        }
        CHECK(get(t, "/one/%2e%2e") == "-> /");
        CHECK(get(t, "/files/%2e%2e/one/x") == "-> /one/x");
        CHECK(get(t, "/one/a%2fb") == "/one/{name}(name=a%2fb)");
        CHECK(get(t, "/files/a%2f.b%2f...") == "/files/{path...}(path=a%2f.b%2f...)");
        CHECK(get(t, "/one/%2525") == "/one/{name}(name=%2525)");
    }

    TEST_CASE("a redirect never leaves the host") {
        const route_table t = table_of({"/{x}/", "/"});
        CHECK(get(t, "//evil.test") == "-> /evil.test/");
        CHECK(get(t, "/\\evil.test") == "-> /%5Cevil.test/");
        CHECK(get(t, "/.//evil.test") == "-> /evil.test/");
        CHECK(get(t, "/x/..//evil.test") == "-> /evil.test/");
        CHECK(get(t, "/a|b^") == "-> /a%7Cb%5E/");
        CHECK(get(t, "/\xc3\xa9") == "-> /%C3%A9/");
    }

    TEST_CASE("literals compare decoded") {
        const route_table t = table_of({"/a%20b/c", "/caf\xc3\xa9", "/a%2fb", "/long/" + std::string(255, 'x')});
        CHECK(get(t, "/a%20b/c") == "/a%20b/c");
        CHECK(get(t, "/%61%20%62/%63") == "/a%20b/c");
        CHECK(get(t, "/caf%C3%a9") == "/caf\xc3\xa9");
        CHECK(get(t, "/caf\xc3\xa9") == "/caf\xc3\xa9");
        CHECK(get(t, "/a%2Fb") == "/a%2fb");
        CHECK(get(t, "/a/b") == "404");
        std::string encoded;
        for (int i = 0; i < 255; ++i) {
            encoded += "%78";
        }
        CHECK(get(t, "/long/" + encoded) != "404");
        CHECK(get(t, "/long/" + encoded + "x") == "404");
        CHECK(get(t, "/long/" + encoded + "%78") == "404");
    }

    TEST_CASE("literals of every length are told apart") {
        std::vector<std::string> names;
        flux::testing::prng random(7);
        for (std::size_t size = 1; size <= 20; ++size) {
            for (int i = 0; i < 12; ++i) {
                std::string name(size, 'm');
                name[random.below(size)] = static_cast<char>('a' + random.below(26));
                name[random.below(size)] = static_cast<char>('a' + random.below(26));
                names.push_back(name);
            }
        }
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
        std::vector<std::string> patterns;
        for (std::size_t i = 0; i < names.size(); i += 2) {
            patterns.push_back("/" + names[i]);
        }
        const route_table t = table_of(patterns);
        for (std::size_t i = 0; i < names.size(); ++i) {
            CHECK(get(t, "/" + names[i]) == (i % 2 == 0 ? "/" + names[i] : "404"));
        }
    }

    TEST_CASE("paths deeper than any pattern can be match a rest only") {
        std::string sixty_four;
        for (int i = 0; i < 63; ++i) {
            sixty_four += "/x";
        }
        const route_table t = table_of({sixty_four + "/y", "/x/{rest...}", "/y/{$}"});
        CHECK(get(t, sixty_four + "/y") == sixty_four + "/y");
        for (int more = 0; more < 5; ++more) {
            std::string path = sixty_four + "/y";
            for (int i = 0; i < more; ++i) {
                path += "/y";
            }
            if (more != 0) {
                CHECK(get(t, path) == "/x/{rest...}(rest=" + path.substr(3) + ")");
            }
            CHECK(get(t, path + "/") == "/x/{rest...}(rest=" + path.substr(3) + "/)");
            CHECK(get(t, "/y" + path) == "404");
        }
    }

    TEST_CASE("relations agree with the sets of requests that patterns take") {
        const std::vector<naive_request> all = all_requests();
        flux::testing::prng random(11);
        int seen[5] = {};
        for (int round = 0; round < 1000; ++round) {
            naive_pattern a = random_pattern(random);
            naive_pattern b = random_pattern(random);
            a.host = b.host;
            CAPTURE(a.text());
            CAPTURE(b.text());
            const relation r = relation_of(requests_of(a, all), requests_of(b, all));
            CHECK(route_pattern(a.text()).compare(route_pattern(b.text())) == r);
            ++seen[static_cast<int>(r)];
        }
        for (const int count : seen) {
            CHECK(count > 0);
        }
    }

    TEST_CASE("random tables answer every request as the naive matcher does") {
        const std::vector<naive_request> all = all_requests();
        flux::testing::prng random(12);
        std::set<std::string> kinds;
        std::size_t conflicts = 0;
        for (int round = 0; round < 20; ++round) {
            naive_table naive;
            route_table table;
            for (int i = 0; i < 20; ++i) {
                const naive_pattern p = random_pattern(random);
                const request_set set = requests_of(p, all);
                bool refused = false;
                for (std::size_t k = 0; k < naive.patterns.size(); ++k) {
                    const relation r = relation_of(set, naive.sets[k]);
                    refused = refused ||
                              (p.host == naive.patterns[k].host && (r == relation::same || r == relation::overlapping));
                }
                CAPTURE(p.text());
                if (refused) {
                    CHECK_THROWS_AS(table.add(route_pattern(p.text())), flux::error);
                    ++conflicts;
                } else {
                    CHECK(table.add(route_pattern(p.text())) == naive.patterns.size());
                    naive.patterns.push_back(p);
                    naive.sets.push_back(set);
                }
            }
            for (const naive_request& r : all) {
                const std::string expected = naive.ask(r);
                const std::string got = ask(table, r.method, r.host, r.path);
                if (got != expected) {
                    CAPTURE(r.method);
                    CAPTURE(r.host);
                    CAPTURE(r.path);
                    CHECK(got == expected);
                }
                kinds.insert(expected.substr(0, 3));
            }
        }
        CHECK(conflicts > 100);
        CHECK(kinds.contains("404"));
        CHECK(kinds.contains("405"));
        CHECK(kinds.contains("-> "));
    }

    TEST_CASE("a random path never yields a parameter that climbs, and a redirect leads to a route") {
        const route_table t = table_of({"/", "/a/{rest...}", "/a/b/{x}", "/c/{y}/", "PUT /p/{z}", "/q/{w}/{$}"});
        const char* const pieces[] = {"/",  "/",   "/",   "a",   "b", "c",   "p",   "q",  ".", ".",
                                      "..", "%2e", "%2E", "%2f", "%", "%00", "%41", "\\", "x"};
        flux::testing::prng random(13);
        int seen[5] = {};
        for (int round = 0; round < 20'000; ++round) {
            std::string path = "/";
            for (auto n = random.below(9); n > 0; --n) {
                path += pieces[random.below(std::size(pieces))];
            }
            CAPTURE(path);
            const auto m = t.match(flux::http::method::get, "GET", "", path);
            ++seen[static_cast<int>(m.kind())];
            if (m.kind() == match_kind::redirect) {
                const std::string to = t.location(flux::http::method::get, "GET", "", path);
                CHECK(to.starts_with('/'));
                CHECK_FALSE(to.starts_with("//"));
                CHECK(to.find('\\') == std::string::npos);
                const auto there = t.match(flux::http::method::get, "GET", "", to);
                CHECK(there.kind() == match_kind::found);
                CHECK(there.route() == m.route());
            }
            for (std::size_t i = 0; i < m.param_count(); ++i) {
                std::string value = "/" + flux::http::percent_decode(m.raw_param(i)) + "/";
                CHECK(value.find("/../") == std::string::npos);
                CHECK(value.find("/./") == std::string::npos);
                CHECK(value.find('\0') == std::string::npos);
            }
        }
        for (const match_kind k : {match_kind::found, match_kind::redirect, match_kind::bad_path}) {
            CHECK(seen[static_cast<int>(k)] > 1000);
        }
    }

    TEST_CASE("a match of a clean path allocates nothing") {
        if (!test_support::allocations_are_counted()) {
            return;
        }
        const route_table t = table_of({"/", "/users/{id}", "/a%20b", "GET h.test/x/{y...}"});
        const test_support::allocation_count count;
        std::size_t found = 0;
        for (const std::string_view path : {"/users/7", "/a%20b", "/x/very/long/path/that/goes/on/and/on", "/q"}) {
            found += t.match(flux::http::method::get, {}, "h.test:80", path).kind() == match_kind::found ? 1U : 0U;
        }
        CHECK(count.allocations() == 0);
        CHECK(found == 4);
    }

} // TEST_SUITE
