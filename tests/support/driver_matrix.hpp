// SPDX-License-Identifier: MIT
// tests/support/driver_matrix.hpp - runs a test on the real drivers, with a watchdog and a leak check around it.
//
//     on_each_driver([](const reactor_options& options) {
//         reactor r(options);
//         run(r, scenario());
//     });
//
// Afterwards the process has the descriptors and this thread the coroutine frames that it had before, and the
// reactor nothing in flight, no buffer taken and no timer armed. A hang ends the program with the test's name.
#pragma once

#include <flux/io/reactor.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dirent.h>
#include <unistd.h>

namespace test_support {

/// The drivers that this run of the program is about: the one of FLUX_DRIVER, or both.
inline std::vector<flux::driver_kind> drivers() {
    const char* forced = std::getenv("FLUX_DRIVER");
    const std::string_view name = forced == nullptr ? "" : forced;
    if (name == "uring") {
        return {flux::driver_kind::uring};
    }
    if (name == "epoll") {
        return {flux::driver_kind::epoll};
    }
    int refused = 0;
    if (flux::detail::uring_driver::open(8, 64, refused) == nullptr) {
        return {flux::driver_kind::epoll};
    }
    return {flux::driver_kind::uring, flux::driver_kind::epoll};
}

inline const char* name_of(flux::driver_kind kind) { return kind == flux::driver_kind::uring ? "uring" : "epoll"; }

/// Every open descriptor with what it refers to.
inline std::vector<std::pair<int, std::string>> open_descriptors() {
    std::vector<std::pair<int, std::string>> all;
    ::DIR* directory = ::opendir("/proc/self/fd");
    if (directory == nullptr) {
        return all;
    }
    while (const ::dirent* entry = ::readdir(directory)) {
        const int fd = std::atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == ::dirfd(directory)) {
            continue;
        }
        char target[256];
        const std::string link = "/proc/self/fd/" + std::to_string(fd);
        const ::ssize_t n = ::readlink(link.c_str(), target, sizeof target);
        all.emplace_back(fd, std::string(target, n > 0 ? static_cast<std::size_t>(n) : 0));
    }
    ::closedir(directory);
    std::sort(all.begin(), all.end());
    return all;
}

/// Ends the program when a test takes too long: a lost wake-up is a hang, not a failed check.
class watchdog {
public:
    static constexpr unsigned limit = FLUX_SANITIZED ? 100 : 40; // seconds; the machine may be busy

    watchdog() {
        const doctest::ContextOptions* context = doctest::getContextOptions();
        name_ = context != nullptr && context->currentTest != nullptr ? context->currentTest->m_name : "?";
        struct ::sigaction action {};
        action.sa_handler = &bark;
        ::sigaction(SIGALRM, &action, &before_);
        ::alarm(limit);
    }
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;
    ~watchdog() {
        ::alarm(0);
        ::sigaction(SIGALRM, &before_, nullptr);
    }

private:
    static void bark(int) {
        static constexpr char text[] = "hangs: ";
        [[maybe_unused]] ::ssize_t n = ::write(2, text, sizeof text - 1);
        n = ::write(2, name_, std::strlen(name_));
        n = ::write(2, "\n", 1);
        std::abort();
    }
    static inline const char* name_ = "";
    struct ::sigaction before_ {};
};

/// Compares what exists at the end with what existed at the beginning.
class leak_check {
public:
    leak_check() : descriptors_(open_descriptors()), frames_(flux::coroutine_frame_stats().live) {}
    void check() const {
        CHECK(flux::coroutine_frame_stats().live == frames_);
        const auto now = open_descriptors();
        std::string surplus;
        for (const auto& one : now) {
            if (std::find(descriptors_.begin(), descriptors_.end(), one) == descriptors_.end()) {
                surplus += std::to_string(one.first) + " -> " + one.second + "; ";
            }
        }
        CHECK_MESSAGE(surplus.empty(), "descriptors that were not there before: ", surplus);
        CHECK(now.size() == descriptors_.size());
    }

private:
    std::vector<std::pair<int, std::string>> descriptors_;
    std::uint64_t frames_;
};

inline flux::reactor_options options_for(flux::driver_kind kind) {
    flux::reactor_options options;
    options.driver = kind;
    return options;
}

/// Calls body(reactor_options) once for every driver.
template <class F>
void on_each_driver(F body) {
    for (const flux::driver_kind kind : drivers()) {
        CAPTURE(name_of(kind));
        const watchdog dog;
        const leak_check leaks;
        body(options_for(kind));
        leaks.check();
    }
}

/// Nothing of what ran is left in the reactor.
inline void check_at_rest(flux::reactor& r) {
    CHECK(r.driver().in_flight() == 0);
    CHECK(r.driver().buffers().taken() == 0);
    CHECK(r.timers().size() == 0);
    CHECK(!r.has_ready());
}

/// Runs a task to its end and checks that it left nothing behind.
template <class T>
T run(flux::reactor& r, flux::task<T> main) {
    struct at_end {
        flux::reactor& r;
        ~at_end() { check_at_rest(r); }
    };
    const at_end check{r};
    return r.run(std::move(main));
}

} // namespace test_support
