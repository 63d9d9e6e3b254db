// SPDX-License-Identifier: MIT
// flux/net/resolve_errc.hpp - why a name has no addresses.
#pragma once

#include <flux/core/error.hpp>

namespace flux::inline FLUX_ABI {

enum class resolve_errc : int {
    no_such_name = 1, ///< the name does not exist (NXDOMAIN)
    no_address,       ///< the name exists, but has no address of a wanted family (NODATA)
    server_failed,    ///< no name server could or wanted to answer (SERVFAIL, REFUSED, NOTIMP ...)
    bad_answer,       ///< answers that break the protocol, or loop
    timed_out,        ///< no name server answered in the time that they had
};

namespace detail {

class resolve_domain final : public error_domain {
public:
    [[nodiscard]] const char* name() const noexcept override { return "flux.resolve"; }
    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<resolve_errc>(code)) {
        case resolve_errc::no_such_name: return "no such host";
        case resolve_errc::no_address: return "the host has no address";
        case resolve_errc::server_failed: return "the name servers failed";
        case resolve_errc::bad_answer: return "the name server's answer is invalid";
        case resolve_errc::timed_out: return "no name server answered in time";
        }
        return "unknown resolver error";
    }
    [[nodiscard]] error_kind kind_of(int code) const noexcept override {
        return static_cast<resolve_errc>(code) == resolve_errc::timed_out ? error_kind::timeout : error_kind::network;
    }
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
        if (static_cast<resolve_errc>(code) == resolve_errc::timed_out) {
            return std::errc::timed_out;
        }
        return {code, *this};
    }
};

} // namespace detail

[[nodiscard]] inline const error_domain& resolve_category() noexcept {
    return detail::the_domain<detail::resolve_domain>();
}
[[nodiscard]] inline std::error_code make_error_code(resolve_errc code) noexcept {
    return {static_cast<int>(code), resolve_category()};
}

} // namespace flux::inline FLUX_ABI

template <>
struct std::is_error_code_enum<flux::resolve_errc> : std::true_type {};
