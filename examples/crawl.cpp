// SPDX-License-Identifier: MIT
// Follows the links of a site, level by level: so many pages at a time, all within one deadline, and the first page
// that cannot be had stops everything.
//
//   crawl URL [DEPTH [AT_A_TIME [SECONDS [CAFILE]]]]          crawl http://127.0.0.1:8080/ 3 8 30
//
// Prints the size and the URL of every page. Exit status 0 if all of them came, 130 if a signal came first.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <flux.hpp>

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

using links = std::vector<std::string>;

// What the attributes href and src of a page name, within its origin and without fragments. No parser of HTML: what
// stands in a comment counts, too.
links find_links(const http::url& page, std::string_view text) {
    links found;
    for (const std::string_view attribute : {"href=", "src="}) {
        for (std::size_t at = text.find(attribute); at != std::string_view::npos; at = text.find(attribute, at)) {
            at += attribute.size();
            const char quote = at < text.size() ? text[at] : ' ';
            const std::size_t end = quote == '"' || quote == '\'' ? text.find(quote, at + 1) : std::string_view::npos;
            if (end == std::string_view::npos) {
                continue;
            }
            std::string reference(text.substr(at + 1, end - at - 1));
            for (std::size_t amp = 0; (amp = reference.find("&amp;", amp)) != std::string::npos;) {
                reference.erase(++amp, 4);
            }
            if (const auto u = page.resolve(reference.substr(0, reference.find('#'))); u && same_origin(page, *u)) {
                found.emplace_back(u->text());
            }
        }
    }
    return found;
}

flux::task<links> visit(client* api, std::string where) {
    auto r = co_await api->get(where);
    const std::string text = co_await r.text();
    if (!r.ok()) {
        co_return flux::fail(
            flux::error(http::errc::unexpected_status).doing(where + ": " + std::to_string(to_number(r.code()))));
    }
    std::printf("%9zu  %s\n", text.size(), where.c_str());
    if (!r.header("Content-Type").starts_with("text/html")) {
        co_return links();
    }
    co_return find_links(r.url(), text);
}

struct plan {
    std::string start;
    int depth;
    std::size_t at_a_time;
    std::chrono::seconds patience;
    const char* authorities; // a file; or null
};

flux::task<> crawl(const plan* p) {
    auto limit = co_await flux::within(p->patience); // covers every page below
    client api = make_client(p->authorities);
    links level = {p->start};
    std::set<std::string> seen(level.begin(), level.end());
    auto look = [&api](std::string where) { return visit(&api, std::move(where)); };
    for (int i = 0; i <= p->depth && !level.empty(); ++i) {
        const auto pages = co_await flux::map(level, p->at_a_time, look); // the first failure stops the others
        level.clear();
        for (const links& page : pages) {
            for (const std::string& link : page) {
                if (seen.insert(link).second) {
                    level.push_back(link);
                }
            }
        }
    }
    std::printf("%zu pages were not visited\n", level.size());
}

flux::task<int> crawl_or_stop(const plan* p) {
    const auto done = co_await flux::attempt(crawl(p));
    if (!done) {
        const bool stopped = done.error().is(flux::errc::shutdown);
        std::fprintf(stderr, "crawl: %s\n", stopped ? "stopped" : done.error().what());
        co_return stopped ? 130 : 1;
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv) {
    const auto number = [&](int i, long otherwise) {
        char* end = nullptr;
        const long n = argc > i ? std::strtol(argv[i], &end, 10) : otherwise;
        return end != nullptr && (end == argv[i] || *end != '\0' || n > 1'000'000) ? -1 : n;
    };
    const long depth = number(2, 3), at_a_time = number(3, 8), seconds = number(4, 30);
    const auto start = http::url::parse(argc > 1 ? argv[1] : "");
    if (!start || argc > 6 || depth < 0 || at_a_time < 1 || seconds < 1) {
        std::fprintf(stderr, "usage: crawl URL [DEPTH [AT_A_TIME [SECONDS [CAFILE]]]]\n");
        return 2;
    }
    const plan p{std::string(start->text()), static_cast<int>(depth), static_cast<std::size_t>(at_a_time),
                 std::chrono::seconds(seconds), argc > 5 ? argv[5] : nullptr};
    return flux::run(crawl_or_stop(&p));
}
