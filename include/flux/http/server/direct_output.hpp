// SPDX-License-Identifier: MIT
// flux/http/server/direct_output.hpp - the socket below a body, for octets that need not go through its sink.
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/core/result.hpp>
#include <flux/http/server/server_options.hpp>
#include <flux/net/socket_stream.hpp>

namespace flux::inline FLUX_ABI::http {

/// A socket that takes octets of a body beside its sink; see body_sink::direct(). Filled by the connection.
class direct_output {
public:
    socket_stream* stream = nullptr;
    byte_buffer* gathered = nullptr;         ///< what has to go out before
    const server_options* options = nullptr; ///< how long the peer may refuse to read
    result<void>* outcome = nullptr;         ///< an error once not all went out

    /// Not all went out. Returns `why`.
    error broke(error why) const {
        *outcome = fail(why);
        return why;
    }
};

} // namespace flux::inline FLUX_ABI::http
