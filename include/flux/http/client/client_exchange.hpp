// SPDX-License-Identifier: MIT
// flux/http/client/client_exchange.hpp - the memory of one request and its response, from builder to last octet.
//
//   client_request fills the upper half -> client sends it -> connection fills the lower half -> client_response
//
// Blocks are kept by the thread that frees them, with the memory of their buffers, so that a warm client sends and
// receives without allocating. Deliberately not here: what is done with it (client_connection.hpp, client.hpp).
#pragma once

#include <flux/core/buffer.hpp>
#include <flux/core/function.hpp>
#include <flux/core/time.hpp>
#include <flux/http/client/client_options.hpp>
#include <flux/http/client/client_trace.hpp>
#include <flux/http/client/content_decoding.hpp>
#include <flux/http/message/body.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/message/url.hpp>
#include <flux/http/wire/chunked.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/response_parser.hpp>
#include <flux/net/raw_stream.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::http {

class client_response;

/// Told of each interim (1xx) response; the views live until it returns.
using interim_listener = unique_function<void(status, const fields_view&)>;

namespace detail {

class client_exchange;
class exchange_handle;

/// Where the rest of a body is: the connection that the response came over.
class answer_source {
public:
    /// As body_source::next().
    [[nodiscard]] virtual task<std::string_view> next(client_exchange& ex) = 0;
    /// Nobody will read on.
    virtual void abandon(exchange_handle ex) noexcept = 0;
    /// HTTP has ended with this response: the connection belongs to the caller.
    [[nodiscard]] virtual raw_stream hand_over(client_exchange& ex) = 0;

protected:
    ~answer_source() = default;
};

/// How a request's body comes to be.
enum class request_body_kind : std::uint8_t { none, owned, literal, produced };

/// What a request is sent with; a client's part that does not depend on its connector.
class client_engine {
public:
    [[nodiscard]] virtual task<client_response> send(exchange_handle ex, scheduler& home) = 0;
    [[nodiscard]] virtual const client_options& options() const noexcept = 0;

protected:
    ~client_engine() = default;
};

class client_exchange final : public body_source {
public:
    client_exchange() : parser(lim, entries), chunks(lim) { entries.reserve(24); }
    client_exchange(const client_exchange&) = delete;
    client_exchange& operator=(const client_exchange&) = delete;

    // ---- what is asked ----
    std::shared_ptr<client_engine> engine; ///< never null while it is in use; keeps the pool alive
    http::method method = http::method::get;
    std::string other_method; ///< the token of a method that is not registered
    http::url url;
    http::fields fields;
    request_body_kind body = request_body_kind::none;
    std::string text;
    std::string_view literal;
    body_producer producer; ///< called once for each time that the body is sent
    std::optional<std::uint64_t> produced_length;
    interim_listener on_interim;
    milliseconds timeout{0};
    std::uint32_t max_redirects = 0;
    bool allow_resend = true;
    bool single_try = false; ///< what a layer sends: the layers have seen it
    client_trace* trace = nullptr;    ///< null, too, once it was told of the end
    error refused{std::error_code()}; ///< the first thing that cannot be sent

    // ---- how it goes ----
    byte_buffer out;
    const scheduler* home = nullptr; ///< where it runs
    time_point started{};
    time_point deadline = no_deadline;
    milliseconds progress{0}; ///< client_options::progress_timeout
    std::uint32_t attempts = 0;
    std::uint32_t redirects = 0;
    std::shared_ptr<const tls::connection_facts> tls; ///< of the connection; null where it is plain
    bool reused = false;       ///< the connection has carried another exchange before
    bool sent_any = false;     ///< an octet of this attempt may have reached the peer
    bool got_any = false;      ///< an octet of a response came
    bool sent_whole = false;   ///< the request has been written to its end
    bool asks_close = false;   ///< the request says `Connection: close`
    bool asks_upgrade = false; ///< the request has an Upgrade
    bool asks_coding = false;  ///< Accept-Encoding is the client's own, so what comes coded is to be decoded
    bool via_proxy = false;    ///< over a connection to a forward proxy, which wants the absolute form
    std::string proxy_authorization;
    bool is_hop = false;       ///< the response is a redirect that may be followed

    // ---- what comes back ----
    limits lim;
    field_storage entries;
    response_parser parser;
    byte_buffer head_octets;
    response_head head;
    body_framing framing;
    bool persistent = false;
    answer_source* source = nullptr; ///< null once the connection is not needed any more
    task<std::string_view> (*next_early)(client_exchange*) = nullptr; ///< what next() does then; never null by that time
    std::uint64_t left = 0;          ///< octets of a body of known length that are still to come
    std::size_t piece = 0;           ///< octets of the input that the reader looks at
    byte_buffer early;               ///< the part of the body that came with the head
    bool early_given = false;
    bool ended = true;
    std::optional<error> failed;
    chunked_decoder chunks;
    flux::detail::owner<derived_body> decoded; ///< what is read instead of the octets as they came
    body_reader reader;
    client_exchange* next_free = nullptr;

    [[nodiscard]] std::string_view method_token() const noexcept {
        return method == http::method::other ? std::string_view(other_method) : to_string(method);
    }
    [[nodiscard]] std::string_view body_octets() const noexcept {
        switch (body) {
        case request_body_kind::owned: return text;
        case request_body_kind::literal: return literal;
        case request_body_kind::none: // a redirect may have taken it away
        case request_body_kind::produced: break;
        }
        return {};
    }
    [[nodiscard]] bool has_body() const noexcept { return body != request_body_kind::none; }
    /// `GET http://host/path`: without user information, query and fragment, which may hold secrets.
    [[nodiscard, gnu::cold]] std::string what() const {
        std::string text_of_it(is_token(method_token()) ? method_token() : "(no method)");
        text_of_it += ' ';
        if (url.host().empty()) {
            return text_of_it += "(no URL)";
        }
        ((text_of_it += url.scheme()) += "://") += url.authority();
        return text_of_it += url.path();
    }
    [[nodiscard]] duration elapsed() const noexcept { return home == nullptr ? duration::zero() : home->now() - started; }
    /// The last word to whoever traces.
    void end_trace(const error* why) noexcept {
        if (trace != nullptr) {
            std::exchange(trace, nullptr)->done(elapsed(), why);
        }
    }
    /// What described the coded octets does not describe the decoded ones.
    void drop_coded_fields() noexcept {
        entries.erase_if([](const field_entry& e) {
            return e.id == field::content_encoding || e.id == field::content_length;
        });
        field_set present;
        field_set repeated;
        for (const field_entry& e : entries) {
            repeated.insert(present & field_set(e.id));
            present.insert(e.id);
        }
        head.fields = fields_view(head_octets.view().data(), entries.data(), entries.size(), present, repeated);
    }
    void refuse(error e) {
        if (!refused.code()) {
            refused = std::move(e);
        }
    }
    /// The response is there: what it took to send the request is not needed any more.
    void let_go_of_request() noexcept {
        literal = {};
        producer = {};
        on_interim = {};
    }
    /// Before each attempt.
    void begin_answer() noexcept {
        parser.reset();
        out.clear();
        early.clear();
        early_given = false;
        sent_any = got_any = sent_whole = persistent = false;
        framing = {};
        source = nullptr;
        left = 0;
        piece = 0;
        ended = false;
        failed.reset();
    }

    // body_source
    [[nodiscard]] inline task<std::string_view> next() override;
    [[nodiscard]] fields_view trailers() const noexcept override { // else the decoder has those of a body before
        return framing.kind == body_kind::chunked ? chunks.trailers() : fields_view();
    }
    [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override {
        switch (framing.kind) {
        case body_kind::length: return framing.length;
        case body_kind::chunked:
        case body_kind::until_close: return std::nullopt;
        case body_kind::none:
        case body_kind::tunnel: break;
        }
        return 0;
    }

    [[nodiscard]] error explain(error e) const override { return std::move(e).doing(what()).phase(error_phase::body); }

    /// The part that came with the head, if it was not handed out yet.
    [[nodiscard]] std::string_view take_early() noexcept {
        if (early_given || early.empty()) {
            early.clear();
            return {};
        }
        early_given = true;
        return early.view();
    }

private:
    friend class exchange_cache;
    // Back to what a new one is, keeping the memory that the next request will want.
    void recycle() noexcept {
        decoded.reset();
        begin_answer();
        engine.reset();
        trace = nullptr;
        home = nullptr;
        method = http::method::get;
        other_method.clear();
        fields.clear();
        body = request_body_kind::none;
        text.clear();
        if (text.capacity() > 16'384) {
            text = std::string();
        }
        literal = {};
        producer = {};
        produced_length.reset();
        on_interim = {};
        allow_resend = true;
        single_try = false;
        refused = error{std::error_code()};
        attempts = redirects = 0;
        tls.reset();
        reused = asks_close = asks_upgrade = asks_coding = via_proxy = is_hop = false;
        proxy_authorization.clear();
        out.shrink_above(16'384);
        early.shrink_above(16'384);
        head_octets.clear();
        head_octets.shrink_above(4096);
        head = {};
        ended = true;
    }
};

// Through a pointer that the client sets: named in next(), each program would compile it (docs/decisions/0007).
template <class Piece>
task<Piece> rest_of_early(client_exchange* ex) {
    const std::string_view early = ex->take_early();
    if (early.empty() && ex->failed) {
        co_return fail(*ex->failed);
    }
    co_return early;
}

inline task<std::string_view> client_exchange::next() {
    return source != nullptr ? source->next(*this) : next_early(this);
}

/// Blocks that nobody uses now, one list for each thread.
class exchange_cache {
public:
    [[nodiscard]] static client_exchange* take() {
        exchange_cache& cache = mine();
        if (cache.free_ == nullptr) {
            return new client_exchange();
        }
        --cache.count_;
        return std::exchange(cache.free_, cache.free_->next_free);
    }
    static void give(client_exchange* ex) noexcept {
        ex->recycle();
        exchange_cache& cache = mine();
        if (FLUX_SANITIZED != 0 || cache.count_ >= max_kept) {
            delete ex;
            return;
        }
        ++cache.count_;
        ex->next_free = std::exchange(cache.free_, ex);
    }

private:
    static constexpr unsigned max_kept = 128; // some 4 KiB each
    struct janitor {
        exchange_cache* cache;
        ~janitor() {
            while (cache->free_ != nullptr) {
                delete std::exchange(cache->free_, cache->free_->next_free);
            }
            cache->count_ = max_kept;
        }
    };
    // Not inlined: a coroutine must not keep the address of a thread's variable over a suspension.
    [[nodiscard, gnu::noinline]] static exchange_cache& mine() noexcept {
        static constinit thread_local exchange_cache cache;
        static thread_local const janitor at_exit{&cache};
        return cache;
    }
    client_exchange* free_ = nullptr;
    unsigned count_ = 0;
};

/// Owns one block.
class exchange_handle {
public:
    exchange_handle() noexcept = default;
    explicit exchange_handle(client_exchange* ex) noexcept : ex_(ex) {}
    exchange_handle(exchange_handle&& other) noexcept : ex_(std::exchange(other.ex_, nullptr)) {}
    exchange_handle& operator=(exchange_handle&& other) noexcept {
        if (this != &other) {
            reset();
            ex_ = std::exchange(other.ex_, nullptr);
        }
        return *this;
    }
    ~exchange_handle() { reset(); }
    [[nodiscard]] client_exchange& operator*() const noexcept { return *ex_; }
    [[nodiscard]] client_exchange* operator->() const noexcept { return ex_; }
    [[nodiscard]] client_exchange* get() const noexcept { return ex_; }
    void reset() noexcept {
        if (ex_ != nullptr) {
            if (ex_->trace != nullptr && ex_->home != nullptr) { // it was told of the start
                const error unread(flux::errc::canceled);
                ex_->end_trace(&unread);
            }
            ex_->decoded.reset();
            if (ex_->source != nullptr) {
                ex_->source->abandon(std::move(*this));
                return;
            }
            client_exchange* const ex = std::exchange(ex_, nullptr);
            // The last word of the client may be here: the block outlives it.
            const std::shared_ptr<client_engine> engine = std::move(ex->engine);
            exchange_cache::give(ex);
        }
    }

private:
    client_exchange* ex_ = nullptr;
};

} // namespace detail

} // namespace flux::inline FLUX_ABI::http
