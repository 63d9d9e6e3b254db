// SPDX-License-Identifier: MIT
// Downloads one file over several connections, resumes where it was stopped, and shows how it goes.
//
//   download URL FILE [CONNECTIONS [CAFILE]]          download http://127.0.0.1:8080/big.iso big.iso 4
//
// Pieces go to FILE.part, finished ones are listed in FILE.part.done; when all are there, FILE.part becomes FILE.
// Without ranges or a validator at the server it is one stream from the beginning. Exit status 0 if FILE is there and
// whole, 130 if a signal stopped it: the same command goes on with the pieces that are missing.
//
// It is longer than other examples because half of it is about files and the terminal.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <flux.hpp>

using namespace std::chrono_literals;
namespace http = flux::http;

namespace {

// https where flux is built with it, verified by the authorities in a file, or else by the system's.
#ifdef FLUX_WITH_TLS
using client = flux::tls::client;

client make_client(const char* authorities) {
    if (authorities == nullptr) {
        return client();
    }
    flux::tls::client_settings settings;
    settings.authorities = flux::tls::trust::file(authorities);
    return client({}, flux::tls::connector<>(flux::tls::client_context::make(settings).value()));
}
#else
using client = http::client;

client make_client(const char*) { return client(); }
#endif

struct job {
    std::optional<client> api;
    std::string url, file, validator;
    std::uint64_t size = 0, have = 0, resumed = 0, piece = 4 << 20;
    bool in_pieces = false;
    std::size_t connections = 4;
    const char* authorities = nullptr; // a file; or null
    std::vector<std::uint64_t> missing; // where the missing pieces start
    flux::unique_fd out;
    [[nodiscard]] std::string part() const { return file + ".part"; }
    [[nodiscard]] std::string done() const { return file + ".part.done"; }
};

[[nodiscard]] flux::error failed(const std::string& what) {
    return flux::error::from_errno(errno).doing(what);
}

// Writes a body into the file, from `at` on; yields how much it was. What a failed attempt counted is taken back.
flux::task<std::uint64_t> save(job* j, http::client_response* r, std::uint64_t at, std::uint64_t limit) {
    std::uint64_t n = 0;
    for (;;) {
        const auto octets = co_await flux::attempt(r->body().next());
        const bool fits = octets && octets->size() <= limit - n;
        if (fits && octets->empty()) {
            co_return n;
        }
        errno = ENOSPC; // for a write that was cut short
        if (!fits || ::pwrite(j->out.get(), octets->data(), octets->size(), static_cast<off_t>(at + n)) !=
                         static_cast<ssize_t>(octets->size())) {
            j->have -= n;
            co_return flux::fail(!octets ? octets.error()
                                 : !fits ? flux::error(flux::errc::protocol)
                                         : failed("write " + j->part()));
        }
        n += octets->size();
        j->have += octets->size();
    }
}

// One piece, tried again a few times after what only the network is to blame for.
flux::task<> fetch_piece(job* j, std::uint64_t from) {
    const std::uint64_t size = std::min(j->piece, j->size - from);
    const std::string range = std::to_string(from) + "-" + std::to_string(from + size - 1);
    for (int attempt = 1;; ++attempt) {
        flux::error e = flux::errc::eof;
        auto request = j->api->get(j->url).header("Range", "bytes=" + range).header("If-Range", j->validator);
        auto r = co_await flux::attempt(std::move(request).timeout(1h));
        if (!r) {
            e = r.error();
        } else if (r->code() != http::status::partial_content ||
                   r->header("Content-Range") != "bytes " + range + "/" + std::to_string(j->size)) {
            co_await flux::fail(flux::error(flux::errc::protocol).doing("the file at the server changed; start again"));
        } else {
            const auto n = co_await flux::attempt(save(j, &*r, from, size));
            if (n && *n == size) {
                std::ofstream(j->done(), std::ios::app) << from << '\n';
                co_return;
            }
            e = n ? e : n.error();
        }
        if (attempt == 5 || (e.kind() != flux::error_kind::network && e.kind() != flux::error_kind::timeout)) {
            co_await flux::fail(std::move(e));
        }
        co_await flux::sleep_for(250ms * attempt);
    }
}

// What is there from the last time, if it is of the same file.
void find_missing(job* j) {
    std::ifstream list(j->done());
    const std::string same = j->url + ' ' + std::to_string(j->size) + ' ' + j->validator;
    std::string line;
    std::vector<bool> there((j->size + j->piece - 1) / j->piece);
    const bool resumes = std::getline(list, line) && line == same && ::access(j->part().c_str(), W_OK) == 0;
    while (resumes && std::getline(list, line)) {
        const std::uint64_t n = std::strtoull(line.c_str(), nullptr, 10) / j->piece;
        if (n < there.size() && !there[n]) {
            there[n] = true;
            j->have += std::min(j->piece, j->size - n * j->piece);
        }
    }
    j->resumed = j->have;
    for (std::uint64_t n = 0; n < there.size(); ++n) {
        if (!there[n]) {
            j->missing.push_back(n * j->piece);
        }
    }
    if (!resumes) {
        std::ofstream(j->done(), std::ios::trunc) << same << '\n';
    }
}

flux::task<> transfer(job* j) {
    j->api.emplace(make_client(j->authorities));
    auto head = co_await flux::attempt(j->api->head(j->url));
    if (head && head->ok()) {
        j->size = std::strtoull(std::string(head->header("Content-Length")).c_str(), nullptr, 10);
        j->validator = head->header(head->header("ETag").starts_with('"') ? "ETag" : "Last-Modified");
        j->in_pieces = j->size != 0 && !j->validator.empty() && head->header("Accept-Ranges") == "bytes";
    }
    std::optional<http::client_response> whole;
    if (j->in_pieces) {
        find_missing(j);
    } else {
        auto r = co_await j->api->get(j->url).timeout(24h);
        if (!r.ok()) {
            const std::string what = "GET " + j->url + ": " + std::to_string(to_number(r.code()));
            co_await flux::fail(flux::error(http::errc::unexpected_status).doing(what));
        }
        j->size = r.body().length().value_or(0);
        whole.emplace(std::move(r));
    }
    j->out.reset(::open(j->part().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (j->in_pieces ? 0 : O_TRUNC), 0644));
    if (!j->out) {
        co_await flux::fail(failed("open " + j->part()));
    }
    if (whole) {
        j->size = co_await save(j, &*whole, 0, UINT64_MAX);
    } else {
        auto fetch = [j](std::uint64_t from) { return fetch_piece(j, from); };
        co_await flux::map(j->missing, j->connections, fetch);
    }
    if (::fsync(j->out.get()) != 0 || ::rename(j->part().c_str(), j->file.c_str()) != 0) {
        co_await flux::fail(failed("finish " + j->file));
    }
    ::unlink(j->done().c_str());
}

// A bar on a terminal, a line elsewhere.
void draw(const job& j, bool terminal, double rate) {
    const char* const begin = terminal ? "\r\x1b[K" : "";
    const char* const end = terminal ? "" : "\n";
    const double mib = static_cast<double>(j.have) / 1048576, speed = rate / 1048576;
    if (j.size == 0) { // nobody knows how much it will be
        std::fprintf(stderr, "%s%8.1f MiB  %7.1f MiB/s%s", begin, mib, speed, end);
        return;
    }
    const double part = static_cast<double>(j.have) / static_cast<double>(j.size);
    const std::string bar(static_cast<std::size_t>(part * 30), '=');
    const long eta = rate > 0 ? static_cast<long>(static_cast<double>(j.size - j.have) / rate) : 0;
    std::fprintf(stderr, "%s[%-30s] %3d %%  %8.1f MiB  %7.1f MiB/s  ETA %ld:%02ld%s", begin, bar.c_str(),
                 static_cast<int>(part * 100), mib, speed, eta / 60, eta % 60, end);
}

// Shows how it goes until it is stopped. The rate is that of the last seconds.
flux::task<> show(const job* j, bool terminal) {
    const auto pause = terminal ? 200ms : 2000ms;
    double rate = 0;
    for (std::uint64_t before = 0;;) {
        co_await flux::sleep_for(pause);
        const std::uint64_t fetched = j->have - std::min(j->resumed, j->have);
        const double now =
            static_cast<double>(fetched - std::min(before, fetched)) * 1000.0 / static_cast<double>(pause.count());
        rate = rate == 0 ? now : rate * 0.8 + now * 0.2;
        before = fetched;
        draw(*j, terminal, rate);
    }
}

flux::task<int> download(job* j) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    const auto start = std::chrono::steady_clock::now();
    auto here = co_await flux::this_context();
    flux::task_scope scope(here, flux::scope_policy::collect);
    scope.spawn(show, j, terminal);
    const auto done = co_await flux::attempt(transfer(j));
    scope.stop();
    flux::ignore_result(co_await flux::attempt(scope.join()), "show() was stopped");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(j->have - std::min(j->resumed, j->have)) / took.count();
    if (terminal && j->have != 0) {
        draw(*j, true, rate);
        std::fputc('\n', stderr);
    }
    if (done) {
        std::fprintf(stderr, "%s: %llu octets, %llu of them now, in %.1f s (%.1f MiB/s)\n", j->file.c_str(),
                     static_cast<unsigned long long>(j->have), static_cast<unsigned long long>(j->have - j->resumed),
                     took.count(), rate / 1048576);
        co_return 0;
    }
    if (!j->in_pieces && j->out) {
        ::unlink(j->part().c_str()); // of no use the next time
    }
    const bool stopped = done.error().kind() == flux::error_kind::cancelled; // by a signal: nothing else does it
    const char* const next = j->in_pieces && j->out ? "; the same command goes on with the pieces that are missing" : "";
    std::fprintf(stderr, "download: %s%s\n", stopped ? "stopped" : done.error().what(), next);
    co_return stopped ? 130 : 1;
}

} // namespace

int main(int argc, char** argv) {
    job j;
    if (argc > 3) {
        j.connections = std::strtoull(argv[3], nullptr, 10);
    }
    if (argc < 3 || argc > 5 || j.connections < 1 || j.connections > 100) {
        std::fprintf(stderr, "usage: download URL FILE [CONNECTIONS [CAFILE]]       connections: 1 to 100, default 4\n");
        return 2;
    }
    j.url = argv[1];
    j.file = argv[2];
    j.authorities = argc > 4 ? argv[4] : nullptr;
    return flux::run(download(&j));
}
