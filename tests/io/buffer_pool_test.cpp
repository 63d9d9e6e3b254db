// SPDX-License-Identifier: MIT
#include <flux/io/buffer_pool.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <tuple>
#include <vector>

using flux::detail::buffer_pool;
using flux::detail::chunk;

namespace {

/// Stands for a driver: notes which buffers come back.
struct noting_sink final : buffer_pool::sink {
    void buffer_free(std::uint32_t id) noexcept override { freed.push_back(id); }
    std::vector<std::uint32_t> freed;
};

struct waiting : buffer_pool::starved {
    explicit waiting(std::vector<int>& order, int number) : starved(&again), order_(&order), number_(number) {}

private:
    static void again(starved& s) noexcept {
        auto& self = static_cast<waiting&>(s);
        self.order_->push_back(self.number_);
    }
    std::vector<int>* order_;
    int number_;
};

[[gnu::noinline]] chunk& fill(buffer_pool& pool, std::uint32_t id, std::string_view text) {
    std::memcpy(pool.address(id), text.data(), text.size());
    return pool.filled(id, text.size());
}

std::string_view text_of(const chunk& c) { return {reinterpret_cast<const char*>(c.data), c.size}; }

} // namespace

TEST_SUITE("io/buffer_pool") {

TEST_CASE("buffers lie beside each other and are counted while they are out") {
    noting_sink sink;
    buffer_pool pool(4, 64, sink);
    CHECK(pool.count() == 4);
    CHECK(pool.address(3) == pool.address(0) + 192);
    chunk& a = fill(pool, 1, "one");
    chunk& b = fill(pool, 3, "three");
    CHECK(pool.taken() == 2);
    CHECK(text_of(a) == "one");
    CHECK(text_of(b) == "three");
    pool.free(a);
    CHECK(pool.taken() == 1);
    pool.free_shared(3);
    CHECK(pool.taken() == 0);
    CHECK(sink.freed == std::vector<std::uint32_t>{1, 3});
}

TEST_CASE("a copy on the heap gives the shared buffer back and keeps the octets") {
    noting_sink sink;
    buffer_pool pool(4, 64, sink);
    chunk& shared = fill(pool, 2, "octets");
    chunk& copy = pool.to_heap(shared);
    CHECK(pool.taken() == 0);
    CHECK(sink.freed == std::vector<std::uint32_t>{2});
    std::memset(pool.address(2), 'x', 64);
    CHECK(text_of(copy) == "octets");
    CHECK(&pool.to_heap(copy) == &copy);
    pool.free(copy);
    CHECK(sink.freed.size() == 1);
}

TEST_CASE("a quarter of the buffers may be leased, and a quarter may wait unread") {
    noting_sink sink;
    buffer_pool pool(8, 16, sink);
    for (int i = 0; i < 3; ++i) {
        CHECK(!pool.leases_are_scarce());
        CHECK(!pool.unsolicited_are_scarce());
        pool.lease_begins();
        pool.unsolicited_begins();
    }
    CHECK(pool.leases_are_scarce());
    CHECK(pool.unsolicited_are_scarce());
    pool.lease_ends();
    pool.unsolicited_ends();
    CHECK(!pool.leases_are_scarce());
    CHECK(!pool.unsolicited_are_scarce());
}

TEST_CASE("as many starved receives try again as there are buffers, in their order") {
    noting_sink sink;
    buffer_pool pool(4, 16, sink);
    for (std::uint32_t id = 0; id < 4; ++id) {
        std::ignore = fill(pool, id, "x");
    }
    std::vector<int> order;
    std::vector<std::unique_ptr<waiting>> all;
    for (int i = 0; i < 5; ++i) {
        all.push_back(std::make_unique<waiting>(order, i));
        pool.wait_for_buffer(*all.back());
    }
    CHECK(!pool.retry_starved()); // nothing is free: nothing to do but wait
    CHECK(order.empty());
    pool.free_shared(0);
    pool.free_shared(1);
    CHECK(order.empty()); // only when the driver looks
    CHECK(pool.retry_starved()); // two tried and took nothing yet: the next ones must have their chance
    CHECK(order == std::vector<int>{0, 1});
    CHECK(pool.retry_starved());
    CHECK(!pool.retry_starved());
    CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
    pool.free_shared(2);
    pool.free_shared(3);
}

TEST_CASE("a starved receive that is unlinked does not try again") {
    noting_sink sink;
    buffer_pool pool(1, 16, sink);
    std::ignore = fill(pool, 0, "x");
    std::vector<int> order;
    waiting gone(order, 1);
    waiting stays(order, 2);
    pool.wait_for_buffer(gone);
    pool.wait_for_buffer(stays);
    gone.unlink();
    pool.free_shared(0);
    CHECK(!pool.retry_starved());
    CHECK(order == std::vector<int>{2});
}

} // TEST_SUITE
