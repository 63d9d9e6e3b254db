// SPDX-License-Identifier: MIT
#include <flux/coro/mailbox.hpp> // also proves the header is self-contained

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using flux::detail::mail;
using flux::detail::mailbox;

namespace {

class counting_box : public mailbox {
public:
    int wakes = 0;

protected:
    void wake() noexcept override { ++wakes; }
};

struct letter : mail {
    letter(std::string& l, char n) : mail(&read, &dropped), log(&l), name(n) {}
    static void read(mail& m) noexcept { *static_cast<letter&>(m).log += static_cast<letter&>(m).name; }
    static void dropped(mail& m) noexcept {
        *static_cast<letter&>(m).log += '-';
        read(m);
    }
    std::string* log;
    char name;
};

} // namespace

TEST_SUITE("coro/mailbox") {

TEST_CASE("mail is run in the order of its arrival") {
    counting_box box;
    std::string log;
    letter a(log, 'a');
    letter b(log, 'b');
    letter c(log, 'c');
    CHECK(box.run_all() == 0);
    CHECK(box.push(a));
    CHECK(box.push(b));
    CHECK(box.push(c));
    CHECK(box.run_all() == 3);
    CHECK(log == "abc");
    CHECK(box.run_all() == 0);
}

TEST_CASE("mail may be sent again from its own run") {
    struct echo : mail {
        explicit echo(mailbox& b) : mail(&read, &read), box(&b) {}
        static void read(mail& m) noexcept {
            auto& self = static_cast<echo&>(m);
            if (++self.runs < 3) {
                CHECK(self.box->push(self));
            }
        }
        mailbox* box;
        int runs = 0;
    };
    counting_box box;
    echo e(box);
    CHECK(box.push(e));
    CHECK(box.run_all() == 1); // what arrives meanwhile waits for the next call
    CHECK(box.run_all() == 1);
    CHECK(box.run_all() == 1);
    CHECK(box.run_all() == 0);
    CHECK(e.runs == 3);
}

TEST_CASE("only the first push after sleep was announced wakes the owner") {
    counting_box box;
    std::string log;
    letter a(log, 'a');
    letter b(log, 'b');
    letter c(log, 'c');
    CHECK(box.push(a));
    CHECK(box.wakes == 0);
    CHECK_FALSE(box.announce_sleep()); // there is mail
    CHECK(box.run_all() == 1);
    CHECK(box.announce_sleep());
    CHECK(box.push(b));
    CHECK(box.wakes == 1);
    CHECK(box.push(c));
    CHECK(box.wakes == 1);
    box.announce_awake();
    CHECK(box.run_all() == 2);
    letter d(log, 'd');
    CHECK(box.push(d));
    CHECK(box.wakes == 1); // nobody sleeps
    CHECK(box.run_all() == 1);
}

TEST_CASE("closing drops what is left in order, and refuses what comes later") {
    counting_box box;
    std::string log;
    letter a(log, 'a');
    letter b(log, 'b');
    letter c(log, 'c');
    CHECK(box.push(a));
    CHECK(box.push(b));
    CHECK_FALSE(box.is_closed());
    box.close();
    CHECK(box.is_closed());
    CHECK(log == "-a-b");
    CHECK_FALSE(box.push(c));
    box.close();
    CHECK(log == "-a-b");
}

TEST_CASE("no mail of many threads is lost, and each thread's mail stays in order") {
    class sleeping_box final : public mailbox {
    public:
        void sleep() {
            std::unique_lock lock(mutex_);
            cv_.wait(lock, [this] { return woken_; });
            woken_ = false;
        }

    protected:
        void wake() noexcept override {
            const std::lock_guard lock(mutex_);
            woken_ = true;
            cv_.notify_one();
        }

    private:
        std::mutex mutex_;
        std::condition_variable cv_;
        bool woken_ = false;
    };
    struct numbered : mail {
        numbered() : mail(&read, &read) {}
        static void read(mail& m) noexcept {
            auto& self = static_cast<numbered&>(m);
            self.in_order = *self.last + 1 == self.number;
            *self.last = self.number;
        }
        int* last = nullptr; // written by the owner of the box only
        int number = 0;
        bool in_order = false;
    };
    constexpr int threads = 4;
    constexpr int each = 20'000;
    sleeping_box box;
    std::vector<int> last(threads, 0);
    std::vector<std::vector<numbered>> mails(threads);
    for (int t = 0; t < threads; ++t) {
        auto& mine = mails[static_cast<std::size_t>(t)];
        mine = std::vector<numbered>(each);
        for (int n = 0; n < each; ++n) {
            mine[static_cast<std::size_t>(n)].last = &last[static_cast<std::size_t>(t)];
            mine[static_cast<std::size_t>(n)].number = n + 1;
        }
    }
    std::atomic<int> refused{0};
    std::vector<std::thread> senders;
    for (auto& mine : mails) {
        senders.emplace_back([&box, &mine, &refused] {
            for (numbered& m : mine) {
                refused += box.push(m) ? 0 : 1;
            }
        });
    }
    std::size_t seen = 0;
    while (seen < threads * each) {
        seen += box.run_all();
        if (seen < threads * each && box.announce_sleep()) {
            box.sleep(); // hangs if a wake is lost
            box.announce_awake();
        }
    }
    for (std::thread& sender : senders) {
        sender.join();
    }
    CHECK(refused == 0);
    bool in_order = true;
    for (const auto& mine : mails) {
        for (const numbered& m : mine) {
            in_order = in_order && m.in_order;
        }
    }
    CHECK(in_order);
}

TEST_CASE("closing while others push: each mail is run, dropped or refused, once") {
    struct counted : mail {
        counted() : mail(&ran, &dropped) {}
        static void ran(mail& m) noexcept { ++static_cast<counted&>(m).seen; }
        static void dropped(mail& m) noexcept { ++static_cast<counted&>(m).seen; }
        int seen = 0;
    };
    for (int round = 0; round < 50; ++round) {
        auto box = std::make_shared<counting_box>();
        std::vector<counted> mails(1000);
        std::atomic<bool> started{false};
        std::thread sender([box, &mails, &started] {
            for (counted& m : mails) {
                if (!box->push(m)) {
                    ++m.seen;
                }
                started = true;
            }
        });
        while (!started) {
            std::this_thread::yield();
        }
        box->run_all();
        box->close();
        sender.join();
        int wrong = 0;
        for (const counted& m : mails) {
            wrong += m.seen == 1 ? 0 : 1;
        }
        CHECK(wrong == 0);
    }
}

} // TEST_SUITE
