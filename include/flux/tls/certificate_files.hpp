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

#include <flux/tls/certificate_table.hpp>

#include <atomic>
#include <chrono>
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
    /// become replaces what they were, and takes no name and no default from another entry.
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
        f.take(*std::move(made));
        followed_.push_back(std::move(f));
        const server_context_ptr& context = followed_.back().context;
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
        void take(server_context_ptr made) {
            status.names = made->chain().front().dns_names;
            status.expires = made->expires();
            status.staple_expires = made->staple_expires();
            context = std::move(made);
        }
        server_settings settings;
        server_context_ptr context; // what is served
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
        unsigned replaced = 0;
        for (followed& f : followed_) {
            auto stamps = stamps_of(f.settings);
            if (stamps == f.stamps) {
                continue;
            }
            auto made = server_context::make(f.settings);
            if (stamps_of(f.settings) != stamps) {
                continue; // still being written: the next look decides
            }
            f.stamps = std::move(stamps);
            std::string failure;
            if (!made) {
                failure = made.error().message();
            } else if ((*made)->expires() < std::time(nullptr)) {
                failure = "the new certificate expired on " + date_text((*made)->expires());
            }
            if (!failure.empty()) {
                ++f.status.failures;
                f.status.last_failure = std::move(failure);
                continue;
            }
            table.replace(f.context, *made);
            f.take(*std::move(made));
            ++f.status.reloads;
            f.status.last_failure.clear();
            ++replaced;
        }
        return replaced;
    }

    const milliseconds every_;
    std::atomic<std::int64_t> due_{0};
    mutable std::mutex mutex_;
    std::vector<followed> followed_;
};

} // namespace flux::inline FLUX_ABI::tls
