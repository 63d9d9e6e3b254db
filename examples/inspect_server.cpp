// SPDX-License-Identifier: MIT
// Says in JSON what the server understood of a request: any method, any path.
//
//   inspect_server 8080     listens on 127.0.0.1:8080; port 0 is chosen by the kernel
//   GET /bytes/N            N octets with Content-Length instead, streamed
//   GET /sleep/MS           the answer after MS milliseconds
//
// Try:  curl -i -d hello 'http://127.0.0.1:8080/a%20b?c'
// The whole body is read first: what is incomplete or malformed is never answered 200. Octets beyond ASCII are shown
// as the code points U+0080 to U+00FF. SIGINT or SIGTERM: requests in flight are answered, then it ends with status 0.
#include <flux.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace http = flux::http;

namespace {

constexpr std::size_t body_limit = 64U << 20;

std::string quoted(std::string_view text) {
    std::string out(1, '"');
    for (const char c : text) {
        const auto n = static_cast<unsigned char>(c);
        const char escape[] = {'\\', 'u', '0', '0', "0123456789abcdef"[n >> 4], "0123456789abcdef"[n & 15]};
        const bool plain = n >= 0x20 && n < 0x7f && c != '"' && c != '\\';
        out.append(plain ? &c : escape, plain ? 1 : sizeof escape);
    }
    return out + '"';
}

std::string pairs(const http::fields_view& fields) {
    std::string out;
    for (const http::field_view f : fields) {
        out += (out.empty() ? "[" : ", [") + quoted(f.name) + ", " + quoted(f.value) + ']';
    }
    return '[' + out + ']';
}

std::string base64(std::string_view octets) {
    const char* const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve(octets.size() / 3 * 4 + 4);
    for (std::size_t i = 0; i < octets.size(); i += 3) {
        std::uint32_t word = 0;
        for (std::size_t k = i; k < i + 3; ++k) {
            word = word << 8 | (k < octets.size() ? static_cast<unsigned char>(octets[k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            out += i + k <= octets.size() ? digits[word >> (18 - 6 * k) & 63] : '=';
        }
    }
    return out;
}

// N in "GET /bytes/N".
std::optional<std::uint64_t> number_after(std::string_view prefix, const http::request& req) {
    const bool gets = req.method() == http::method::get || req.method() == http::method::head;
    std::uint64_t n = 0;
    if (!gets || !req.raw_path().starts_with(prefix) ||
        !http::parse_decimal(req.raw_path().substr(prefix.size()), http::max_body_length, n)) {
        return std::nullopt;
    }
    return n;
}

flux::task<> send_octets(http::body_writer& out, std::uint64_t left) {
    static const std::string block(65'536, 'x');
    while (left > 0) {
        const std::size_t n = std::min<std::uint64_t>(left, block.size());
        co_await out.write({block.data(), n});
        left -= n;
    }
}

flux::task<http::response> inspect(http::request& req) {
    const std::string body = co_await req.text(body_limit);
    if (req.method() == http::method::connect) { // no tunnels here
        co_return http::response(http::status::method_not_allowed).header("allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    }
    if (const auto size = number_after("/bytes/", req)) {
        co_return http::bytes("").stream([n = *size](http::body_writer& out) { return send_octets(out, n); }, size);
    }
    if (const auto ms = number_after("/sleep/", req)) {
        co_await flux::sleep_for(flux::milliseconds(std::min<std::uint64_t>(*ms, 86'400'000)));
    }
    const std::string version = req.version() == http::version::http_1_0 ? "1.0" : "1.1";
    co_return http::json("{\"method\": " + quoted(req.method_token()) + ", \"target\": " + quoted(req.target()) +
                         ", \"version\": \"" + version + "\", \"headers\": " + pairs(req.fields()) + ", \"body_b64\": \"" +
                         base64(body) + "\", \"trailers\": " + pairs(req.body().trailers()) + '}');
}

} // namespace

int main(int argc, char** argv) {
    std::uint64_t port = 0;
    if (argc != 2 || !http::parse_decimal(argv[1], 65'535, port)) {
        std::fprintf(stderr, "usage: inspect_server PORT\n");
        return 2;
    }
    flux::serve_options options;
    options.server.head_timeout = flux::milliseconds(5'000);
    options.server.idle_timeout = flux::milliseconds(60'000);
    options.server.handler_timeout = flux::milliseconds(86'400'000); // what takes long was asked for
    http::limits& limits = options.server.limits;
    limits.body_octets = body_limit;
    limits.head_octets = limits.field_line_octets = 65'536; // one field may be as large as the head
    limits.start_line_octets = 32'768;
    limits.max_fields = 1'000;
    http::router app;
    app.fallback(inspect);
    return flux::serve("127.0.0.1:" + std::to_string(port), app, options);
}
