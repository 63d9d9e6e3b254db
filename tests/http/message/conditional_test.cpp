// SPDX-License-Identifier: MIT
#include <flux/http/message/conditional.hpp> // also proves the header is self-contained

#include <flux/http/message/fields.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

namespace http = flux::http;
using http::precondition;
using lines = std::vector<std::pair<std::string, std::string>>;

constexpr const char* before = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr const char* same = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* after = "Sun, 06 Nov 1994 08:49:38 GMT";

http::fields fields_of(const lines& all) {
    http::fields f;
    for (const auto& [name, value] : all) {
        f.add(std::string_view(name), value);
    }
    return f;
}

http::validators current(std::string_view etag = "\"now\"") {
    http::validators v;
    v.etag = etag;
    v.modified = http::parse_date(same);
    return v;
}

std::string decide(http::method m, const lines& all, const http::validators& v = current()) {
    const http::fields f = fields_of(all);
    switch (http::evaluate(m, f, v)) {
    case precondition::proceed: return "proceed";
    case precondition::not_modified: return "304";
    case precondition::failed: return "412";
    }
    return "?";
}
std::string get(const lines& all, const http::validators& v = current()) { return decide(http::method::get, all, v); }
std::string put(const lines& all, const http::validators& v = current()) { return decide(http::method::put, all, v); }

} // namespace

TEST_SUITE("http/message/conditional") {
    TEST_CASE("reads entity tags, and nothing else [RFC 9110 8.8.3]") {
        const auto strong = http::entity_tag::parse("\"a,b\\\"");
        REQUIRE(strong);
        CHECK(strong->opaque == "a,b\\"); // a backslash escapes nothing here
        CHECK(!strong->weak);
        const auto weak = http::entity_tag::parse("W/\"\"");
        REQUIRE(weak);
        CHECK(weak->weak);
        CHECK(weak->opaque.empty());
        CHECK(http::entity_tag::parse("\"\xc3\xa9\""));
        for (const char* text : {"", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "W \"a\"", "\"a\" ", " \"a\"", "\"a b\"",
                                 "\"a\tb\"", "\"a\"b\"", "*", "\"a\",\"b\"", "W/W/\"a\""}) {
            CAPTURE(text);
            CHECK(!http::entity_tag::parse(text));
        }
    }

    TEST_CASE("compares tags strongly and weakly [RFC 9110 8.8.3.2]") {
        const http::entity_tag w1{"1", true};
        const http::entity_tag w2{"2", true};
        const http::entity_tag s1{"1", false};
        CHECK(!matches_strongly(w1, w1));
        CHECK(matches_weakly(w1, w1));
        CHECK(!matches_strongly(w1, w2));
        CHECK(!matches_weakly(w1, w2));
        CHECK(!matches_strongly(w1, s1));
        CHECK(matches_weakly(w1, s1));
        CHECK(matches_strongly(s1, s1));
        CHECK(matches_weakly(s1, s1));
    }

    TEST_CASE("If-None-Match: the same tag is 304 for GET and HEAD, 412 for others [RFC 9110 13.1.2]") {
        CHECK(get({{"If-None-Match", "\"now\""}}) == "304");
        CHECK(decide(http::method::head, {{"If-None-Match", "\"now\""}}) == "304");
        CHECK(put({{"If-None-Match", "\"now\""}}) == "412");
        CHECK(get({{"If-None-Match", "W/\"now\""}}) == "304");
        CHECK(get({{"If-None-Match", "\"now\""}}, current("W/\"now\"")) == "304");
        CHECK(get({{"If-None-Match", "\"other\""}}) == "proceed");
        CHECK(get({{"If-None-Match", "\"a\" , W/\"b,c\",,\"now\""}}) == "304");
        CHECK(get({{"If-None-Match", "\"a\""}, {"If-None-Match", "\"now\""}}) == "304");
        CHECK(get({{"If-None-Match", "*"}}) == "304");
        CHECK(put({{"If-None-Match", "*"}}) == "412");
        CHECK(get({{"If-None-Match", "now"}}) == "proceed");
        CHECK(get({{"If-None-Match", "x, \"now\""}}) == "proceed"); // malformed before it comes to the tag
        CHECK(get({{"If-None-Match", "\"a\" \"now\""}}) == "proceed");
        CHECK(get({{"If-None-Match", ""}}) == "proceed");
        CHECK(get({{"If-None-Match", "\"now\""}}, current("")) == "proceed");
    }

    TEST_CASE("If-Match: no such strong tag is 412 [RFC 9110 13.1.1]") {
        CHECK(put({{"If-Match", "\"now\""}}) == "proceed");
        CHECK(put({{"If-Match", "\"a\", \"now\""}}) == "proceed");
        CHECK(put({{"If-Match", "W/\"now\""}}) == "412");
        CHECK(put({{"If-Match", "\"now\""}}, current("W/\"now\"")) == "412");
        CHECK(put({{"If-Match", "\"old\""}}) == "412");
        CHECK(get({{"If-Match", "\"old\""}}) == "412");
        CHECK(put({{"If-Match", "*"}}) == "proceed");
        CHECK(put({{"If-Match", ""}}) == "412");
    }

    TEST_CASE("a representation that does not exist matches nothing, not even * [RFC 9110 13.1.1]") {
        http::validators none;
        none.exists = false;
        CHECK(put({{"If-Match", "*"}}, none) == "412");
        CHECK(put({{"If-Match", "\"now\""}}, none) == "412");
        CHECK(put({{"If-None-Match", "*"}}, none) == "proceed");
    }

    TEST_CASE("If-Modified-Since: not later is 304, for GET and HEAD only [RFC 9110 13.1.3]") {
        CHECK(get({{"If-Modified-Since", before}}) == "proceed");
        CHECK(get({{"If-Modified-Since", same}}) == "304");
        CHECK(get({{"If-Modified-Since", after}}) == "304");
        CHECK(get({{"If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT"}}) == "304");
        CHECK(get({{"If-Modified-Since", "Sun Nov  6 08:49:37 1994"}}) == "304");
        CHECK(put({{"If-Modified-Since", after}}) == "proceed");
        CHECK(get({{"If-Modified-Since", "yesterday"}}) == "proceed");
        CHECK(get({{"If-Modified-Since", same}, {"If-Modified-Since", same}}) == "proceed");
        http::validators undated = current();
        undated.modified.reset();
        CHECK(get({{"If-Modified-Since", after}}, undated) == "proceed");
    }

    TEST_CASE("If-Unmodified-Since: later is 412 [RFC 9110 13.1.4]") {
        CHECK(put({{"If-Unmodified-Since", before}}) == "412");
        CHECK(put({{"If-Unmodified-Since", same}}) == "proceed");
        CHECK(put({{"If-Unmodified-Since", after}}) == "proceed");
        CHECK(get({{"If-Unmodified-Since", before}}) == "412");
        CHECK(put({{"If-Unmodified-Since", "soon"}}) == "proceed");
        CHECK(put({{"If-Unmodified-Since", before}, {"If-Unmodified-Since", before}}) == "proceed");
    }

    TEST_CASE("tags win over dates, and If-Match is asked first [RFC 9110 13.2.2]") {
        CHECK(put({{"If-Match", "\"now\""}, {"If-Unmodified-Since", before}}) == "proceed");
        CHECK(put({{"If-Match", "\"old\""}, {"If-Unmodified-Since", after}}) == "412");
        CHECK(get({{"If-None-Match", "\"old\""}, {"If-Modified-Since", after}}) == "proceed");
        CHECK(get({{"If-None-Match", "\"now\""}, {"If-Modified-Since", before}}) == "304");
        CHECK(get({{"If-Match", "\"old\""}, {"If-None-Match", "\"now\""}}) == "412");
        CHECK(get({{"If-Match", "\"now\""}, {"If-None-Match", "\"now\""}}) == "304");
        CHECK(get({{"If-Unmodified-Since", before}, {"If-None-Match", "\"now\""}}) == "412");
        CHECK(get({{"If-Unmodified-Since", same}, {"If-Modified-Since", same}}) == "304");
        CHECK(get({}) == "proceed");
    }

    TEST_CASE("If-Range: only the very same octets let a range through [RFC 9110 13.1.5]") {
        const auto holds = [](const char* value, const http::validators& v = current()) {
            const http::fields f = fields_of({{"If-Range", value}});
            return http::if_range_holds(f, v);
        };
        CHECK(http::if_range_holds(http::fields(), current()));
        CHECK(holds("\"now\""));
        CHECK(!holds("\"old\""));
        CHECK(!holds("W/\"now\""));
        CHECK(!holds("\"now\"", current("W/\"now\"")));
        CHECK(!holds("\"now\"", current("")));
        CHECK(!holds("\"now\", \"old\""));
        CHECK(holds(same));
        CHECK(!holds(before));
        CHECK(!holds(after)); // the same, not a comparison
        CHECK(!holds("now"));
        CHECK(!holds("*"));
        http::validators recent = current();
        recent.modified_is_strong = false;
        CHECK(!holds(same, recent));
        CHECK(holds("\"now\"", recent));
    }
}
