// SPDX-License-Identifier: MIT
// flux/tls/server_opening.hpp - server_opening: owns what a server does before there is an engine.
//
//   octets -> ClientHello -> hook or table -> context | alert;  ALPN -> protocol | alert;  context -> engine
//
// What speaks first may be no TLS client at all: HTTP in the clear gets an answer in the clear. Deliberately not here:
// the table and the hook (certificate_table.hpp), and the handshake that follows (stream_core.hpp).
#pragma once

#include <flux/tls/certificate_table.hpp>
#include <flux/tls/record_pipe.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::tls::detail {

class server_opening {
public:
    server_config_ptr config;
    server_context_ptr chosen; // this connection's
    std::string name;          // as the client asked for it
    std::optional<client_hello> hello; // once it was read

    /// Makes the pipe's engine and feeds it the ClientHello. Refuses the client with an alert and fails otherwise.
    template <class Next>
    [[nodiscard]] task<> begin(record_pipe<Next>& pipe) {
        byte_buffer seen;
        client_hello_reader reader;
        hello_state state = hello_state::need_more;
        while (state == hello_state::need_more) { // the reader has a limit of its own
            auto octets = co_await attempt(pipe.next.receive());
            if (!octets) {
                co_await flux::fail(std::move(octets).error());
            }
            if (octets->empty()) {
                co_await flux::fail(make_error(errc::truncated, "before the handshake"));
            }
            seen.append(as_text(octets->octets()));
            octets->reset();
            state = reader.read(seen.view());
        }
        result<void> begun;
        if (state != hello_state::complete) {
            begun = co_await attempt(refuse_stranger(pipe, state, reader.alert()));
        } else {
            hello = reader.take();
            hello->peer = peer_text(pipe.next);
            name = hello->server_name;
            begun = co_await attempt(choose(pipe, *hello));
            std::string protocol;
            if (begun && !choose_protocol(*hello, protocol)) {
                begun = co_await attempt(pipe.refuse(alert::no_application_protocol,
                    make_error(errc::no_common_protocol, "the client offers " + list_of(hello->protocols))));
            }
            if (begun) {
                begun = make_engine(pipe, protocol, seen.view());
                if (!begun) {
                    begun = co_await attempt(pipe.refuse(alert::internal_error, begun.error()));
                }
            }
        }
        if (!begun) {
            co_await flux::fail(std::move(begun).error());
        }
    }

private:
    template <class Next>
    [[nodiscard]] result<void> make_engine(record_pipe<Next>& pipe, const std::string& protocol, std::string_view seen) {
        auto made = chosen->connect(protocol, hello->offers_version(0x0304), name);
        if (!made) {
            return flux::fail(std::move(made).error());
        }
        pipe.tls = *std::move(made);
        pipe.tls->feed(seen);
        return {};
    }
    template <class Next>
    [[nodiscard]] task<> choose(record_pipe<Next>& pipe, const client_hello& asked) {
        std::optional<alert> refusal;
        error why = make_error(errc::refused, "on_client_hello refused " + quoted(asked.server_name));
        if (auto* hook = config->hook()) {
            refusal = alert::internal_error;
            try {
                auto answer = co_await attempt(with_timeout(config->hook_limit(), (*hook)(asked)));
                if (auto ctx = co_await this_context(); ctx.stopped()) { // whatever the hook makes of it
                    why = ctx.node().stop_error();
                } else if (!answer) {
                    why = make_error(errc::refused, "on_client_hello: " + answer.error().message());
                } else if (answer->is_refusal()) {
                    refusal = answer->refusal();
                } else {
                    chosen = answer->context();
                    refusal.reset();
                }
            } catch (...) {
                why = make_error(errc::refused, "on_client_hello threw an exception");
            }
        }
        if (!refusal && chosen == nullptr) {
            chosen = config->find(asked.server_name);
            if (chosen == nullptr) {
                refusal = alert::unrecognized_name;
                why = make_error(errc::refused_name, asked.server_name.empty() ? std::string("no name") : quoted(asked.server_name));
            }
        }
        if (refusal) {
            auto end = co_await attempt(pipe.refuse(*refusal, std::move(why)));
            co_await flux::fail(std::move(end).error());
        }
    }
    // RFC 7301 3.2: the server's preference among what the client offers; none in common is fatal.
    [[nodiscard]] bool choose_protocol(const client_hello& asked, std::string& protocol) const {
        const auto& ours = chosen->settings().protocols;
        if (asked.protocols.empty() || ours.empty()) {
            return true;
        }
        for (const std::string& p : ours) {
            if (asked.offers_protocol(p)) {
                protocol = p;
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] static std::string list_of(const std::vector<std::string>& names) {
        std::string text;
        for (std::size_t i = 0; i < names.size() && i < 4; ++i) {
            text += (i == 0 ? "" : ", ") + quoted(names[i].substr(0, 32));
        }
        return text;
    }
    // What spoke first was no TLS client, or a broken one. Always fails.
    template <class Next>
    [[nodiscard]] task<> refuse_stranger(record_pipe<Next>& pipe, hello_state state, alert why) {
        if (state == hello_state::failed) {
            auto end = co_await attempt(pipe.refuse(why, make_error(errc::decode_error, "ClientHello")));
            co_await flux::fail(std::move(end).error());
        }
        if (state == hello_state::plain_http && !config->plain_http_answer.empty()) {
            auto said = co_await attempt(pipe.next.write_all(as_octets(config->plain_http_answer)));
            if (said) {
                co_await pipe.linger();
            }
        }
        co_await flux::fail(make_error(state == hello_state::plain_http ? errc::plain_http : errc::not_tls));
    }
    template <class Next>
    [[nodiscard]] static std::string peer_text(const Next& next) {
        if constexpr (requires { next.peer_endpoint(); }) {
            const auto peer = next.peer_endpoint();
            return peer ? peer->to_string() : std::string();
        } else {
            return {};
        }
    }
};

} // namespace flux::inline FLUX_ABI::tls::detail
