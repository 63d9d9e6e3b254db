// SPDX-License-Identifier: MIT
// tests/support/child_case.hpp - test cases that are no tests: programs that other cases run as processes of their own.
//
//     TEST_CASE("child: fails" * child_case()) { ::_exit(run(failing())); }
//     TEST_CASE("what fails has status 1") { child_program fails("child: fails"); ... }     // driver_matrix.hpp
//
// The list of them proves that none is forgotten: a name that is not there fails the case that asks for it, and main.cpp
// fails a run of a whole file that leaves one of its children out.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace test_support {

/// The decorator: nobody runs it but child_program.
class child_case {
public:
    struct record {
        std::string name;
        std::string file;
        bool was_run = false;
    };

    void fill(doctest::detail::TestCase& state) const {
        state.m_skip = true;
        state.m_description = "a process of its own, which another case of this file runs";
        all().push_back({state.m_name, state.m_file.c_str()});
    }

    [[nodiscard]] static std::vector<record>& all() {
        static std::vector<record> list;
        return list;
    }
    /// Notes that it is run; false if not exactly one has that name.
    [[nodiscard]] static bool note_run(const char* name) {
        int found = 0;
        for (record& one : all()) {
            if (one.name == name) {
                one.was_run = true;
                ++found;
            }
        }
        return found == 1;
    }
};

} // namespace test_support
