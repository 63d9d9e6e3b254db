// SPDX-License-Identifier: MIT
// A chat room over TCP: every line that a client sends goes to all others, through bounded channels.
//
//   chat [ADDRESS]        127.0.0.1:7778 by default
//
// Try:  curl -s telnet://127.0.0.1:7778   in two terminals, and type.
// A client that does not read loses lines once its channel is full; it never slows down the others.
#include <flux.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace {

using line = std::shared_ptr<const std::string>; // one copy for all who get it

struct member {
    flux::channel<line> inbox{64};
};

struct room {
    std::vector<member*> members;

    void say(const member& speaker, const line& text) {
        for (member* m : members) {
            if (m != &speaker) {
                flux::ignore_result(m->inbox.try_send(text), "a full inbox drops the line");
            }
        }
    }
};

flux::task<> deliver(flux::tcp_stream* to, member* self) {
    for (;;) {
        auto text = co_await self->inbox.receive();
        if (!text) {
            co_return; // closed: the client left
        }
        co_await to->write_all(flux::as_octets(**text));
    }
}

flux::task<> listen_to(flux::tcp_stream* from, member* self, room* all) {
    std::string buffer;
    for (;;) {
        auto n = co_await flux::attempt(flux::read_until(*from, buffer, "\n", 4096));
        if (!n) {
            break; // gone, or a line without end
        }
        all->say(*self, std::make_shared<const std::string>(buffer, 0, *n));
        buffer.erase(0, *n);
    }
    self->inbox.close();
}

flux::task<> client(flux::tcp_stream stream, room* all) {
    member self;
    all->members.push_back(&self);
    auto talk = [&](flux::task_scope& scope) -> flux::task<> {
        scope.spawn(deliver, &stream, &self);
        co_await listen_to(&stream, &self, all);
    };
    auto ended = co_await flux::attempt(flux::with_scope(talk));
    flux::ignore_result(ended, "how a client leaves is its own affair");
    std::erase(all->members, &self);
}

flux::task<> app(flux::endpoint where) {
    auto ctx = co_await flux::this_context();
    auto listener = flux::tcp_listener::listen(flux::reactor::of(ctx.home()), where).value();
    std::printf("listening on %s\n", listener.local_endpoint().value().to_string().c_str());
    std::fflush(stdout);
    room all;
    flux::task_scope clients(ctx, flux::scope_policy::collect);
    for (;;) {
        auto stream = co_await flux::attempt(listener.accept());
        if (!stream) {
            break;
        }
        clients.spawn(client, *std::move(stream), &all);
    }
    auto ended = co_await flux::attempt(clients.join());
    flux::ignore_result(ended, "they were stopped");
}

} // namespace

int main(int argc, char** argv) {
    auto where = flux::endpoint::parse(argc > 1 ? argv[1] : "127.0.0.1:7778");
    if (!where) {
        std::fprintf(stderr, "%s\nusage: chat [ADDRESS]\n", where.error().what());
        return 2;
    }
    return flux::run(app(*where));
}
