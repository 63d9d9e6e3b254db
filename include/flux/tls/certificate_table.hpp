// SPDX-License-Identifier: MIT
// flux/tls/certificate_table.hpp - which identity a client gets: by the name it asked for, or by a coroutine.
//
//   client_hello -> on_client_hello hook, if there is one -> context | alert
//                -> table: exact name, "*.name", default -> context | unrecognized_name
//
// The choice is made before there is an engine, so that the whole context counts: suites, ALPN and whether clients
// are verified. Entries can be replaced while connections are served; those that have begun keep theirs.
// Deliberately not here: files that change (certificate_files.hpp).
#pragma once

#include <flux/core/function.hpp>
#include <flux/coro/task.hpp>
#include <flux/tls/client_hello.hpp>
#include <flux/tls/context.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

using server_context_ptr = std::shared_ptr<const server_context>;

/// Contexts by server name.
///
/// Threads  all functions, from any thread.
class certificate_table {
public:
    certificate_table() = default;
    certificate_table(const certificate_table&) = delete;
    certificate_table& operator=(const certificate_table&) = delete;

    /// Params   name  "a.test", or "*.b.test" for exactly one label in front of it. Replaces an entry of this name.
    void set(std::string_view name, server_context_ptr context) {
        std::string key = lowered(name);
        const std::lock_guard lock(mutex_);
        entries_.insert_or_assign(std::move(key), std::move(context));
    }
    /// For clients that ask for no name, or for one that has no entry. Without it they are refused.
    void set_default(server_context_ptr context) {
        const std::lock_guard lock(mutex_);
        default_ = std::move(context);
    }
    /// One entry for each name of the context's certificate.
    void set_all(const server_context_ptr& context) {
        for (const std::string& name : context->chain().front().dns_names) {
            set(name, context);
        }
    }
    void remove(std::string_view name) {
        const std::string key = lowered(name);
        const std::lock_guard lock(mutex_);
        entries_.erase(key);
    }
    /// A context and what takes its place.
    struct replacement {
        server_context_ptr before;
        server_context_ptr now;
    };
    /// Puts `now` everywhere `before` is, for all `changes` at once: no look-up sees one without the others, and an
    /// exception leaves everything as it was. Names that a certificate had and has no more go, to the first of `heirs`
    /// whose certificate has them, if there is one; those that are new come, if no other context has them.
    void replace(const std::vector<replacement>& changes, const std::vector<server_context_ptr>& heirs = {}) {
        std::map<std::string, server_context_ptr, std::less<>> entries;
        server_context_ptr fallback;
        const std::lock_guard lock(mutex_); // of no concern to those that are destroyed: it goes first
        entries = entries_;
        fallback = default_;
        std::vector<std::string> left; // by those that had them
        for (const auto& [before, now] : changes) {
            for (auto at = entries.begin(); at != entries.end();) {
                if (at->second != before) {
                    ++at;
                } else if (is_for(*before, at->first) && !is_for(*now, at->first)) {
                    left.push_back(at->first);
                    at = entries.erase(at);
                } else {
                    (at++)->second = now;
                }
            }
            fallback = fallback == before ? now : fallback;
        }
        for (const auto& [before, now] : changes) {
            for (const std::string& name : now->chain().front().dns_names) {
                if (!is_for(*before, name)) {
                    entries.try_emplace(lowered(name), now);
                }
            }
        }
        for (const server_context_ptr& heir : heirs) {
            for (const std::string& name : left) {
                if (is_for(*heir, name)) {
                    entries.try_emplace(name, heir);
                }
            }
        }
        entries_.swap(entries);
        default_.swap(fallback);
    }
    void replace(const server_context_ptr& before, const server_context_ptr& now) { replace({{before, now}}); }

    /// Exact name, then wildcard, then default; null if there is none.
    /// Params   name  lower case; empty if the client asked for none.
    [[nodiscard]] server_context_ptr find(std::string_view name) const {
        const std::lock_guard lock(mutex_);
        if (const auto exact = entries_.find(name); exact != entries_.end()) {
            return exact->second;
        }
        const std::size_t dot = name.find('.');
        if (dot != std::string_view::npos && dot != 0) {
            std::string pattern("*");
            pattern += name.substr(dot);
            if (const auto wild = entries_.find(pattern); wild != entries_.end()) {
                return wild->second;
            }
        }
        return default_;
    }

private:
    [[nodiscard]] static std::string lowered(std::string_view name) {
        std::string key(name);
        for (char& c : key) {
            c = detail::lower(c);
        }
        return key;
    }
    [[nodiscard]] static bool is_for(const server_context& context, std::string_view entry) noexcept {
        const std::vector<std::string>& names = context.chain().front().dns_names;
        return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return detail::same_name(name, entry); });
    }

    mutable std::mutex mutex_;
    std::map<std::string, server_context_ptr, std::less<>> entries_; // names in lower case
    server_context_ptr default_;
};

/// Keeps a table up to date; asked before each look into it. certificate_files.hpp has one.
class table_refresher {
public:
    table_refresher() = default;
    table_refresher(const table_refresher&) = delete;
    table_refresher& operator=(const table_refresher&) = delete;
    virtual ~table_refresher() = default;
    /// From any thread, also at the same time; must be quick when nothing is due.
    virtual void refresh(certificate_table& table) noexcept = 0;
};

/// What an on_client_hello hook says: a context, an alert, or that the table decides.
class hello_answer {
public:
    hello_answer(server_context_ptr context) : context_(std::move(context)) {}
    hello_answer(alert refusal) : alert_(refusal), refused_(true) {}
    /// The table decides.
    [[nodiscard]] static hello_answer by_table() { return hello_answer(nullptr); }

    [[nodiscard]] const server_context_ptr& context() const noexcept { return context_; }
    [[nodiscard]] bool is_refusal() const noexcept { return refused_; }
    [[nodiscard]] alert refusal() const noexcept { return alert_; }

private:
    server_context_ptr context_;
    alert alert_ = alert::unrecognized_name;
    bool refused_ = false;
};

/// Everything that a server's connections share.
///
/// Set it up, then share it; only the table may change while connections are made.
class server_config {
public:
    using hello_hook = unique_function<task<hello_answer>(const client_hello&)>;

    server_config() = default;
    /// One identity for all names, with the handshake timeout of its settings.
    explicit server_config(const server_context_ptr& only) : handshake_timeout(only->settings().handshake_timeout) {
        table_.set_default(only);
    }
    server_config(const server_config&) = delete;
    server_config& operator=(const server_config&) = delete;

    /// May be changed by any thread at any time, whoever shares this.
    [[nodiscard]] certificate_table& table() const noexcept { return table_; }
    void refresh_by(std::shared_ptr<table_refresher> r) { refresher_ = std::move(r); }
    /// The table's answer, brought up to date first.
    [[nodiscard]] server_context_ptr find(std::string_view name) const {
        if (refresher_ != nullptr) {
            refresher_->refresh(table_);
        }
        return table_.find(name);
    }

    /// Asks `hook` about each client before the handshake goes on: Go's GetConfigForClient, but it may wait.
    /// Params   hook     called by every thread that serves, maybe at the same time; the hello is borrowed until
    ///                   the task ends. An error or an exception refuses with internal_error.
    ///          at_most  for one answer; then the client is refused with internal_error.
    void on_client_hello(hello_hook hook, milliseconds at_most = milliseconds(2'000)) {
        hook_ = std::move(hook);
        hook_limit_ = at_most;
    }
    [[nodiscard]] hello_hook* hook() const noexcept { return hook_ ? &hook_ : nullptr; }
    [[nodiscard]] milliseconds hook_limit() const noexcept { return hook_limit_; }

    /// From the first octet that is waited for to the end of the handshake. Zero: no limit of its own.
    milliseconds handshake_timeout{10'000};
    /// Sent to a client that speaks plain HTTP, before the connection is closed. Empty: it gets nothing.
    std::string plain_http_answer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 48\r\n"
                                    "Connection: close\r\n\r\nclient sent an HTTP request to an HTTPS server\r\n";

private:
    mutable certificate_table table_; // synchronizes itself
    std::shared_ptr<table_refresher> refresher_;
    mutable hello_hook hook_; // a call changes nothing that flux knows of
    milliseconds hook_limit_{2'000};
};

using server_config_ptr = std::shared_ptr<const server_config>;

} // namespace flux::inline FLUX_ABI::tls
