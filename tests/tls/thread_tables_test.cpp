// SPDX-License-Identifier: MIT
#include <flux/tls/listener.hpp> // also proves the header is self-contained

#include <support/allocated.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <thread>

using test_support::allocated;

TEST_SUITE("tls/engine") {

TEST_CASE("threads that end take their tables of curve points with them, whether they were warmed up or not") {
    const auto server = test_support::context_of(test_support::named("a", "DNS:a.test"));
    const auto context = test_support::client_of(test_support::ca());
    for (const bool warm : {true, false}) {
        CAPTURE(warm);
        const auto threads = [&](int n) {
            for (int i = 0; i < n; ++i) {
                std::thread([&] {
                    if (warm) {
                        flux::tls::detail::warm_up_thread();
                    }
                    for (int k = 0; k < 3; ++k) {
                        const auto c = context->connect("a.test").value();
                        const auto s = server->connect("").value();
                        CHECK(test_support::shake(*c, *s));
                    }
                }).join();
            }
        };
        threads(2); // makes what is made once
        const long before = allocated();
        threads(5);
        const long more = allocated() - before;
        MESSAGE("5 threads: " << more << " octets");
        CHECK(more < 1'000'000); // without the clean-up 2.4 MB for each
    }
}

}
