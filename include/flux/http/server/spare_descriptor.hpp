// SPDX-License-Identifier: MIT
// flux/http/server/spare_descriptor.hpp - one descriptor in reserve, so that a server that is out of them can say so.
//
//   no descriptor left -> give up the spare -> accept -> no room to take it back? refuse, close -> take it back
//
// Without it, connections wait unseen in the kernel's queue until their peers give up, and behind a load balancer
// nobody learns that this server is full. Deliberately not here: when (server.hpp).
#pragma once

#include <flux/io/unique_fd.hpp>
#include <flux/net/socket_stream.hpp>

#include <concepts>
#include <string>

#include <sys/eventfd.h>

namespace flux::inline FLUX_ABI::http::detail {

class spare_descriptor {
public:
    /// Whether there is one, after an attempt to get it.
    [[nodiscard]] bool take_back() noexcept {
        if (fd_.get() < 0) {
            fd_.reset(::eventfd(0, EFD_CLOEXEC)); // needs no file system
        }
        return fd_.get() >= 0;
    }
    void give_up() noexcept { fd_.reset(); }

private:
    unique_fd fd_;
};

/// Closes a new connection, at once: with a 503 where that can be said without waiting, else with a reset.
template <class Stream>
void turn_away_at_once(Stream& stream, seconds retry_after) {
    if constexpr (std::derived_from<Stream, socket_stream>) {
        const std::string said = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: " + std::to_string(retry_after.count()) +
                                 "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        if (stream.try_write(as_octets(said)) == said.size()) {
            stream.close();
            return;
        }
    }
    stream.abort();
}

} // namespace flux::inline FLUX_ABI::http::detail
