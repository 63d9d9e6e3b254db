// SPDX-License-Identifier: MIT
// flux/http/client/content_decoding.hpp - the place where a client's responses lose their content coding.
//
//   connection -> body_source (coded) -> content_decoding -> body_source -> client_response
//
// Deliberately not here: any coding (zlib/client_decoding.hpp).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/http/message/body.hpp>

#include <string_view>

namespace flux::inline FLUX_ABI::http {

/// A body that is made of another one, and owned.
class derived_body : public body_source {
public:
    virtual ~derived_body() = default;

protected:
    derived_body() = default;
    derived_body(const derived_body&) = delete;
    derived_body& operator=(const derived_body&) = delete;
};

/// What a client asks to remove content codings.
/// Threads  called by every reactor that uses the client.
class content_decoding {
public:
    virtual ~content_decoding() = default;
    /// For Accept-Encoding.
    [[nodiscard]] virtual std::string_view accepted() const noexcept = 0;
    /// Null if it does not know the coding; the body is handed out as it is then.
    /// Params  coded  outlives what is returned
    [[nodiscard]] virtual flux::detail::owner<derived_body> decode(std::string_view coding, body_source& coded) const = 0;
};

} // namespace flux::inline FLUX_ABI::http
