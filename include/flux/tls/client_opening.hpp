// SPDX-License-Identifier: MIT
// flux/tls/client_opening.hpp - client_opening: owns whom a client expects, and the session it resumes and leaves behind.
//
// A resumed session shows no certificate, so what the server had shown when it began travels with the session: past the
// end of that certificate it is not resumed, and on_peer judges it. Deliberately not here: the store of sessions (session_cache.hpp).
#pragma once

#include <flux/tls/context.hpp>
#include <flux/tls/session_cache.hpp>

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::tls {

using client_context_ptr = std::shared_ptr<const client_context>;

namespace detail {

class client_opening {
public:
    client_context_ptr context;
    std::string host;
    std::shared_ptr<session_cache> sessions; // null: none are kept
    std::string session_key;

    [[nodiscard]] result<std::unique_ptr<engine>> begin() {
        auto made = context->connect(host);
        if (made && sessions != nullptr) {
            resumed_ = sessions->take(session_key);
            if (!resumed_.chain.empty() && resumed_.chain.front().not_after < std::time(nullptr)) {
                resumed_ = session_cache::entry(); // the server has to show another one
            }
            if (resumed_.session != nullptr) {
                (*made)->resume(*resumed_.session);
            }
        }
        return made;
    }
    /// After the handshake.
    [[nodiscard]] result<void> check_resumed(const engine& e) {
        if (!e.resumed() || resumed_.chain.empty()) {
            resumed_ = session_cache::entry();
            return {};
        }
        const peer_check& check = context->settings().on_peer;
        if (check == nullptr) {
            return {};
        }
        peer_info who;
        who.leaf = &resumed_.chain.front();
        who.der = resumed_.leaf_der;
        who.resumed = true;
        who.server_name = host;
        const auto refusal = refusal_of(*check, who);
        return refusal ? result<void>(flux::fail(make_error(refusal->code, refusal->what))) : result<void>();
    }
    /// What the server of a resumed session had shown; null in a full handshake.
    [[nodiscard]] const session_cache::entry* resumed() const noexcept { return resumed_.chain.empty() ? nullptr : &resumed_; }
    /// At the end of the connection: tickets have come by then, if they come at all.
    void keep_session(engine& e) noexcept {
        if (sessions == nullptr) {
            return;
        }
        try {
            session_cache::entry kept;
            kept.key = session_key;
            kept.session = e.session();
            kept.chain = e.resumed() ? std::move(resumed_.chain) : e.peer_chain();
            kept.leaf_der = e.resumed() ? std::move(resumed_.leaf_der) : std::string(e.peer_der());
            sessions->put(std::move(kept));
        } catch (...) {
            sessions.reset(); // without memory the next handshake is a full one
        }
    }

private:
    session_cache::entry resumed_;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::tls
