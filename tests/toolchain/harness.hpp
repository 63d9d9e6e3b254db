// SPDX-License-Identifier: MIT
// tests/toolchain/harness.hpp - the smallest coroutine machinery that shows what a compiler does to temporaries.
//
// Nothing of flux is used: the subject is the compiler. A probe knows every live object by address, so an object that
// was copied octet by octet, or destroyed twice, is noticed without a sanitizer.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <set>
#include <string>
#include <utility>

struct probe {
    static inline std::set<const probe*> live;
    static inline int bad = 0;

    std::string tag;

    probe() : probe("a default that is too long for the small string buffer") {}
    explicit probe(const char* t) : tag(t) { live.insert(this); }
    probe(const probe& other) : tag(other.tag) {
        bad += live.count(&other) == 0;
        live.insert(this);
    }
    probe(probe&& other) noexcept : tag(std::move(other.tag)) {
        bad += live.count(&other) == 0;
        live.insert(this);
    }
    probe& operator=(const probe&) = default;
    probe& operator=(probe&&) = default;
    ~probe() { bad += live.erase(this) == 0; }
};

inline std::coroutine_handle<> parked;

struct yield_once {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { parked = h; }
    void await_resume() const noexcept {}
};

template <class T>
class task {
public:
    struct promise_type {
        struct final_awaiter {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
                return h.promise().next;
            }
            void await_resume() const noexcept {}
        };

        std::coroutine_handle<> next = std::noop_coroutine();
        std::exception_ptr error;
        std::optional<T> value;

        task get_return_object() noexcept { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        final_awaiter final_suspend() const noexcept { return {}; }
        void unhandled_exception() noexcept { error = std::current_exception(); }
        template <class U = T>
        void return_value(U&& u) {
            value.emplace(std::forward<U>(u));
        }
    };

    struct awaiter {
        std::coroutine_handle<promise_type> h;
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> c) const noexcept {
            h.promise().next = c;
            return h;
        }
        T await_resume() const {
            if (h.promise().error) {
                std::rethrow_exception(h.promise().error);
            }
            return std::move(*h.promise().value);
        }
    };

    explicit task(std::coroutine_handle<promise_type> h) noexcept : h_(h) {}
    task(task&& other) noexcept : h_(std::exchange(other.h_, {})) {}
    ~task() {
        if (h_) {
            h_.destroy();
        }
    }
    awaiter operator co_await() && noexcept { return {h_}; }

    void step() const { h_.resume(); }
    bool done() const noexcept { return h_.done(); }
    T take() const {
        if (h_.promise().error) {
            std::rethrow_exception(h_.promise().error);
        }
        return std::move(*h_.promise().value);
    }

private:
    std::coroutine_handle<promise_type> h_;
};

// Runs a task to its end; whatever is parked on the way is resumed.
template <class T>
T run(task<T> t) {
    t.step();
    while (!t.done()) {
        std::exchange(parked, {}).resume();
    }
    return t.take();
}
