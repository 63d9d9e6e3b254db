// SPDX-License-Identifier: MIT
// flux/http/server/layers/default_fields.hpp - a layer that adds fields to answers which do not have them.
#pragma once

#include <flux/http/server/middleware.hpp>

#include <concepts>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// Sets fields of every answer that has none of that name.
///
///     app.use(http::security_fields().set("Content-Security-Policy", "default-src 'self'"));
///
/// What a streaming handler sets replaces them. An error that leaves the handler passes: put recover inside.
class default_fields {
public:
    /// Errors: throws flux::error (errc::invalid_argument) for what could split a message.
    default_fields& set(name_ref name, std::string_view value) & {
        fields_.set(name, value);
        return *this;
    }
    [[nodiscard]] default_fields set(name_ref name, std::string_view value) && {
        fields_.set(name, value);
        return std::move(*this);
    }

    template <std::same_as<next> Next>
    [[nodiscard]] task<response> operator()(request& req, Next& inner) const {
        responder* const out = req.streams_to();
        if (out != nullptr) {
            for (const field_view f : fields_) {
                out->header(f.name, f.value);
            }
        }
        auto answer = co_await attempt(inner(req));
        if (answer && !req.was_streamed()) {
            for (const field_view f : fields_) {
                if (!answer->fields().contains(f.name)) {
                    answer->header(f.name, f.value);
                }
            }
        }
        co_return std::move(answer);
    }

private:
    fields fields_;
};

/// What browsers should be told by most sites: no guessing of media types, no frames of others, no paths in referrers.
[[nodiscard]] inline default_fields security_fields() {
    return default_fields()
        .set("X-Content-Type-Options", "nosniff")
        .set("X-Frame-Options", "DENY")
        .set("Referrer-Policy", "strict-origin-when-cross-origin");
}

} // namespace flux::inline FLUX_ABI::http
