// SPDX-License-Identifier: MIT
// flux/net/proxy_errc.hpp - why a proxy did not connect us.
#pragma once

#include <flux/core/error.hpp>

namespace flux::inline FLUX_ABI {

enum class proxy_errc : int {
    refused = 1,       ///< it does not want to: forbidden, unsupported
    needs_credentials, ///< none were given, or it does not accept them
    unreachable,       ///< it could not connect to the target
    bad_answer,        ///< its answer breaks the protocol
};

namespace detail {

class proxy_domain final : public error_domain {
public:
    [[nodiscard]] const char* name() const noexcept override { return "flux.proxy"; }
    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<proxy_errc>(code)) {
        case proxy_errc::refused: return "the proxy refused the connection";
        case proxy_errc::needs_credentials: return "the proxy wants other credentials";
        case proxy_errc::unreachable: return "the proxy cannot reach the target";
        case proxy_errc::bad_answer: return "the proxy's answer is invalid";
        }
        return "unknown proxy error";
    }
    [[nodiscard]] error_kind kind_of(int code) const noexcept override {
        switch (static_cast<proxy_errc>(code)) {
        case proxy_errc::refused:
        case proxy_errc::needs_credentials: return error_kind::http;
        case proxy_errc::unreachable: return error_kind::network;
        case proxy_errc::bad_answer: return error_kind::protocol;
        }
        return error_kind::protocol;
    }
};

} // namespace detail

[[nodiscard]] inline const error_domain& proxy_category() noexcept {
    return detail::the_domain<detail::proxy_domain>();
}
[[nodiscard]] inline std::error_code make_error_code(proxy_errc code) noexcept {
    return {static_cast<int>(code), proxy_category()};
}

} // namespace flux::inline FLUX_ABI

template <>
struct std::is_error_code_enum<flux::proxy_errc> : std::true_type {};
