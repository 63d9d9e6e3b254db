// SPDX-License-Identifier: MIT
// flux/tls/self_signed.hpp - a certificate that nobody vouches for, made in memory: for examples and tests.
//
// Needs a library with certificate generation (Debian's has it). Deliberately not here: authorities, requests.
#pragma once

#include <flux/tls/library.hpp>
#include <flux/tls/settings.hpp>
#include <flux/tls/verify.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

/// An ECDSA P-256 key and a certificate for these names and addresses, valid for `days` from yesterday on.
///
/// Params   names  1 to 64 DNS names or literal addresses.
/// Returns  DER in memory; identity::chain() of it is what a client has to trust.
/// Errors   errc::bad_setting: the library cannot make certificates, or a name cannot be in one.
[[nodiscard]] inline result<identity> self_signed([[maybe_unused]] const std::vector<std::string>& names,
                                                  [[maybe_unused]] int days = 30) {
#if defined(WOLFSSL_CERT_GEN) && defined(WOLFSSL_ALT_NAMES) && defined(HAVE_ECC)
    const auto failed = [](const char* why) { return flux::fail(make_error(errc::bad_setting, why)); };
    if (auto r = detail::library_ready(); !r) {
        return flux::fail(std::move(r).error());
    }
    std::string alternatives;
    for (const std::string& name : names) {
        const std::string address = detail::address_octets(name);
        const std::string& value = address.empty() ? name : address;
        if (value.empty() || value.size() > 127) {
            return failed("a name of a certificate has 1 to 127 octets");
        }
        alternatives += static_cast<char>(address.empty() ? 0x82 : 0x87);
        alternatives += static_cast<char>(value.size());
        alternatives += value;
    }
    std::string list;
    if (alternatives.size() < 0x80) {
        list = std::string("\x30") + static_cast<char>(alternatives.size());
    } else if (alternatives.size() <= 0xffff && !names.empty()) {
        list = "\x30\x82";
        list += static_cast<char>(alternatives.size() >> 8);
        list += static_cast<char>(alternatives.size() & 0xff);
    }
    list += alternatives;
    struct generator {
        WC_RNG random{};
        ecc_key key{};
        Cert cert{};
        bool ready = false;
        generator() { ready = ::wc_InitRng(&random) == 0 && ::wc_ecc_init(&key) == 0; }
        generator(const generator&) = delete;
        generator& operator=(const generator&) = delete;
        ~generator() {
            ::wc_ecc_free(&key);
            ::wc_FreeRng(&random);
        }
    };
    const auto g = std::make_unique<generator>();
    if (names.empty() || list.size() > sizeof g->cert.altNames) {
        return failed("too many names for one certificate, or none");
    }
    if (!g->ready || ::wc_ecc_make_key_ex(&g->random, 32, &g->key, ECC_SECP256R1) != 0 || ::wc_InitCert(&g->cert) != 0) {
        return failed("no key can be made");
    }
    Cert& c = g->cert;
    const std::size_t shown = std::min(names.front().size(), sizeof c.subject.commonName - 1);
    std::memcpy(c.subject.commonName, names.front().data(), shown);
    std::memcpy(c.altNames, list.data(), list.size());
    c.altNamesSz = static_cast<int>(list.size());
    c.selfSigned = 1;
    c.isCA = 0;
    c.daysValid = days;
    c.sigType = CTC_SHA256wECDSA;
    std::vector<unsigned char> der(16'384);
    const auto room = static_cast<unsigned>(der.size());
    const int body = ::wc_MakeCert(&c, der.data(), room, nullptr, &g->key, &g->random);
    const int size = body <= 0 ? body
                               : ::wc_SignCert(c.bodySz, c.sigType, der.data(), room, nullptr, &g->key, &g->random);
    std::vector<unsigned char> key(1024);
    const int key_size = ::wc_EccKeyToDer(&g->key, key.data(), static_cast<unsigned>(key.size()));
    if (size <= 0 || key_size <= 0) {
        return failed("no certificate can be made");
    }
    const auto text = [](const std::vector<unsigned char>& octets, int n) {
        return std::string(reinterpret_cast<const char*>(octets.data()), static_cast<std::size_t>(n));
    };
    return identity(source::memory(text(der, size)), source::memory(text(key, key_size)));
#else
    return flux::fail(make_error(errc::bad_setting, "the TLS library cannot make certificates"));
#endif
}

} // namespace flux::inline FLUX_ABI::tls
