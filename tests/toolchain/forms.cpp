// SPDX-License-Identifier: MIT
// forms.cpp - ways to write an awaited expression, each with the number it must yield. ./forms NAME runs one.
//
// Exit status 0: the number is right, no object was destroyed twice or left alive. 1: it was not. Anything else: the
// program did not live to tell. expected.txt says what each compiler makes of each form; run.py compares.
#include "harness.hpp"

#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

namespace {

struct form {
    const char* name;
    int (*run)();
    int expected;
};
std::vector<form> forms;

struct registrar {
    registrar(const char* name, int (*run)(), int expected) { forms.push_back({name, run, expected}); }
};

// FORM(name, expected): a namespace for what the form needs follows; its subject() is a task<int>.
#define FORM(name, expected)                                                                                          \
    namespace name {                                                                                                  \
    task<int> subject();                                                                                              \
    const registrar entry(#name, [] { return run(subject()); }, expected);                                            \
    }                                                                                                                 \
    namespace name

constexpr const char* text = "a text that is too long for the small string buffer"; // 51 octets

int size(const std::string& s) { return static_cast<int>(s.size()); }
task<int> number(int n) {
    co_await yield_once();
    co_return n;
}
task<bool> greater(int a, int b) {
    co_await yield_once();
    co_return a > b;
}
task<probe> make_probe(const char* t) {
    co_await yield_once();
    co_return probe(t);
}

struct aggregate {
    probe a;
    int n = 3;
};
task<int> take_aggregate(aggregate o) {
    co_await yield_once();
    co_return size(o.a.tag) + o.n;
}
task<int> take_aggregate_ref(const aggregate& o) {
    co_await yield_once();
    co_return size(o.a.tag) + o.n;
}
task<int> take_probe(probe p) {
    co_await yield_once();
    co_return size(p.tag);
}
task<int> take_probe_ref(const probe& p) {
    co_await yield_once();
    co_return size(p.tag);
}
template <class F>
task<int> call(F f) {
    co_await yield_once();
    co_return f();
}

// ---- options that own something, as aggregates ----

FORM(aggregate_empty_braces, 57) {
    task<int> subject() { co_return co_await take_aggregate({}); }
}
FORM(aggregate_designated, 55) {
    task<int> subject() { co_return co_await take_aggregate({.a = probe(text), .n = 4}); }
}
FORM(aggregate_named_type, 54) {
    task<int> subject() { co_return co_await take_aggregate(aggregate{probe(text)}); }
}
FORM(aggregate_by_reference, 55) {
    task<int> subject() { co_return co_await take_aggregate_ref({.a = probe(text), .n = 4}); }
}
FORM(aggregate_default_argument, 58) {
    task<int> take(int k, aggregate o = {}) {
        co_await yield_once();
        co_return k + size(o.a.tag) + o.n;
    }
    task<int> subject() { co_return co_await take(1); }
}
FORM(aggregate_to_plain_function, 55) {
    task<int> take(aggregate o) { return take_aggregate(std::move(o)); }
    task<int> subject() { co_return co_await take({.a = probe(text), .n = 4}); }
}
FORM(aggregate_deep_in_the_expression, 55) {
    task<int> wrap(task<int> t) { co_return co_await std::move(t); }
    task<int> subject() { co_return co_await wrap(take_aggregate({.a = probe(text), .n = 4})); }
}
FORM(aggregate_move_only, 51) {
    struct options {
        std::unique_ptr<probe> a;
        probe b;
    };
    task<int> take(options o) {
        co_await yield_once();
        co_return size(o.a->tag);
    }
    task<int> subject() { co_return co_await take({.a = std::make_unique<probe>(text)}); }
}
FORM(aggregate_named_then_moved, 55) {
    task<int> subject() {
        aggregate o{.a = probe(text), .n = 4};
        co_return co_await take_aggregate(std::move(o));
    }
}
FORM(aggregate_from_function, 54) {
    aggregate make() { return {probe(text), 3}; }
    task<int> subject() { co_return co_await take_aggregate(make()); }
}
FORM(aggregate_task_first_await_later, 55) {
    task<int> subject() {
        auto t = take_aggregate({.a = probe(text), .n = 4});
        co_return co_await std::move(t);
    }
}
FORM(trivial_aggregate, 259) {
    struct options {
        long timeout = 0;
        int n = 3;
        std::string_view tag;
        bool flag = false;
    };
    static_assert(std::is_trivially_destructible_v<options>);
    task<int> take(std::string s, options o = {}) {
        co_await yield_once();
        co_return static_cast<int>(o.timeout) + o.n + static_cast<int>(o.tag.size()) + size(s);
    }
    task<int> subject() { co_return co_await take("four", {.timeout = 250, .tag = "xx"}); }
}
FORM(class_with_constructors, 55) {
    struct options {
        options() = default;
        options(probe p, int k) : a(std::move(p)), n(k) {}
        probe a;
        int n = 3;
    };
    task<int> take(options o) {
        co_await yield_once();
        co_return size(o.a.tag) + o.n;
    }
    task<int> subject() { co_return co_await take({probe(text), 4}); }
}
FORM(class_default_argument, 57) {
    struct options {
        options() : n(3) {}
        probe a;
        int n;
    };
    task<int> take(options o = {}) {
        co_await yield_once();
        co_return size(o.a.tag) + o.n;
    }
    task<int> subject() { co_return co_await take(); }
}
FORM(builder_chain, 53) {
    struct builder {
        explicit builder(probe p) : url(std::move(p)) {}
        probe url;
        std::vector<std::string> fields;
        builder&& field(std::string f) && {
            fields.push_back(std::move(f));
            return std::move(*this);
        }
        task<int> send() && { return go(std::move(*this)); }
        static task<int> go(builder b) {
            co_await yield_once();
            co_return size(b.url.tag) + static_cast<int>(b.fields.size());
        }
    };
    builder get(probe p) { return builder(std::move(p)); }
    task<int> subject() { co_return co_await get(probe(text)).field(text).field("b").send(); }
}

// ---- callables ----

FORM(lambda_capture, 51) {
    task<int> subject() {
        probe x(text);
        co_return co_await call([x] { return size(x.tag); });
    }
}
FORM(lambda_capture_moved, 51) {
    task<int> subject() {
        probe x(text);
        co_return co_await call([x = std::move(x)] { return size(x.tag); });
    }
}
FORM(lambda_capture_in_function_object, 51) {
    task<int> subject() {
        probe x(text);
        co_return co_await call<std::function<int()>>([x] { return size(x.tag); });
    }
}
FORM(lambda_capture_by_reference, 51) {
    task<int> subject() {
        probe x(text);
        co_return co_await call([&] { return size(x.tag); });
    }
}
FORM(lambda_capture_trivial, 33) {
    task<int> subject() {
        int x = 33;
        co_return co_await call([x] { return x; });
    }
}
FORM(lambda_named_then_moved, 51) {
    task<int> subject() {
        probe x(text);
        auto f = [x] { return size(x.tag); };
        co_return co_await call(std::move(f));
    }
}
FORM(coroutine_lambda_called_at_once, 51) {
    task<int> subject() {
        probe x(text);
        co_return co_await [x]() -> task<int> {
            co_await yield_once();
            co_return size(x.tag);
        }();
    }
}
FORM(coroutine_lambda_with_parameters, 51) {
    task<int> subject() {
        probe x(text);
        co_return co_await [](probe p) -> task<int> {
            co_await yield_once();
            co_return size(p.tag);
        }(std::move(x));
    }
}

// ---- awaiters ----

FORM(awaiter_is_an_aggregate, 51) {
    struct awaiter {
        probe p;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> h) const noexcept { parked = h; }
        int await_resume() const noexcept { return size(p.tag); }
    };
    task<int> subject() { co_return co_await awaiter{probe(text)}; }
}
FORM(awaiter_with_constructor, 51) {
    struct awaiter {
        explicit awaiter(probe q) : p(std::move(q)) {}
        probe p;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> h) const noexcept { parked = h; }
        int await_resume() const noexcept { return size(p.tag); }
    };
    task<int> subject() { co_return co_await awaiter(probe(text)); }
}

// ---- ?: ----

FORM(choice_of_results, 51) {
    task<int> subject() {
        bool first = true;
        probe p = first ? co_await make_probe(text) : co_await make_probe("b");
        co_return size(p.tag);
    }
}
FORM(choice_of_tasks, 51) {
    task<int> subject() {
        bool first = true;
        co_return co_await (first ? take_probe(probe(text)) : take_probe(probe("b")));
    }
}
FORM(choice_of_braces, 54) {
    task<int> subject() {
        bool first = true;
        aggregate r = first ? aggregate{co_await make_probe(text), 3} : aggregate{probe("b"), 2};
        co_return size(r.a.tag) + r.n;
    }
}
FORM(choice_of_numbers, 7) {
    task<int> subject() {
        bool first = true;
        int n = first ? co_await number(7) : co_await number(8);
        co_return n;
    }
}
FORM(choice_first_await_later, 51) {
    task<int> subject() {
        bool first = true;
        auto t = first ? take_probe(probe(text)) : take_probe(probe("b"));
        co_return co_await std::move(t);
    }
}

// ---- co_await inside braces ----

FORM(braces_local, 54) {
    task<int> subject() {
        aggregate r{co_await make_probe(text), 3};
        co_return size(r.a.tag) + r.n;
    }
}
FORM(braces_returned, 54) {
    task<aggregate> make() { co_return aggregate{co_await make_probe(text), 3}; }
    task<int> subject() {
        auto r = co_await make();
        co_return size(r.a.tag) + r.n;
    }
}
FORM(braces_new, 54) {
    task<int> subject() {
        std::unique_ptr<aggregate> r(new aggregate{co_await make_probe(text), 3});
        co_return size(r->a.tag) + r->n;
    }
}
FORM(braces_array, 52) {
    task<int> subject() {
        std::array<probe, 2> r{co_await make_probe(text), probe("b")};
        co_return size(r[0].tag) + size(r[1].tag);
    }
}
FORM(braces_after_await, 54) {
    task<int> subject() {
        auto p = co_await make_probe(text);
        aggregate r{std::move(p), 3};
        co_return size(r.a.tag) + r.n;
    }
}
FORM(constructor_call, 54) {
    struct record {
        record(probe p, int k) : a(std::move(p)), n(k) {}
        probe a;
        int n;
    };
    task<record> make() { co_return record(co_await make_probe(text), 3); }
    task<int> subject() {
        auto r = co_await make();
        co_return size(r.a.tag) + r.n;
    }
}
FORM(returned_braces_without_await, 252) {
    struct record {
        int status = 200;
        probe body;
    };
    task<record> make() {
        co_await yield_once();
        co_return {.status = 201, .body = probe(text)};
    }
    task<int> subject() {
        auto r = co_await make();
        co_return r.status + size(r.body.tag);
    }
}

// ---- conditions ----

FORM(if_without_local, 1) {
    task<int> subject() {
        if (co_await greater(5, 3)) {
            co_return 1;
        }
        co_return 2;
    }
}
FORM(if_not_without_local, 1) {
    task<int> subject() {
        if (!co_await greater(1, 3)) {
            co_return 1;
        }
        co_return 2;
    }
}
FORM(and_without_local, 2) {
    task<int> subject() {
        if (co_await greater(5, 3) && co_await greater(1, 3)) {
            co_return 1;
        }
        co_return 2;
    }
}
FORM(if_with_local, 1) {
    task<int> subject() {
        probe p(text);
        if (co_await greater(5, 3)) {
            co_return 1;
        }
        co_return size(p.tag);
    }
}
FORM(if_after_naming, 1) {
    task<int> subject() {
        auto yes = co_await greater(5, 3);
        if (yes) {
            co_return 1;
        }
        co_return 2;
    }
}
FORM(if_initialiser, 51) {
    task<int> subject() {
        if (auto p = co_await make_probe(text); !p.tag.empty()) {
            co_return size(p.tag);
        }
        co_return 2;
    }
}
FORM(while_initialiser, 153) {
    task<std::optional<probe>> next(int i) {
        co_await yield_once();
        if (i < 3) {
            co_return probe(text);
        }
        co_return std::nullopt;
    }
    task<int> subject() {
        int i = 0;
        int n = 0;
        while (auto p = co_await next(i++)) {
            n += size(p->tag);
        }
        co_return n;
    }
}
FORM(range_for_over_result, 102) {
    task<std::vector<probe>> make() {
        std::vector<probe> v(2, probe(text));
        co_await yield_once();
        co_return v;
    }
    task<int> subject() {
        int n = 0;
        for (auto& p : co_await make()) {
            n += size(p.tag);
        }
        co_return n;
    }
}

// ---- exceptions and destruction ----

FORM(throw_awaited_text, 51) {
    task<int> subject() {
        probe caught("none");
        try {
            throw aggregate{probe((co_await make_probe(text)).tag.c_str()), 1};
        } catch (const aggregate& e) {
            caught = e.a;
        }
        co_return size(caught.tag);
    }
}
FORM(throw_awaited_member, 51) {
    task<int> subject() {
        int n = 0;
        try {
            throw std::string((co_await make_probe(text)).tag);
        } catch (const std::string& e) {
            n = size(e);
        }
        co_return n;
    }
}
FORM(throw_after_naming, 51) {
    task<int> subject() {
        int n = 0;
        auto p = co_await make_probe(text);
        try {
            throw aggregate{p, 1};
        } catch (const aggregate& e) {
            n = size(e.a.tag);
        }
        co_return n;
    }
}
FORM(throw_while_building_arguments, 5) {
    probe boom() { throw 1; }
    task<int> take(probe, probe) {
        co_await yield_once();
        co_return 1;
    }
    task<int> subject() {
        int n = 0;
        try {
            n = co_await take(probe(text), boom());
        } catch (int) {
            n = 5;
        }
        co_return n;
    }
}
FORM(throw_through_await, 51) {
    task<int> fails() {
        co_await yield_once();
        throw probe(text);
    }
    task<int> subject() {
        std::optional<probe> e;
        try {
            co_await fails();
        } catch (probe& p) {
            e = std::move(p);
        }
        co_await yield_once();
        co_return size(e->tag);
    }
}
FORM(destroyed_while_suspended, 1) {
    task<int> stops(probe p) {
        probe local(text);
        co_await std::suspend_always();
        co_return size(p.tag) + size(local.tag);
    }
    task<int> outer() { co_return co_await stops(probe(text)); }
    task<int> subject() {
        {
            auto t = outer();
            t.step();
        }
        co_return probe::live.empty() ? 1 : 0;
    }
}
FORM(destroyed_with_structured_binding, 1) {
    task<std::pair<probe, probe>> make() { co_return std::pair(probe(text), probe(text)); }
    task<int> outer() {
        auto [a, b] = co_await make();
        co_await std::suspend_always();
        co_return size(a.tag) + size(b.tag);
    }
    task<int> subject() {
        {
            auto t = outer();
            t.step();
        }
        co_return probe::live.empty() ? 1 : 0;
    }
}

// ---- what is in order everywhere ----

FORM(probe_by_value, 51) {
    task<int> subject() { co_return co_await take_probe(probe(text)); }
}
FORM(probe_by_reference, 51) {
    task<int> subject() { co_return co_await take_probe_ref(probe(text)); }
}
FORM(awaited_arguments, 102) {
    task<int> take(probe a, probe b) {
        co_await yield_once();
        co_return size(a.tag) + size(b.tag);
    }
    task<int> subject() { co_return co_await take(co_await make_probe(text), co_await make_probe(text)); }
}
FORM(member_of_awaited, 51) {
    task<int> subject() {
        std::string s = (co_await make_probe(text)).tag;
        co_return size(s);
    }
}
FORM(structured_binding, 53) {
    task<std::pair<probe, int>> make() {
        co_await yield_once();
        co_return std::pair(probe(text), 2);
    }
    task<int> subject() {
        auto [p, n] = co_await make();
        co_return size(p.tag) + n;
    }
}
FORM(string_concatenation, 53) {
    task<int> take(std::string_view s) {
        co_await yield_once();
        co_return static_cast<int>(s.size());
    }
    task<int> subject() { co_return co_await take(std::string(text) + std::to_string(42)); }
}
FORM(move_only_argument, 51) {
    task<int> take(std::unique_ptr<probe> p) {
        co_await yield_once();
        co_return size(p->tag);
    }
    task<int> subject() { co_return co_await take(std::make_unique<probe>(text)); }
}
FORM(pack_of_tasks, 102) {
    template <class... T>
    task<int> all(T... t) {
        int n = 0;
        ((n += co_await std::move(t)), ...);
        co_return n;
    }
    task<int> subject() { co_return co_await all(take_probe(probe(text)), take_probe(probe(text))); }
}

int outcome(const form& f) {
    const int got = f.run();
    if (got != f.expected) {
        std::printf("%s: %d instead of %d\n", f.name, got, f.expected);
    }
    if (probe::bad != 0 || !probe::live.empty()) {
        std::printf("%s: %d objects mistreated, %zu left alive\n", f.name, probe::bad, probe::live.size());
    }
    return got != f.expected || probe::bad != 0 || !probe::live.empty() ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
    for (const form& f : forms) {
        if (argc < 2) {
            std::puts(f.name);
        } else if (std::strcmp(argv[1], f.name) == 0) {
            return outcome(f);
        }
    }
    return argc < 2 ? 0 : 2;
}
