// SPDX-License-Identifier: MIT
// flux/http/server/direct_output.hpp - the socket below a body, for octets that need not go through its sink.
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/core/time.hpp>
#include <flux/net/socket_stream.hpp>

#include <optional>

namespace flux::inline FLUX_ABI::http {

/// A socket that takes octets of a body beside its sink; see body_sink::direct(). Filled by the connection.
class direct_output {
public:
    direct_output(socket_stream& s, byte_buffer& before, milliseconds write_timeout, std::optional<error>& failed) noexcept
        : stream(&s), gathered(&before), timeout(write_timeout), failure(&failed) {}
    socket_stream* stream;
    byte_buffer* gathered;         ///< what has to go out before
    milliseconds timeout;          ///< for any octet to be taken
    std::optional<error>* failure; ///< to be set when not all went out
};

} // namespace flux::inline FLUX_ABI::http
