// SPDX-License-Identifier: MIT
// flux/net/system_resolver.hpp - names by getaddrinfo(3), on a thread of the blocking pool: what nsswitch.conf says.
//
// The call cannot be interrupted. Who is stopped leaves it behind at once; it frees itself when it ends. Deliberately not
// here: caches (the system has its own, or none), addresses as they arrive (they come together).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/io/blocking.hpp>
#include <flux/net/resolve_errc.hpp>
#include <flux/net/resolver.hpp>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>

#include <netdb.h>

namespace flux::inline FLUX_ABI {

namespace detail {

[[nodiscard, gnu::cold]] inline error lookup_failure(int code, int number) {
    switch (code) {
    case EAI_NONAME: return error(resolve_errc::no_such_name);
    case EAI_NODATA: return error(resolve_errc::no_address);
    case EAI_AGAIN: return error(resolve_errc::timed_out);
    case EAI_MEMORY: return error::from_errno(ENOMEM);
    case EAI_SYSTEM: return error::from_errno(number);
    default: return error(resolve_errc::server_failed).doing(::gai_strerror(code));
    }
}

/// One call, on the heap: it may be left behind.
template <class Text>
class system_lookup final : private blocking_job, private mail {
public:
    system_lookup(std::shared_ptr<mailbox> home, Text host) noexcept
        : blocking_job(&on_run), mail(&arrived, &dropped), home_(std::move(home)), host_(std::move(host)) {}

    /// Errors  throws std::system_error if no thread can be started.
    void start() { blocking_pool::instance().push(*this); }

    /// What its waiter holds.
    class handle {
    public:
        explicit handle(system_lookup* job) noexcept : job_(job) {}
        handle(const handle&) = delete;
        handle& operator=(const handle&) = delete;
        ~handle() {
            if (!started_ || job_->done.is_set() || blocking_pool::instance().withdraw(*job_)) {
                delete job_;
            } else {
                job_->left_ = true;
            }
        }
        void start() {
            job_->start();
            started_ = true;
        }
        [[nodiscard]] system_lookup* operator->() const noexcept { return job_; }

    private:
        system_lookup* job_;
        bool started_ = false;
    };

    async_event done;               // this and all below: of the waiter's thread, once `done` is set
    dynamic_array<endpoint> found;
    error failed{std::error_code()};

private:
    static void on_run(blocking_job& job) noexcept {
        auto& self = static_cast<system_lookup&>(job);
        self.call();
        const std::shared_ptr<mailbox> home = self.home_; // the job may go as soon as the mail is there
        if (!home->push(self)) {
            delete &self; // its scheduler ended, and so did its waiter before
        }
    }
    void call() noexcept {
        ::addrinfo wanted{};
        wanted.ai_socktype = SOCK_STREAM;
        ::addrinfo* list = nullptr;
        const int code = ::getaddrinfo(host_.c_str(), nullptr, &wanted, &list);
        try {
            if (code != 0) {
                failed = lookup_failure(code, errno);
                return;
            }
            take(list);
        } catch (...) {
            failed = error::from_errno(ENOMEM);
        }
        if (list != nullptr) {
            ::freeaddrinfo(list);
        }
    }
    void take(const ::addrinfo* list) {
        for (; list != nullptr; list = list->ai_next) {
            ::sockaddr_storage address{};
            std::memcpy(&address, list->ai_addr, std::min<std::size_t>(list->ai_addrlen, sizeof address));
            if (auto one = endpoint::from_sockaddr(address, list->ai_addrlen)) {
                found.push_back(*one);
            }
        }
    }
    static void arrived(mail& m) noexcept {
        auto& self = static_cast<system_lookup&>(m);
        if (self.left_) {
            delete &self;
        } else {
            self.done.set();
        }
    }
    static void dropped(mail& m) noexcept { delete &static_cast<system_lookup&>(m); }

    std::shared_ptr<mailbox> home_;
    Text host_;
    bool left_ = false; // of the waiter's thread
};

template <class Text>
task<> system_lookup_impl(Text host, address_feed& to) {
    auto ctx = co_await this_context();
    if (ctx.stopped()) {
        co_await fail(resolve_error(error(to_errc(ctx.reason())), host));
    }
    typename system_lookup<Text>::handle job(new system_lookup<Text>(ctx.home().mailbox(), host));
    job.start();
    auto waited = co_await attempt(job->done.wait());
    if (!waited) {
        co_await fail(resolve_error(std::move(waited).error(), host));
    }
    for (const endpoint& e : job->found) {
        to.add(e);
    }
    to.answered(address_family::ipv6);
    to.answered(address_family::ipv4);
    if (to.addresses().empty()) {
        const error e = job->failed.code() ? job->failed : error(resolve_errc::no_address);
        co_await fail(resolve_error(e, host));
    }
}

} // namespace detail

/// Names as every other program of the machine has them: nsswitch.conf with its modules (mDNS, LDAP, systemd-resolved).
///
/// As many look-ups run at a time as the blocking pool has threads; each takes as long as the system wants.
/// Cancel   at once; a call that runs is left behind, and keeps its thread until it ends.
class system_resolver {
public:
    // A template so that only programs that use it compile the coroutine (docs/decisions/0007).
    template <class Text = std::string>
    [[nodiscard]] task<> lookup(const std::type_identity_t<Text>& host, address_feed& to) {
        return detail::system_lookup_impl<Text>(host, to);
    }
};

} // namespace flux::inline FLUX_ABI
