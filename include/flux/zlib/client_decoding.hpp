// SPDX-License-Identifier: MIT
// flux/zlib/client_decoding.hpp - gzip and deflate for the responses of an HTTP client.
//
// Deliberately not here: compressing requests, other codings.
#pragma once

#include <flux/http/client/content_decoding.hpp>
#include <flux/zlib/body.hpp>
#include <flux/zlib/coding.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::zlib {

namespace detail {

class decoded_response final : public http::derived_body {
public:
    decoded_response(http::body_source& coded, coding c, decoder_limits limits) noexcept : source_(coded, c, limits) {}
    [[nodiscard]] task<std::string_view> next() override { return source_.next(); }
    [[nodiscard]] http::fields_view trailers() const noexcept override { return source_.trailers(); }
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override { return source_.length(); }
    [[nodiscard]] error explain(error e) const override { return source_.explain(std::move(e)); }

private:
    decoding_source source_;
};

class response_decoding final : public http::content_decoding {
public:
    explicit response_decoding(decoder_limits limits) noexcept : limits_(limits) {}
    [[nodiscard]] std::string_view accepted() const noexcept override { return "gzip, deflate"; }
    [[nodiscard]] flux::detail::owner<http::derived_body> decode(std::string_view name,
                                                                 http::body_source& coded) const override {
        const auto c = to_coding(name);
        if (!c) {
            return {};
        }
        return flux::detail::make_owner<decoded_response>(coded, *c, limits_);
    }

private:
    decoder_limits limits_;
};

} // namespace detail

/// For http::basic_client::use_decoding(). Coded content that ends too early is an error.
/// Params  limits  against content that is small when coded and huge when decoded: errc::body_too_large, kind limit.
[[nodiscard]] inline std::shared_ptr<const http::content_decoding> client_decoding(decoder_limits limits = {}) {
    return std::make_shared<detail::response_decoding>(limits);
}

} // namespace flux::inline FLUX_ABI::zlib
