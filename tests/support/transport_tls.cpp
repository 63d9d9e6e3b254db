// SPDX-License-Identifier: MIT
// The only file of the test programs that knows how the TLS of transport.hpp is made.
#include <flux/core/base64.hpp>
#include <flux/net/socket_stream.hpp>
#include <flux/testing/fail_point.hpp>
#include <flux/tls/https.hpp>
#include <flux/tls/listener.hpp>
#include <flux/tls/self_signed.hpp>
#include <flux/tls/stream.hpp>
#include <support/counting_new.hpp>
#include <support/transport_serve.hpp>
#include <support/transport_sockets.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <unistd.h>

namespace test_support {

namespace {

namespace tls = flux::tls;

constexpr const char* host = "flux.test";

struct contexts {
    tls::server_config_ptr server;
    tls::client_context_ptr client;
};

constexpr const char* given_identity = "FLUX_TEST_IDENTITY"; // chain and key, in base64 with a dot between

const tls::identity& own_identity() {
    static const tls::identity made = [] {
        const char* given = std::getenv(given_identity);
        if (given == nullptr) {
            return tls::self_signed({host}).value();
        }
        const std::string_view text = given;
        const std::size_t dot = text.find('.');
        return tls::identity::pem(flux::base64_decode(text.substr(0, dot)).value(), flux::base64_decode(text.substr(dot + 1)).value());
    }();
    return made;
}

const contexts& shared() {
    static const contexts made = [] {
        const tls::identity& own = own_identity();
        tls::client_settings trusting;
        trusting.authorities = tls::trust::pem(own.chain().read().value());
        return contexts{std::make_shared<tls::server_config>(tls::server_context::make(tls::server_settings(own)).value()),
                        tls::client_context::make(trusting).value()};
    }();
    return made;
}

const std::shared_ptr<tls::session_cache>& sessions() {
    thread_local const auto cache = std::make_shared<tls::session_cache>();
    return cache;
}

// A program that is run over TLS and makes no use of it has shown nothing, and fails.
struct use_of_tls {
    std::atomic<bool> made{false};
    ~use_of_tls() {
        if (over_tls() && !made) {
            std::fputs("FLUX_TEST_TRANSPORT=tls, and no connection was over TLS\n", stderr);
            ::_exit(1);
        }
    }
};
use_of_tls use;

template <class Next>
class tls_end final : public secure_end<Next> {
public:
    explicit tls_end(tls::tls_stream<Next> s) : stream_(std::move(s)) { use.made = true; }
    flux::task<> handshake() override { return stream_.handshake(); }
    flux::task<flux::received> receive() override { return stream_.receive(); }
    flux::task<std::size_t> read_some(flux::mutable_buffer out) override { return stream_.read_some(out); }
    flux::task<> write_all(flux::const_buffer in) override { return stream_.write_all(in); }
    flux::task<> write_all(std::span<const flux::const_buffer> list) override { return stream_.write_all(list); }
    flux::result<void> shutdown_write() noexcept override { return stream_.shutdown_write(); }
    void close() noexcept override { stream_.close(); }
    void abort() noexcept override { stream_.abort(); }
    void watch_hangup(flux::hangup_listener* l) noexcept override { stream_.watch_hangup(l); }
    void watch_input(flux::hangup_listener* l) noexcept override {
        if constexpr (requires { stream_.watch_input(l); }) {
            stream_.watch_input(l);
        } else {
            stream_.watch_hangup(l);
        }
    }
    bool has_input() noexcept override {
        if constexpr (requires { stream_.has_input(); }) {
            return stream_.has_input();
        } else {
            return !stream_.is_open();
        }
    }
    flux::received try_receive() override {
        if constexpr (requires { stream_.try_receive(); }) {
            return stream_.try_receive();
        } else {
            return {};
        }
    }
    Next* next() noexcept override { return stream_.is_open() ? &stream_.next() : nullptr; }

private:
    tls::tls_stream<Next> stream_;
};

} // namespace

template <class Next>
std::unique_ptr<secure_end<Next>> make_secure_client(Next next) {
    return std::make_unique<tls_end<Next>>(tls::tls_stream<Next>(std::move(next), shared().client, host, sessions(), host));
}
template <class Next>
std::unique_ptr<secure_end<Next>> make_secure_server(Next next) {
    return std::make_unique<tls_end<Next>>(tls::tls_stream<Next>(std::move(next), shared().server));
}

using memory = flux::testing::memory_stream;
using faulty = flux::testing::faulty_stream<memory>;
using flux::tcp_stream;
template std::unique_ptr<secure_end<memory>> make_secure_client(memory);
template std::unique_ptr<secure_end<memory>> make_secure_server(memory);
template std::unique_ptr<secure_end<faulty>> make_secure_client(faulty);
template std::unique_ptr<secure_end<tcp_stream>> make_secure_client(tcp_stream);
template std::unique_ptr<secure_end<tcp_stream>> make_secure_server(tcp_stream);
template std::unique_ptr<secure_end<flux::unix_stream>> make_secure_client(flux::unix_stream);

namespace {

void count_one(bool done) noexcept {
    if (done && allocations_are_counted()) {
        ++allocations_of_this_thread().allocations;
    }
}

extern "C" {
static void* counted_malloc(std::size_t size) {
    void* at = std::malloc(size);
    count_one(at != nullptr);
    return at;
}
static void counted_free(void* at) { std::free(at); }
static void* counted_realloc(void* old, std::size_t size) {
    void* at = std::realloc(old, size);
    count_one(at != nullptr);
    return at;
}
}

} // namespace

library_allocations::library_allocations() {
    std::ignore = tls::detail::session_size(); // found out while the library's allocator is malloc itself
    ::wolfSSL_SetAllocators(&counted_malloc, &counted_free, &counted_realloc);
}
library_allocations::~library_allocations() { ::wolfSSL_SetAllocators(nullptr, nullptr, nullptr); }

void share_identity() {
    const tls::identity& own = own_identity();
    const std::string text = flux::base64_encode(own.chain().read().value()) + "." + flux::base64_encode(own.key().read().value());
    ::setenv(given_identity, text.c_str(), 1);
}
int secure_serve(std::string_view where, const flux::http::router& app, const flux::serve_options& options) {
    return tls::serve(where, app, shared().server, options);
}

flux::detail::child serve_secure(flux::http::detail::server_core& core, flux::tcp_stream stream) {
    return flux::http::detail::serve_connection(core, tls::tls_stream<flux::tcp_stream>(std::move(stream), shared().server));
}

namespace {

class secure_server final : public any_server {
public:
    secure_server(const flux::http::router& a, const flux::http::server_options& o) : server_(a, o) {}
    flux::task<> serve(flux::tcp_listener listener) override {
        return server_.serve(tls::listener<flux::tcp_listener>(std::move(listener), shared().server));
    }
    const flux::http::server_stats& stats() const noexcept override { return server_.stats(); }

private:
    flux::http::basic_server<tls::listener<flux::tcp_listener>> server_;
};

} // namespace

std::unique_ptr<any_server> make_secure_server(const flux::http::router& app, const flux::http::server_options& options) {
    return std::make_unique<secure_server>(app, options);
}

} // namespace test_support
