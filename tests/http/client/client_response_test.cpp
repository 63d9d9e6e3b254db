// SPDX-License-Identifier: MIT
#include <flux/http/client/client_response.hpp> // also proves the header is self-contained

#include <support/transport_server.hpp>

#include <doctest/doctest.h>

using namespace flux;

TEST_SUITE("http/client/client_response") {

TEST_CASE("trailers are those of this response, not of one before that had the same memory") {
    http::router app;
    app.get("/moved", [](http::request&, http::responder& out) -> task<> {
        out.code(http::status::found).header(http::field::location, "/here");
        co_await out.write("elsewhere");
        out.add_trailer("X-Sum", "of the redirect").value();
    });
    app.get("/here", [] { return "here"; });
    const auto done = test_support::with_any_server(app, [](test_support::any_client& api) -> task<> {
        auto moved = co_await api.get("/moved").max_redirects(0);
        auto first = co_await moved.text();
        CHECK(first == "elsewhere");
        CHECK(moved.trailers().get("X-Sum") == "of the redirect");
        auto followed = co_await api.get("/moved");
        auto second = co_await followed.text();
        CHECK(followed.redirects() == 1);
        CHECK(second == "here");
        CHECK_FALSE(followed.trailers().get("X-Sum"));
        CHECK_FALSE(followed.body().trailers().get("X-Sum"));
    });
    CHECK(done);
}

}
