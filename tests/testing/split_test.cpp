// SPDX-License-Identifier: MIT
#include <flux/testing/split.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

using namespace flux;
using flux::testing::segments;

namespace {

std::vector<std::string> texts(const segments& s) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < s.size(); ++i) {
        out.emplace_back(as_text(s[i]));
    }
    return out;
}

std::string joined(const segments& s) {
    std::string out;
    for (const std::string& piece : texts(s)) {
        CHECK(!piece.empty());
        out += piece;
    }
    return out;
}

using list = std::vector<std::string>;

} // namespace

TEST_SUITE("testing/split") {

TEST_CASE("a text is cut where it was asked for, and no piece is empty") {
    CHECK(texts(segments::whole("abc")) == list{"abc"});
    CHECK(texts(segments::split_at("abc", 1)) == list{"a", "bc"});
    CHECK(texts(segments::split_at("abc", 0)) == list{"abc"});
    CHECK(texts(segments::split_at("abc", 9)) == list{"abc"});
    CHECK(texts(segments::each("abcde", 2)) == list{"ab", "cd", "e"});
    CHECK(texts(segments::each("ab")) == list{"a", "b"});
    CHECK(texts(segments::each("ab", 0)) == list{"a", "b"});
    CHECK(segments::whole("").size() == 0);
    CHECK(segments::random("", 1).size() == 0);
}

TEST_CASE("a random segmentation depends on its seed only, and keeps its bound") {
    const std::string text(500, 'x');
    std::set<std::size_t> sizes;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        const auto s = segments::random(text, seed, 7);
        CHECK(texts(s) == texts(segments::random(text, seed, 7)));
        CHECK(joined(s) == text);
        for (const std::string& piece : texts(s)) {
            CHECK(piece.size() <= 7);
            sizes.insert(piece.size());
        }
    }
    CHECK(sizes.size() == 7);
}

TEST_CASE("for_each_segmentation visits every split point") {
    const std::string text = "GET / HTTP/1.1\r\n\r\n";
    std::set<std::string> names;
    std::set<std::size_t> splits;
    testing::for_each_segmentation(text, [&](const segments& s) {
        CHECK(joined(s) == text);
        CHECK(names.insert(s.name()).second);
        if (s.size() == 2 && s.name().starts_with("split")) {
            splits.insert(s[0].size());
        }
    }, 5);
    CHECK(splits.size() == text.size() - 1);
    CHECK(names.size() == 1 + (text.size() - 1) + 1 + 5);
}

TEST_CASE("feed lets the reader see each piece by itself") {
    testing::for_each_segmentation("hello, world", [](const segments& s) {
        auto [a, b] = testing::make_memory_pair();
        testing::memory_stream& near = a;
        testing::memory_stream& far = b;
        testing::virtual_loop loop;
        auto writer = [](testing::memory_stream& to, const segments& pieces) -> task<> {
            co_await feed(to, pieces);
            to.close();
        };
        list seen;
        auto body = [&](task_scope& scope) -> task<> {
            scope.spawn(writer, std::ref(near), std::cref(s));
            for (;;) {
                auto r = co_await far.receive();
                if (r.empty()) {
                    break;
                }
                seen.emplace_back(as_text(r.octets()));
            }
        };
        CHECK(loop.run(with_scope(body)));
        CHECK(seen == texts(s));
    });
}

TEST_CASE("feed ends with the error of the stream") {
    auto [a, b] = testing::make_memory_pair();
    testing::memory_stream& near = a;
    b.close();
    testing::virtual_loop loop;
    const auto pieces = segments::each("abc");
    const auto r = loop.run(feed(near, pieces));
    REQUIRE(!r);
    CHECK(r.error().code() == std::errc::broken_pipe);
}

} // TEST_SUITE
