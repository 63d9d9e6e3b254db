// SPDX-License-Identifier: MIT
#include <flux/zlib/body.hpp> // also proves the header is self-contained

#include <flux/testing/virtual_loop.hpp>
#include <flux/zlib/encoder.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

namespace {

namespace http = flux::http;
namespace zlib = flux::zlib;
using flux::task;

// A body that comes in pieces of a size, and may break off.
class pieces final : public http::body_source {
public:
    pieces(std::string text, std::size_t size, bool breaks_off = false)
        : text_(std::move(text)), size_(size), breaks_off_(breaks_off) {}
    task<std::string_view> next() override {
        if (at_ == text_.size() && breaks_off_) {
            co_return flux::fail(flux::error(http::errc::incomplete_body));
        }
        const std::size_t from = at_;
        at_ = std::min(text_.size(), at_ + size_);
        co_return std::string_view(text_).substr(from, at_ - from);
    }
    http::fields_view trailers() const noexcept override { return trailers_; }
    std::optional<std::uint64_t> length() const noexcept override { return text_.size(); }

    http::fields trailers_;

private:
    std::string text_;
    std::size_t size_;
    std::size_t at_ = 0;
    bool breaks_off_;
};

std::string gzip(std::string_view text) {
    zlib::encoder e;
    flux::byte_buffer out;
    e.write(text, out);
    e.finish(out);
    return std::string(out.view());
}

task<std::string> read_all(http::body_source& source) {
    http::body_reader reader(source);
    co_return co_await reader.text();
}
flux::result<std::string> read(http::body_source& source) {
    flux::testing::virtual_loop loop;
    return loop.run(read_all(source));
}

} // namespace

TEST_SUITE("zlib/body") {
    TEST_CASE("gives the content of a coded body, whatever its pieces, and its trailers") {
        const std::string text(40'000, 'a');
        for (const std::size_t size : {std::size_t{1}, std::size_t{5}, std::size_t{1} << 16}) {
            pieces coded(gzip(text), size);
            coded.trailers_.add("checksum", "abc");
            zlib::decoding_source source(coded, zlib::coding::gzip);
            CHECK(!source.length());
            const auto all = read(source);
            REQUIRE(all);
            CHECK((*all == text));
            CHECK(source.trailers().get("checksum") == "abc");
        }
    }

    TEST_CASE("content that ends early, or is followed by octets, fails") {
        for (const std::string& coded : {gzip("some text").substr(0, 20), gzip("some text") + "x"}) {
            pieces body(coded, 7);
            zlib::decoding_source source(body, zlib::coding::gzip);
            const auto all = read(source);
            REQUIRE(!all);
            CHECK((all.error().code() == http::errc::bad_content_coding));
            CHECK(!read(source)); // and goes on to fail
        }
    }

    TEST_CASE("an error of the body below passes, though the content so far was right") {
        pieces body(gzip("some text").substr(0, 20), 7, true);
        zlib::decoding_source source(body, zlib::coding::gzip);
        const auto all = read(source);
        REQUIRE(!all);
        CHECK((all.error().code() == http::errc::incomplete_body));
    }

    TEST_CASE("content over the limit fails with the error that answers 413") {
        pieces body(gzip(std::string(1001, 'x')), 100);
        zlib::decoder_limits limits;
        limits.octets = 1000;
        zlib::decoding_source source(body, zlib::coding::gzip, limits);
        const auto all = read(source);
        REQUIRE(!all);
        CHECK((all.error().code() == http::errc::body_too_large));
        CHECK(http::describe(http::errc::body_too_large).answer == http::status::content_too_large);
    }

    TEST_CASE("an empty body is empty") {
        pieces body("", 1);
        zlib::decoding_source source(body, zlib::coding::gzip);
        const auto all = read(source);
        REQUIRE(all);
        CHECK(all->empty());
    }
}
