// SPDX-License-Identifier: MIT
// flux/tls/ocsp_staple.hpp - the OCSP response that a server sends with its certificate.
//
//   DER -> read_ocsp_response -> {status, serial, dates}        staple_box: library asks -> response | nothing, once it is old
//
// Whoever serves gets the response and renews it; nothing is fetched here. The library verifies its signature before it
// sends it, and would fail the handshake over one that it does not like: so one that is past its date is not offered.
// Deliberately not here: asking responders, and judging what servers staple.
#pragma once

#include <flux/tls/certificate.hpp>
#include <flux/tls/library.hpp>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::tls {

/// What an OCSP response says of one certificate. Source  RFC 6960 4.2.1.
struct ocsp_status {
    enum class answer : std::uint8_t { good, revoked, unknown };
    answer what = answer::unknown;
    std::string serial;             ///< of the certificate, hexadecimal
    unix_seconds this_update = 0;
    unix_seconds next_update = 0;   ///< 0: none is promised
};

namespace detail {

[[nodiscard]] inline bool read_single_response(der_reader single, ocsp_status& to) {
    der_reader id = single.enter(der::sequence);
    id.take(der::sequence);
    id.take(der::octets);
    id.take(der::octets);
    to.serial = certificate_parser::hexadecimal(id.take(der::integer));
    const int tag = single.tag();
    single.next();
    to.what = tag == der::context(0)       ? ocsp_status::answer::good
              : tag == der::constructed(1) ? ocsp_status::answer::revoked
                                           : ocsp_status::answer::unknown;
    if (id.failed() || single.failed() || !certificate_parser::time(single, to.this_update)) {
        return false;
    }
    if (single.tag() == der::constructed(0)) {
        der_reader next = single.enter(der::constructed(0));
        return certificate_parser::time(next, to.next_update);
    }
    return true;
}

} // namespace detail

/// Reads a response about one certificate, without its signature.
/// Errors   errc::bad_file: not a successful basic response, or about several certificates.
[[nodiscard]] inline result<ocsp_status> read_ocsp_response(std::string_view octets, const std::string& name = "OCSP response") {
    const auto failed = [&](const char* why) { return flux::fail(make_error(errc::bad_file, name + ": " + why)); };
    detail::der_reader top(octets);
    detail::der_reader response = top.enter(detail::der::sequence);
    const std::string_view success = response.take(0x0a);
    if (response.failed() || !top.empty() || success.size() != 1) {
        return failed("no OCSP response (DER)");
    }
    if (success[0] != 0) {
        return failed("the responder refused to answer");
    }
    detail::der_reader wrapper = response.enter(detail::der::constructed(0));
    detail::der_reader typed = wrapper.enter(detail::der::sequence);
    typed.take(detail::der::oid);
    detail::der_reader basic_octets(typed.take(detail::der::octets));
    detail::der_reader basic = basic_octets.enter(detail::der::sequence);
    detail::der_reader data = basic.enter(detail::der::sequence);
    data.skip_if(detail::der::constructed(0));
    data.next(); // who answered
    data.take(0x18);
    detail::der_reader list = data.enter(detail::der::sequence);
    ocsp_status status;
    if (!detail::read_single_response(list.enter(detail::der::sequence), status) || list.failed()) {
        return failed("cannot be read");
    }
    if (!list.empty()) {
        return failed("is about several certificates");
    }
    return status;
}

namespace detail {

/// The response of one context, which the library asks for.
class staple_box {
public:
    [[nodiscard]] bool empty() const noexcept { return response_.empty(); }
    [[nodiscard]] unix_seconds expires() const noexcept { return expires_; }
    [[nodiscard]] std::size_t size() const noexcept { return response_.size(); }

    /// Errors   errc::bad_file: not about `own`, not good, or not of this time.
    [[nodiscard]] result<void> take(std::string response, const std::string& name, const certificate& own, unix_seconds now) {
        const auto failed = [&](std::string why) { return flux::fail(make_error(errc::bad_file, name + ": " + std::move(why))); };
        auto status = read_ocsp_response(response, name);
        if (!status) {
            return flux::fail(std::move(status).error());
        }
        if (status->serial != own.serial) {
            return failed("is about certificate " + status->serial + ", not " + own.serial);
        }
        if (status->what != ocsp_status::answer::good) {
            return failed(status->what == ocsp_status::answer::revoked ? "the certificate is revoked"
                                                                        : "the responder does not know the certificate");
        }
        if (status->this_update > now + 300) {
            return failed("is valid from " + date_text(status->this_update));
        }
        if (status->next_update != 0 && status->next_update <= now) {
            return failed("expired on " + date_text(status->next_update));
        }
        response_ = std::move(response);
        expires_ = status->next_update;
        return {};
    }
    [[nodiscard]] bool install([[maybe_unused]] WOLFSSL_CTX& context) {
#if defined(HAVE_CERTIFICATE_STATUS_REQUEST) && defined(HAVE_OCSP) && (defined(OPENSSL_ALL) || defined(WOLFSSL_NGINX) || defined(WOLFSSL_HAPROXY))
        return ::wolfSSL_CTX_EnableOCSPStapling(&context) == WOLFSSL_SUCCESS &&
               ::wolfSSL_CTX_set_tlsext_status_cb(&context, &on_status) == WOLFSSL_SUCCESS &&
               ::wolfSSL_CTX_set_tlsext_status_arg(&context, this) == WOLFSSL_SUCCESS;
#else
        return false;
#endif
    }
    /// Makes a client ask for the staple.
    [[nodiscard]] static bool ask_for([[maybe_unused]] WOLFSSL& client) noexcept {
#if defined(HAVE_CERTIFICATE_STATUS_REQUEST)
        return ::wolfSSL_EnableOCSPStapling(&client) == WOLFSSL_SUCCESS && ::wolfSSL_UseOCSPStapling(&client, WOLFSSL_CSR_OCSP, 0) == WOLFSSL_SUCCESS;
#else
        return false;
#endif
    }

private:
    // 0: there is one. Otherwise the handshake goes on without.
    static int on_status(WOLFSSL* ssl, void* self) noexcept {
        const auto& box = *static_cast<const staple_box*>(self);
        if (box.expires_ != 0 && box.expires_ <= std::time(nullptr)) {
            return 1;
        }
        auto* copy = static_cast<unsigned char*>(::wolfSSL_Malloc(box.response_.size())); // the library's to free
        if (copy == nullptr) {
            return 1;
        }
        std::memcpy(copy, box.response_.data(), box.response_.size());
        const int size = static_cast<int>(box.response_.size());
        return ::wolfSSL_set_tlsext_status_ocsp_resp(ssl, copy, size) == WOLFSSL_SUCCESS ? 0 : 1;
    }
    std::string response_;
    unix_seconds expires_ = 0;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::tls
