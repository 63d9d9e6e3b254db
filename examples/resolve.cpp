// SPDX-License-Identifier: MIT
// Looks up host names, all of them at the same time, as flux's clients do.
//
//   resolve HOST...                      resolve localhost example.org ::1
//
// Prints `HOST ADDRESS...` for each, and the reason on standard error where there is none. FLUX_RESOLVE_SERVER, an
// address and port, is asked instead of the servers in /etc/resolv.conf, and short names are tried in the zone
// FLUX_RESOLVE_SEARCH. Exit status 0 if all have addresses.
#include <flux.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

flux::task<bool> look_up(flux::dns_resolver& names, std::string host) {
    auto found = co_await flux::attempt(flux::resolve(names, host, 0));
    if (!found) {
        std::fprintf(stderr, "%s\n", found.error().what());
        co_return false;
    }
    std::string line = host;
    for (const flux::endpoint& e : *found) {
        const std::string text = e.to_string(); // with port 0
        line += " " + text.substr(0, text.rfind(':'));
    }
    std::puts(line.c_str());
    co_return true;
}

flux::task<int> look_up_all(std::vector<std::string> hosts, flux::dns_options options) {
    flux::dns_resolver names(std::move(options)); // one for all: equal questions are asked once
    auto one = [&names](const std::string& host) { return look_up(names, host); };
    const auto found = co_await flux::map(hosts, 16, one);
    for (const bool yes : found) {
        if (!yes) {
            co_return 1;
        }
    }
    co_return 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: resolve HOST...\n");
        return 2;
    }
    flux::dns_options options;
    if (const char* server = std::getenv("FLUX_RESOLVE_SERVER")) {
        auto where = flux::endpoint::parse(server);
        if (!where) {
            std::fprintf(stderr, "%s\n", where.error().what());
            return 2;
        }
        options.config.emplace();
        options.config->servers.push_back(*where);
        options.config->timeout = flux::milliseconds(1000);
        if (const char* zone = std::getenv("FLUX_RESOLVE_SEARCH")) {
            options.config->search.emplace_back(zone);
        }
    }
    return flux::run(look_up_all({argv + 1, argv + argc}, std::move(options)));
}
