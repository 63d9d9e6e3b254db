// SPDX-License-Identifier: MIT
// Serves the files below a directory.
//
//     static_server 8080                            the current directory, on 127.0.0.1:8080
//     static_server --root /srv/www 8080
//     static_server --root /srv/www --listing --precompressed 0.0.0.0:8080
//
//     curl -i http://127.0.0.1:8080/                       index.html, if there is one
//     curl -i -r 0-99 http://127.0.0.1:8080/file.bin       206, the first 100 octets
//
// --listing lists directories without an index, --precompressed serves name.br and name.gz to who accepts them,
// --workers N uses N threads. SIGINT or SIGTERM: what is being sent is sent to its end, then it exits with 0.
#include <flux.hpp>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace http = flux::http;

namespace {

constexpr const char* usage = "usage: static_server [--root DIR] [--listing] [--precompressed] [--workers N] [ADDRESS:]PORT\n";

struct settings {
    std::string root = ".";
    std::string address;
    http::file_options files;
    flux::serve_options serve;
};

bool parse(int argc, char** argv, settings& s) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--listing") {
            s.files.listing = true;
        } else if (word == "--precompressed") {
            s.files.precompressed = true;
        } else if (word == "--root" && i + 1 < argc) {
            s.root = argv[++i];
        } else if (word == "--workers" && i + 1 < argc) {
            const char* const end = argv[i + 1] + std::strlen(argv[i + 1]);
            const auto [at, failed] = std::from_chars(argv[i + 1], end, s.serve.workers);
            if (failed != std::errc() || at != end || s.serve.workers == 0) {
                return false;
            }
            ++i;
        } else if (s.address.empty() && !word.starts_with('-')) {
            s.address = word.find(':') == std::string_view::npos ? "127.0.0.1:" + std::string(word) : std::string(word);
        } else {
            return false;
        }
    }
    return !s.address.empty();
}

} // namespace

int main(int argc, char** argv) {
    settings s;
    if (!parse(argc, argv, s)) {
        std::fputs(usage, stderr);
        return 2;
    }
    try {
        http::router app;
        app.get("/{path...}", http::file_server(s.root, s.files));
        return flux::serve(s.address, app, s.serve);
    } catch (const flux::error& e) {
        std::fprintf(stderr, "static_server: %s\n", e.what());
        return 1;
    }
}
