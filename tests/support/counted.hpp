// SPDX-License-Identifier: MIT
// tests/support/counted.hpp - a value that knows how many of its kind are alive, copied and moved, and that
// can be told to throw.
#pragma once

#include <set>
#include <stdexcept>
#include <utility>

namespace test_support {

/// What counted objects did since the last reset. A bitwise copy or a double destruction shows in `broken`.
struct counted_log {
    int constructed = 0; // by value, not by copy or move
    int copied = 0;
    int moved = 0;
    int destroyed = 0;
    int broken = 0;   // destroyed without having been constructed at that address, or the reverse
    int throw_in = 0; // the n-th construction of any kind from now throws; 0: none does
    std::set<const void*> live;

    void born(const void* at) {
        if (throw_in > 0 && --throw_in == 0) {
            throw std::runtime_error("counted");
        }
        broken += live.insert(at).second ? 0 : 1;
    }
};

/// `NothrowMove` decides what the type promises, not what it does.
template <bool NothrowMove>
class basic_counted {
public:
    static inline counted_log log;
    static void reset() { log = counted_log(); }

    explicit basic_counted(int value = 0) : value_(value) {
        log.born(this);
        ++log.constructed;
    }
    basic_counted(const basic_counted& other) : value_(other.value_) {
        log.born(this);
        ++log.copied;
    }
    basic_counted(basic_counted&& other) noexcept(NothrowMove) : value_(other.value_) {
        log.born(this);
        other.value_ = -1;
        ++log.moved;
    }
    basic_counted& operator=(const basic_counted&) = default;
    basic_counted& operator=(basic_counted&& other) noexcept(NothrowMove) {
        value_ = std::exchange(other.value_, -1);
        return *this;
    }
    ~basic_counted() {
        ++log.destroyed;
        log.broken += log.live.erase(this) == 1 ? 0 : 1;
    }

    [[nodiscard]] int value() const noexcept { return value_; }
    bool operator==(const basic_counted& other) const noexcept { return value_ == other.value_; }

private:
    int value_;
};

using counted = basic_counted<true>;
using throwing_counted = basic_counted<false>;

/// Resets the log of T and, at the end, says whether every object has died exactly once.
template <class T>
class life_check {
public:
    life_check() { T::reset(); }
    [[nodiscard]] bool balanced() const { return T::log.broken == 0 && T::log.live.empty(); }
};

} // namespace test_support
