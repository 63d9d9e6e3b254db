// SPDX-License-Identifier: MIT
// What both drivers promise about operations, without coroutines: each completes exactly once, in wait(), whatever
// happens to it.
#include <flux/io/driver.hpp> // also proves the header is self-contained

#include <flux/io/epoll_driver.hpp>
#include <flux/io/uring_driver.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

using namespace flux;
using namespace std::chrono_literals;
using detail::io_kind;
using detail::io_op;

namespace {

/// An op that writes down how it completed.
class noted_op : public io_op {
public:
    noted_op(io_kind kind, int fd) : io_op(kind, fd, &note) {}

    std::vector<completion> seen;
    std::function<void(const completion&)> then; ///< called for each completion
    [[nodiscard]] bool ended() const { return !seen.empty() && !seen.back().more; }
    [[nodiscard]] int result() const { return seen.empty() ? 1'000'000 : seen.back().result; }

private:
    static void note(io_op& op, const completion& c) noexcept {
        auto& self = static_cast<noted_op&>(op);
        self.seen.push_back(c);
        if (self.then) {
            self.then(c);
        }
    }
};

std::unique_ptr<detail::driver> open_driver(driver_kind kind, std::uint32_t count = 16, std::uint32_t size = 64) {
    if (kind == driver_kind::epoll) {
        return std::make_unique<detail::epoll_driver>(count, size);
    }
    int failed = 0;
    auto driver = detail::uring_driver::open(count, size, failed);
    REQUIRE(failed == 0);
    return std::unique_ptr<detail::driver>(driver.release());
}

/// Waits until `done`; the watchdog ends what never happens.
template <class Done>
void wait_until(detail::driver& d, Done done) {
    while (!done()) {
        const time_point now = clock::now();
        d.wait(now, now + 100ms);
    }
}
/// Waits once without sleeping: submits, and delivers what there is.
void look(detail::driver& d) {
    const time_point now = clock::now();
    d.wait(now, now);
}

template <class F>
void on_each(F body, std::uint32_t count = 16, std::uint32_t size = 64) {
    test_support::on_each_driver([&](const reactor_options& options) {
        const auto d = open_driver(options.driver, count, size);
        body(*d);
        CHECK(d->in_flight() == 0);
        CHECK(d->buffers().taken() == 0);
    });
}

struct socket_pair {
    explicit socket_pair(int type = SOCK_STREAM) {
        int both[2];
        REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, both) == 0);
        ours.reset(both[0]);
        theirs.reset(both[1]);
    }
    void say(std::string_view text) const {
        REQUIRE(::send(theirs.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<::ssize_t>(text.size()));
    }
    unique_fd ours;
    unique_fd theirs;
};

struct pipe_pair {
    pipe_pair() {
        int both[2];
        REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
        out.reset(both[0]);
        in.reset(both[1]);
    }
    unique_fd out;
    unique_fd in;
};

struct listening {
    listening() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::socklen_t size = sizeof address;
        REQUIRE(::bind(fd.get(), as_sockaddr(), size) == 0);
        REQUIRE(::listen(fd.get(), 128) == 0);
        REQUIRE(::getsockname(fd.get(), as_sockaddr(), &size) == 0);
    }
    [[nodiscard]] ::sockaddr* as_sockaddr() { return reinterpret_cast<::sockaddr*>(&address); }
    [[nodiscard]] unique_fd connect() {
        unique_fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(client.get(), as_sockaddr(), sizeof address) == 0);
        return client;
    }
    unique_fd fd;
    ::sockaddr_in address{};
};

/// Collects what a multishot receive brings, and gives the buffers back.
std::string take(detail::driver& d, noted_op& op) {
    std::string text;
    for (const io_op::completion& c : op.seen) {
        if (c.result > 0) {
            detail::chunk& chunk = d.buffers().filled(c.buffer, static_cast<std::size_t>(c.result));
            text.append(reinterpret_cast<const char*>(chunk.data), chunk.size);
            d.buffers().free(chunk);
        }
    }
    op.seen.clear();
    return text;
}

} // namespace

TEST_SUITE("io/driver") {

TEST_CASE("an op never completes inside start(), even if it could") {
    on_each([](detail::driver& d) {
        const socket_pair pair;
        std::byte octets[3] = {};
        noted_op send(io_kind::send, pair.ours.get());
        send.data = octets;
        send.size = sizeof octets;
        d.start(send);
        CHECK(send.in_flight());
        CHECK(send.seen.empty());
        CHECK(d.in_flight() == 1);
        wait_until(d, [&] { return send.ended(); });
        CHECK(send.result() == 3);
        d.forget(pair.ours.get());
    });
}

TEST_CASE("a cancelled op completes once, also if it was not submitted yet or is cancelled twice") {
    on_each([](detail::driver& d) {
        for (const bool submitted : {false, true}) {
            for (int cancels = 1; cancels <= 3; ++cancels) {
                CAPTURE(submitted);
                CAPTURE(cancels);
                const socket_pair pair;
                noted_op poll(io_kind::poll, pair.ours.get());
                poll.events = POLLIN;
                d.start(poll);
                if (submitted) {
                    look(d);
                }
                for (int i = 0; i < cancels; ++i) {
                    d.cancel(poll);
                }
                CHECK(poll.seen.empty());
                wait_until(d, [&] { return poll.ended(); });
                look(d);
                CHECK(poll.seen.size() == 1);
                CHECK(poll.result() == -ECANCELED);
                d.forget(pair.ours.get());
            }
        }
    });
}

TEST_CASE("cancelling an idle op does nothing, and the next start is not touched by earlier cancels") {
    on_each([](detail::driver& d) {
        const socket_pair pair;
        noted_op poll(io_kind::poll, pair.ours.get());
        poll.events = POLLIN;
        d.cancel(poll);
        for (int i = 0; i < 3; ++i) {
            d.start(poll);
            look(d);
            d.cancel(poll);
            d.cancel(poll);
            wait_until(d, [&] { return poll.ended(); });
            CHECK(poll.result() == -ECANCELED);
            poll.seen.clear();
            d.cancel(poll);
            d.start(poll);
            for (int k = 0; k < 5; ++k) {
                look(d);
            }
            CHECK(poll.in_flight());
            pair.say("x");
            wait_until(d, [&] { return poll.ended(); });
            CHECK(poll.result() == POLLIN);
            poll.seen.clear();
            char octet = 0;
            REQUIRE(::recv(pair.ours.get(), &octet, 1, 0) == 1);
        }
        d.forget(pair.ours.get());
    });
}

TEST_CASE("octets that arrive while a receive is being cancelled are delivered or stay in the socket") {
    on_each([](detail::driver& d) {
        for (int round = 0; round < 50; ++round) {
            const socket_pair pair;
            noted_op receive(io_kind::receive, pair.ours.get());
            d.start(receive);
            if (round % 2 == 0) {
                look(d);
            }
            pair.say("abc");
            if (round % 3 == 0) {
                look(d);
            }
            d.cancel(receive);
            wait_until(d, [&] { return receive.ended(); });
            std::string text = take(d, receive);
            char rest[8];
            const ::ssize_t n = ::recv(pair.ours.get(), rest, sizeof rest, MSG_DONTWAIT);
            text.append(rest, n > 0 ? static_cast<std::size_t>(n) : 0);
            CHECK(text == "abc");
            d.forget(pair.ours.get());
        }
    });
}

TEST_CASE("a multishot receive completes for everything that comes, and ends with 0 at the end of the stream") {
    on_each([](detail::driver& d) {
        socket_pair pair;
        noted_op receive(io_kind::receive, pair.ours.get());
        d.start(receive);
        std::string text;
        for (const char* part : {"one ", "two ", "three"}) {
            pair.say(part);
            wait_until(d, [&] { return !receive.seen.empty(); });
            CHECK(receive.seen.back().more);
            text += take(d, receive);
        }
        CHECK(text == "one two three");
        pair.theirs.reset();
        wait_until(d, [&] { return receive.ended(); });
        CHECK(receive.result() == 0);
        d.forget(pair.ours.get());
    });
}

TEST_CASE("a multishot receive ends with ECONNRESET when the peer resets") {
    on_each([](detail::driver& d) {
        listening server;
        unique_fd client = server.connect();
        const unique_fd ours(::accept4(server.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
        noted_op receive(io_kind::receive, ours.get());
        d.start(receive);
        look(d);
        const ::linger now{1, 0};
        ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        client.reset();
        wait_until(d, [&] { return receive.ended(); });
        CHECK(receive.result() == -ECONNRESET);
        d.forget(ours.get());
    });
}

TEST_CASE("a receive without a free buffer ends with ENOBUFS and loses nothing") {
    on_each(
        [](detail::driver& d) {
            const socket_pair pair;
            noted_op receive(io_kind::receive, pair.ours.get());
            d.start(receive);
            const std::string sent = "aaaaaaaabbbbbbbbccccccccdddddddd"; // 4 buffers of 8, of which there are 2
            pair.say(sent);
            wait_until(d, [&] { return receive.ended(); });
            CHECK(receive.result() == -ENOBUFS);
            CHECK(d.stats().starved == 1);
            std::string text = take(d, receive);
            CHECK(text.size() == 16);
            d.start(receive);
            while (text.size() < sent.size()) {
                wait_until(d, [&] { return !receive.seen.empty(); });
                const bool ended = receive.ended();
                text += take(d, receive);
                if (ended && text.size() < sent.size()) {
                    d.start(receive);
                }
            }
            CHECK(text == sent);
            d.cancel(receive);
            wait_until(d, [&] { return !receive.in_flight(); });
            std::ignore = take(d, receive);
            d.forget(pair.ours.get());
        },
        2, 8);
}

TEST_CASE("a multishot accept yields every connection and ends when the socket is shut down") {
    on_each([](detail::driver& d) {
        listening server;
        noted_op accept(io_kind::accept, server.fd.get());
        std::vector<unique_fd> accepted;
        accept.then = [&](const io_op::completion& c) {
            if (c.result >= 0) {
                accepted.emplace_back(c.result);
                CHECK((::fcntl(c.result, F_GETFD) & FD_CLOEXEC) != 0);
            }
        };
        d.start(accept);
        std::vector<unique_fd> clients;
        for (int i = 0; i < 100; ++i) {
            clients.push_back(server.connect());
        }
        wait_until(d, [&] { return accepted.size() == clients.size(); });
        CHECK(accept.in_flight());
        ::shutdown(server.fd.get(), SHUT_RDWR);
        wait_until(d, [&] { return accept.ended(); });
        CHECK(accept.result() == -EINVAL);
        d.forget(server.fd.get());
    });
}

TEST_CASE("a send that fills the socket goes on when there is room, and completes with everything") {
    on_each([](detail::driver& d) {
        const socket_pair pair;
        std::string big(3'000'000, 'x');
        noted_op send(io_kind::send, pair.ours.get());
        send.data = big.data();
        send.size = big.size();
        d.start(send);
        std::size_t received = 0;
        std::vector<char> sink(70'000);
        while (received < big.size()) {
            look(d);
            const ::ssize_t n = ::recv(pair.theirs.get(), sink.data(), sink.size(), MSG_DONTWAIT);
            received += n > 0 ? static_cast<std::size_t>(n) : 0;
        }
        wait_until(d, [&] { return send.ended(); });
        CHECK(send.seen.size() == 1);
        CHECK(send.result() == 3'000'000);
        d.forget(pair.ours.get());
    });
}

TEST_CASE("a send in parts ends as soon as some octets went out, and says how many") {
    on_each([](detail::driver& d) {
        for (const io_kind kind : {io_kind::send, io_kind::send_message}) {
            const socket_pair pair;
            std::string big(3'000'000, 'x');
            noted_op send(kind, pair.ours.get());
            ::iovec piece{big.data(), big.size()};
            ::msghdr message{};
            message.msg_iov = &piece;
            message.msg_iovlen = 1;
            send.data = kind == io_kind::send ? static_cast<void*>(big.data()) : &message;
            send.size = big.size();
            send.in_parts = true;
            d.start(send);
            wait_until(d, [&] { return send.ended(); });
            CHECK(send.result() > 0);
            CHECK(send.result() < 3'000'000);
            d.forget(pair.ours.get());
        }
    });
}

TEST_CASE("a cancelled send says how much went out") {
    on_each([](detail::driver& d) {
        const socket_pair pair;
        std::string big(3'000'000, 'x');
        noted_op send(io_kind::send, pair.ours.get());
        send.data = big.data();
        send.size = big.size();
        d.start(send);
        look(d);
        CHECK(send.in_flight());
        d.cancel(send);
        wait_until(d, [&] { return send.ended(); });
        std::vector<char> sink(4'000'000);
        std::size_t received = 0;
        ::ssize_t n = 0;
        while ((n = ::recv(pair.theirs.get(), sink.data(), sink.size(), MSG_DONTWAIT)) > 0) {
            received += static_cast<std::size_t>(n);
        }
        CHECK(received > 0);
        CHECK(send.result() == static_cast<int>(received));
        // the same op starts from the beginning again
        send.seen.clear();
        send.size = 10;
        d.start(send);
        wait_until(d, [&] { return send.ended(); });
        CHECK(send.result() == 10);
        d.forget(pair.ours.get());
    });
}

TEST_CASE("a send that fails half-way says how much went out, and the next one why") {
    on_each([](detail::driver& d) {
        socket_pair pair;
        std::string big(3'000'000, 'x');
        noted_op send(io_kind::send, pair.ours.get());
        send.data = big.data();
        send.size = big.size();
        d.start(send);
        look(d);
        CHECK(send.in_flight());
        pair.theirs.reset();
        wait_until(d, [&] { return send.ended(); });
        CHECK(send.result() > 0);
        CHECK(send.result() < 3'000'000);
        send.seen.clear();
        d.start(send);
        wait_until(d, [&] { return send.ended(); });
        CHECK((send.result() == -EPIPE || send.result() == -ECONNRESET));
        d.forget(pair.ours.get());
    });
}

TEST_CASE("connect completes with 0, or with the kernel's reason") {
    on_each([](detail::driver& d) {
        listening server;
        const unique_fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        noted_op connect(io_kind::connect, client.get());
        connect.data = server.as_sockaddr();
        connect.size = sizeof server.address;
        d.start(connect);
        CHECK(connect.seen.empty());
        wait_until(d, [&] { return connect.ended(); });
        CHECK(connect.result() == 0);
        d.forget(client.get());

        server.fd.reset();
        const unique_fd refused(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        noted_op again(io_kind::connect, refused.get());
        again.data = server.as_sockaddr();
        again.size = sizeof server.address;
        d.start(again);
        wait_until(d, [&] { return again.ended(); });
        CHECK(again.result() == -ECONNREFUSED);
        d.forget(refused.get());
    });
}

TEST_CASE("several ops on one descriptor each complete with what they asked for") {
    on_each([](detail::driver& d) {
        const socket_pair pair;
        noted_op in(io_kind::poll, pair.ours.get());
        in.events = POLLIN;
        noted_op out(io_kind::poll, pair.ours.get());
        out.events = POLLOUT;
        noted_op receive(io_kind::receive, pair.ours.get());
        d.start(in);
        d.start(out);
        d.start(receive);
        wait_until(d, [&] { return out.ended(); });
        CHECK(out.result() == POLLOUT);
        CHECK(in.in_flight());
        pair.say("abc");
        noted_op both(io_kind::poll, pair.ours.get());
        both.events = POLLIN | POLLOUT;
        d.start(both);
        wait_until(d, [&] { return in.ended() && both.ended() && !receive.seen.empty(); });
        CHECK(in.result() == POLLIN);
        CHECK((both.result() & POLLOUT) != 0);
        CHECK(take(d, receive) == "abc");
        CHECK(receive.in_flight());
        d.cancel(receive);
        wait_until(d, [&] { return !receive.in_flight(); });
        d.forget(pair.ours.get());
    });
}

TEST_CASE("a descriptor that hung up does not keep the driver busy") {
    on_each([](detail::driver& d) {
        socket_pair pair;
        noted_op poll(io_kind::poll, pair.ours.get());
        poll.events = POLLRDHUP;
        d.start(poll);
        pair.theirs.reset();
        wait_until(d, [&] { return poll.ended(); });
        CHECK((poll.result() & (POLLRDHUP | POLLHUP)) != 0);
        int waits = 0;
        for (const time_point end = clock::now() + 50ms; clock::now() < end; ++waits) {
            d.wait(clock::now(), end);
        }
        CHECK(waits < 20);
        d.forget(pair.ours.get());
    });
}

TEST_CASE("an op on a descriptor that is not open completes with EBADF") {
    on_each([](detail::driver& d) {
        std::byte octets[4] = {};
        for (const io_kind kind : {io_kind::read, io_kind::write, io_kind::poll, io_kind::receive, io_kind::send,
                                   io_kind::accept}) {
            noted_op op(kind, -1);
            op.data = octets;
            op.size = sizeof octets;
            op.events = POLLIN;
            d.start(op);
            wait_until(d, [&] { return op.ended(); });
            CHECK(op.result() == -EBADF);
        }
    });
}

TEST_CASE("regular files are always ready") {
    on_each([](detail::driver& d) {
        char name[] = "/tmp/flux_driver_test_XXXXXX";
        const unique_fd file(::mkstemp(name));
        ::unlink(name);
        char octets[8] = "content";
        noted_op write(io_kind::write, file.get());
        write.data = octets;
        write.size = 7;
        d.start(write);
        wait_until(d, [&] { return write.ended(); });
        CHECK(write.result() == 7);

        noted_op poll(io_kind::poll, file.get());
        poll.events = POLLIN | POLLOUT;
        d.start(poll);
        wait_until(d, [&] { return poll.ended(); });
        CHECK(poll.result() == (POLLIN | POLLOUT));

        REQUIRE(::lseek(file.get(), 0, SEEK_SET) == 0);
        char back[8] = {};
        noted_op read(io_kind::read, file.get());
        read.data = back;
        read.size = sizeof back;
        d.start(read);
        wait_until(d, [&] { return read.ended(); });
        CHECK(read.result() == 7);
        CHECK(std::string(back) == "content");
        d.forget(file.get());
    });
}

TEST_CASE("a write to a pipe takes what fits and does not wait for the rest") {
    on_each([](detail::driver& d) {
        const pipe_pair pipe;
        std::string big(1'000'000, 'x');
        noted_op write(io_kind::write, pipe.in.get());
        write.data = big.data();
        write.size = big.size();
        d.start(write);
        wait_until(d, [&] { return write.ended(); });
        CHECK(write.result() > 0);
        CHECK(write.result() < 1'000'000);
        d.forget(pipe.in.get());
    });
}

TEST_CASE("a read from a pipe that somebody else has emptied waits for more") {
    on_each([](detail::driver& d) {
        const pipe_pair pipe;
        char octets[4] = {};
        noted_op first(io_kind::read, pipe.out.get());
        noted_op second(io_kind::read, pipe.out.get());
        for (noted_op* op : {&first, &second}) {
            op->data = octets;
            op->size = sizeof octets;
            d.start(*op);
        }
        look(d);
        REQUIRE(::write(pipe.in.get(), "ab", 2) == 2);
        wait_until(d, [&] { return first.ended() || second.ended(); });
        look(d);
        CHECK(first.ended() != second.ended());
        REQUIRE(::write(pipe.in.get(), "cd", 2) == 2);
        wait_until(d, [&] { return first.ended() && second.ended(); });
        CHECK(first.result() == 2);
        CHECK(second.result() == 2);
        d.forget(pipe.out.get());
    });
}

TEST_CASE("a descriptor that its owner has made non-blocking waits as any other") {
    on_each([](detail::driver& d) {
        const auto set_nonblocking = [](const unique_fd& fd) {
            REQUIRE(::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK) == 0);
        };
        const socket_pair pair;
        set_nonblocking(pair.ours);
        noted_op receive(io_kind::receive, pair.ours.get());
        d.start(receive);
        for (int i = 0; i < 3; ++i) {
            look(d);
        }
        CHECK(receive.in_flight());
        pair.say("x");
        wait_until(d, [&] { return !receive.seen.empty(); });
        CHECK(take(d, receive) == "x");
        d.cancel(receive);
        wait_until(d, [&] { return !receive.in_flight(); });

        listening server;
        set_nonblocking(server.fd);
        noted_op accept(io_kind::accept, server.fd.get());
        d.start(accept);
        look(d);
        look(d);
        CHECK(accept.in_flight());
        const unique_fd client = server.connect();
        wait_until(d, [&] { return !accept.seen.empty(); });
        CHECK(accept.result() >= 0);
        ::close(accept.result());
        d.cancel(accept);
        wait_until(d, [&] { return !accept.in_flight(); });

        const pipe_pair pipe;
        set_nonblocking(pipe.out);
        char room[4] = {};
        noted_op read(io_kind::read, pipe.out.get());
        read.data = room;
        read.size = sizeof room;
        d.start(read);
        look(d);
        look(d);
        CHECK(read.in_flight());
        REQUIRE(::write(pipe.in.get(), "ab", 2) == 2);
        wait_until(d, [&] { return read.ended(); });
        CHECK(read.result() == 2);
        for (const int fd : {pair.ours.get(), server.fd.get(), pipe.out.get()}) {
            d.forget(fd);
        }
    });
}

TEST_CASE("a signal that interrupts the wait loses nothing") {
    on_each([](detail::driver& d) {
        struct ::sigaction action {};
        struct ::sigaction before {};
        action.sa_handler = [](int) {};
        ::sigaction(SIGVTALRM, &action, &before); // no SA_RESTART
        const socket_pair pair;
        noted_op receive(io_kind::receive, pair.ours.get());
        d.start(receive);
        std::string text;
        const ::pthread_t self = ::pthread_self();
        std::thread other([&] {
            for (int i = 0; i < 100; ++i) {
                ::pthread_kill(self, SIGVTALRM);
                if (i % 10 == 0) {
                    pair.say("x");
                }
                std::this_thread::sleep_for(1ms);
            }
        });
        while (text.size() < 10) {
            d.wait(clock::now(), clock::now() + 10s);
            CHECK(receive.in_flight());
            text += take(d, receive);
        }
        other.join();
        d.cancel(receive);
        wait_until(d, [&] { return !receive.in_flight(); });
        d.forget(pair.ours.get());
        ::sigaction(SIGVTALRM, &before, nullptr);
    });
}

TEST_CASE("more ops than the submission queue holds can be started in one turn") {
    on_each([](detail::driver& d) {
        const unique_fd event(::eventfd(0, EFD_CLOEXEC));
        std::vector<std::unique_ptr<noted_op>> ops;
        for (int i = 0; i < 3000; ++i) {
            ops.push_back(std::make_unique<noted_op>(io_kind::poll, event.get()));
            ops.back()->events = POLLIN;
            d.start(*ops.back());
        }
        CHECK(d.in_flight() == ops.size());
        for (std::size_t i = 0; i < ops.size(); i += 2) {
            d.cancel(*ops[i]);
        }
        std::size_t ended = 0;
        wait_until(d, [&] {
            ended = 0;
            for (const auto& op : ops) {
                ended += op->ended() ? 1U : 0U;
            }
            return ended == ops.size() / 2;
        });
        REQUIRE(::eventfd_write(event.get(), 1) == 0);
        wait_until(d, [&] { return d.in_flight() == 0; });
        for (std::size_t i = 0; i < ops.size(); ++i) {
            CHECK(ops[i]->seen.size() == 1);
            CHECK(ops[i]->result() == (i % 2 == 0 ? -ECANCELED : POLLIN));
        }
        d.forget(event.get());
    });
}

TEST_CASE("more completions than the completion queue holds are all delivered") {
    on_each([](detail::driver& d) {
        const unique_fd event(::eventfd(1, EFD_CLOEXEC)); // readable: every poll completes when it is submitted
        std::vector<std::unique_ptr<noted_op>> ops;
        for (int i = 0; i < 12'000; ++i) {
            ops.push_back(std::make_unique<noted_op>(io_kind::poll, event.get()));
            ops.back()->events = POLLIN;
            d.start(*ops.back());
        }
        wait_until(d, [&] { return d.in_flight() == 0; });
        std::size_t right = 0;
        for (const auto& op : ops) {
            right += op->seen.size() == 1 && op->result() == POLLIN ? 1U : 0U;
        }
        CHECK(right == ops.size());
        d.forget(event.get());
    });
}

TEST_CASE("what completions start and cancel inside wait() is kept in order") {
    on_each([](detail::driver& d) {
        const socket_pair pair;
        noted_op first(io_kind::poll, pair.ours.get());
        noted_op second(io_kind::poll, pair.ours.get());
        noted_op third(io_kind::poll, pair.ours.get());
        first.events = second.events = third.events = POLLIN;
        first.then = [&](const io_op::completion&) {
            d.cancel(second); // on the same descriptor, perhaps complete already
            d.start(third);
        };
        d.start(first);
        d.start(second);
        look(d);
        pair.say("x");
        wait_until(d, [&] { return d.in_flight() == 0; });
        CHECK(first.result() == POLLIN);
        CHECK((second.result() == POLLIN || second.result() == -ECANCELED));
        CHECK(second.seen.size() == 1);
        CHECK(third.result() == POLLIN);
        d.forget(pair.ours.get());
    });
}

TEST_CASE("wait() with a deadline that has passed does not sleep, and one without a deadline does") {
    on_each([](detail::driver& d) {
        const time_point now = clock::now();
        CHECK(d.wait(now, now - 1h) == 0);
        CHECK(d.wait(now, now) == 0);
        const socket_pair pair;
        noted_op receive(io_kind::receive, pair.ours.get());
        d.start(receive);
        look(d);
        std::thread other([&] { pair.say("x"); });
        while (receive.seen.empty()) {
            d.wait(clock::now(), no_deadline);
        }
        other.join();
        CHECK(take(d, receive) == "x");
        d.cancel(receive);
        wait_until(d, [&] { return !receive.in_flight(); });
        d.forget(pair.ours.get());
    });
}

TEST_CASE("a descriptor number that is used again starts afresh") {
    on_each([](detail::driver& d) {
        for (int i = 0; i < 20; ++i) {
            socket_pair pair;
            noted_op receive(io_kind::receive, pair.ours.get());
            d.start(receive);
            look(d);
            pair.say("x");
            wait_until(d, [&] { return !receive.seen.empty(); });
            CHECK(take(d, receive) == "x");
            pair.theirs.reset();
            wait_until(d, [&] { return receive.ended(); });
            d.forget(pair.ours.get());
        }
    });
}

} // TEST_SUITE
