// SPDX-License-Identifier: MIT
// A connector without a kernel: every connection is a memory stream, plain or TLS, whose other end a script of the test serves.
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/http/client/client.hpp>
#include <flux/net/read.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <support/transport.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace flux_test {

class memory_net;

/// What a script sees of its connection.
struct peer {
    test_support::any_stream stream;
    memory_net* net;
    std::size_t number; ///< connections are counted from 0
    std::string left;   ///< octets that were read beyond a head

    /// The next request head; empty at the end of the stream.
    flux::task<std::string> head() {
        auto n = co_await flux::attempt(flux::read_until(stream, left, "\r\n\r\n"));
        if (!n) {
            co_return std::string();
        }
        std::string out = left.substr(0, *n);
        left.erase(0, *n);
        co_return out;
    }
    flux::task<std::string> body(std::size_t size) {
        const std::size_t have = left.size() < size ? left.size() : size;
        std::string out = left.substr(0, have);
        left.erase(0, have);
        std::string rest(size - have, ' ');
        auto done = co_await flux::attempt(flux::read_exact(stream, std::as_writable_bytes(std::span(rest))));
        out += done ? rest : std::string("(incomplete)");
        co_return out;
    }
    flux::task<> say(std::string octets) {
        auto done = co_await flux::attempt(stream.write_all(flux::as_octets(octets)));
        flux::ignore_result(std::move(done), "the client may have gone");
    }
};

class memory_net {
public:
    using script = flux::task<> (*)(peer&);

    script serve = nullptr;
    flux::milliseconds connect_delay{0};
    std::vector<int> refusals;        ///< errno for the i-th connection; 0 or none: it succeeds
    std::vector<std::string> heads;   ///< what scripts chose to note
    std::size_t connects = 0;
    std::size_t open = 0;             ///< peers that have not come to their end
    flux::testing::memory_options streams;
    flux::task_scope* scope = nullptr;

    flux::task<test_support::any_stream> connect() {
        auto raw = co_await flux::attempt(dial());
        if (!raw) {
            co_return flux::fail(raw.error());
        }
        auto stream = test_support::any_stream::connected(*std::move(raw));
        co_await stream.ready();
        co_return stream;
    }
    /// The connection without what TLS makes of it.
    flux::task<flux::testing::memory_stream> dial() {
        const std::size_t n = connects++;
        if (connect_delay.count() > 0) {
            auto slept = co_await flux::attempt(flux::sleep_for(connect_delay));
            if (!slept) {
                co_return flux::fail(slept.error());
            }
        }
        if (n < refusals.size() && refusals[n] != 0) {
            co_return flux::fail(flux::error::from_errno(refusals[n]).doing("connect memory").phase(flux::error_phase::connect));
        }
        auto ends = flux::testing::make_memory_pair(streams);
        scope->spawn(run, this, n, test_support::any_stream::accepted(std::move(ends.second)));
        co_return std::move(ends.first);
    }

private:
    static flux::task<> run(memory_net* net, std::size_t n, test_support::any_stream stream) {
        ++net->open;
        peer p{std::move(stream), net, n, {}};
        auto done = co_await flux::attempt(p.stream.ready());
        if (done) {
            done = co_await flux::attempt(net->serve(p));
        }
        flux::ignore_result(std::move(done), "a script ends when its connection does");
        --net->open;
    }
};

class memory_connector {
public:
    using stream_type = test_support::any_stream;
    static constexpr bool secures = false;
    explicit memory_connector(memory_net& net) noexcept : net_(&net) {}
    [[nodiscard]] flux::task<test_support::any_stream> connect(const flux::destination&) { return net_->connect(); }

private:
    memory_net* net_;
};

using memory_client = flux::http::basic_client<memory_connector>;

/// Runs `test(client, net)` on a virtual clock, with `serve` at the other end of every connection.
template <class Test>
flux::result<void> with_peer(memory_net& net, memory_net::script serve, const flux::http::client_options& options,
                             Test test, std::uint64_t seed = 0) {
    flux::testing::virtual_loop_options how;
    how.shuffle_seed = seed;
    flux::testing::virtual_loop loop(how);
    net.serve = serve;
    auto scenario = [](memory_net* n, const flux::http::client_options* o, Test* t) -> flux::task<> {
        auto ctx = co_await flux::this_context();
        flux::task_scope scope(ctx, flux::scope_policy::collect);
        n->scope = &scope;
        flux::result<void> end;
        {
            memory_client api(*o, memory_connector(*n));
            end = co_await flux::attempt((*t)(api, *n));
        }
        auto settled = co_await flux::attempt(flux::sleep_for(flux::milliseconds(1)));
        flux::ignore_result(std::move(settled), "only so that the peers see the end");
        scope.stop();
        auto joined = co_await flux::attempt(scope.join());
        flux::ignore_result(std::move(joined), "it was stopped");
        if (!end) {
            co_await flux::fail(end.error());
        }
    };
    return loop.run(scenario(&net, &options, &test));
}

} // namespace flux_test
