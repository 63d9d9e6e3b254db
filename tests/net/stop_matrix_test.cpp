// SPDX-License-Identifier: MIT
// Every wait of io/ and net/, and one of each kind of coro/, against a stop: before it starts, before the kernel has it,
// while it is in flight, beside its completion in every order, and from another thread. One table of waits, one set of
// rules: it ends; it yields what it waited for or the reason of the stop; and nothing that the kernel delivered is lost.
#include <flux/io/io_state.hpp> // also proves the header is self-contained

#include <flux/coro/channel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/mutex.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <flux/io/blocking.hpp>
#include <flux/io/poll.hpp>
#include <flux/io/signal.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/udp.hpp>
#include <support/driver_matrix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <termios.h>

using namespace flux;
using namespace std::chrono_literals;
using test_support::on_each_driver;
using test_support::run;

namespace {

std::string octets_from(std::size_t at, std::size_t n) {
    std::string text(n, '\0');
    for (std::size_t i = 0; i < n; ++i) {
        text[i] = static_cast<char>((at + i) * 31 + (at + i) / 256);
    }
    return text;
}

void set_nonblocking(const unique_fd& fd) { ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK); }

/// Everything that can be read now.
std::string drain(int fd) {
    std::string all;
    char part[8192];
    ::ssize_t n = 0;
    while ((n = ::read(fd, part, sizeof part)) > 0) {
        all.append(part, static_cast<std::size_t>(n));
    }
    return all;
}

struct raw_pair {
    explicit raw_pair(int type) {
        int both[2];
        REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, both) == 0);
        ours.reset(both[0]);
        theirs.reset(both[1]);
    }
    unique_fd ours;
    unique_fd theirs;
};

// ---- the waits ----
//
// op()          one wait
// complete()    what it waits for happens; system calls only, so that any thread may do it
// keep(value)   takes what a completed wait yielded
// settle(ok)    after the round: nothing is lost; ready for the next one. ok: the wait yielded
// alone         it completes without complete()
// awaited       a stop does not end it once it runs: it has to be completed

struct wait_base {
    static constexpr bool alone = false;
    static constexpr bool awaited = false;
};

struct on_accept : wait_base {
    explicit on_accept(reactor& r) : listener(tcp_listener::listen(r, endpoint::loopback(0)).value()) {
        size = listener.local_endpoint().value().to_sockaddr(where);
    }
    auto op() { return listener.accept(); }
    void complete() {
        clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::connect(clients.back().get(), reinterpret_cast<const ::sockaddr*>(&where), size) == 0) {
            ++made;
        }
    }
    void keep(const tcp_stream&) { ++got; }
    task<> settle(bool) {
        while (got < made) {
            const auto s = co_await listener.accept();
            ++got;
        }
        clients.clear();
    }
    tcp_listener listener;
    ::sockaddr_storage where{};
    ::socklen_t size = 0;
    std::vector<unique_fd> clients;
    int made = 0;
    int got = 0;
};

struct on_connect : wait_base {
    static constexpr bool alone = true;
    explicit on_connect(reactor&) : listening(tcp_listener::open(endpoint::loopback(0), listen_options()).value()) {
        where = detail::name_of(listening.get(), &::getsockname).value();
        set_nonblocking(listening);
    }
    auto op() { return tcp_connect(where); }
    void complete() {}
    void keep(const tcp_stream&) {}
    task<> settle(bool) {
        for (int fd = 0; fd >= 0; fd = ::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC)) {
            if (fd > 0) {
                ::close(fd);
            }
        }
        co_return;
    }
    unique_fd listening;
    endpoint where;
};

struct on_silent_connect : wait_base {
    explicit on_silent_connect(reactor&) : listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        ::sockaddr_storage address{};
        ::socklen_t size = endpoint::loopback(0).to_sockaddr(address);
        REQUIRE(::bind(listening.get(), reinterpret_cast<::sockaddr*>(&address), size) == 0);
        REQUIRE(::listen(listening.get(), 0) == 0);
        where = detail::name_of(listening.get(), &::getsockname).value();
        size = where.to_sockaddr(address);
        for (unique_fd& one : filling) {
            one.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            std::ignore = ::connect(one.get(), reinterpret_cast<::sockaddr*>(&address), size);
        }
    }
    auto op() { return tcp_connect(where); }
    void complete() {} // never
    void keep(const tcp_stream&) {}
    task<> settle(bool) { co_return; }
    unique_fd listening;
    endpoint where;
    unique_fd filling[4];
};

struct on_read_some : wait_base {
    explicit on_read_some(reactor& r) : pair(SOCK_STREAM), stream(r, std::move(pair.ours)) {}
    auto op() { return stream.read_some(room); }
    void complete() {
        const std::string text = octets_from(sent, 5);
        if (::send(pair.theirs.get(), text.data(), text.size(), MSG_NOSIGNAL) == 5) {
            sent += 5;
        }
    }
    void keep(std::size_t n) { got += as_text(const_buffer(room, n)); }
    task<> settle(bool) {
        while (got.size() < sent) {
            keep(co_await stream.read_some(room));
        }
        CHECK(got == octets_from(0, sent));
    }
    raw_pair pair;
    unix_stream stream;
    std::byte room[3]; // less than what arrives
    std::size_t sent = 0;
    std::string got;
};

struct on_receive : wait_base {
    explicit on_receive(reactor& r) : pair(SOCK_STREAM), stream(r, std::move(pair.ours)) {}
    auto op() { return stream.receive(); }
    void complete() {
        const std::string text = octets_from(sent, 5);
        if (::send(pair.theirs.get(), text.data(), text.size(), MSG_NOSIGNAL) == 5) {
            sent += 5;
        }
    }
    void keep(const received& octets) { got += as_text(octets.octets()); }
    task<> settle(bool) {
        while (got.size() < sent) {
            const auto octets = co_await stream.receive();
            keep(octets);
        }
        CHECK(got == octets_from(0, sent));
    }
    raw_pair pair;
    unix_stream stream;
    std::size_t sent = 0;
    std::string got;
};

// More than the socket takes: a first part goes out, and the rest when the peer has read that. A unix_stream sends in
// parts, other streams have the kernel send all.
template <class Stream>
struct writing : wait_base {
    explicit writing(reactor& r) : home(&r), text(octets_from(7, 300'000)) { open(); }
    void open() {
        pair.emplace(SOCK_STREAM);
        set_nonblocking(pair->theirs);
        stream = Stream(*home, std::move(pair->ours));
        got.clear();
    }
    void complete() { got += drain(pair->theirs.get()); }
    void keep() {}
    task<> settle(bool ok) {
        stream.close();
        while (true) {
            got += drain(pair->theirs.get());
            char octet = 0;
            if (::recv(pair->theirs.get(), &octet, 1, MSG_PEEK) == 0) {
                break;
            }
            co_await sleep_for(0s);
        }
        CHECK(got == std::string_view(text).substr(0, got.size()));
        CHECK((!ok || got.size() == text.size()));
        open();
    }
    reactor* home;
    std::string text;
    std::optional<raw_pair> pair;
    Stream stream;
    std::string got;
};

template <class Stream>
struct on_write_to : writing<Stream> {
    using writing<Stream>::writing;
    auto op() { return this->stream.write_all(as_octets(this->text)); }
};
using on_write = on_write_to<socket_stream>;
using on_write_in_parts = on_write_to<unix_stream>;

template <class Stream>
struct on_gathered_write_to : writing<Stream> {
    using writing<Stream>::writing;
    auto op() {
        const const_buffer all = as_octets(this->text);
        list[0] = all.first(10);
        list[1] = all.subspan(10, 250'000);
        list[2] = all.subspan(250'010);
        return this->stream.write_all(std::span<const const_buffer>(list));
    }
    const_buffer list[3];
};
using on_gathered_write = on_gathered_write_to<socket_stream>;
using on_gathered_write_in_parts = on_gathered_write_to<unix_stream>;

// A file behind a first part that the socket does not take at once.
struct on_send_file : writing<socket_stream> {
    explicit on_send_file(reactor& r) : writing(r), file(::memfd_create("file", MFD_CLOEXEC)) {
        const std::string_view tail = std::string_view(text).substr(before);
        REQUIRE(::write(file.get(), tail.data(), tail.size()) == static_cast<::ssize_t>(tail.size()));
    }
    auto op() { return stream.send_file(as_octets(text).first(before), file.get(), 0, text.size() - before); }
    void keep(std::size_t n) { sent = before + n; }
    task<> settle(bool ok) {
        const std::string all = text;
        text.resize(ok ? sent : text.size()); // how much of the file goes out at a time is the kernel's
        co_await writing::settle(ok);
        text = all;
    }
    static constexpr std::size_t before = 280'000;
    unique_fd file;
    std::size_t sent = 0;
};

struct on_datagram : wait_base {
    explicit on_datagram(reactor& r)
        : socket(udp_socket::bind(r, endpoint::loopback(0)).value()), peer(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        size = socket.local_endpoint().value().to_sockaddr(where);
    }
    auto op() { return socket.receive_from(room); }
    void complete() {
        const int number = sent;
        if (::sendto(peer.get(), &number, sizeof number, 0, reinterpret_cast<const ::sockaddr*>(&where), size) > 0) {
            ++sent;
        }
    }
    void keep(const datagram& d) {
        int number = -1;
        CHECK(d.size == sizeof number);
        std::memcpy(&number, room, sizeof number);
        CHECK(number == got);
        ++got;
    }
    task<> settle(bool) {
        while (got < sent) {
            const datagram d = co_await socket.receive_from(room);
            keep(d);
        }
    }
    udp_socket socket;
    unique_fd peer;
    ::sockaddr_storage where{};
    ::socklen_t size = 0;
    std::byte room[16];
    int sent = 0;
    int got = 0;
};

struct on_send_to : wait_base {
    static constexpr bool alone = true;
    explicit on_send_to(reactor& r)
        : socket(udp_socket::bind(r, endpoint::loopback(0)).value()), peer(udp_socket::bind(r, endpoint::loopback(0)).value()) {}
    auto op() { return socket.send_to(as_octets("x"), peer.local_endpoint().value()); }
    void complete() {}
    void keep() {}
    task<> settle(bool ok) {
        char octet = 0;
        int arrived = 0;
        while (::recv(peer.native_handle(), &octet, 1, MSG_DONTWAIT) == 1) {
            ++arrived;
        }
        CHECK(arrived == (ok ? 1 : 0));
        co_return;
    }
    udp_socket socket;
    udp_socket peer;
};

struct on_poll : wait_base {
    explicit on_poll(reactor&) : event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    auto op() { return readable(event.get()); }
    void complete() { ::eventfd_write(event.get(), 1); }
    void keep(unsigned events) { CHECK(events == POLLIN); }
    task<> settle(bool) {
        ::eventfd_t value = 0;
        ::eventfd_read(event.get(), &value);
        co_return;
    }
    unique_fd event;
};

struct on_read_fd : wait_base {
    explicit on_read_fd(reactor&) {
        int both[2];
        REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
        out.reset(both[0]);
        in.reset(both[1]);
    }
    auto op() { return read_fd(out.get(), room); }
    void complete() {
        const std::string text = octets_from(sent, 5);
        if (::write(in.get(), text.data(), text.size()) == 5) {
            sent += 5;
        }
    }
    void keep(std::size_t n) { got += as_text(const_buffer(room, n)); }
    task<> settle(bool) {
        while (got.size() < sent) {
            keep(co_await read_fd(out.get(), room));
        }
        CHECK(got == octets_from(0, sent));
    }
    unique_fd out;
    unique_fd in;
    std::byte room[3];
    std::size_t sent = 0;
    std::string got;
};

// A file of a kind that the kernel reads on a thread of its own.
struct on_terminal : wait_base {
    explicit on_terminal(reactor&) : ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
        REQUIRE(ours.is_open());
        REQUIRE(::grantpt(ours.get()) == 0);
        REQUIRE(::unlockpt(ours.get()) == 0);
        char name[64];
        REQUIRE(::ptsname_r(ours.get(), name, sizeof name) == 0);
        theirs.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
        REQUIRE(theirs.is_open());
        ::termios raw{};
        ::tcgetattr(theirs.get(), &raw);
        ::cfmakeraw(&raw);
        ::tcsetattr(theirs.get(), TCSANOW, &raw);
    }
    auto op() { return read_fd(ours.get(), room); }
    void complete() { sent += ::write(theirs.get(), "abc", 3) == 3 ? 3U : 0U; }
    void keep(std::size_t n) { got += n; }
    task<> settle(bool) {
        while (got < sent) {
            keep(co_await read_fd(ours.get(), room));
        }
        CHECK(got == sent);
    }
    unique_fd ours;
    unique_fd theirs;
    std::byte room[8];
    std::size_t sent = 0;
    std::size_t got = 0;
};

struct on_write_fd : wait_base {
    explicit on_write_fd(reactor&) {
        int both[2];
        REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
        out.reset(both[0]);
        in.reset(both[1]);
        set_nonblocking(out);
        fill();
    }
    void fill() {
        const unique_fd also(::open(("/proc/self/fd/" + std::to_string(in.get())).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
        const std::string page(4096, 'x');
        for (::ssize_t n = 0; (n = ::write(also.get(), page.data(), page.size())) > 0;) {
            written += static_cast<std::size_t>(n);
        }
    }
    auto op() { return write_fd(in.get(), as_octets("0123456789")); }
    void complete() { drained += drain(out.get()).size(); }
    void keep(std::size_t n) { written += n; }
    task<> settle(bool) {
        drained += drain(out.get()).size();
        CHECK(drained == written);
        fill();
        co_return;
    }
    unique_fd out;
    unique_fd in;
    std::size_t written = 0;
    std::size_t drained = 0;
};

struct on_signal : wait_base {
    explicit on_signal(reactor&) {}
    auto op() { return signals.next(); }
    void complete() {
        came = true;
        ::kill(::getpid(), SIGUSR1);
    }
    void keep(int number) {
        CHECK(number == SIGUSR1);
        got = true;
    }
    task<> settle(bool) {
        if (came && !got) {
            keep(co_await signals.next());
        }
        CHECK(came == got);
        came = got = false;
    }
    signal_set signals{SIGUSR1};
    bool came = false;
    bool got = false;
};

struct on_blocking : wait_base {
    static constexpr bool awaited = true;
    explicit on_blocking(reactor&) { open_gate(); }
    void open_gate() { gate = std::make_shared<std::pair<std::mutex, bool>>(); }
    auto op() {
        call = [this] {
            for (;;) {
                {
                    const std::lock_guard lock(gate->first);
                    if (gate->second) {
                        return ++calls;
                    }
                }
                std::this_thread::sleep_for(100us);
            }
        };
        return blocking(call);
    }
    void complete() {
        const std::lock_guard lock(gate->first);
        gate->second = true;
    }
    void keep(int number) {
        ++got;
        CHECK(number == got);
    }
    task<> settle(bool) {
        CHECK(calls.load() == got);
        open_gate();
        co_return;
    }
    std::shared_ptr<std::pair<std::mutex, bool>> gate;
    std::function<int()> call;
    std::atomic<int> calls{0};
    int got = 0;
};

struct on_sleep : wait_base {
    explicit on_sleep(reactor&) {}
    auto op() { return sleep_for(1h); }
    void complete() {} // never
    void keep() {}
    task<> settle(bool) { co_return; }
};

struct on_short_sleep : wait_base {
    static constexpr bool alone = true;
    explicit on_short_sleep(reactor&) {}
    auto op() { return sleep_for(0s); }
    void complete() {}
    void keep() {}
    task<> settle(bool) { co_return; }
};

// What coroutines wait for among themselves, on a loop that has a kernel side, too. complete() goes through the mail.
struct posted : wait_base {
    explicit posted(reactor& r) : home(&r) {}
    template <class F>
    void later(F f) {
        ++asked;
        home->post([this, f] {
            f();
            ++done;
        });
    }
    task<> until_done() {
        while (done != asked) {
            co_await sleep_for(0s);
        }
    }
    reactor* home;
    std::atomic<int> asked{0};
    int done = 0;
};

struct on_event : posted {
    using posted::posted;
    auto op() { return event.wait(); }
    void complete() {
        later([this] { event.set(); });
    }
    void keep() { CHECK(event.is_set()); }
    task<> settle(bool) {
        co_await until_done();
        event.reset();
    }
    async_event event;
};

struct on_mutex : posted {
    using posted::posted;
    auto op() { return mutex.lock(); }
    void complete() {
        later([this] { held.reset(); });
    }
    void keep(mutex_guard& guard) { taken.emplace(std::move(guard)); }
    task<> settle(bool ok) {
        co_await until_done();
        CHECK(ok == taken.has_value());
        taken.reset();
        held.reset();
        held = mutex.try_lock();
        CHECK(held.has_value());
    }
    async_mutex mutex;
    std::optional<mutex_guard> held = mutex.try_lock();
    std::optional<mutex_guard> taken;
};

struct on_semaphore : posted {
    using posted::posted;
    auto op() { return semaphore.acquire(2); }
    void complete() {
        later([this] { semaphore.release(2); });
    }
    void keep(semaphore_permit& permit) {
        permit.forget();
        got += 2;
    }
    task<> settle(bool) {
        co_await until_done();
        for (; got < 2 * done; ++got) {
            auto permit = semaphore.try_acquire();
            REQUIRE(permit);
            permit->forget();
        }
        CHECK(!semaphore.try_acquire());
    }
    async_semaphore semaphore{0};
    int got = 0;
};

struct on_channel : posted {
    using posted::posted;
    auto op() { return values.receive(); }
    void complete() {
        later([this] { sent += values.try_send(sent + 1) ? 1 : 0; });
    }
    void keep(std::optional<int> value) {
        ++got;
        CHECK(value == got);
    }
    task<> settle(bool) {
        co_await until_done();
        while (got < sent) {
            keep(values.try_receive());
        }
        CHECK(!values.try_receive());
    }
    channel<int> values{4};
    int sent = 0;
    int got = 0;
};

struct on_channel_send : posted {
    using posted::posted;
    auto op() { return values.send(1); }
    void complete() {
        later([this] { drained += values.try_receive() ? 1 : 0; });
    }
    void keep() { ++sent; }
    task<> settle(bool) {
        co_await until_done();
        while (values.try_receive()) {
            ++drained;
        }
        CHECK(drained == sent);
        sent += values.try_send(0) ? 1 : 0;
    }
    channel<int> values{1};
    int sent = values.try_send(0) ? 1 : 0; // it is full
    int drained = 0;
};

struct on_when_all : on_poll {
    explicit on_when_all(reactor& r) : on_poll(r), second(r) {}
    auto op() { return when_all(on_poll::op(), second.op()); }
    void complete() {
        on_poll::complete();
        second.complete();
    }
    template <class Both>
    void keep(const Both& both) {
        on_poll::keep(std::get<0>(both));
        second.keep(std::get<1>(both));
    }
    task<> settle(bool ok) {
        co_await on_poll::settle(ok);
        co_await second.settle(ok);
    }
    on_poll second;
};

struct on_when_any : on_poll {
    explicit on_when_any(reactor& r) : on_poll(r), second(r) {}
    auto op() { return when_any(on_poll::op(), second.op()); }
    template <class First>
    void keep(const First& first) {
        CHECK(first.index() == 0);
    }
    on_poll second; // never
};

// Those that end only when they are completed or stopped.
#define LASTING_WAITS                                                                                               \
    on_accept, on_silent_connect, on_read_some, on_receive, on_write, on_gathered_write, on_send_file, on_datagram, \
        on_poll, on_read_fd, on_terminal, on_write_fd, on_signal, on_sleep
#define WAITS                                                                                                       \
    LASTING_WAITS, on_connect, on_send_to, on_blocking, on_short_sleep, on_write_in_parts,                          \
        on_gathered_write_in_parts, on_event, on_mutex, on_semaphore, on_channel, on_channel_send, on_when_all, on_when_any

// ---- the rules ----

enum class moment {
    before_start,       ///< the context is stopped before the wait begins
    completed_before_start, ///< the same, and what it would wait for is there
    before_the_kernel,  ///< in the pass in which it begins, before anything is handed to the kernel
    completed_and_before_the_kernel,
    in_flight,
    after_completion,   ///< the kernel has completed it, nobody has looked
    before_completion,  ///< the cancel is on its way when it completes
    before_resumption,  ///< the loop has seen the completion, the coroutine has not run yet
};
constexpr moment moments[] = {moment::before_start,      moment::completed_before_start,
                              moment::before_the_kernel, moment::completed_and_before_the_kernel,
                              moment::in_flight,         moment::after_completion,
                              moment::before_completion, moment::before_resumption};

template <class Wait>
task<> one_wait(Wait& w, std::optional<result<void>>& end) {
    auto r = co_await attempt(w.op());
    if (!r) {
        end.emplace(failure(r.error()));
        co_return;
    }
    if constexpr (std::is_void_v<typename decltype(r)::value_type>) {
        w.keep();
    } else {
        w.keep(*r);
    }
    end.emplace();
}

task<> stop_at_once(context which, stop_reason reason) {
    which.stop(reason);
    co_return;
}

task<> turns(int n) {
    for (int i = 0; i < n; ++i) {
        co_await sleep_for(0s);
    }
}

template <class Wait>
task<> one_round(reactor& r, Wait& w, moment when, stop_reason reason) {
    auto ctx = co_await this_context();
    task_scope scope(ctx, scope_policy::collect);
    const context inner = scope.ctx();
    bool stopped = true; // false while the stop is in the mail
    std::optional<result<void>> end;
    const bool before_start = when == moment::before_start || when == moment::completed_before_start;
    if (when == moment::completed_before_start) {
        w.complete();
        co_await turns(3);
    }
    if (before_start) {
        inner.stop(reason);
    }
    if (when == moment::completed_and_before_the_kernel) {
        w.complete();
    }
    scope.spawn(&one_wait<Wait>, std::ref(w), std::ref(end));
    switch (when) {
    case moment::before_start:
    case moment::completed_before_start: break;
    case moment::before_the_kernel:
    case moment::completed_and_before_the_kernel: scope.spawn(&stop_at_once, inner, reason); break;
    default: co_await turns(3);
    }
    CHECK((!end || Wait::alone || before_start));
    switch (when) {
    case moment::in_flight: inner.stop(reason); break;
    case moment::after_completion:
        w.complete();
        inner.stop(reason);
        break;
    case moment::before_completion:
        inner.stop(reason);
        w.complete();
        break;
    case moment::before_resumption:
        w.complete();
        stopped = false;
        r.post([inner, reason, &stopped] {
            inner.stop(reason);
            stopped = true;
        });
        break;
    default: break;
    }
    if (Wait::awaited && !before_start) {
        co_await turns(3);
        w.complete();
    }
    co_await scope.join();
    while (!stopped) {
        co_await turns(1);
    }
    REQUIRE(end);
    if (!*end) {
        CHECK(end->error().is(to_errc(reason)));
    }
    if (before_start) {
        CHECK(!*end);
    }
    co_await w.settle(end->has_value());
}

// A stop and a completion from another thread, in either order and with any distance.
template <class Wait>
task<> race(reactor& r, Wait& w, unsigned seed) {
    auto ctx = co_await this_context();
    task_scope scope(ctx, scope_policy::collect);
    const context inner = scope.ctx();
    std::optional<result<void>> end;
    std::atomic<bool> stopped{false};
    scope.spawn(&one_wait<Wait>, std::ref(w), std::ref(end));
    std::minstd_rand random(seed + 1);
    const unsigned long lead = random() % 3000;
    const unsigned long gap = random() % 3000;
    const bool stop_first = random() % 2 == 0;
    std::thread other([&] {
        const auto spin = [](unsigned long n) {
            for (std::atomic<unsigned long> i{0}; i < n; ++i) {
            }
        };
        const auto stop = [&] {
            r.post([inner, &stopped] {
                inner.stop(stop_reason::canceled);
                stopped = true;
            });
        };
        spin(lead);
        if (stop_first) {
            stop();
            spin(gap);
            w.complete();
        } else {
            w.complete();
            spin(gap);
            stop();
        }
    });
    while (!stopped) {
        co_await sleep_for(100us);
    }
    other.join();
    co_await scope.join();
    REQUIRE(end);
    CHECK((end->has_value() || end->error().is(errc::canceled)));
    co_await w.settle(end->has_value());
}

} // namespace

TEST_SUITE("net/stop_matrix") {

TEST_CASE_TEMPLATE("a stop at any moment ends the wait with its reason or its value, and loses nothing", Wait, WAITS) {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            Wait w(r);
            for (int repeat = 0; repeat < 3; ++repeat) {
                for (const moment when : moments) {
                    for (const stop_reason reason : {stop_reason::canceled, stop_reason::timed_out,
                                                     stop_reason::disconnected, stop_reason::shutdown}) {
                        CAPTURE(static_cast<int>(when));
                        CAPTURE(static_cast<int>(reason));
                        co_await one_round(r, w, when, reason);
                    }
                }
            }
        };
        run(r, body());
    });
}

TEST_CASE_TEMPLATE("a stop from another thread beside the completion loses nothing", Wait, WAITS) {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            Wait w(r);
            for (unsigned seed = 0; seed < (FLUX_SANITIZED ? 60 : 150); ++seed) {
                co_await race(r, w, seed);
            }
        };
        run(r, body());
    });
}

TEST_CASE_TEMPLATE("a limit ends the wait with timed_out, whether its own or that of a block", Wait, LASTING_WAITS) {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        auto body = [&]() -> task<> {
            Wait w(r);
            const auto own = co_await attempt(with_timeout(2ms, w.op()));
            REQUIRE(!own);
            CHECK(own.error().is(errc::timed_out));
            co_await w.settle(false);
            auto under_limit = [&]() -> task<> {
                auto limit = co_await within(2ms);
                const auto outer = co_await attempt(with_timeout(1h, w.op()));
                REQUIRE(!outer);
                CHECK(outer.error().is(errc::timed_out));
                CHECK(limit.expired());
            };
            co_await under_limit();
            co_await w.settle(false);
        };
        run(r, body());
    });
}

TEST_CASE_TEMPLATE("shutting the reactor down ends the wait with shutdown", Wait, LASTING_WAITS) {
    on_each_driver([](const reactor_options& options) {
        reactor r(options);
        bool right = false;
        auto body = [&]() -> task<> {
            Wait w(r);
            r.post([&] { r.root().stop(stop_reason::shutdown); });
            const auto end = co_await attempt(w.op());
            right = !end && end.error().is(errc::shutdown);
        };
        run(r, body());
        CHECK(right);
    });
}

TEST_CASE("reads that are stopped at random lose no octet of a busy stream") {
    on_each_driver([](reactor_options options) {
        for (const bool scarce : {false, true}) {
            CAPTURE(scarce);
            if (scarce) {
                options.buffer_count = 4;
                options.buffer_size = 64;
            }
            reactor r(options);
            auto body = [&]() -> task<> {
                raw_pair pair(SOCK_STREAM);
                const std::size_t total = scarce ? 200'000 : 3'000'000;
                const std::string sent = octets_from(0, total);
                std::thread sender([&] {
                    std::minstd_rand random(7);
                    for (std::size_t at = 0; at < total;) {
                        const std::size_t n = std::min<std::size_t>(1 + random() % 5000, total - at);
                        const ::ssize_t done = ::send(pair.theirs.get(), sent.data() + at, n, MSG_NOSIGNAL);
                        at += done > 0 ? static_cast<std::size_t>(done) : 0;
                        if (random() % 8 == 0) {
                            std::this_thread::sleep_for(50us);
                        }
                    }
                    pair.theirs.reset();
                });
                unix_stream s(r, std::move(pair.ours));
                std::string got;
                std::minstd_rand random(8);
                std::vector<std::byte> room(3000);
                int stopped = 0;
                bool ended = false;
                while (!ended) {
                    const auto limit = microseconds(random() % 30);
                    if (random() % 2 == 0) {
                        const auto octets = co_await attempt(with_timeout(limit, s.receive()));
                        if (octets) {
                            got += as_text(octets->octets());
                            ended = octets->empty();
                        } else {
                            CHECK(octets.error().is(errc::timed_out));
                            ++stopped;
                        }
                    } else {
                        const auto n = co_await attempt(with_timeout(limit, s.read_some(room)));
                        if (n) {
                            got += as_text(const_buffer(room.data(), *n));
                            ended = *n == 0;
                        } else {
                            CHECK(n.error().is(errc::timed_out));
                            ++stopped;
                        }
                    }
                }
                sender.join();
                CHECK(got.size() == sent.size());
                CHECK((got == sent));
                CHECK(stopped > 0);
            };
            run(r, body());
        }
    });
}

} // TEST_SUITE
