// SPDX-License-Identifier: MIT
#include <flux/http/server/layers/concurrency_limit.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <flux/coro/event.hpp>
#include <flux/coro/sleep.hpp>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <http/server/layered.hpp>
#include <http/server/parsed_request.hpp>
#include <support/manual_loop.hpp>

namespace http = flux::http;

static_assert(http::middleware<http::concurrency_limit>);

namespace {

using flux::task;
using test_support::layered;
using test_support::manual_loop;
using test_support::parsed_request;

task<http::response> slow(http::request&) {
    co_await flux::sleep_for(flux::seconds(10));
    co_return http::text("slow");
}

// Starts requests one after the other, and keeps what became of them: 0 while they run, 1 if they failed.
class clients {
public:
    clients(manual_loop& loop, const layered& h) : loop_(&loop), handler_(&h) {}
    void start() {
        requests_.push_back(std::make_unique<parsed_request>("GET / HTTP/1.1"));
        codes.push_back(0);
        loop_->spawn(&clients::one, this, codes.size() - 1);
        loop_->drain();
    }
    // The answer is out.
    void finish(std::size_t i) {
        (**requests_[i]).finish({http::status::ok, true, 0, 0, nullptr});
        loop_->drain();
    }
    std::vector<unsigned> codes;
    std::string retry_after;

private:
    static task<> one(clients* self, std::size_t i) {
        auto r = co_await flux::attempt((*self->handler_)->call(*self->requests_[i]));
        self->codes[i] = r ? to_number(r->code()) : 1;
        if (r && r->fields().contains("Retry-After")) {
            self->retry_after = *r->fields().get("Retry-After");
        }
    }
    manual_loop* loop_;
    const layered* handler_;
    std::vector<std::unique_ptr<parsed_request>> requests_;
};

using codes = std::vector<unsigned>;

} // namespace

TEST_SUITE("http/server/layers/concurrency_limit") {

    TEST_CASE("so many are in progress, so many wait, and all others are answered 503 at once") {
        const layered h(slow, http::concurrency_limit(2, {2, flux::seconds(60)}));
        manual_loop loop;
        clients c(loop, h);
        for (int i = 0; i < 6; ++i) {
            c.start();
        }
        CHECK(c.codes == codes{0, 0, 0, 0, 503, 503});
        CHECK(c.retry_after == "1");
        loop.advance(flux::seconds(10));
        CHECK(c.codes == codes{200, 200, 0, 0, 503, 503});
        c.finish(0);
        loop.advance(flux::seconds(5));
        c.finish(1);
        loop.advance(flux::seconds(5));
        CHECK(c.codes == codes{200, 200, 200, 0, 503, 503});
        loop.advance(flux::seconds(5));
        CHECK(c.codes == codes{200, 200, 200, 200, 503, 503});
    }

    TEST_CASE("a request is in progress until its answer is out, not only until its handler has returned") {
        const layered h([] { return "x"; }, http::concurrency_limit(1, {0, flux::seconds(1)}));
        manual_loop loop;
        clients c(loop, h);
        c.start();
        c.start();
        CHECK(c.codes == codes{200, 503});
        c.finish(0);
        c.start();
        CHECK(c.codes == codes{200, 503, 200});
    }

    TEST_CASE("who waits too long is answered 503, and nobody waits for it") {
        const layered h(slow, http::concurrency_limit(1, {2, flux::seconds(3)}));
        manual_loop loop;
        clients c(loop, h);
        c.start();
        c.start();
        loop.advance(flux::seconds(2));
        c.start();
        loop.advance(flux::seconds(1));
        CHECK(c.codes == codes{0, 503, 0});
        loop.advance(flux::seconds(2));
        CHECK(c.codes == codes{0, 503, 503});
        loop.advance(flux::seconds(5));
        CHECK(c.codes == codes{200, 503, 503});
        c.finish(0);
        c.start();
        CHECK(c.codes.back() == 0);
        loop.advance(flux::seconds(10));
        CHECK(c.codes.back() == 200);
    }

    TEST_CASE("a stop ends the wait with its reason, and passes the place on") {
        const layered h(slow, http::concurrency_limit(1, {8, flux::seconds(60)}));
        manual_loop loop;
        clients c(loop, h);
        c.start();
        parsed_request req("GET / HTTP/1.1");
        auto stopped = loop.run(flux::with_timeout(flux::seconds(1), h->call(req)));
        REQUIRE_FALSE(stopped.has_value());
        CHECK(stopped.error().is(flux::errc::timed_out));
        c.start();
        loop.advance(flux::seconds(9));
        c.finish(0);
        loop.advance(flux::seconds(10));
        CHECK(c.codes == codes{200, 200});
    }

    TEST_CASE("each worker has places of its own") {
        const layered h(slow, http::concurrency_limit(1, {0, flux::seconds(1)}));
        std::vector<std::vector<unsigned>> all(4);
        std::vector<std::thread> workers;
        for (auto& mine : all) {
            workers.emplace_back([&h, &mine] {
                manual_loop loop;
                clients c(loop, h);
                c.start();
                c.start();
                loop.advance(flux::seconds(10));
                mine = c.codes;
            });
        }
        for (std::thread& w : workers) {
            w.join();
        }
        for (const auto& mine : all) {
            CHECK(mine == codes{200, 503});
        }
    }

    TEST_CASE("a handler that fails gives its place back with the exchange") {
        const layered h([](http::request&) -> task<http::response> { co_return flux::fail(flux::errc::closed); },
                        http::concurrency_limit(1, {0, flux::seconds(1)}));
        manual_loop loop;
        clients c(loop, h);
        c.start();
        c.finish(0);
        c.start();
        CHECK(c.codes == codes{1, 1});
    }

} // TEST_SUITE
