// SPDX-License-Identifier: MIT
#include <flux/http/message/content_disposition.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace http = flux::http;

namespace {

// "type name file", "-" for what is not there; "bad"
std::string read(std::string_view value) {
    const auto d = http::content_disposition::parse(value);
    if (!d) {
        return "bad";
    }
    return d->type + " " + d->name.value_or("-") + " " + d->filename.value_or("-");
}

} // namespace

TEST_SUITE("http/message/content_disposition") {

    TEST_CASE("name and file name are read in every usual form [RFC 7578 4.2]") {
        CHECK(read("form-data; name=\"a\"") == "form-data a -");
        CHECK(read("form-data; name=a; filename=b.txt") == "form-data a b.txt");
        CHECK(read("Form-Data;NAME=\"a\";FileName=\"b c.txt\"") == "form-data a b c.txt");
        CHECK(read("form-data ; name = \"a\" ; filename = \"b;c=d\" ;") == "form-data a b;c=d");
        CHECK(read("form-data; name=\"\"; filename=\"\"") == "form-data  ");
        CHECK(read("attachment") == "attachment - -");
        CHECK(read("form-data; name=\"a\"; x=\"y\"; filename*=UTF-8''evil") == "form-data a -");
    }

    TEST_CASE("quotes are undone as browsers and curl make them [HTML, multipart/form-data]") {
        CHECK(read(R"(form-data; name="a\"b"; filename="c\\d")") == R"(form-data a"b c\d)");
        CHECK(read(R"(form-data; name="a%22b"; filename="100%25")") == R"(form-data a"b 100%25)");
        CHECK(read("form-data; name=\"a%0D%0ab\"") == "form-data a\r\nb -");
        CHECK(read(R"(form-data; name="a"; filename="C:\dir\x.txt")") == R"(form-data a C:\dir\x.txt)");
        CHECK(read("form-data; name=\"\xc3\xa9\"") == "form-data \xc3\xa9 -");
    }

    TEST_CASE("what can be read in two ways is not read") {
        for (const char* bad : {"", ";", "; name=a", "form data", "form-data; name", "form-data; name=", "form-data; =a",
                                "form-data; name=\"a", "form-data; name=\"a\\\"", "form-data; name=\"a\"b", "form-data; name=a b",
                                "form-data; name=a; name=b", "form-data; filename=a; filename=\"b\"", "form-data;; name=a",
                                "form-data, name=a"}) {
            CAPTURE(bad);
            CHECK(read(bad) == "bad");
        }
    }

    TEST_CASE("a safe file name is one name, without what a file system or a terminal could misread") {
        using http::safe_filename;
        CHECK(safe_filename("a.txt") == "a.txt");
        CHECK(safe_filename("../../etc/passwd") == "passwd");
        CHECK(safe_filename("/etc/passwd") == "passwd");
        CHECK(safe_filename("C:\\Users\\x\\a b.txt") == "a b.txt");
        CHECK(safe_filename("..\\..\\a") == "a");
        CHECK(safe_filename(".htaccess") == "htaccess");
        CHECK(safe_filename(" . a . ") == "a");
        CHECK(safe_filename(std::string_view("a\0b\n\x7f.txt", 9)) == "ab.txt");
        CHECK(safe_filename("\xc3\xa9.txt") == "\xc3\xa9.txt");
        for (const char* nothing : {"", ".", "..", "/", "a/", "a\\", "   ", "...", "/..", "\r\n"}) {
            CAPTURE(nothing);
            CHECK(safe_filename(nothing).empty());
        }
    }

    TEST_CASE("a long file name keeps its extension, and whole characters") {
        using http::safe_filename;
        const std::string cut = safe_filename(std::string(300, 'x') + ".txt");
        CHECK(cut == std::string(196, 'x') + ".txt");
        const std::string odd = safe_filename("a" + std::string(3, '-') + [] {
            std::string many;
            for (int i = 0; i < 200; ++i) {
                many += "\xe2\x82\xac";
            }
            return many;
        }());
        CHECK(odd.size() == 199); // 4 and 65 characters of three octets
        CHECK(safe_filename(std::string(300, 'x')) == std::string(200, 'x'));
        CHECK(safe_filename("a" + std::string(300, '.') + "b") == "a.b");
        CHECK(safe_filename("a" + std::string(300, ' ') + std::string(20, 'b')) == "a");
        CHECK(safe_filename(std::string(300, '\x80')).size() == 197); // no text at all, but no longer than allowed
        CHECK(safe_filename(std::string(100, 'x') + "." + std::string(200, 'y')).size() == 200);
    }

} // TEST_SUITE
