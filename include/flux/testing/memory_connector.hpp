// SPDX-License-Identifier: MIT
// flux/testing/memory_connector.hpp - a client's connector that ends at a memory_listener of the same process.
//
// Every destination leads there: names are not looked up. Deliberately not here: choosing among hosts, delays
// (sim_network.hpp), TLS.
#pragma once

#include <flux/coro/task.hpp>
#include <flux/net/destination.hpp>
#include <flux/testing/memory_listener.hpp>

#include <memory>
#include <utility>

namespace flux::inline FLUX_ABI::testing {

/// Connects to one listener, before and after that was moved into a server; refused once it was closed.
/// Threads  that of the listener.
class memory_connector {
public:
    using stream_type = memory_stream;
    static constexpr bool secures = false;

    explicit memory_connector(const memory_listener& to) noexcept
        : core_(flux::detail::memory_listener_access::core_of(to)) {}

    /// Errors   ECONNREFUSED: the listener is closed or its backlog is full.
    template <class Stream = memory_stream>
    [[nodiscard]] task<Stream> connect(const destination&) {
        return dial<Stream>(core_);
    }

private:
    template <class Stream>
    static task<Stream> dial(std::shared_ptr<flux::detail::memory_listener_core> core) {
        if (core == nullptr) {
            co_return flux::detail::memory_listener_core::refused();
        }
        co_return core->connect(core->next_client());
    }

    std::shared_ptr<flux::detail::memory_listener_core> core_;
};

} // namespace flux::inline FLUX_ABI::testing
