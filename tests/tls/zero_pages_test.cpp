// SPDX-License-Identifier: MIT
#include <flux/tls/zero_pages.hpp> // also proves the header is self-contained

#include <flux/tls/context.hpp>
#include <support/tls_ends.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using flux::tls::detail::drop_zero_pages;

namespace {

/// Some pages of this process alone.
class pages {
public:
    explicit pages(std::size_t n) : size_(n * page()) {
        at_ = static_cast<char*>(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        std::memset(at_, 0, size_); // so that they are there
    }
    pages(const pages&) = delete;
    pages& operator=(const pages&) = delete;
    ~pages() { ::munmap(at_, size_); }
    static std::size_t page() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }
    [[nodiscard]] char* octets() const { return at_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    /// 'x' for a page that is in memory, '.' for one that is not.
    [[nodiscard]] std::string resident() const {
        std::vector<unsigned char> there(size_ / page());
        REQUIRE(::mincore(at_, size_, there.data()) == 0);
        std::string text;
        for (const unsigned char c : there) {
            text += (c & 1) != 0 ? 'x' : '.';
        }
        return text;
    }

private:
    char* at_;
    std::size_t size_;
};

} // namespace

TEST_SUITE("tls/zero_pages") {

TEST_CASE("whole pages of zeros are given back, and nothing that was written is lost") {
    pages p(6);
    const std::size_t n = pages::page();
    p.octets()[n] = 'a';             // the first octet of a page
    p.octets()[4 * n - 1] = 'b';     // and the last
    CHECK(drop_zero_pages(p.octets(), p.size()) == 4 * n);
    CHECK(p.resident() == ".x.x..");
    std::string expected(p.size(), '\0');
    expected[n] = 'a';
    expected[4 * n - 1] = 'b';
    CHECK(std::equal(expected.begin(), expected.end(), p.octets()));
}

TEST_CASE("pages that the block shares with others stay") {
    const std::size_t n = pages::page();
    for (const std::size_t before : {std::size_t{1}, n / 2, n - 1}) {
        pages p(4);
        CHECK(drop_zero_pages(p.octets() + before, 2 * n) == n);
        CHECK(p.resident() == "x.xx");
        CHECK(drop_zero_pages(p.octets() + 2 * n + before, n - 1) == 0);
        CHECK(drop_zero_pages(p.octets() + 2 * n + before, 0) == 0);
        CHECK(p.resident() == "x.xx");
    }
}

TEST_CASE("a connection that waits gives back most of its session, and goes on") {
    const auto server = test_support::context_of(test_support::named("a", "DNS:a.test"));
    const auto context = test_support::client_of(test_support::ca());
    auto c = context->connect("a.test").value();
    auto s = server->connect("").value();
    const auto say = [&](flux::tls::engine& from, flux::tls::engine& other, const std::string& text) {
        std::byte got[64];
        std::size_t size = 0;
        REQUIRE(from.write(flux::as_octets(text)) == flux::tls::engine::progress::done);
        test_support::carry(from, other);
        REQUIRE(other.read(got, size) == flux::tls::engine::progress::done);
        CHECK(flux::as_text(flux::const_buffer(got, size)) == text);
    };
    REQUIRE(test_support::shake(*c, *s));
    say(*c, *s, "before");
    const std::size_t size = flux::tls::detail::session_size();
    say(*s, *c, "answer");
    const flux::tls::detail::session_ptr session(::wolfSSL_get1_session(s->native()));
    REQUIRE(session != nullptr);
    REQUIRE(size > 0);
    for (flux::tls::engine* e : {s.get(), c.get()}) {
        CHECK(e->output().capacity() > 0);
        e->release_buffers();
        CHECK(e->output().capacity() == 0);
    }
    const auto from = reinterpret_cast<std::uintptr_t>(session.get());
    const std::uintptr_t first = (from + pages::page() - 1) & ~(pages::page() - 1);
    const std::size_t whole = (from + size - first) / pages::page();
    std::vector<unsigned char> there(whole + 1);
    REQUIRE(::mincore(reinterpret_cast<void*>(first), whole * pages::page(), there.data()) == 0);
    const auto resident = std::count_if(there.begin(), there.begin() + static_cast<long>(whole),
                                        [](unsigned char x) { return (x & 1) != 0; });
    MESSAGE("pages of a session in memory: " << resident << " of " << whole);
    CHECK(resident <= 2);
    say(*s, *c, "after");
    say(*c, *s, "and back");
}

}
