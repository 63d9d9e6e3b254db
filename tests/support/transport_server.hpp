// SPDX-License-Identifier: MIT
// tests/support/transport_server.hpp - with_server() of flux/testing/test_server.hpp, over what transport.hpp makes of streams.
#pragma once

#include <flux/testing/memory_connector.hpp>
#include <flux/testing/test_server.hpp>
#include <support/transport.hpp>

#include <string>
#include <utility>

namespace test_support {

/// As flux::testing::memory_connector.
class any_memory_connector {
public:
    using stream_type = any_stream;
    static constexpr bool secures = false;
    explicit any_memory_connector(const flux::testing::memory_listener& to) noexcept : next_(to) {}
    [[nodiscard]] flux::task<any_stream> connect(const flux::destination& to) { return secured(next_.connect(to)); }

private:
    static flux::task<any_stream> secured(flux::task<flux::testing::memory_stream> dial) {
        auto stream = any_stream::connected(co_await std::move(dial));
        co_await stream.ready();
        co_return stream;
    }
    flux::testing::memory_connector next_;
};

/// The client of with_any_server(); its destinations are http://test.local in either case.
using any_client = flux::http::basic_client<any_memory_connector>;
using flux::testing::test_server_options;

template <class Test>
[[nodiscard]] flux::task<> while_any_serves(const flux::http::router& app, Test& test, const test_server_options& options) {
    flux::testing::memory_listener_options streams;
    streams.streams = options.streams;
    flux::testing::memory_listener listener(streams);
    any_memory_connector connector(listener);
    return flux::detail::run_test_server<any_listener, any_client>(&app, &options, std::string("http://test.local"),
                                                                   any_listener(std::move(listener)), std::move(connector), &test);
}
template <class Test>
[[nodiscard]] flux::result<void> with_any_server(const flux::http::router& app, Test&& test, const test_server_options& options = {}) {
    flux::testing::virtual_loop loop(options.loop);
    return loop.run(while_any_serves(app, test, options));
}

} // namespace test_support
