// SPDX-License-Identifier: MIT
// The main of every test program.
//
// A filter that matches no test case is an error: a renamed file must not turn into a test that passes by doing
// nothing. So is a case that is skipped without a reason, or a child that no case of its file has run. Where
// FLUX_DRIVER=uring is asked for and the kernel or its policy refuses io_uring, the program reports "skipped" (77); that
// the same tests pass on epoll is another entry's business.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <support/child_case.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

namespace {

using test_support::child_case;

unsigned cases_run = 0;
std::set<std::string> files_in_part; // a filter left cases of them out
std::set<std::string> unexplained;   // skipped, and nobody says why

struct case_counter : doctest::IReporter {
    explicit case_counter(const doctest::ContextOptions& options) : options_(options) {}
    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats& stats) override { cases_run = stats.numTestCasesPassingFilters; }
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData& one) override {
        if (!one.m_skip || options_.no_skip) {
            files_in_part.insert(one.m_file.c_str());
        } else if (one.m_description == nullptr) {
            unexplained.insert(one.m_name);
        }
    }

private:
    const doctest::ContextOptions& options_;
};

// What was to be skipped, and why that is wrong.
bool forgets_cases() {
    for (const std::string& name : unexplained) {
        std::fprintf(stderr, "skipped without a description that says why: %s\n", name.c_str());
    }
    bool forgotten = !unexplained.empty();
    for (const child_case::record& one : child_case::all()) {
        if (!one.was_run && !files_in_part.contains(one.file)) {
            std::fprintf(stderr, "no case of %s runs this child: %s\n", one.file.c_str(), one.name.c_str());
            forgotten = true;
        }
    }
    return forgotten;
}

// The errors that stand for "not on this machine"; anything else is for the tests to report.
bool io_uring_refused() {
    struct alignas(8) {
        unsigned char octets[120]; // sizeof(struct io_uring_params), all zero
    } parameters{};
    const long fd = ::syscall(SYS_io_uring_setup, 4U, &parameters);
    if (fd >= 0) {
        ::close(static_cast<int>(fd));
        return false;
    }
    return errno == EPERM || errno == ENOSYS;
}

} // namespace

REGISTER_LISTENER("case_counter", 1, case_counter);

int main(int argc, char** argv) {
    const char* driver = std::getenv("FLUX_DRIVER");
    if (driver != nullptr && std::strcmp(driver, "uring") == 0 && io_uring_refused()) {
        std::puts("skipped: io_uring_setup is refused on this machine");
        std::fflush(stdout);
        ::_exit(77); // not by way of destructors: one of them fails a program that is to run over TLS and has not
    }
    doctest::Context context;
    context.applyCommandLine(argc, argv);
    const int status = context.run();
    if (context.shouldExit()) {
        return status;
    }
    if (cases_run == 0) {
        std::fputs("no test case matches the filter\n", stderr);
        return 1;
    }
    return forgets_cases() ? 1 : status;
}
