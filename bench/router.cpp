// SPDX-License-Identifier: MIT
// bench/router.cpp - what finding and calling a handler costs, in a table of the size that real services have.
//
// Run: bench/router. 327 routes in the manner of a public REST interface: collections, members, members of members,
// up to seven segments, a third of them literal. The paths asked for are those of the routes, in a random order, so
// that caches and branch predictors see what a busy service does to them.
#include <flux/http/server/router.hpp>
#include <flux/http/wire/request_parser.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace http = flux::http;

struct sample_route {
    sample_route(std::string m, std::string p) : method(std::move(m)), pattern(std::move(p)) {}
    std::string method;
    std::string pattern;
};

// Eight resources, each with the same tree of routes below it, and what stands alone.
std::vector<sample_route> sample_routes() {
    std::vector<sample_route> all;
    const char* const resources[] = {"users", "teams", "repos", "projects", "gists", "orgs", "packages", "workflows"};
    const char* const parts[] = {"members", "comments", "labels", "events", "settings", "hooks"};
    for (const std::string name : resources) {
        all.emplace_back("GET", "/" + name);
        all.emplace_back("POST", "/" + name);
        all.emplace_back("GET", "/" + name + "/search");
        const std::string one = "/" + name + "/{id}";
        for (const char* m : {"GET", "PATCH", "DELETE"}) {
            all.emplace_back(m, one);
        }
        for (const std::string part : parts) {
            all.emplace_back("GET", one + "/" + part);
            all.emplace_back("POST", one + "/" + part);
            all.emplace_back("GET", one + "/" + part + "/{item}");
            all.emplace_back("DELETE", one + "/" + part + "/{item}");
            all.emplace_back("GET", one + "/" + part + "/{item}/history/{version}/diff");
        }
        all.emplace_back("GET", one + "/files/{path...}");
        all.emplace_back("GET", one + "/archive/");
        all.emplace_back("PUT", one + "/starred");
        all.emplace_back("GET", one + "/starred/latest");
    }
    all.emplace_back("GET", "/");
    for (const char* p : {"/login", "/logout", "/health", "/metrics", "/static/", "/feeds/{kind}"}) {
        all.emplace_back("GET", p);
    }
    return all;
}

// The target of a request that the pattern takes.
std::string path_for(const std::string& pattern, std::mt19937& random) {
    std::string path;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '{') {
            path += pattern[i];
            continue;
        }
        const std::size_t end = pattern.find('}', i);
        path += pattern[end - 1] == '.' ? "src/main/deep/file.cpp" : std::to_string(random() % 1'000'000);
        i = end;
    }
    return path;
}

// A request of its own for every route: parsed once, resolved over and over.
class sample_request {
public:
    sample_request(const std::string& method, const std::string& target)
        : octets_(method + ' ' + target + " HTTP/1.1\r\nHost: api.example.com\r\n\r\n") {
        if (parser_.parse(octets_) != http::parse_state::done) {
            std::abort();
        }
        request.assign(parser_.head(octets_), nullptr);
    }
    http::request request;

private:
    std::string octets_;
    http::limits limits_;
    http::field_storage entries_;
    http::request_parser parser_{limits_, entries_};
};

class sample_app {
public:
    sample_app() {
        for (const sample_route& r : sample_routes()) {
            app.handle(r.method, r.pattern, [](http::request& req) { return req.route(); });
        }
    }
    // The requests of all routes, in random order.
    std::vector<std::unique_ptr<sample_request>> requests() {
        std::mt19937 random(1);
        std::vector<std::unique_ptr<sample_request>> all;
        for (const sample_route& r : sample_routes()) {
            all.push_back(std::make_unique<sample_request>(r.method, path_for(r.pattern, random)));
        }
        std::shuffle(all.begin(), all.end(), random);
        return all;
    }
    http::router app;
};

void run(benchmark::State& state, const http::router& app, std::vector<std::unique_ptr<sample_request>>& requests) {
    std::size_t i = 0;
    for (auto _ : state) {
        http::request& req = requests[i]->request;
        i = i + 1 == requests.size() ? 0 : i + 1;
        req.clear_params();
        benchmark::DoNotOptimize(app.resolve(req));
    }
}

void resolve_all_routes(benchmark::State& state) {
    sample_app sample;
    if (sample.app.route_count() != 327) {
        state.SkipWithError("the table has not the size that it is said to have");
        return;
    }
    auto requests = sample.requests();
    run(state, sample.app, requests);
}
BENCHMARK(resolve_all_routes);

// One route, over and over.
void resolve_one_route(benchmark::State& state, const std::string& method, const std::string& target) {
    sample_app sample;
    std::vector<std::unique_ptr<sample_request>> requests;
    requests.push_back(std::make_unique<sample_request>(method, target));
    run(state, sample.app, requests);
}
BENCHMARK_CAPTURE(resolve_one_route, root, "GET", "/");
BENCHMARK_CAPTURE(resolve_one_route, literal, "GET", "/health");
BENCHMARK_CAPTURE(resolve_one_route, parameter, "GET", "/users/123456");
BENCHMARK_CAPTURE(resolve_one_route, two_parameters, "DELETE", "/projects/123456/comments/77");
BENCHMARK_CAPTURE(resolve_one_route, three_parameters, "GET", "/workflows/1/settings/2/history/3/diff");
BENCHMARK_CAPTURE(resolve_one_route, rest, "GET", "/repos/12/files/src/main/deep/file.cpp");
BENCHMARK_CAPTURE(resolve_one_route, literal_behind_parameter, "GET", "/gists/12/starred/latest");
BENCHMARK_CAPTURE(resolve_one_route, encoded, "GET", "/gists/12/files/a%20file.txt");
BENCHMARK_CAPTURE(resolve_one_route, not_found, "GET", "/users/12/nothing/there");
BENCHMARK_CAPTURE(resolve_one_route, other_method, "PATCH", "/users/12/starred");
BENCHMARK_CAPTURE(resolve_one_route, not_clean, "GET", "/users//12/../13/starred/latest");

// The handler is called as well: what a request costs between parser and writer.
void resolve_and_call(benchmark::State& state) {
    http::router app;
    app.get("/", [] { return "Hello, World!"; });
    app.get("/users/{id}", [](http::request&, int id) { return id > 0 ? "one" : "none"; });
    sample_request request("GET", state.range(0) == 0 ? "/" : "/users/123456");
    for (auto _ : state) {
        request.request.clear_params();
        const http::response answer = app.resolve(request.request)->call_sync(request.request);
        benchmark::DoNotOptimize(answer.octets().data());
    }
}
BENCHMARK(resolve_and_call)->ArgName("typed")->Arg(0)->Arg(1);

void register_all_routes(benchmark::State& state) {
    for (auto _ : state) {
        const sample_app sample;
        benchmark::DoNotOptimize(&sample);
    }
}
BENCHMARK(register_all_routes)->Unit(benchmark::kMicrosecond);

} // namespace
