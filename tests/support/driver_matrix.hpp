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
// child_program runs one test case in a process of its own, for what is everybody's: signals, limits, seccomp.
#pragma once

#include <flux/io/reactor.hpp>

#include <doctest/doctest.h>

#include <support/child_case.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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
    if (const auto probe = flux::detail::uring_driver::open(8, 64, refused); !probe) {
        return {flux::driver_kind::epoll};
    }
    return {flux::driver_kind::uring, flux::driver_kind::epoll};
}

inline std::string name_of(flux::driver_kind kind) { return kind == flux::driver_kind::uring ? "uring" : "epoll"; }

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
        auto now = open_descriptors();
        // A thread that has just sent its mail holds the mailbox, with its eventfd, for a moment longer.
        for (int i = 0; i < 1000 && now.size() > descriptors_.size(); ++i) {
            ::usleep(1000);
            now = open_descriptors();
        }
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

/// This program again, in a new process that runs one test case: a child_case.
class child_program {
public:
    explicit child_program(const char* test_case) {
        REQUIRE_MESSAGE(child_case::note_run(test_case), "not the name of one child_case: ", std::string(test_case));
        int output[2];
        int errors[2];
        REQUIRE(::pipe2(output, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(errors, O_CLOEXEC) == 0);
        output_.reset(output[0]);
        errors_.reset(errors[0]);
        const flux::unique_fd output_in(output[1]);
        const flux::unique_fd errors_in(errors[1]);
        ::posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, output_in.get(), 1);
        ::posix_spawn_file_actions_adddup2(&actions, errors_in.get(), 2);
        std::string filter = std::string("--test-case=") + test_case;
        std::string skipped = "--no-skip";
        std::string name = "child";
        char* const arguments[] = {name.data(), filter.data(), skipped.data(), nullptr};
        const int failed = ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments, environ);
        ::posix_spawn_file_actions_destroy(&actions);
        REQUIRE(failed == 0);
    }
    child_program(const child_program&) = delete;
    child_program& operator=(const child_program&) = delete;
    ~child_program() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    /// Waits until it has said `text` on its standard output.
    void until_said(std::string_view text) {
        while (said_.find(text) == std::string::npos) {
            if (!read_some(output_, said_)) {
                FAIL_CHECK("the child ended without saying ", text, "; it said: ", said_, complaints());
                return;
            }
        }
    }
    void signal(int number) const { ::kill(pid_, number); }
    /// Sends it again and again until the child ends; as wait(). When a signal is taken cannot be seen from outside, and
    /// of one number only one is pending at a time.
    int signal_until_ended(int number) {
        int status = 0;
        const ::timespec pause{0, 5'000'000};
        while (::waitpid(pid_, &status, WNOHANG) == 0) {
            signal(number);
            ::nanosleep(&pause, nullptr);
        }
        pid_ = -1;
        return status_of(status);
    }
    /// Waits for its end: the exit status, or 1000 plus the signal that killed it.
    int wait() {
        std::ignore = complaints();
        int status = 0;
        REQUIRE(::waitpid(pid_, &status, 0) == pid_);
        pid_ = -1;
        return status_of(status);
    }
    /// All that it wrote on standard error; waits for its end.
    const std::string& complaints() {
        while (read_some(errors_, complaints_)) {
        }
        return complaints_;
    }

private:
    static int status_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status); }
    static bool read_some(const flux::unique_fd& from, std::string& to) {
        char text[1000];
        const ::ssize_t n = ::read(from.get(), text, sizeof text);
        if (n <= 0) {
            return n < 0 && errno == EINTR;
        }
        to.append(text, static_cast<std::size_t>(n));
        return true;
    }

    flux::unique_fd output_;
    flux::unique_fd errors_;
    std::string said_;
    std::string complaints_;
    ::pid_t pid_ = -1;
};

/// In a child: what its parent waits for.
inline void say(std::string_view text) { std::ignore = ::write(1, text.data(), text.size()); }

/// From here on a system call of this process fails with `error_number`, as in a sandbox.
inline void forbid_system_call(long number, int error_number) {
    ::sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), // seccomp_data.nr
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error_number)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const ::sock_fprog filter{sizeof program / sizeof program[0], program};
    REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    REQUIRE(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

} // namespace test_support
