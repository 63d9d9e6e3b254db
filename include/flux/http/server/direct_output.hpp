// SPDX-License-Identifier: MIT
// flux/http/server/direct_output.hpp - the socket below a body, for octets that need not go through its sink.
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/http/server/server_options.hpp>
#include <flux/net/socket_stream.hpp>

#include <optional>

namespace flux::inline FLUX_ABI::http {

/// A socket that takes octets of a body beside its sink; see body_sink::direct(). Filled by the connection.
class direct_output {
public:
    direct_output(socket_stream& s, byte_buffer& before, const server_options& o, std::optional<error>& failed) noexcept
        : stream(&s), gathered(&before), options(&o), failure(&failed) {}
    socket_stream* stream;
    byte_buffer* gathered;         ///< what has to go out before
    const server_options* options; ///< how long the peer may refuse to read
    std::optional<error>* failure; ///< to be set when not all went out
};

} // namespace flux::inline FLUX_ABI::http
