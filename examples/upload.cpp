// SPDX-License-Identifier: MIT
// Takes files of forms and writes them to a directory, piece by piece, whatever their size.
//
//   upload DIRECTORY 8080     listens on 127.0.0.1:8080; port 0 is chosen by the kernel
//
// Try:  curl -F 'file=@big.iso' http://127.0.0.1:8080/   or open http://127.0.0.1:8080/ in a browser.
// Progress goes to stderr. A file gets its name when it is whole; until then, and after a failure, there is none. Names
// are made safe, and nothing that exists is replaced. One write at a time is on its way, so a slow disk stops the sender.
#include <flux.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace http = flux::http;

namespace {

constexpr std::uint64_t mib = 1U << 20;

struct directory {
    flux::unique_fd fd;
};

// A file without a name yet.
class new_file {
public:
    explicit new_file(const directory& dir) : dir_(dir.fd.get()), fd_(::openat(dir_, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644)) {
        require(fd_.is_open());
    }
    void write(std::string_view octets) {
        while (!octets.empty()) {
            const ssize_t n = ::write(fd_.get(), octets.data(), octets.size());
            require(n > 0);
            octets.remove_prefix(static_cast<std::size_t>(n));
        }
    }
    // Returns the name that it got: `wanted`, or with a number before the extension.
    std::string keep(const std::string& wanted) {
        const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
        const std::size_t dot = std::min(wanted.rfind('.'), wanted.size());
        for (int i = 0; i < 1000; ++i) {
            std::string name = wanted;
            name.insert(dot, i == 0 ? "" : "-" + std::to_string(i));
            if (::linkat(AT_FDCWD, self.c_str(), dir_, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
                return name;
            }
            require(errno == EEXIST);
        }
        throw flux::error(flux::errc::limit).doing("find a free name");
    }

private:
    static void require(bool done) {
        if (!done) {
            throw flux::error::from_errno(errno).doing("write a file");
        }
    }
    int dir_;
    flux::unique_fd fd_;
};

flux::task<http::response> upload(http::request& req) {
    const auto& dir = req.state<directory>();
    http::multipart_reader parts(req);
    std::string report;
    for (auto* part = co_await parts.next(); part != nullptr; part = co_await parts.next()) {
        const std::string wanted = part->safe_filename();
        if (wanted.empty()) {
            continue; // a field, or a file input that was left empty
        }
        new_file file(dir);
        std::uint64_t octets = 0;
        for (;;) {
            const std::string_view piece = co_await part->body().next();
            if (piece.empty()) {
                break;
            }
            auto write = [&file, piece] { file.write(piece); };
            co_await flux::blocking(write);
            if (octets / mib != (octets + piece.size()) / mib) {
                std::fprintf(stderr, "%s: %llu MiB\n", wanted.c_str(), static_cast<unsigned long long>((octets + piece.size()) / mib));
            }
            octets += piece.size();
        }
        report += file.keep(wanted) + ": " + std::to_string(octets) + " octets\n";
    }
    co_return http::text(std::move(report)).code(http::status::created);
}

} // namespace

int main(int argc, char** argv) {
    std::uint64_t port = 0;
    directory dir;
    if (argc == 3) {
        dir.fd.reset(::open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    if (!dir.fd.is_open() || !http::parse_decimal(argv[2], 65'535, port)) {
        std::fprintf(stderr, "usage: upload DIRECTORY PORT\n");
        return 2;
    }
    flux::serve_options options;
    options.server.limits.body_octets = 64 * 1024 * mib;
    options.server.handler_timeout = flux::hours(24); // the sender's rate is what has a limit
    http::router app;
    app.share(dir);
    app.get("/", [] {
        return http::html("<form method=post enctype=multipart/form-data><input type=file name=file multiple><input type=submit></form>");
    });
    app.post("/", upload);
    return flux::serve("127.0.0.1:" + std::to_string(port), app, options);
}
