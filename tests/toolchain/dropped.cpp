// SPDX-License-Identifier: MIT
// dropped.cpp - a forgotten await and a dropped result must not compile with clang (g++ 12 is silent about the latter).
//
// Compiled with -Xclang -verify: every line below that says so has to be diagnosed, and no other line may be.
#include <flux/core/result.hpp>
#include <flux/coro/task.hpp>

flux::result<int> checked();
flux::task<int> number();
flux::task<> work();

flux::task<> subject() {
    checked();                         // expected-error {{ignoring return value}}
    work();                            // expected-error {{ignoring return value}}
    flux::attempt(work());             // expected-error {{ignoring return value}}
    co_await flux::attempt(work());    // expected-error {{ignoring return value}}
    co_await flux::attempt(number());  // expected-error {{ignoring return value}}
    co_await work();
    auto n = co_await flux::attempt(number());
    flux::ignore_result(n, "the point is that this is accepted");
    flux::ignore_result(co_await flux::attempt(work()), "and this");
}
