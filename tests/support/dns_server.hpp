// SPDX-License-Identifier: MIT
// tests/support/dns_server.hpp - a name server on the loopback address that says what a test wants.
//
//     dns_server server(r, [](const dns_question& q, bool tcp) { return answers{...}; });
//     auto body = [&](task_scope& scope) -> task<> { server.start(scope); ...; scope.stop(); };
#pragma once

#include <flux/coro/scope.hpp>
#include <flux/io/reactor.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/read.hpp>
#include <flux/net/udp.hpp>
#include <support/dns_builder.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

namespace test_support {

class dns_server {
public:
    /// The messages that are sent for a question, in order; none: silence.
    using answers = std::vector<std::string>;
    using handler = std::function<answers(const dns_question&, bool tcp)>;

    dns_server(flux::reactor& r, handler h) : handler_(std::move(h)) {
        for (int i = 0; i < 100 && !listener_; ++i) { // until a port is free for both
            udp_ = flux::udp_socket::bind(r, flux::endpoint::loopback(0)).value();
            where_ = udp_.local_endpoint().value();
            if (auto l = flux::tcp_listener::listen(r, where_)) {
                listener_.emplace(*std::move(l));
            }
        }
        REQUIRE(listener_.has_value());
    }

    /// The children refer to the server: it outlives the scope.
    void start(flux::task_scope& scope) {
        scope.spawn(&serve_udp, std::ref(*this));
        scope.spawn(&serve_tcp, std::ref(*this));
    }
    [[nodiscard]] const flux::endpoint& where() const { return where_; }
    /// "name type/transport" of all questions so far.
    [[nodiscard]] const std::vector<std::string>& asked() const { return asked_; }

private:
    answers answer(std::string_view query, bool tcp) {
        const dns_question q(query);
        asked_.push_back(q.text + " " + std::to_string(q.type) + (tcp ? "/tcp" : "/udp"));
        return handler_(q, tcp);
    }
    static flux::task<> serve_udp(dns_server& self) {
        std::string buffer(2000, '\0');
        for (;;) {
            const auto got = co_await self.udp_.receive_from(std::as_writable_bytes(std::span(buffer)));
            const auto all = self.answer(std::string_view(buffer).substr(0, got.size), false);
            for (const std::string& one : all) {
                co_await self.udp_.send_to(flux::as_octets(one), got.peer);
            }
        }
    }
    static flux::task<> serve_tcp(dns_server& self) {
        for (;;) {
            auto stream = co_await self.listener_->accept();
            auto end = co_await flux::attempt(converse(self, std::move(stream)));
            if (!end && end.error().kind() == flux::error_kind::cancelled) {
                co_await flux::fail(end.error());
            }
        }
    }
    static flux::task<> converse(dns_server& self, flux::tcp_stream stream) {
        std::string text(2, '\0');
        co_await flux::read_exact(stream, std::as_writable_bytes(std::span(text)));
        text.resize(static_cast<std::size_t>(static_cast<unsigned char>(text[0]) << 8 | static_cast<unsigned char>(text[1])));
        co_await flux::read_exact(stream, std::as_writable_bytes(std::span(text)));
        const auto all = self.answer(text, true);
        for (const std::string& one : all) {
            const std::string framed = dns_u16(static_cast<unsigned>(one.size())) + one;
            co_await stream.write_all(flux::as_octets(framed));
        }
        if (all.empty()) {
            std::string rest = co_await flux::read_all(stream);
        }
    }

    handler handler_;
    flux::udp_socket udp_;
    std::optional<flux::tcp_listener> listener_;
    flux::endpoint where_;
    std::vector<std::string> asked_;
};

} // namespace test_support
