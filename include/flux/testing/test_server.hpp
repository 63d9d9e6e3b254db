// SPDX-License-Identifier: MIT
// flux/testing/test_server.hpp - a router under test with a client in front of it, in one call.
//
//   with_server(app, test)       virtual clock, streams in memory: no port, no waiting, the same run every time
//   with_tcp_server(app, test)   a real reactor and a free port of the loopback interface
//   answer_to(app, "GET", "/x")  one request, its answer
//
// Server and client are the real ones, so limits, timeouts and framing take part. Deliberately not here: servers that
// play the other side for a client under test (a router can), TLS.
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/http/client/client.hpp>
#include <flux/http/server/server.hpp>
#include <flux/io/reactor.hpp>
#include <flux/net/listener.hpp>
#include <flux/testing/memory_connector.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <concepts>
#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::testing {

/// The client of with_server(): `api.get("/users/7")`, relative to http://test.local.
using memory_client = http::basic_client<memory_connector>;

/// How with_server() and with_tcp_server() set things up.
struct test_server_options {
    http::server_options server = {};
    http::client_options client = {};   ///< its base_url is set by what runs the test
    memory_options streams = {};        ///< with_server() only: short reads, suspension everywhere
    virtual_loop_options loop = {};     ///< with_server() only: another order of execution for every seed
};

} // namespace flux::inline FLUX_ABI::testing

namespace flux::inline FLUX_ABI::detail {

template <class Listener>
task<> serve_test(http::basic_server<Listener>* server, Listener listener) {
    co_await server->serve(std::move(listener));
}

// Serves while the test runs, then drains. What the test throws comes out after that.
template <class Listener, class Client, class Connector, class Test>
task<> run_test_server(const http::router* app, const testing::test_server_options* options, std::string base,
                       Listener listener, Connector connector, Test* test) {
    auto ctx = co_await this_context();
    http::basic_server<Listener> server(*app, options->server);
    task_scope serving(ctx, scope_policy::collect);
    serving.spawn(serve_test<Listener>, &server, std::move(listener));
    result<void> end;
    std::exception_ptr thrown;
    {
        http::client_options how = options->client;
        how.base_url = base;
        Client api(how, std::move(connector));
        try {
            end = co_await attempt((*test)(api));
        } catch (...) {
            thrown = std::current_exception();
        }
    }
    serving.stop(stop_reason::shutdown);
    auto joined = co_await attempt(serving.join());
    if (thrown != nullptr) {
        std::rethrow_exception(std::move(thrown));
    }
    if (!end) {
        co_await fail(std::move(end).error());
    }
    if (!joined) {
        co_await fail(std::move(joined).error());
    }
}

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::testing {

/// As with_server(), from inside of a coroutine: for tests with more than one server in one loop.
/// Params   app, test, options  borrowed until the task ends.
template <class Test>
[[nodiscard]] task<> while_serving(const http::router& app, Test& test, const test_server_options& options) {
    memory_listener_options streams;
    streams.streams = options.streams;
    memory_listener listener(streams);
    memory_connector connector(listener);
    return detail::run_test_server<memory_listener, memory_client>(&app, &options, std::string("http://test.local"),
                                                                   std::move(listener), std::move(connector), &test);
}

/// Runs `test` with a client whose requests `app` answers, on a virtual clock and without a kernel.
///
///     auto done = with_server(app, [](memory_client& api) -> task<> {
///         auto r = co_await api.get("/hello/you");
///         CHECK(r.code() == http::status::ok);
///     });
///
/// Params   test  called once with the client; yields a task<>. Its captures live until this function returns.
/// Errors   what the test failed with; EDEADLK if server and client wait for each other for ever.
/// Throws   what the test threw, if that is not a flux::error, after the server has drained.
/// Threads  the calling thread, which must not be inside of a loop.
template <class Test>
[[nodiscard]] result<void> with_server(const http::router& app, Test&& test, const test_server_options& options = {}) {
    virtual_loop loop(options.loop);
    return loop.run(while_serving(app, test, options));
}

/// The same on a reactor and over TCP, for tests that need the kernel or another program:
/// `api.options().base_url` says where the server is.
/// Errors   what the test failed with; the system's, if there is no reactor or no port to be had.
template <class Test>
[[nodiscard]] result<void> with_tcp_server(const http::router& app, Test&& test, const test_server_options& options = {}) {
    reactor loop;
    auto listener = tcp_listener::listen(loop, endpoint::loopback(0));
    if (!listener) {
        return fail(std::move(listener).error());
    }
    auto where = listener->local_endpoint();
    if (!where) {
        return fail(std::move(where).error());
    }
    auto whole = detail::run_test_server<tcp_listener, http::client>(&app, &options, "http://" + where->to_string(),
                                                                     *std::move(listener), tcp_connector(), &test);
    try {
        loop.run(std::move(whole));
    } catch (error& e) {
        return fail(std::move(e));
    }
    return {};
}

/// An answer that was read to its end.
struct recorded_answer {
    http::status code{};
    std::vector<std::pair<std::string, std::string>> fields; ///< in their order, names as they were sent
    std::string body;

    /// The first value of that field; empty if there is none. Names have no case.
    [[nodiscard]] std::string_view header(std::string_view name) const noexcept {
        for (const auto& [key, value] : fields) {
            if (http::iequals(key, name)) {
                return value;
            }
        }
        return {};
    }
};

/// What `app` answers to one request: `auto r = answer_to(app, "GET", "/hello/you");`. Redirects are answers.
/// Params   fields  of the request: `{{"Accept", "text/html"}}`
/// Errors   as those of a client: the request cannot be sent, or no whole answer comes.
template <std::derived_from<http::router> Router>
[[nodiscard]] result<recorded_answer>
answer_to(const Router& app, std::string_view method, std::string_view target, std::string body = {},
          std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {}) {
    recorded_answer out;
    auto ask = [&](memory_client& api) -> task<> {
        auto request = api.request(method, target);
        request.max_redirects(0);
        for (const auto& [name, value] : fields) {
            request.header(name, value);
        }
        if (!body.empty()) {
            request.body(std::move(body));
        }
        auto answer = co_await std::move(request);
        out.code = answer.code();
        for (const auto field : answer.fields()) {
            out.fields.emplace_back(field.name, field.value);
        }
        out.body = co_await answer.text();
    };
    auto done = with_server(app, ask);
    if (!done) {
        return fail(std::move(done).error());
    }
    return out;
}

} // namespace flux::inline FLUX_ABI::testing
