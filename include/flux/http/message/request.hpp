// SPDX-License-Identifier: MIT
// flux/http/message/request.hpp - a request as its handler sees it.
//
// Views of the head, path parameters, the body as a stream, and what the server knows beside the message.
// Everything that is a view lives until the handler's task is complete; copy what must live longer.
// Deliberately not here: how a request is read (server/), requests that are sent (client/).
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/function.hpp>
#include <flux/core/time.hpp>
#include <flux/http/message/body.hpp>
#include <flux/http/message/cookie.hpp>
#include <flux/http/message/head.hpp>
#include <flux/http/message/query.hpp>
#include <flux/http/message/status.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flux::inline FLUX_ABI::tls {
struct connection_facts; // of the optional part: flux/tls/connection_facts.hpp
}

namespace flux::inline FLUX_ABI::http {

class responder; // server/responder.hpp

/// How an exchange ended, for logs and counters.
struct exchange_end {
    status code{};               ///< of the answer; no status (number 0) if none was made, because nobody listens
    bool complete = false;       ///< the whole answer is on its way
    std::uint64_t received = 0;  ///< octets of the request's content that were read
    std::uint64_t sent = 0;      ///< octets of the answer's content
    const error* why = nullptr;  ///< what cut the answer off; null if it is complete
};

namespace detail {

// The address of type_tag<T> identifies a type across translation units.
template <class T>
inline constexpr char type_tag = 0;

/// Objects that the application shares with its handlers, found by type.
class state_table {
public:
    void set(const void* tag, void* object) {
        for (entry& e : entries_) {
            if (e.tag == tag) {
                e.object = object;
                return;
            }
        }
        entries_.push_back(entry(tag, object));
    }
    [[nodiscard]] void* find(const void* tag) const noexcept {
        for (const entry& e : entries_) {
            if (e.tag == tag) {
                return e.object;
            }
        }
        return nullptr;
    }

private:
    struct entry {
        entry(const void* t, void* o) noexcept : tag(t), object(o) {}
        const void* tag;
        void* object;
    };
    flux::detail::dynamic_array<entry> entries_;
};

/// One path parameter. The name belongs to the route; the value is decoded if it had to be.
struct path_param {
    std::string_view name;
    std::string_view value;
    bool decoded = false; ///< `value` is text of our own, not a part of the path
};

} // namespace detail

/// A request being handled.
/// Threads  the reactor thread.
class request {
public:
    static constexpr std::size_t max_params = 16;

    request() noexcept = default;
    request(const request&) = delete;
    request& operator=(const request&) = delete;

    [[nodiscard]] http::method method() const noexcept { return head_.method; }
    /// The method as sent; the only name of an unregistered one.
    [[nodiscard]] std::string_view method_token() const noexcept { return head_.method_token; }
    /// The request target, octet by octet as sent.
    [[nodiscard]] std::string_view target() const noexcept { return head_.target; }
    /// The path as sent, without the query; "*" has none.
    [[nodiscard]] std::string_view raw_path() const noexcept { return head_.path; }
    /// The path with percent-encoding removed. Not for access decisions by prefix: segments may hold "/".
    [[nodiscard]] std::string path() const { return percent_decode(head_.path); }
    [[nodiscard]] std::string_view raw_query() const noexcept { return head_.query; }
    /// The first query parameter of that name, decoded; nothing if there is none.
    [[nodiscard]] std::optional<std::string> query(std::string_view name) const {
        return query_value(head_.query, name);
    }
    [[nodiscard]] http::version version() const noexcept { return head_.version; }
    /// Host and port: of the target if it has one, else of Host. Empty only in HTTP/1.0.
    [[nodiscard]] std::string_view authority() const noexcept { return head_.authority; }
    [[nodiscard]] const request_head& head() const noexcept { return head_; }

    [[nodiscard]] const fields_view& fields() const noexcept { return head_.fields; }
    /// The value of the first field of that name; empty if there is none (fields().get() tells the two apart).
    [[nodiscard]] std::string_view header(name_ref name) const noexcept {
        const auto value = head_.fields.get(name);
        return value ? *value : std::string_view();
    }
    /// The value of the first cookie of that name, as sent; nothing if there is none. Names are case-sensitive.
    [[nodiscard]] std::optional<std::string_view> cookie(std::string_view name) const noexcept {
        return find_cookie(head_.fields, name);
    }

    /// The value of `{name}` in the route's pattern, decoded; empty if the route has no such parameter.
    [[nodiscard]] std::string_view param(std::string_view name) const noexcept {
        for (std::size_t i = 0; i < param_count_; ++i) {
            if (params_[i].name == name) {
                return params_[i].value;
            }
        }
        return {};
    }
    /// The i-th parameter of the route, from the left. i < param_count().
    [[nodiscard]] std::string_view param(std::size_t i) const noexcept { return params_[i].value; }
    [[nodiscard]] std::size_t param_count() const noexcept { return param_count_; }
    /// The pattern of the route that matched, for logs and metrics; empty if none did.
    [[nodiscard]] std::string_view route() const noexcept { return route_; }

    [[nodiscard]] body_reader& body() noexcept { return body_; }
    /// The whole body. Errors: see body_reader::next(); errc::limit over `limit` octets answers 413.
    template <class Text = std::string>
    [[nodiscard]] task<Text> text(std::size_t limit = 10'485'760) {
        return body_.text(limit);
    }

    /// The body as an object: what `bool from_body(std::string_view, T&)` in the namespace of T makes of it, or one of
    /// http::form. Defined in server/read_body.hpp.
    /// Errors  a handler that fails with them is answered 415 for another media type than T's (JSON unless
    ///         body_content_type() says otherwise), 413 over `limit` octets, 400 for what from_body() refuses.
    template <class T>
    [[nodiscard]] task<T> read(std::size_t limit = 10'485'760);

    /// The object that the application shared: `app.share(db)` then `req.state<database>()`.
    /// Aborts if there is none: that is a mistake in the program, not of the peer.
    template <class T>
    [[nodiscard]] T& state() const {
        T* object = find_state<T>();
        FLUX_ASSERT(object != nullptr, "request::state<T>(): no object of this type was shared with the router");
        return *object;
    }
    template <class T>
    [[nodiscard]] T* find_state() const noexcept {
        return states_ == nullptr ? nullptr : static_cast<T*>(states_->find(&detail::type_tag<T>));
    }

    /// The peer's address as text ("127.0.0.1:4711", "unix:"); made on first use.
    [[nodiscard]] std::string_view remote() const { return remote_ == nullptr ? std::string_view() : remote_->text(); }

    /// What is known of the connection's TLS: peer certificate, version, suite and names; null on plain connections.
    [[nodiscard]] const tls::connection_facts* tls() const { return remote_ == nullptr ? nullptr : remote_->tls(); }

    /// Whether the server is about to end: what goes on for long by itself should come to an end. To wait for it:
    /// http::until_draining().
    [[nodiscard]] bool draining() const noexcept { return remote_ != nullptr && remote_->draining(); }

    /// Where a streaming handler writes its answer; null for every other handler. A layer that adds fields to what
    /// it gets from `next` must add them here beforehand: once the handler writes, the head is out.
    [[nodiscard]] responder* streams_to() const noexcept { return streams_to_; }

    /// Called once when the exchange is over, however it ended: also for an answer that is produced long after its
    /// handler and layers have returned. In the order in which they were added; what they throw is dropped.
    using end_observer = unique_function<void(const request&, const exchange_end&)>;
    void at_end(end_observer observer) { at_end_.push_back(std::move(observer)); }

    /// Where the peer's address comes from; implemented by the connection.
    class remote_source {
    public:
        [[nodiscard]] virtual std::string_view text() = 0;
        [[nodiscard]] virtual bool draining() const noexcept { return false; }
        [[nodiscard]] virtual const tls::connection_facts* tls() { return nullptr; }

    protected:
        ~remote_source() = default;
    };

    // For servers and routers. ------------------------------------------------------------------
    void assign(const request_head& head, remote_source* remote) noexcept { begin(remote) = head; }
    /// Forgets the request before. Returns: where the head of the next one goes, without a copy of it.
    [[nodiscard]] request_head& begin(remote_source* remote) noexcept {
        remote_ = remote;
        body_ = body_reader();
        param_count_ = 0;
        route_ = {};
        states_ = nullptr;
        streams_to_ = nullptr;
        streamed_ = false;
        decoded_.clear();
        at_end_.clear();
        return head_;
    }
    /// The same head at another address. Call it while the octets are still at the old one.
    void rebase(const request_head& head) noexcept {
        for (std::size_t i = 0; i < param_count_; ++i) {
            if (std::string_view& value = params_[i].value; !params_[i].decoded) {
                value = {head.path.data() + (value.data() - head_.path.data()), value.size()};
            }
        }
        head_ = head;
    }
    void set_body(body_source& source) noexcept { body_ = body_reader(source); }
    void set_states(const detail::state_table* states) noexcept { states_ = states; }
    void set_route(std::string_view pattern) noexcept { route_ = pattern; }
    void set_streams_to(responder* out) noexcept { streams_to_ = out; }
    /// A streaming handler has come to its end.
    void set_streamed() noexcept { streamed_ = true; }
    [[nodiscard]] bool was_streamed() const noexcept { return streamed_; }
    /// Tells the observers, and forgets them.
    void finish(const exchange_end& end) noexcept {
        flux::detail::dynamic_array<end_observer> observers;
        observers.swap(at_end_);
        for (end_observer& told : observers) {
            try {
                told(*this, end);
            } catch (...) { // an observer changes nothing
            }
        }
    }
    [[nodiscard]] bool is_observed() const noexcept { return !at_end_.empty(); }
    void clear_params() noexcept {
        param_count_ = 0;
        decoded_.clear();
    }
    /// Adds a parameter; `raw`, a part of raw_path(), is decoded if it holds a percent sign. False: too many.
    [[nodiscard]] bool add_param(std::string_view name, std::string_view raw) {
        if (param_count_ == max_params) {
            return false;
        }
        const bool decode = raw.find('%') != std::string_view::npos;
        if (decode) {
            decoded_.push_back(flux::detail::make_owner<std::string>(percent_decode(raw)));
            raw = *decoded_.back();
        }
        params_[param_count_++] = {name, raw, decode};
        return true;
    }

private:
    request_head head_;
    body_reader body_;
    std::array<detail::path_param, max_params> params_{};
    std::size_t param_count_ = 0;
    std::string_view route_;
    const detail::state_table* states_ = nullptr;
    remote_source* remote_ = nullptr;
    responder* streams_to_ = nullptr;
    bool streamed_ = false;
    flux::detail::dynamic_array<flux::detail::owner<std::string>> decoded_; // parameters that were percent-encoded
    flux::detail::dynamic_array<end_observer> at_end_;
};

} // namespace flux::inline FLUX_ABI::http
