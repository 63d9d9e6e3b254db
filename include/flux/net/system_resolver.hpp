// SPDX-License-Identifier: MIT
// flux/net/system_resolver.hpp - names by getaddrinfo(3), on a thread of the blocking pool.
//
// Deliberately not here: caches (the system has its own, or none).
#pragma once

#include <flux/coro/task.hpp>
#include <flux/io/blocking.hpp>
#include <flux/net/endpoint.hpp>
#include <flux/net/resolve_errc.hpp>

#include <memory>
#include <string>
#include <vector>

#include <netdb.h>

namespace flux::inline FLUX_ABI {

namespace detail {

[[nodiscard, gnu::cold]] inline error resolve_failure(int code, int number, const std::string& host) {
    error e(resolve_errc::server_failed);
    switch (code) {
    case EAI_NONAME: e = error(resolve_errc::no_such_name); break;
    case EAI_NODATA: e = error(resolve_errc::no_address); break;
    case EAI_AGAIN: e = error(resolve_errc::timed_out); break;
    case EAI_MEMORY: e = error::from_errno(ENOMEM); break;
    case EAI_SYSTEM: e = error::from_errno(number); break;
    default: break;
    }
    e.doing("resolve " + host).phase(error_phase::resolve).retryable(true);
    return e;
}

[[nodiscard, gnu::cold]] inline result<std::vector<endpoint>> system_lookup(const std::string& host) {
    ::addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    ::addrinfo* list = nullptr;
    const int code = ::getaddrinfo(host.c_str(), nullptr, &wanted, &list);
    if (code != 0) {
        return fail(resolve_failure(code, errno, host));
    }
    const std::unique_ptr<::addrinfo, void (*)(::addrinfo*)> owner(list, &::freeaddrinfo);
    std::vector<endpoint> found;
    for (; list != nullptr; list = list->ai_next) {
        ::sockaddr_storage address{};
        if (list->ai_addrlen <= sizeof address) {
            std::memcpy(&address, list->ai_addr, list->ai_addrlen);
            if (auto one = endpoint::from_sockaddr(address, list->ai_addrlen)) {
                found.push_back(*one);
            }
        }
    }
    if (found.empty()) {
        return fail(resolve_failure(EAI_NODATA, 0, host));
    }
    return found;
}

} // namespace detail
} // namespace flux::inline FLUX_ABI
