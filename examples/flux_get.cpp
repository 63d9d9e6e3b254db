// SPDX-License-Identifier: MIT
// One HTTP request from the command line, with an account of it that programs can read.
//
//   flux_get --url URL [--method M] [--header 'K: V']... [--data-file F] [--timeout SECONDS] [--max-redirects N]
//            [--cacert FILE] [--cert FILE --key FILE] [--proxy URL] [--retries N] [--json]
//
// Prints the body, or with --json one object on the last line:
//   {"ok": bool, "status": int|null, "headers": [[k, v], ...], "body_b64": str,
//    "error": null | {"class": str, "error_detail": str}, "attempts": int, "reused": bool}
// `ok` is true for any complete answer. The class is network, tls, timeout, cancelled, protocol, http or usage.
// --timeout bounds everything together, --retries repeats idempotent methods after class network. Exit status 0 only
// if ok.
// --proxy takes http, https and socks5 URLs, perhaps with user:password@; variables of the environment are not read.
// https is always verified: the chain by the authorities of --cacert, or the system's, and the host by its names.
#include <flux.hpp>
#include <flux/tls.hpp>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace http = flux::http;
namespace tls = flux::tls;

namespace {

using route = http::routed_connector<tls::connector<>>;
using connector = tls::connector<route>;
using client = http::basic_client<connector>;

struct arguments {
    std::string url;
    std::string method;
    std::vector<std::string> headers;
    std::string data_file;
    bool has_data = false;
    flux::milliseconds timeout{0};
    std::uint32_t max_redirects = 10;
    std::uint32_t retries = 0;
    bool json = false;
    std::string authorities; // files
    std::string certificate;
    std::string key;
    http::proxy_rules proxies; // for nothing, unless --proxy says so
    std::string wrong; // what cannot be understood or done
};

struct outcome {
    bool ok = false;
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string error_class;
    std::string error_detail;
    std::uint32_t attempts = 0;
    bool reused = false;
};

bool to_number(const char* text, std::uint32_t& out) {
    char* end = nullptr;
    errno = 0;
    const unsigned long long n = std::strtoull(text, &end, 10);
    out = static_cast<std::uint32_t>(n);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && n <= 1'000'000;
}

arguments parse(int argc, char** argv) {
    arguments a;
    const auto complain = [&a](const std::string& what) {
        if (a.wrong.empty()) {
            a.wrong = what;
        }
    };
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--json") {
            a.json = true;
            continue;
        }
        if (i + 1 == argc) {
            complain("unknown option, or one without its value: " + std::string(name));
            break;
        }
        const char* const value = argv[++i];
        if (name == "--url") {
            a.url = value;
        } else if (name == "--method") {
            a.method = value;
            if (a.method.empty()) {
                complain("--method is empty");
            }
        } else if (name == "--header") {
            a.headers.emplace_back(value);
        } else if (name == "--data-file") {
            a.data_file = value;
            a.has_data = true;
        } else if (name == "--timeout") {
            char* end = nullptr;
            const double seconds = std::strtod(value, &end);
            if (end == value || *end != '\0' || !(seconds > 0) || seconds > 1e9) {
                complain("--timeout wants a number of seconds above 0");
            } else {
                a.timeout = flux::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
            }
        } else if (name == "--max-redirects") {
            if (!to_number(value, a.max_redirects)) {
                complain("--max-redirects wants a number");
            }
        } else if (name == "--retries") {
            if (!to_number(value, a.retries)) {
                complain("--retries wants a number");
            }
        } else if (name == "--cacert" || name == "--cert" || name == "--key") {
            (name == "--cacert" ? a.authorities : name == "--cert" ? a.certificate : a.key) = value;
            if (*value == '\0') {
                complain(std::string(name) + " is empty");
            }
        } else if (name == "--proxy") {
            auto parsed = http::proxy::parse(value);
            if (parsed) {
                a.proxies = http::proxy_rules::only(*parsed);
            } else {
                complain("--proxy: " + parsed.error().message());
            }
        } else {
            complain("unknown option " + std::string(name));
        }
    }
    if (a.url.empty()) {
        complain("--url is missing");
    }
    if (a.certificate.empty() != a.key.empty()) {
        complain("--cert and --key belong together");
    }
    return a;
}

// False: it cannot be read, errno says why.
bool read_file(const std::string& name, std::string& out) {
    std::FILE* file = std::fopen(name.c_str(), "rb");
    if (file == nullptr) {
        return false;
    }
    char block[65'536];
    for (;;) {
        const std::size_t n = std::fread(block, 1, sizeof block, file);
        out.append(block, n);
        if (n < sizeof block) {
            break;
        }
    }
    const bool fine = std::ferror(file) == 0;
    const int number = errno;
    std::fclose(file);
    errno = number;
    return fine;
}

std::string class_of(const flux::error& e) {
    const flux::error_kind kind = e.kind();
    // A peer that does not come to an end where it has to breaks the protocol.
    return std::string(to_string(kind == flux::error_kind::limit ? flux::error_kind::protocol : kind));
}

void note(outcome& out, const flux::error& e) {
    out.error_class = class_of(e);
    out.error_detail = e.message();
}

// The header lines of the command line; empty, or what is wrong with one.
std::string set_headers(http::client_request& request, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos) {
            return "--header wants 'name: value'";
        }
        std::string_view value = std::string_view(line).substr(colon + 1);
        if (!value.empty() && value.front() == ' ') {
            value.remove_prefix(1);
        }
        request.add_header(line.substr(0, colon), value);
    }
    return {};
}

flux::task<> read_response(http::client_response* response, outcome* out, bool print) {
    for (;;) {
        const auto piece = co_await response->body().next();
        if (piece.empty()) {
            co_return;
        }
        if (print) {
            std::fwrite(piece.data(), 1, piece.size(), stdout);
        } else {
            out->body.append(piece);
        }
    }
}

// One try, redirects included. True: it may be repeated.
flux::task<bool> try_once(client* api, const arguments* a, const std::string* data, outcome* out) {
    auto request = api->request(std::string_view(a->method), a->url);
    request.max_redirects(a->max_redirects).timeout(flux::milliseconds(0));
    if (a->has_data) {
        request.static_body(*data);
    }
    const std::string wrong = set_headers(request, a->headers);
    if (!wrong.empty()) {
        note(*out, flux::error(flux::errc::invalid_argument).doing(wrong));
        co_return false;
    }
    auto response = co_await flux::attempt(std::move(request));
    if (!response) {
        const flux::error& e = response.error();
        out->attempts += e.attempt() == 0 && e.kind() != flux::error_kind::usage ? 1 : e.attempt();
        note(*out, e);
        co_return e.kind() == flux::error_kind::network;
    }
    out->attempts += response->attempts();
    out->reused = response->reused();
    const auto read = co_await flux::attempt(read_response(&*response, out, !a->json));
    if (!read) {
        note(*out, read.error());
        co_return read.error().kind() == flux::error_kind::network && a->json;
    }
    out->ok = true;
    out->status = static_cast<int>(http::to_number(response->code()));
    for (const http::field_view f : response->fields()) {
        out->headers.emplace_back(f.name, f.value);
    }
    co_return false;
}

// What https is verified by. Files that cannot be used are errors whatever the URL is, before anything is sent.
flux::result<tls::client_context_ptr> secure_by(const arguments& a) {
    if (a.authorities.empty() && a.certificate.empty()) {
        return tls::default_client_context();
    }
    tls::client_settings settings;
    if (!a.authorities.empty()) {
        settings.authorities = tls::trust::file(a.authorities);
    }
    if (!a.certificate.empty()) {
        settings.own = tls::identity::files(a.certificate, a.key);
    }
    return tls::client_context::make(settings);
}

flux::task<> exchange(const arguments* a, const std::string* data, outcome* out) {
    const auto context = secure_by(*a);
    if (!context && (!a->authorities.empty() || !a->certificate.empty() || a->url.starts_with("https:"))) {
        note(*out, context.error());
        co_return;
    }
    http::client_options options;
    options.user_agent = "flux_get/" FLUX_VERSION_STRING;
    // TLS to the target, over the route to it, over TLS to the proxy if that wants it.
    tls::connector<> plain = context ? tls::connector<>(*context) : tls::connector<>();
    route route_to(plain, a->proxies);
    client api(options, context ? connector(*context, std::move(route_to)) : connector(std::move(route_to)));
    for (std::uint32_t n = 0;; ++n) {
        outcome result;
        result.attempts = out->attempts;
        const bool repeatable = co_await try_once(&api, a, data, &result);
        *out = std::move(result);
        if (!repeatable || n == a->retries || !http::is_idempotent(http::to_method(a->method))) {
            co_return;
        }
        const auto waited = co_await flux::attempt(flux::sleep_for(flux::milliseconds(n < 5 ? 25 << n : 1000)));
        if (!waited) {
            note(*out, waited.error());
            co_return;
        }
    }
}

flux::task<int> run_all(const arguments* a, const std::string* data, outcome* out) {
    const flux::duration most = a->timeout.count() > 0 ? flux::duration(a->timeout) : flux::duration::max();
    auto limit = co_await flux::within(most); // connecting, redirects, retries and bodies together
    const auto done = co_await flux::attempt(exchange(a, data, out));
    if (!done) {
        note(*out, done.error());
    }
    co_return out->ok ? 0 : 1;
}

void put_json(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            (out += '\\') += c;
        } else if (u < 0x20 || u >= 0x7f) { // octets of fields are taken for ISO 8859-1
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", u);
            out += escaped;
        } else {
            out += c;
        }
    }
    out += '"';
}

std::string base64(std::string_view octets) {
    constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < octets.size(); i += 3) {
        std::uint32_t n = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            n = n << 8 | (i + k < octets.size() ? static_cast<unsigned char>(octets[i + k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            out += k <= octets.size() - i ? digits[n >> (18 - 6 * k) & 63] : '=';
        }
    }
    return out;
}

std::string to_json(const outcome& o) {
    std::string out = o.ok ? "{\"ok\": true, \"status\": " + std::to_string(o.status) : "{\"ok\": false, \"status\": null";
    out += ", \"headers\": [";
    for (std::size_t i = 0; i < o.headers.size(); ++i) {
        out += i == 0 ? "[" : ", [";
        put_json(out, o.headers[i].first);
        out += ", ";
        put_json(out, o.headers[i].second);
        out += ']';
    }
    out += "], \"body_b64\": \"" + (o.ok ? base64(o.body) : std::string()) + "\", \"error\": ";
    if (o.ok) {
        out += "null";
    } else {
        out += "{\"class\": ";
        put_json(out, o.error_class);
        out += ", \"error_detail\": ";
        put_json(out, o.error_detail);
        out += '}';
    }
    out += ", \"attempts\": " + std::to_string(o.attempts);
    out += o.reused ? ", \"reused\": true}" : ", \"reused\": false}";
    return out;
}

} // namespace

int main(int argc, char** argv) {
    arguments a = parse(argc, argv);
    outcome out;
    std::string data;
    int status = 1;
    if (a.method.empty()) {
        a.method = a.has_data ? "POST" : "GET";
    }
    if (!a.wrong.empty()) {
        out.error_class = "usage";
        out.error_detail = a.wrong;
    } else if (a.has_data && !read_file(a.data_file, data)) {
        out.error_class = "usage";
        out.error_detail = "--data-file " + a.data_file + ": " + std::strerror(errno);
    } else {
        status = flux::run(run_all(&a, &data, &out));
    }
    if (a.json) {
        std::printf("%s\n", to_json(out).c_str());
    } else if (!out.ok) {
        std::fprintf(stderr, "flux_get: %s (%s)\n", out.error_detail.c_str(), out.error_class.c_str());
    }
    return out.ok ? status : 1;
}
