// SPDX-License-Identifier: MIT
// The router beside the ServeMux of Go 1.22.3: 300 sets of patterns, 4000 requests. What Go makes of them was recorded
// (tests/corpus/router/README.md); wherever the router says something else, one of the reasons below must explain it.
#include <flux/http/server/router.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include <http/server/parsed_request.hpp>

namespace http = flux::http;
using test_support::parsed_request;

namespace {

// '+' taken, '!' refused for another one, '?' refused for itself.
char add(http::router& app, const std::string& pattern) {
    const std::size_t path = pattern.find('/');
    try {
        app.route(pattern, [pattern, path](http::request& req) {
            std::string text = '<' + pattern + '>';
            std::size_t i = 0;
            for (std::size_t at = path; (at = pattern.find('{', at)) != std::string::npos; ++at) {
                const std::string name = pattern.substr(at + 1, pattern.find_first_of(".}", at) - at - 1);
                if (name != "$") {
                    text += ' ' + name + '=' + std::string(req.param(i++));
                }
            }
            return text;
        });
        return '+';
    } catch (const flux::error& e) {
        return e.message().find(" same requests") != std::string::npos ? '!' : '?';
    }
}

// "<pattern> name=value", or a status with Location or Allow.
std::string ask(const http::router& app, const std::string& method, const std::string& host, const std::string& target) {
    parsed_request req(method + ' ' + target + " HTTP/1.1", "Host: " + host + "\r\n");
    http::response r = app.resolve(req)->call_sync(req);
    if (r.code() == http::status::ok) {
        return std::string(r.octets());
    }
    const std::string_view more =
        r.fields().get(http::field::location).value_or(r.fields().get(http::field::allow).value_or(""));
    return std::to_string(to_number(r.code())) + (more.empty() ? "" : " ") + std::string(more);
}

struct answer {
    explicit answer(const std::string& text) : code(text.substr(0, 3)), more(text.size() > 4 ? text.substr(4) : "") {}
    std::string code;
    std::string more; // Location or Allow
};

std::set<std::string> methods(const std::string& list) {
    std::set<std::string> out;
    for (const std::string_view m : http::list_elements(list)) {
        out.emplace(m);
    }
    return out;
}

std::string decoded(const std::string& text) { return http::percent_decode(text); }
// Go takes a Location for a decoded path: what was encoded is encoded again.
std::string decoded_twice(const std::string& text) { return decoded(decoded(text)); }

bool hides_dots(const std::string& path) {
    return path.find("%2e") != std::string::npos || path.find("%2E") != std::string::npos;
}

// Why the router differs from Go; empty: for no good reason.
std::string reason_for(const http::router& app, const std::string& method, const std::string& host, const std::string& target,
                       const std::string& go, const std::string& ours) {
    const std::string path = target.substr(0, target.find('?'));
    const answer theirs(go);
    const answer own(ours);
    if (theirs.code == "301" && decoded_twice(theirs.more) == decoded(target)) {
        return path.ends_with('/') ? "an empty segment is none" : "";
    }
    if (theirs.code == "301" && own.code == "308" && decoded_twice(theirs.more) == decoded(own.more)) {
        return "308 keeps the method";
    }
    if (hides_dots(path)) {
        return "encoded dots are dots";
    }
    if (theirs.code == "301" && ask(app, method, host, decoded(theirs.more)) == ours) {
        return "no redirect to what is not there";
    }
    if (theirs.code == "301" && (path.ends_with("/.") || path.ends_with("/.."))) {
        return ask(app, method, host, decoded(theirs.more) + '/') == ours ? "a dot segment leaves its slash" : "";
    }
    if (theirs.code == "405" && own.code == "204") {
        return method == "OPTIONS" ? "OPTIONS has an answer" : "";
    }
    if (theirs.code == "405" && (own.code == "405" || own.code == "404")) {
        std::set<std::string> allowed = methods(own.more);
        allowed.erase("OPTIONS");
        const std::set<std::string> by_go = methods(theirs.more);
        if (allowed == by_go) {
            return "Allow names OPTIONS";
        }
        const bool fewer = std::includes(by_go.begin(), by_go.end(), allowed.begin(), allowed.end());
        return fewer && path.ends_with('/') ? "an empty segment is none" : "";
    }
    return "";
}

} // namespace

TEST_SUITE_BEGIN("http/server/go_mux");

TEST_CASE("the router takes, refuses and prefers the same patterns as Go 1.22, or has a reason") {
    const auto tests = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
    std::ifstream in(tests / "corpus" / "router" / "go_1_22.txt");
    REQUIRE(in);
    std::optional<http::router> app;
    std::map<std::string, int> differences;
    std::size_t patterns = 0;
    std::size_t requests = 0;
    std::string set;
    for (std::string line; std::getline(in, line);) {
        if (line == "set") {
            app.emplace();
            set.clear();
            continue;
        }
        CAPTURE(set);
        CAPTURE(line);
        if (line[1] == ' ') {
            CHECK(add(*app, line.substr(2)) == line[0]);
            ++patterns;
            set += line + '\n';
            continue;
        }
        ++requests;
        const std::size_t end = line.find(" = ");
        std::istringstream words(line.substr(0, end));
        std::string method;
        std::string host;
        std::string target;
        words >> method >> host >> target;
        const std::string go = line.substr(end + 3);
        const std::string ours = ask(*app, method, host, target);
        if (ours != go) {
            CAPTURE(ours);
            const std::string why = reason_for(*app, method, host, target, go, ours);
            CHECK(why != "");
            ++differences[why];
        }
    }
    CHECK(patterns > 1000);
    CHECK(requests > 3500);
    for (const char* const why : {"308 keeps the method", "an empty segment is none", "encoded dots are dots", "OPTIONS has an answer",
                                  "no redirect to what is not there", "Allow names OPTIONS",
                                  "a dot segment leaves its slash"}) {
        CAPTURE(why);
        CHECK(differences[why] > 0); // a reason that explains nothing is none
    }
    CHECK(differences.size() == 7);
}

TEST_SUITE_END();
