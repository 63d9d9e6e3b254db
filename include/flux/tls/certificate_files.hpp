// SPDX-License-Identifier: MIT
// flux/tls/certificate_files.hpp - identities from files that change while they are served.
//
//   a file changed -> the whole of its settings is loaded and checked -> swapped into the table | old one kept
//
// Whoever makes a handshake looks at the files' stamps, at most once per interval, so nothing runs in the background
// and a server that nobody talks to does nothing. What was half written is refused and looked at again when it
// changes. Connections that exist keep what they have, and so do sessions: the replaced context and the new one share
// the secrets of their tickets. Deliberately not here: getting certificates.
#pragma once

#include <flux/core/time.hpp>
#include <flux/tls/certificate_table.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

namespace flux::inline FLUX_ABI::tls {

/// How one identity stands.
struct certificate_status {
    std::string file;               ///< of the chain
    std::vector<std::string> names;
    unix_seconds expires = 0;       ///< of the certificate that is served
    unix_seconds staple_expires = 0; ///< of the OCSP response that goes with it; 0: none
    std::uint64_t reloads = 0;      ///< that were served
    std::uint64_t failures = 0;     ///< to load what the files had become
    std::string last_failure;       ///< empty after a reload
};

/// The files of a server_config's table.
///
///     auto files = std::make_shared<tls::certificate_files>();
///     files->add(config->table(), settings).value();
///     config->refresh_by(files);
///
/// Threads  all functions, from any thread.
/// Cost     per interval a stat() of each file; per change a load, some milliseconds, in the handshake that noticed.
class certificate_files final : public table_refresher {
public:
    /// Params  every  how often stamps are looked at, at most.
    explicit certificate_files(milliseconds every = milliseconds(500)) : every_(every) {}

    /// Loads `settings`, enters it by the names of its certificate, and follows its files from now on. What the files
    /// become replaces what they were, and takes no name and no default from another entry. A name that it has no more
    /// goes to the one added last of those followed here that have it. A name taken out by table.remove() stays out
    /// until it is new in a certificate.
    /// Params   as_default  also for clients that ask for no name, or another one.
    /// Errors   those of server_context::make; nothing is followed then.
    [[nodiscard]] result<void> add(certificate_table& table, const server_settings& settings, bool as_default = true) {
        const std::lock_guard lock(mutex_);
        followed f(settings);
        if (f.settings.ticket_secrets == nullptr) {
            f.settings.ticket_secrets = std::make_shared<ticket_keys>();
        }
        f.stamps = stamps_of(settings);
        auto made = server_context::make(f.settings);
        if (!made) {
            return flux::fail(std::move(made).error());
        }
        f.context = *std::move(made);
        f.status = f.served_by(*f.context);
        const server_context_ptr context = f.context;
        followed_.push_back(std::move(f));
        table.set_all(context);
        if (as_default) {
            table.set_default(context);
        }
        return {};
    }

    /// Looks now, whatever the interval. Returns  how many identities were replaced.
    unsigned check(certificate_table& table) {
        const std::lock_guard lock(mutex_);
        return check_locked(table);
    }
    /// How each identity stands; expires is what a gauge wants.
    [[nodiscard]] std::vector<certificate_status> status() const {
        const std::lock_guard lock(mutex_);
        std::vector<certificate_status> all;
        for (const followed& f : followed_) {
            all.push_back(f.status);
        }
        return all;
    }

    void refresh(certificate_table& table) noexcept override {
        const std::int64_t now = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
        std::int64_t due = due_.load(std::memory_order_relaxed);
        if (now < due || !due_.compare_exchange_strong(due, now + every_.count(), std::memory_order_relaxed)) {
            return;
        }
        try {
            check(table);
        } catch (...) { // no memory: the old ones stay, and the next look comes
        }
    }

private:
    // What stat() says of a file; all zeros where it is not there.
    struct stamp {
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;
        std::uint64_t inode = 0;
        std::int64_t size = 0;
        [[nodiscard]] friend bool operator==(const stamp&, const stamp&) = default;
    };
    struct followed {
        explicit followed(const server_settings& s) : settings(s) { status.file = s.own.chain().path(); }
        [[nodiscard]] certificate_status served_by(const server_context& now) const {
            certificate_status s = status;
            s.names = now.chain().front().dns_names;
            s.expires = now.expires();
            s.staple_expires = now.staple_expires();
            s.last_failure.clear();
            return s;
        }
        server_settings settings;
        server_context_ptr context; // what is served
        std::vector<stamp> stamps;
        certificate_status status;
    };
    // What has been loaded and is not served yet.
    struct renewal {
        followed* of;
        server_context_ptr now;
        std::vector<stamp> stamps;
        certificate_status status;
    };

    [[nodiscard]] static std::vector<stamp> stamps_of(const server_settings& s) {
        std::vector<stamp> all;
        const auto look = [&](const source& from) {
            if (!from.is_file()) {
                return;
            }
            stamp now;
            struct ::stat facts {};
            if (::stat(from.path().c_str(), &facts) == 0) {
                now.seconds = facts.st_mtim.tv_sec;
                now.nanoseconds = facts.st_mtim.tv_nsec;
                now.inode = facts.st_ino;
                now.size = facts.st_size;
            }
            all.push_back(now);
        };
        look(s.own.chain());
        look(s.own.key());
        look(s.ocsp_response);
        for (const source& list : s.revocation_lists) {
            look(list);
        }
        for (const source& authorities : s.client_authorities.sources()) {
            look(authorities);
        }
        return all;
    }
    unsigned check_locked(certificate_table& table) {
        std::vector<renewal> renewals;
        for (followed& f : followed_) {
            if (auto r = renewal_of(f)) {
                renewals.push_back(*std::move(r));
            }
        }
        if (renewals.empty()) {
            return 0;
        }
        std::vector<server_context_ptr> followers; // as they will be
        for (const followed& f : followed_) {
            followers.push_back(f.context);
        }
        std::vector<certificate_table::replacement> changes;
        for (const renewal& r : renewals) {
            changes.push_back({r.of->context, r.now});
            followers[static_cast<std::size_t>(r.of - followed_.data())] = r.now;
        }
        std::reverse(followers.begin(), followers.end()); // as add() has it: the last one wins
        table.replace(changes, followers);
        for (renewal& r : renewals) { // nothing of this throws: what is served is what is remembered
            r.of->context = std::move(r.now);
            r.of->stamps = std::move(r.stamps);
            r.of->status = std::move(r.status);
            ++r.of->status.reloads;
        }
        return static_cast<unsigned>(renewals.size());
    }
    // Nothing: the files are as they were, are still being written, or cannot be used.
    [[nodiscard]] static std::optional<renewal> renewal_of(followed& f) {
        auto stamps = stamps_of(f.settings);
        if (stamps == f.stamps) {
            return std::nullopt;
        }
        auto made = server_context::make(f.settings);
        if (stamps_of(f.settings) != stamps) {
            return std::nullopt; // the next look decides
        }
        std::string failure;
        if (!made) {
            failure = made.error().message();
        } else if ((*made)->expires() < std::time(nullptr)) {
            failure = "the new certificate expired on " + date_text((*made)->expires());
        }
        if (!failure.empty()) {
            f.stamps = std::move(stamps);
            ++f.status.failures;
            f.status.last_failure = std::move(failure);
            return std::nullopt;
        }
        certificate_status status = f.served_by(**made);
        return renewal{&f, *std::move(made), std::move(stamps), std::move(status)};
    }

    const milliseconds every_;
    std::atomic<std::int64_t> due_{0};
    mutable std::mutex mutex_;
    std::vector<followed> followed_;
};

} // namespace flux::inline FLUX_ABI::tls
