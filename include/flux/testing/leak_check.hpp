// SPDX-License-Identifier: MIT
// flux/testing/leak_check.hpp - did a test leave coroutines, timers or descriptors behind?
//
// Compares before and after: coroutine frames of this thread, armed timers of a loop, descriptors of the process.
// Deliberately not here: memory (AddressSanitizer and its leak check see that).
#pragma once

#include <flux/coro/frame_pool.hpp>
#include <flux/coro/scheduler.hpp>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <dirent.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::testing {

/// What exists now, as far as a test can leak it.
class leak_snapshot {
public:
    /// Params   loop  whose timers are counted; nullptr: none.
    explicit leak_snapshot(const scheduler* loop = nullptr)
        : frames_(coroutine_frame_stats().live), timers_(loop == nullptr ? 0 : loop->timers().size()),
          descriptors_(list_descriptors()) {}

    /// What `after` has too much or too little, as text: "2 coroutine frames; descriptor 7 (socket:[81])".
    /// Empty if nothing.
    [[nodiscard]] std::string difference_to(const leak_snapshot& after) const {
        std::string text;
        if (after.frames_ != frames_) {
            add(text, std::to_string(static_cast<std::int64_t>(after.frames_ - frames_)) + " coroutine frames");
        }
        if (after.timers_ != timers_) {
            add(text, std::to_string(static_cast<std::int64_t>(after.timers_ - timers_)) + " armed timers");
        }
        for (const std::string& d : after.descriptors_) {
            if (!has(descriptors_, d)) {
                add(text, "descriptor " + d);
            }
        }
        for (const std::string& d : descriptors_) {
            if (!has(after.descriptors_, d)) {
                add(text, "closed or replaced: descriptor " + d);
            }
        }
        return text;
    }

private:
    static void add(std::string& text, const std::string& what) {
        text += text.empty() ? "" : "; ";
        text += what;
    }
    [[nodiscard]] static bool has(const std::vector<std::string>& list, const std::string& d) {
        return std::find(list.begin(), list.end(), d) != list.end();
    }
    // As "7 (socket:[81])", without the one that reading the list takes.
    [[nodiscard]] static std::vector<std::string> list_descriptors() {
        std::vector<std::string> list;
        const std::string folder = "/proc/self/fd/";
        DIR* directory = ::opendir(folder.c_str());
        if (directory == nullptr) {
            return list;
        }
        while (const ::dirent* entry = ::readdir(directory)) {
            if (entry->d_name[0] == '.' || std::atoi(entry->d_name) == ::dirfd(directory)) {
                continue;
            }
            char target[256];
            const ::ssize_t n = ::readlink((folder + entry->d_name).c_str(), target, sizeof target);
            const std::string_view name(target, n > 0 ? static_cast<std::size_t>(n) : 0);
            list.push_back(std::string(entry->d_name) + " (" + std::string(name) + ")");
        }
        ::closedir(directory);
        return list;
    }

    std::uint64_t frames_;
    std::size_t timers_;
    std::vector<std::string> descriptors_;
};

/// Put one at the start of a test: its end compares with its beginning.
///
///     leak_check leaks(nullptr, [](const char* what) { FAIL_CHECK(what); });
///
/// Says nothing when the block is left by an exception: the test has failed already.
/// Threads  the one that runs the test.
class leak_check {
public:
    using reporter = void (*)(const char* what);

    /// Params   loop    whose timers are counted, must outlive this; nullptr: none.
    ///          report  told what leaked; the default prints it and aborts.
    explicit leak_check(const scheduler* loop = nullptr, reporter report = &give_up)
        : loop_(loop), report_(report), before_(loop) {}
    leak_check(const leak_check&) = delete;
    leak_check& operator=(const leak_check&) = delete;
    ~leak_check() noexcept(false) { // the reporter may throw
        if (std::uncaught_exceptions() == exceptions_) {
            const std::string text = difference();
            if (!text.empty()) {
                report_(("leaked: " + text).c_str());
            }
        }
    }

    /// What there is now beyond what there was at the start; empty if nothing.
    [[nodiscard]] std::string difference() const { return before_.difference_to(leak_snapshot(loop_)); }

private:
    [[noreturn]] static void give_up(const char* what) { detail::assertion_failed(what, "leak_check", 0); }

    const scheduler* loop_;
    reporter report_;
    int exceptions_ = std::uncaught_exceptions();
    leak_snapshot before_;
};

} // namespace flux::inline FLUX_ABI::testing
