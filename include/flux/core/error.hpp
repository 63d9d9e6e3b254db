// SPDX-License-Identifier: MIT
// flux/core/error.hpp - why an operation did not succeed, in a form that both people and programs can use.
//
// An error is a std::error_code plus, on the cold path only, a heap block with the chain of what was being
// done: four words, so that a result<T> stays small. Deliberately not here: the carrier result<T>
// (result.hpp), HTTP's own codes (http/wire/errc.hpp).
#pragma once

#include <flux/config.hpp>
#include <flux/core/dynamic_array.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace flux::inline FLUX_ABI {

/// The codes that flux itself produces. Errors of the kernel keep their errno in std::system_category.
enum class errc : int {
    canceled = 1,  ///< somebody asked for it: a cancel_source, a failed sibling, a lost race
    timed_out,     ///< a deadline passed; never reported as `canceled`
    disconnected,  ///< the peer on whose behalf the work was done has gone away
    shutdown,      ///< the program or the server is stopping
    eof,           ///< the stream ended before the octets that were required
    closed,        ///< the stream, channel or listener was closed on this side
    limit,         ///< a configured limit was exceeded
    protocol,      ///< the peer broke the protocol
    invalid_argument, ///< the caller's input cannot be used
    overlap,       ///< a second read (or write) was started while one was in flight
    unavailable,   ///< this kernel or this build cannot do it
    injected,      ///< a test's fault injection
};

/// The question callers ask first: whose fault, and what can be done about it.
enum class error_kind : std::uint8_t { network, tls, timeout, cancelled, protocol, http, limit, usage };

/// Where in an exchange the error happened. `none` outside of exchanges.
enum class error_phase : std::uint8_t { none, resolve, connect, tls, write, head, body };

[[nodiscard]] constexpr std::string_view to_string(error_kind k) noexcept {
    constexpr std::string_view names[] = {"network", "tls", "timeout", "cancelled",
                                          "protocol", "http", "limit", "usage"};
    return names[static_cast<std::size_t>(k)];
}

[[nodiscard]] constexpr std::string_view to_string(error_phase p) noexcept {
    constexpr std::string_view names[] = {"none", "resolve", "connect", "tls", "write", "head", "body"};
    return names[static_cast<std::size_t>(p)];
}

/// A std::error_category that also knows the error_kind of its codes. Derive from it to add codes.
class error_domain : public std::error_category {
public:
    [[nodiscard]] virtual error_kind kind_of(int code) const noexcept = 0;
};

namespace detail {

class flux_domain final : public error_domain {
public:
    [[nodiscard]] const char* name() const noexcept override { return "flux"; }
    [[nodiscard]] std::string message(int code) const override { return text(static_cast<errc>(code)); }
    [[nodiscard]] error_kind kind_of(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
        case errc::canceled:
        case errc::disconnected:
        case errc::shutdown: return error_kind::cancelled;
        case errc::timed_out: return error_kind::timeout;
        case errc::eof:
        case errc::injected: return error_kind::network;
        case errc::protocol: return error_kind::protocol;
        case errc::limit: return error_kind::limit;
        case errc::closed:
        case errc::invalid_argument:
        case errc::overlap:
        case errc::unavailable: return error_kind::usage;
        }
        return error_kind::usage;
    }
    // So that `code == std::errc::timed_out` holds whether flux or the kernel measured the time.
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
        case errc::canceled: return std::errc::operation_canceled;
        case errc::timed_out: return std::errc::timed_out;
        case errc::invalid_argument: return std::errc::invalid_argument;
        case errc::unavailable: return std::errc::not_supported;
        default: return {code, *this};
        }
    }
    [[nodiscard]] static const char* text(errc code) noexcept {
        switch (code) {
        case errc::canceled: return "canceled";
        case errc::timed_out: return "timed out";
        case errc::disconnected: return "peer disconnected";
        case errc::shutdown: return "shutting down";
        case errc::eof: return "unexpected end of stream";
        case errc::closed: return "already closed";
        case errc::limit: return "limit exceeded";
        case errc::protocol: return "protocol error";
        case errc::invalid_argument: return "invalid argument";
        case errc::overlap: return "operation overlaps another one";
        case errc::unavailable: return "not available here";
        case errc::injected: return "injected fault";
        }
        return "unknown flux error";
    }
};

// Never destroyed: destructors of static objects may still hold and print errors at exit.
template <class Domain>
union immortal {
    constexpr immortal() noexcept : domain() {}
    ~immortal() {}
    Domain domain;
};

// The one object of each domain. In a function template, so that only programs which use a domain carry it: an inline
// variable, or one that is a template, goes into each translation unit with all that it points at.
template <class Domain>
[[nodiscard]] const Domain& the_domain() noexcept {
    static constinit const immortal<Domain> object{};
    return object.domain;
}

// The calls that report these numbers were wrong by themselves, whatever the network does.
[[nodiscard]] constexpr error_kind kind_of_errno(int number) noexcept {
    switch (number) {
    case ETIMEDOUT: return error_kind::timeout;
    case ECANCELED: return error_kind::cancelled;
    case EAFNOSUPPORT:
    case EBADF:
    case EDESTADDRREQ:
    case EFAULT:
    case EINVAL:
    case EISCONN:
    case EMSGSIZE:
    case ENAMETOOLONG:
    case ENOSYS:
    case ENOTSOCK:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EPROTOTYPE: return error_kind::usage;
    default: return error_kind::network;
    }
}

} // namespace detail

[[nodiscard]] inline const error_domain& flux_category() noexcept {
    return detail::the_domain<detail::flux_domain>();
}
[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), flux_category()};
}

} // namespace flux::inline FLUX_ABI

template <>
struct std::is_error_code_enum<flux::errc> : std::true_type {};

namespace flux::inline FLUX_ABI {

/// The failure of one operation: a code, and on the cold path a chain of what was being done.
///
/// Thrown by `co_await op`, carried by `result<T>` from `co_await attempt(op)`. Cheap to move and to copy:
/// copies share the chain until one of them is written to. After a move the source keeps its code.
///
/// Errors   what adds context may throw std::bad_alloc and then has changed nothing.
/// Threads  distinct objects, copies of each other included: safe. One object: as for any standard type,
///          const functions (what() is one) may run at the same time, others need exclusion.
/// Cost     32 octets; one allocation for the first piece of context.
class error : public std::exception {
    struct facts {
        detail::dynamic_array<std::string> activities; // innermost first
        std::string peer;
        std::uint64_t bytes_sent = 0;
        unsigned attempt = 0;
        error_phase phase = error_phase::none;
        bool retryable = false;
    };

public:
    error(std::error_code code) noexcept : code_(code) {} // implicit: `return error_code` must read well
    error(errc code) noexcept : code_(make_error_code(code)) {}
    error(const error& other) noexcept : std::exception(other), code_(other.code_), block_(share(other)) {}
    error(error&& other) noexcept : std::exception(other), code_(other.code_), block_(take(other)) {}
    error& operator=(const error& other) noexcept {
        block* mine = share(other); // before the release: `other` may be *this
        code_ = other.code_;
        release(block_.load(std::memory_order_relaxed));
        block_.store(mine, std::memory_order_relaxed);
        return *this;
    }
    error& operator=(error&& other) noexcept {
        block* mine = take(other); // empties *this first if `other` is *this
        code_ = other.code_;
        release(block_.load(std::memory_order_relaxed));
        block_.store(mine, std::memory_order_relaxed);
        return *this;
    }
    ~error() override { release(block_.load(std::memory_order_relaxed)); }

    /// An error of the kernel. Params: `number` an errno value, positive.
    [[nodiscard]] static error from_errno(int number) noexcept {
        return error(std::error_code(number, std::system_category()));
    }

    [[nodiscard]] std::error_code code() const noexcept { return code_; }
    /// Whether it has that code, of flux::errc or of any other enumeration: `e.is(http::errc::unexpected_status)`,
    /// `e.is(std::errc::connection_refused)`.
    [[nodiscard]] bool is(errc code) const noexcept { return code_ == make_error_code(code); }
    template <class Code>
        requires(std::is_error_code_enum_v<Code> || std::is_error_condition_enum_v<Code>)
    [[nodiscard]] bool is(Code code) const noexcept {
        return code_ == code;
    }

    /// An error_domain says so itself. Of errno values ETIMEDOUT is a timeout, ECANCELED cancelled, EINVAL,
    /// EBADF and their like usage; everything else is network.
    [[nodiscard]] error_kind kind() const noexcept {
        const std::error_category& category = code_.category();
        if (category == std::system_category() || category == std::generic_category()) {
            return detail::kind_of_errno(code_.value());
        }
        if (const auto* domain = dynamic_cast<const error_domain*>(&category)) {
            return domain->kind_of(code_.value());
        }
        return error_kind::network;
    }

    /// Prepends what was being done: `e.doing("connect 127.0.0.1:1")` prints as
    /// `connect 127.0.0.1:1: Connection refused`. The outermost call is printed first.
    error& doing(std::string activity) & {
        own().activities.push_back(std::move(activity));
        return *this;
    }
    [[nodiscard]] error doing(std::string activity) && {
        doing(std::move(activity));
        return std::move(*this);
    }

    error& phase(error_phase p) & { own().phase = p; return *this; }
    [[nodiscard]] error phase(error_phase p) && { phase(p); return std::move(*this); }
    [[nodiscard]] error_phase phase() const noexcept { return fact(&facts::phase); }

    /// Textual address of the peer; empty where there was none. The view dies with the next change.
    error& peer(std::string address) & { own().peer = std::move(address); return *this; }
    [[nodiscard]] error peer(std::string address) && { peer(std::move(address)); return std::move(*this); }
    [[nodiscard]] std::string_view peer() const& noexcept {
        const facts* k = known();
        return k != nullptr ? std::string_view(k->peer) : std::string_view();
    }
    void peer() const&& = delete;

    /// Which attempt failed, counted from 1; 0 where nothing was counted.
    error& attempt(unsigned n) & { own().attempt = n; return *this; }
    [[nodiscard]] error attempt(unsigned n) && { attempt(n); return std::move(*this); }
    [[nodiscard]] unsigned attempt() const noexcept { return fact(&facts::attempt); }

    /// Octets that had been given to the kernel when it failed.
    error& bytes_sent(std::uint64_t n) & { own().bytes_sent = n; return *this; }
    [[nodiscard]] error bytes_sent(std::uint64_t n) && { bytes_sent(n); return std::move(*this); }
    [[nodiscard]] std::uint64_t bytes_sent() const noexcept { return fact(&facts::bytes_sent); }

    /// Whether the failed operation provably had no effect on the peer, so that repeating it is safe.
    error& retryable(bool yes) & { own().retryable = yes; return *this; }
    [[nodiscard]] error retryable(bool yes) && { retryable(yes); return std::move(*this); }
    [[nodiscard]] bool retryable() const noexcept { return fact(&facts::retryable); }

    /// The whole chain, outermost activity first.
    [[nodiscard]] std::string message() const {
        std::string text;
        if (const facts* k = known()) {
            for (std::size_t i = k->activities.size(); i-- > 0;) {
                text += k->activities[i];
                text += ": ";
            }
        }
        text += code_.message();
        return text;
    }

    /// message() as C text, made once and valid until *this is changed or dies. Without memory for it: the
    /// text of the code alone, or a fixed one.
    [[nodiscard]] const char* what() const noexcept override {
        const bool ours = code_.category() == flux_category();
        const char* plain = ours ? detail::flux_domain::text(static_cast<errc>(code_.value())) : "flux::error";
        if (ours && known() == nullptr) {
            return plain;
        }
        try {
            return lazy_text();
        } catch (...) {
            return plain;
        }
    }

private:
    // Immutable while it has two owners, but for `text`, which is set once for all of them: they have the
    // same code and the same facts. std::shared_ptr does not do here: its use_count() does not order the
    // reads of a former owner before the writes of the last one.
    struct block {
        block() noexcept = default;
        explicit block(const facts& f) : known(f) {}
        block(const block&) = delete;
        block& operator=(const block&) = delete;
        ~block() { delete text.load(std::memory_order_relaxed); }

        std::atomic<std::uint32_t> owners{1};
        std::atomic<const std::string*> text{nullptr};
        facts known;
    };

    // Null where no context was added.
    [[nodiscard]] const facts* known() const noexcept {
        const block* mine = block_.load(std::memory_order_acquire);
        return mine != nullptr ? &mine->known : nullptr;
    }
    template <class Fact>
    [[nodiscard]] Fact fact(Fact facts::*which) const noexcept {
        const facts* k = known();
        return k != nullptr ? k->*which : Fact();
    }
    [[nodiscard]] static block* share(const error& other) noexcept {
        block* theirs = other.block_.load(std::memory_order_acquire);
        if (theirs != nullptr) {
            theirs->owners.fetch_add(1, std::memory_order_relaxed);
        }
        return theirs;
    }
    [[nodiscard]] static block* take(error& other) noexcept {
        block* theirs = other.block_.load(std::memory_order_relaxed);
        other.block_.store(nullptr, std::memory_order_relaxed);
        return theirs;
    }
    static void release(block* b) noexcept {
        if (b != nullptr) {
            drop(b);
        }
    }
    [[gnu::cold, gnu::noinline]] static void drop(block* b) noexcept {
        if (b->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete b;
        }
    }

    // The facts, with no other owner and no text made of them: ready to be written to.
    [[nodiscard, gnu::cold, gnu::noinline]] facts& own() {
        block* mine = block_.load(std::memory_order_relaxed);
        if (mine == nullptr) {
            mine = new block;
        } else if (mine->owners.load(std::memory_order_acquire) != 1) {
            auto* copy = new block(mine->known);
            release(mine);
            mine = copy;
        } else {
            delete mine->text.exchange(nullptr, std::memory_order_relaxed);
        }
        block_.store(mine, std::memory_order_relaxed);
        return mine->known;
    }

    // Several threads may come here for one object: the first one's block and text win.
    [[nodiscard, gnu::cold, gnu::noinline]] const char* lazy_text() const {
        block* mine = block_.load(std::memory_order_acquire);
        if (mine == nullptr) {
            auto* fresh = new block;
            if (block_.compare_exchange_strong(mine, fresh, std::memory_order_acq_rel)) {
                mine = fresh;
            } else {
                delete fresh;
            }
        }
        const std::string* text = mine->text.load(std::memory_order_acquire);
        if (text == nullptr) {
            const auto* fresh = new std::string(message());
            if (mine->text.compare_exchange_strong(text, fresh, std::memory_order_acq_rel)) {
                text = fresh;
            } else {
                delete fresh;
            }
        }
        return text->c_str();
    }

    std::error_code code_;
    mutable std::atomic<block*> block_{nullptr};
};

/// Tag that makes a failed result: `return fail(errc::closed);` or `co_return fail(err);`.
class [[nodiscard]] failure {
public:
    explicit failure(flux::error e) noexcept : error_(std::move(e)) {}
    [[nodiscard]] flux::error& error() & noexcept { return error_; }
    [[nodiscard]] const flux::error& error() const& noexcept { return error_; }
    [[nodiscard]] flux::error&& error() && noexcept { return std::move(error_); }

private:
    flux::error error_;
};

[[nodiscard]] inline failure fail(error e) noexcept { return failure(std::move(e)); }
[[nodiscard]] inline failure fail(errc code) noexcept { return failure(error(code)); }
[[nodiscard]] inline failure fail(std::error_code code) noexcept { return failure(error(code)); }

namespace detail {
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_error(error e) { throw e; }
} // namespace detail

} // namespace flux::inline FLUX_ABI
