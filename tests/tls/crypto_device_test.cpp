// SPDX-License-Identifier: MIT
#include <flux/tls/crypto_device.hpp> // also proves the header is self-contained

#include <flux/tls/context.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <string>

#include <dlfcn.h>
#include <sys/resource.h>

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI)
// The library says nobody which callbacks a context has: these stand before its own, and count.
static int extract_callbacks = 0;
static int expand_callbacks = 0;
extern "C" void wolfSSL_CTX_SetHKDFExtractCb(WOLFSSL_CTX* context, CallbackHKDFExtract callback) {
    extract_callbacks += callback == &flux::tls::detail::extract_callback ? 1 : 0;
    reinterpret_cast<decltype(&wolfSSL_CTX_SetHKDFExtractCb)>(::dlsym(RTLD_NEXT, __func__))(context, callback);
}
extern "C" void wolfSSL_CTX_SetHKDFExpandLabelCb(WOLFSSL_CTX* context, CallbackHKDFExpandLabel callback) {
    expand_callbacks += callback == &flux::tls::detail::expand_label_callback ? 1 : 0;
    reinterpret_cast<decltype(&wolfSSL_CTX_SetHKDFExpandLabelCb)>(::dlsym(RTLD_NEXT, __func__))(context, callback);
}
#endif

using namespace flux;
using test_support::ca;

namespace {

tls::server_context_ptr server() { return test_support::context_of(test_support::named("a", "DNS:a.test")); }

/// While it lives, this process can open nothing; what is open stays.
class no_more_descriptors {
public:
    no_more_descriptors() {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        rlimit none = before_;
        none.rlim_cur = 0;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    }
    no_more_descriptors(const no_more_descriptors&) = delete;
    no_more_descriptors& operator=(const no_more_descriptors&) = delete;
    ~no_more_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

} // namespace

TEST_SUITE("tls/crypto_device") {

#if defined(__x86_64__) && defined(WOLF_CRYPTO_CB) && !defined(WOLFSSL_AESNI)

TEST_CASE("a connection that has been accepted needs no descriptor beside its own") {
    const auto context = server();
    const auto clients = test_support::client_of(ca());
    auto served = context->connect(""); // what is made once for all has been made then
    auto client = clients->connect("a.test");
    bool complete = false;
    {
        const no_more_descriptors from_here;
        served = context->connect("");
        client = clients->connect("a.test");
        complete = served && client && test_support::shake(**client, **served);
    }
    REQUIRE_MESSAGE(served, served.error().message());
    REQUIRE_MESSAGE(client, client.error().message());
    CHECK(complete);
}

TEST_CASE("a seed is filled to its end, and never the same") {
    std::string seeds[2];
    for (std::string& seed : seeds) {
        unsigned char octets[600] = {}; // more than the kernel promises to give at once
        wc_CryptoInfo info{};
        info.algo_type = WC_ALGO_TYPE_SEED;
        info.seed.seed = octets;
        info.seed.sz = sizeof octets;
        REQUIRE(tls::detail::crypto_callback<false, false>(tls::detail::crypto_device, &info, nullptr) == 0);
        seed.assign(reinterpret_cast<const char*>(octets), sizeof octets);
        for (std::size_t i = 0; i < sizeof octets; i += 20) {
            CHECK(seed.substr(i, 20) != std::string(20, '\0'));
        }
    }
    CHECK(seeds[0] != seeds[1]);
}

TEST_CASE("the device answers for what the processor has instructions for, and so do the callbacks of a context") {
    using tls::detail::crypto_callback;
    const bool aes = tls::detail::has_aes_instructions();
    const bool sha = tls::detail::has_sha_instructions();
    const CryptoDevCallbackFunc expected = aes ? (sha ? &crypto_callback<true, true> : &crypto_callback<true, false>)
                                               : (sha ? &crypto_callback<false, true> : &crypto_callback<false, false>);
    CHECK((tls::detail::best_crypto_callback() == expected));
    extract_callbacks = expand_callbacks = 0;
    const auto context = server();
    CHECK(extract_callbacks == (sha ? 1 : 0));
    CHECK(expand_callbacks == (sha ? 1 : 0));
}

TEST_CASE("without AES instructions ciphers are left to the library") {
    wc_CryptoInfo info{};
    info.algo_type = WC_ALGO_TYPE_CIPHER;
    info.cipher.type = WC_CIPHER_AES_GCM;
    CHECK(tls::detail::crypto_callback<false, false>(tls::detail::crypto_device, &info, nullptr) == CRYPTOCB_UNAVAILABLE);
    CHECK(tls::detail::crypto_callback<false, true>(tls::detail::crypto_device, &info, nullptr) == CRYPTOCB_UNAVAILABLE);
}

TEST_CASE("without SHA instructions hashes are left to the library") {
    wc_Sha256 hash;
    REQUIRE(::wc_InitSha256_ex(&hash, nullptr, tls::detail::crypto_device) == 0);
    const unsigned char text[] = {'a', 'b', 'c'};
    wc_CryptoInfo info{};
    info.algo_type = WC_ALGO_TYPE_HASH;
    info.hash.type = WC_HASH_TYPE_SHA256;
    info.hash.sha256 = &hash;
    info.hash.in = text;
    info.hash.inSz = sizeof text;
    CHECK(tls::detail::crypto_callback<false, false>(tls::detail::crypto_device, &info, nullptr) == CRYPTOCB_UNAVAILABLE);
    CHECK(tls::detail::crypto_callback<true, false>(tls::detail::crypto_device, &info, nullptr) == CRYPTOCB_UNAVAILABLE);
    CHECK(hash.buffLen == 0); // and nothing of it was taken
    ::wc_Sha256Free(&hash);
}

#endif

TEST_CASE("where the library has to open its source of random numbers and cannot, the error says so, and the next connection is made") {
    const auto context = server();
    REQUIRE(::wolfSSL_CTX_SetDevId(context->native(), INVALID_DEVID) == WOLFSSL_SUCCESS); // as without callbacks
    auto served = context->connect("");
    {
        const no_more_descriptors from_here;
        served = context->connect("");
    }
    REQUIRE(!served);
    CHECK(served.error().message() == "TLS: the library's random numbers: Too many open files");
    CHECK(served.error().is(std::errc::too_many_files_open));
    CHECK(served.error().phase() == error_phase::tls);
    served = context->connect("");
    REQUIRE(served);
    CHECK(test_support::shake(**test_support::client_of(ca())->connect("a.test"), **served));
}

} // TEST_SUITE
