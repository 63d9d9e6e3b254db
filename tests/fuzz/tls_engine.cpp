// SPDX-License-Identifier: MIT
// Engines that hear octets which a peer never sent: they fail or wait, and never run away, whatever the segmentation.
// First octet: how the rest is cut, and who hears it: bit 0 a client, bit 1 after a handshake, bit 2 mutations of a
// real flight instead of the octets themselves.
#include <flux/tls/client_hello.hpp>
#include <flux/tls/context.hpp>
#include <flux/tls/self_signed.hpp>

#include <memory>
#include <string>
#include <string_view>

#include "segments.hpp"

namespace {

namespace tls = flux::tls;
using progress = tls::engine::progress;

struct contexts {
    std::shared_ptr<const tls::server_context> server;
    std::shared_ptr<const tls::client_context> client;
    contexts() {
        const auto own = tls::self_signed({"a.test"}).value();
        tls::client_settings trusting;
        trusting.authorities = tls::trust::pem(own.chain().read().value());
        server = tls::server_context::make(tls::server_settings(own)).value();
        client = tls::client_context::make(trusting).value();
    }
};

std::string drain(tls::engine& e) {
    std::string all(e.output().view());
    e.output().clear();
    return all;
}

void hear(tls::engine& e, std::string_view octets, std::uint64_t seed) {
    fuzz::segmentation cuts(seed);
    while (!octets.empty()) {
        const std::size_t n = cuts.next(octets.size());
        const fuzz::exact_copy piece(octets.substr(0, n));
        e.feed(piece.view());
        octets.remove_prefix(n);
        for (int turns = 0; e.has_input(); ++turns) {
            fuzz::require(turns < 100'000, "an engine comes to an end of its input");
            if (!e.is_complete()) {
                const auto step = e.handshake();
                if (step == progress::failed) {
                    fuzz::require(e.take_error().kind() == flux::error_kind::tls, "a failure is one of TLS");
                    return;
                }
                continue;
            }
            std::byte room[700];
            std::size_t got = 0;
            const auto step = e.read(room, got);
            fuzz::require(step != progress::done || (got > 0 && got <= sizeof room), "octets that were read fit");
            if (step == progress::failed || step == progress::closed) {
                return;
            }
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const contexts both;
    const fuzz::seeded_input in = fuzz::split_seed(data, size);
    auto server = both.server->connect("http/1.1").value();
    auto client = both.client->connect("a.test").value();
    fuzz::require(client->handshake() == progress::want_more, "a client begins");
    const bool as_client = (in.seed & 1) != 0;
    std::string hello = drain(*client);
    if ((in.seed & 2) != 0) {
        server->feed(hello);
        fuzz::require(server->handshake() == progress::want_more, "a server waits for the client's end");
        std::string flight = drain(*server);
        if ((in.seed & 4) != 0 && as_client) {
            hello = flight; // to be mutated below
        } else {
            client->feed(flight);
            fuzz::require(client->handshake() == progress::done, "a good flight ends the client's handshake");
            const std::string finished = drain(*client);
            server->feed(finished);
            fuzz::require(server->handshake() == progress::done, "a handshake of good octets succeeds");
        }
    }
    std::string octets(in.octets);
    if ((in.seed & 4) != 0) { // pairs of place and change
        octets = hello;
        for (std::size_t i = 0; i + 2 < in.octets.size(); i += 3) {
            const std::size_t at = (std::size_t{static_cast<std::uint8_t>(in.octets[i])} << 8 | static_cast<std::uint8_t>(in.octets[i + 1])) %
                                   octets.size();
            octets[at] = static_cast<char>(octets[at] ^ in.octets[i + 2]);
        }
    }
    hear(as_client ? *client : *server, octets, in.seed);
    tls::client_hello_reader reader;
    const auto state = reader.read(octets);
    if (state == tls::hello_state::complete) {
        const auto h = reader.take();
        fuzz::require(h.server_name.size() < 256, "a server name is short");
    }
    return 0;
}
