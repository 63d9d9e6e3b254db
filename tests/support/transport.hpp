// SPDX-License-Identifier: MIT
// tests/support/transport.hpp - the same tests over plain streams and over TLS.
//
//     auto ends = test_support::any_pair(memory_options);    the first one connected, the second one was accepted
//
// FLUX_TEST_TRANSPORT=tls makes TLS of every such end, with a client's and a server's engine between the two; ctest
// runs each file that includes this header once more in that way. The library behind it is compiled in one file,
// transport_tls.cpp. A test that is about something which TLS does not have says so: TEST_CASE("..." * plain_only("why")).
#pragma once

#include <flux/coro/task.hpp>
#include <flux/net/stream.hpp>
#include <flux/testing/memory_listener.hpp>
#include <flux/testing/memory_stream.hpp>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

namespace test_support {

inline bool over_tls() {
    static const bool chosen = [] {
        const char* name = std::getenv("FLUX_TEST_TRANSPORT");
        return name != nullptr && std::string_view(name) == "tls";
    }();
    return chosen;
}

/// Whether a large set is cut down: over TLS in builds that are not optimised, where handshakes and records cost most.
inline bool reduced() {
#if FLUX_SANITIZED || !defined(__OPTIMIZE__)
    return over_tls();
#else
    return false;
#endif
}

/// A decorator of test cases: skipped over TLS.
struct plain_only {
    const char* why;
    explicit plain_only(const char* reason) : why(reason) {}
    template <class TestCase>
    void fill(TestCase& c) const {
        c.m_description = why;
        c.m_skip = c.m_skip || over_tls();
    }
};

/// One end of a connection that is TLS, whatever library that is.
template <class Next>
class secure_end {
public:
    secure_end() = default;
    secure_end(const secure_end&) = delete;
    secure_end& operator=(const secure_end&) = delete;
    virtual ~secure_end() = default;
    virtual flux::task<> handshake() = 0;
    virtual flux::task<flux::received> receive() = 0;
    virtual flux::task<std::size_t> read_some(flux::mutable_buffer out) = 0;
    virtual flux::task<> write_all(flux::const_buffer in) = 0;
    virtual flux::task<> write_all(std::span<const flux::const_buffer> list) = 0;
    virtual flux::result<void> shutdown_write() noexcept = 0;
    virtual void close() noexcept = 0;
    virtual void abort() noexcept = 0;
    virtual void watch_hangup(flux::hangup_listener* l) noexcept = 0;
    virtual void watch_input(flux::hangup_listener* l) noexcept = 0;
    [[nodiscard]] virtual bool has_input() noexcept = 0;
    [[nodiscard]] virtual flux::received try_receive() = 0;
    [[nodiscard]] virtual Next* next() noexcept = 0; ///< null once it is closed
};

/// One certificate and one context each for the process, resumed sessions for the thread; for the Next that
/// transport_tls.cpp names.
template <class Next>
std::unique_ptr<secure_end<Next>> make_secure_client(Next next);
template <class Next>
std::unique_ptr<secure_end<Next>> make_secure_server(Next next);

// Waits for what one of two operations is, without a frame of its own.
template <class Plain, class T>
class either_op;
template <class Plain, class T>
class either_state {
public:
    either_state(either_op<Plain, T> op, flux::detail::context_node& ctx) {
        if (op.secure_) {
            state_.template emplace<secure>(*std::move(op.secure_), ctx);
        } else {
            state_.template emplace<plain>(*std::move(op.plain_), ctx);
        }
    }
    either_state(const either_state&) = delete;
    either_state& operator=(const either_state&) = delete;

    bool await_ready() noexcept {
        return state_.index() == 1 ? std::get<plain>(state_).await_ready() : std::get<secure>(state_).await_ready();
    }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
        return state_.index() == 1 ? suspend(std::get<plain>(state_), waiter) : suspend(std::get<secure>(state_), waiter);
    }
    [[nodiscard]] flux::result<T> take() {
        return state_.index() == 1 ? std::get<plain>(state_).take() : std::get<secure>(state_).take();
    }

private:
    template <class State>
    static std::coroutine_handle<> suspend(State& s, std::coroutine_handle<> waiter) noexcept {
        using answer = decltype(s.await_suspend(waiter));
        if constexpr (std::is_void_v<answer>) {
            s.await_suspend(waiter);
            return std::noop_coroutine();
        } else if constexpr (std::is_same_v<answer, bool>) {
            return s.await_suspend(waiter) ? std::coroutine_handle<>(std::noop_coroutine()) : waiter;
        } else {
            return s.await_suspend(waiter);
        }
    }
    using plain = typename Plain::state_type;
    using secure = typename flux::task<T>::state_type;
    std::variant<std::monostate, plain, secure> state_;
};
template <class Plain, class T>
class [[nodiscard]] either_op {
public:
    using value_type = T;
    using state_type = either_state<Plain, T>;
    explicit either_op(Plain plain) : plain_(std::move(plain)) {}
    explicit either_op(flux::task<T> secure) : secure_(std::move(secure)) {}

private:
    friend class either_state<Plain, T>;
    std::optional<Plain> plain_;
    std::optional<flux::task<T>> secure_;
};

/// One end of a connection: Next itself, or TLS over it. As Next, it may be moved while operations are in flight.
template <class Next = flux::testing::memory_stream>
class any_end {
public:
    /// A closed stream.
    any_end() noexcept : plain_(std::in_place) {}
    explicit any_end(Next plain) noexcept : plain_(std::move(plain)) {}
    explicit any_end(std::unique_ptr<secure_end<Next>> secure) noexcept : secure_(std::move(secure)) {}

    [[nodiscard]] static any_end connected(Next s) {
        return over_tls() ? any_end(make_secure_client(std::move(s))) : any_end(std::move(s));
    }
    [[nodiscard]] static any_end accepted(Next s) {
        return over_tls() ? any_end(make_secure_server(std::move(s))) : any_end(std::move(s));
    }

    /// Makes the handshake, where there is one: a peer that ends or says nothing does so above TLS, not instead of it.
    [[nodiscard]] flux::task<> ready() {
        if (secure_ != nullptr) {
            co_await secure_->handshake();
        }
    }

    [[nodiscard]] auto receive() {
        using op = either_op<decltype(plain_->receive()), flux::received>;
        return secure_ ? op(secure_->receive()) : op(plain_->receive());
    }
    [[nodiscard]] auto read_some(flux::mutable_buffer out) {
        using op = either_op<decltype(plain_->read_some(out)), std::size_t>;
        return secure_ ? op(secure_->read_some(out)) : op(plain_->read_some(out));
    }
    [[nodiscard]] auto write_all(flux::const_buffer in) {
        using op = either_op<decltype(plain_->write_all(in)), void>;
        return secure_ ? op(secure_->write_all(in)) : op(plain_->write_all(in));
    }
    [[nodiscard]] auto write_all(std::span<const flux::const_buffer> list) {
        using op = either_op<decltype(plain_->write_all(list)), void>;
        return secure_ ? op(secure_->write_all(list)) : op(plain_->write_all(list));
    }
    flux::result<void> shutdown_write() noexcept { return secure_ ? secure_->shutdown_write() : plain_->shutdown_write(); }
    void close() noexcept {
        if (secure_) {
            secure_->close();
        } else if (plain_) {
            plain_->close();
        }
    }
    void abort() noexcept {
        if (secure_) {
            secure_->abort();
        } else if (plain_) {
            plain_->abort();
        }
    }
    [[nodiscard]] bool is_open() const noexcept {
        const Next* const next = under();
        return next != nullptr && next->is_open();
    }
    void watch_hangup(flux::hangup_listener* l) noexcept { secure_ ? secure_->watch_hangup(l) : plain_->watch_hangup(l); }
    void watch_input(flux::hangup_listener* l) noexcept { secure_ ? secure_->watch_input(l) : plain_->watch_input(l); }
    [[nodiscard]] flux::received try_receive()
        requires requires(Next& n) { n.try_receive(); }
    {
        return secure_ ? secure_->try_receive() : plain_->try_receive();
    }
    [[nodiscard]] bool has_input() noexcept { return secure_ ? secure_->has_input() : plain_->has_input(); }
    [[nodiscard]] flux::result<flux::endpoint> peer_endpoint() const {
        const Next* const next = under();
        return next == nullptr ? flux::result<flux::endpoint>(flux::fail(flux::errc::closed)) : next->peer_endpoint();
    }
    [[nodiscard]] flux::result<flux::endpoint> local_endpoint() const {
        const Next* const next = under();
        return next == nullptr ? flux::result<flux::endpoint>(flux::fail(flux::errc::closed)) : next->local_endpoint();
    }
    /// What is below TLS; null once that is closed.
    [[nodiscard]] Next* under() noexcept { return secure_ ? secure_->next() : plain_ ? &*plain_ : nullptr; }
    [[nodiscard]] const Next* under() const noexcept { return secure_ ? secure_->next() : plain_ ? &*plain_ : nullptr; }

private:
    std::optional<Next> plain_; // neither: TLS that was moved from
    std::unique_ptr<secure_end<Next>> secure_;
};

using any_stream = any_end<flux::testing::memory_stream>;
static_assert(flux::buffered_stream<any_stream>);

/// As make_memory_pair.
[[nodiscard]] inline std::pair<any_stream, any_stream>
any_pair(flux::testing::memory_options options = {}, const flux::endpoint& first = flux::endpoint::loopback(50'000),
         const flux::endpoint& second = flux::endpoint::loopback(80)) {
    auto ends = flux::testing::make_memory_pair(options, first, second);
    return {any_stream::connected(std::move(ends.first)), any_stream::accepted(std::move(ends.second))};
}

class any_accept_state;
class [[nodiscard]] any_accept_op {
public:
    using value_type = any_stream;
    using state_type = any_accept_state;
    explicit any_accept_op(flux::detail::memory_accept_op op) : accept(std::move(op)) {}
    flux::detail::memory_accept_op accept;
};
class any_accept_state : public flux::detail::memory_accept_state {
public:
    any_accept_state(any_accept_op op, flux::detail::context_node& ctx) noexcept
        : memory_accept_state(std::move(op.accept), ctx) {}
    [[nodiscard]] flux::result<any_stream> take() {
        auto stream = memory_accept_state::take();
        if (!stream) {
            return flux::fail(std::move(stream).error());
        }
        return any_stream::accepted(*std::move(stream));
    }
};

/// As memory_listener.
class any_listener {
public:
    using stream_type = any_stream;
    explicit any_listener(flux::testing::memory_listener_options options = {}) : listener_(options) {}
    explicit any_listener(flux::testing::memory_listener next) noexcept : listener_(std::move(next)) {}
    [[nodiscard]] any_accept_op accept() { return any_accept_op(listener_.accept()); }
    [[nodiscard]] flux::result<any_stream> connect() { return connected(listener_.connect()); }
    [[nodiscard]] flux::result<any_stream> connect(const flux::endpoint& from) { return connected(listener_.connect(from)); }
    void close() noexcept { listener_.close(); }
    void inject_error(int number) noexcept { listener_.inject_error(number); }

private:
    static flux::result<any_stream> connected(flux::result<flux::testing::memory_stream> stream) {
        if (!stream) {
            return flux::fail(std::move(stream).error());
        }
        return any_stream::connected(*std::move(stream));
    }
    flux::testing::memory_listener listener_;
};

/// What a server may own; the test keeps the listener behind it.
class borrowed_listener {
public:
    using stream_type = any_stream;
    explicit borrowed_listener(any_listener& to) noexcept : to_(&to) {}
    [[nodiscard]] any_accept_op accept() { return to_->accept(); }
    void close() noexcept { to_->close(); }

private:
    any_listener* to_;
};

} // namespace test_support
