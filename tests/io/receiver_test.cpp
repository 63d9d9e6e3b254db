// SPDX-License-Identifier: MIT
#include <flux/io/receiver.hpp> // also proves the header is self-contained

#include <flux/coro/scope.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/listener.hpp>

#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

using namespace flux;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t size = 16U << 20;

std::uint64_t received_by_kernel(int fd) {
    std::uint64_t info[17] = {}; // struct tcp_info up to tcpi_bytes_received, which the C library's does not have
    ::socklen_t length = sizeof info;
    REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) == 0);
    return info[16];
}

// Octets that have left the kernel's buffer of this socket. Others may arrive between two questions: then it asks again.
std::uint64_t taken_from_kernel(int fd) {
    for (;;) {
        const std::uint64_t before = received_by_kernel(fd);
        int unread = 0;
        REQUIRE(::ioctl(fd, FIONREAD, &unread) == 0);
        if (received_by_kernel(fd) == before) {
            return before - static_cast<std::uint64_t>(unread);
        }
    }
}

// Reads slowly what a peer on the same thread sends as fast as it can. Returns the most that waited in this process.
task<> read_slowly(reactor* home, std::uint64_t* most) {
    auto ctx = co_await this_context();
    auto listener = tcp_listener::listen(*home, endpoint::loopback(0)).value();
    auto writer = co_await tcp_connect(listener.local_endpoint().value());
    auto reader = co_await listener.accept();
    const std::string octets(size, 'x');
    task_scope scope(ctx);
    scope.spawn(writer.write_all(as_octets(octets)));
    std::uint64_t next = 0;
    for (std::uint64_t got = 0; got < size;) {
        const auto piece = co_await reader.receive();
        REQUIRE(!piece.empty());
        got += piece.size();
        *most = std::max(*most, taken_from_kernel(reader.native_handle()) - got);
        if (got >= next) {
            next += size / 64;
            co_await sleep_for(1ms);
        }
    }
    co_await scope.join();
}

} // namespace

TEST_SUITE("io/receiver") {

TEST_CASE("what waits for a reader is bounded, however fast it comes") {
    test_support::on_each_driver([](const reactor_options& options) {
        reactor r(options);
        std::uint64_t most = 0;
        r.run(read_slowly(&r, &most));
        const auto* const ring = dynamic_cast<const detail::uring_driver*>(&r.driver());
        if (ring == nullptr || ring->limits_receives()) {
            CHECK(most < 65'536 + (ring != nullptr ? 131'072 : 16'384)); // not full yet, and what one receive brings then
        } else {
            MESSAGE("this kernel cannot limit a receive: " << most << " octets waited");
        }
    });
}

}
