// SPDX-License-Identifier: MIT
// tests/support/transport_serve.hpp - serve() in a process of its own, over TLS where the transport is that.
#pragma once

#include <flux/http/server/serve.hpp>
#include <support/transport.hpp>

#include <string_view>

namespace test_support {

/// Child programs that are started after it have the certificate that clients of this process trust. While there is but
/// one thread.
void share_identity();
int secure_serve(std::string_view where, const flux::http::router& app, const flux::serve_options& options);

inline int any_serve(std::string_view where, const flux::http::router& app, const flux::serve_options& options) {
    return over_tls() ? secure_serve(where, app, options) : flux::serve(where, app, options);
}

} // namespace test_support
