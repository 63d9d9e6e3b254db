// SPDX-License-Identifier: MIT
#include <flux/tls/listener.hpp> // also proves the header is self-contained

#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <thread>

namespace {

/// Resident memory of this process, in KiB.
long resident() {
    std::ifstream in("/proc/self/statm");
    long total = 0;
    long here = 0;
    in >> total >> here;
    return here * (::sysconf(_SC_PAGESIZE) / 1024);
}

void handshake_of(const flux::tls::client_context_ptr& context, const flux::tls::server_context& server) {
    auto c = context->connect("a.test").value();
    auto s = server.connect("").value();
    for (int i = 0; i < 4 && !(c->is_complete() && s->is_complete()); ++i) {
        flux::ignore_result(c->handshake(), "seen below");
        s->feed(c->output().view());
        c->output().clear();
        flux::ignore_result(s->handshake(), "seen below");
        c->feed(s->output().view());
        s->output().clear();
    }
    CHECK((c->is_complete() && s->is_complete()));
}

} // namespace

TEST_SUITE("tls/engine") {

TEST_CASE("threads that end take their tables of curve points with them") {
    const auto& ca = test_support::cert_lab::shared().root("ca");
    test_support::cert_lab::spec spec;
    spec.san = "DNS:a.test";
    const auto& own = test_support::cert_lab::shared().issue(ca, "a", spec);
    const auto server = flux::tls::server_context::make(
        flux::tls::server_settings(flux::tls::identity::files(own.chain, own.key)));
    REQUIRE(server);
    const auto context = test_support::client_of(ca);
    const auto one_thread = [&] {
        std::thread([&] {
            flux::tls::detail::warm_up_thread();
            for (int i = 0; i < 3; ++i) {
                handshake_of(context, **server);
            }
        }).join();
    };
    for (int i = 0; i < 4; ++i) {
        one_thread();
    }
    const long before = resident();
    for (int i = 0; i < 20; ++i) {
        one_thread();
    }
    const long after = resident();
    MESSAGE("20 threads: " << after - before << " KiB");
    if (FLUX_SANITIZED == 0) { // these keep what was freed for a while, and see leaks by themselves
        CHECK(after - before < 20 * 200); // without the clean-up 2400 KiB for each
    }
}

}
