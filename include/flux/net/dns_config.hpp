// SPDX-License-Identifier: MIT
// flux/net/dns_config.hpp - what the machine says about names: resolv.conf and the hosts file, and when they change.
//
// Lines that make no sense are skipped, as every resolver does. Deliberately not here: nsswitch.conf (system_resolver is
// for machines that need it), the environment (LOCALDOMAIN and RES_OPTIONS are not read).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/time.hpp>
#include <flux/io/unique_fd.hpp>
#include <flux/net/endpoint.hpp>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI {

/// How names are looked up. What is not given is as in resolv.conf(5).
class dns_config {
public:
    dns_config() = default;
    dns_config(const dns_config&) = default;
    dns_config(dns_config&&) noexcept = default;
    dns_config& operator=(const dns_config&) = default;
    dns_config& operator=(dns_config&&) noexcept = default;
    ~dns_config() = default;

    static constexpr std::size_t max_servers = 8; ///< further ones are not used
    static constexpr std::size_t max_search = 32;

    detail::dynamic_array<endpoint> servers;    ///< with ports; none means 127.0.0.1:53
    detail::dynamic_array<std::string> search;  ///< zones for names that are not complete, in order
    std::size_t ndots = 1;                      ///< names with that many dots are tried as they are first; at most 15
    milliseconds timeout{5000};                 ///< for one server to answer; in the file 1 to 30 s
    unsigned attempts = 2;                      ///< rounds over all servers; 1 to 5
    bool rotate = false;                        ///< each question starts with the next server
    bool tcp = false;                           ///< `use-vc`: TCP from the start
    bool ipv4_only = false;                     ///< `no-aaaa`: IPv6 addresses are not asked for

    /// Reads the text of a resolv.conf: nameserver, domain, search, and of options ndots, timeout, attempts, rotate,
    /// use-vc and no-aaaa. Later lines of a kind replace earlier ones, servers add up.
    /// Source  resolv.conf(5).
    template <class Text = std::string_view>
    [[nodiscard]] static dns_config parse(Text text);

private:
    template <class Value>
    static void read_option(std::string_view option, std::string_view name, unsigned least, unsigned most, Value& to) {
        if (!option.starts_with(name)) {
            return;
        }
        unsigned number = 0;
        option.remove_prefix(name.size());
        const auto [end, failed] = std::from_chars(option.data(), option.data() + option.size(), number);
        if (failed == std::errc() && end == option.data() + option.size()) {
            to = Value(std::max(least, std::min(number, most)));
        } else if (failed == std::errc::result_out_of_range) {
            to = Value(most);
        }
    }
    template <class Option>
    void read_option(Option option) {
        read_option(option, "ndots:", 0, 15, ndots);
        seconds s(-1);
        read_option(option, "timeout:", 1, 30, s);
        timeout = s.count() > 0 ? milliseconds(s) : timeout;
        read_option(option, "attempts:", 1, 5, attempts);
        rotate = rotate || option == "rotate";
        tcp = tcp || option == "use-vc";
        ipv4_only = ipv4_only || option == "no-aaaa";
    }
};

namespace detail {

/// Takes the next word off `line`; empty at its end.
[[nodiscard]] inline std::string_view next_word(std::string_view& line) noexcept {
    constexpr std::string_view blank = " \t\r\f\v";
    const std::size_t begin = line.find_first_not_of(blank);
    line.remove_prefix(begin == std::string_view::npos ? line.size() : begin);
    const std::string_view word = line.substr(0, line.find_first_of(blank));
    line.remove_prefix(word.size());
    return word;
}
/// Takes the next line off `text`, without what `comment` begins.
[[nodiscard]] inline std::string_view next_line(std::string_view& text, std::string_view comment) noexcept {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    return line.substr(0, line.find_first_of(comment));
}
/// ASCII only.
[[nodiscard]] inline std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    }
    return out;
}

} // namespace detail

template <class Text>
dns_config dns_config::parse(Text text) {
    dns_config config;
    std::string_view rest(text);
    while (!rest.empty()) {
        std::string_view line = detail::next_line(rest, "#;");
        const std::string_view keyword = detail::next_word(line);
        std::string_view word = detail::next_word(line);
        if (keyword == "nameserver") {
            auto server = endpoint::parse_ip(word, 53);
            if (server && config.servers.size() < max_servers) {
                config.servers.push_back(*server);
            }
        } else if (keyword == "domain" || keyword == "search") {
            config.search.clear();
            for (; !word.empty() && config.search.size() < max_search; word = detail::next_word(line)) {
                word.remove_suffix(word.size() > 1 && word.ends_with('.') ? 1 : 0);
                if (word != ".") {
                    config.search.push_back(detail::lower_case(word));
                }
                if (keyword == "domain") {
                    break;
                }
            }
        } else if (keyword == "options") {
            for (; !word.empty(); word = detail::next_word(line)) {
                config.read_option(word);
            }
        }
    }
    return config;
}

/// The hosts file: names with fixed addresses. Looking up is a search in a sorted index; the addresses are read from
/// the text when they are needed, so a list of 100 000 names costs its text and 8 octets a name.
///
/// Source  hosts(5).
template <class Offset>
class basic_hosts_table {
public:
    static constexpr std::size_t max_text = 64 << 20; ///< octets; more is not read

    basic_hosts_table() = default;
    explicit basic_hosts_table(std::string text) : text_(std::move(text)) {
        text_.resize(std::min(text_.size(), max_text));
        std::string_view rest = text_;
        while (!rest.empty()) {
            const auto at = static_cast<Offset>(text_.size() - rest.size());
            std::string_view line = detail::next_line(rest, "#");
            std::string_view word = detail::next_word(line); // the address
            for (word = detail::next_word(line); !word.empty(); word = detail::next_word(line)) {
                index_.emplace_back(hash(word), at);
            }
        }
        detail::sort_in_place(index_.data(), index_.size());
    }

    /// Calls `take(endpoint)`, with port 0, for every address of a name, in the order of the file.
    /// Params  `host` in any case of letters, perhaps with a final dot.
    template <class Take>
    void find(std::string_view host, Take&& take) const {
        const place first(hash(host), 0);
        for (const place* p = std::lower_bound(index_.begin(), index_.end(), first);
             p != index_.end() && p->hash == first.hash; ++p) {
            std::string_view rest = std::string_view(text_).substr(p->line);
            std::string_view line = detail::next_line(rest, "#");
            auto address = endpoint::parse_ip(detail::next_word(line), 0);
            if (address && names(line, host)) {
                take(*address);
            }
        }
    }
    [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }

private:
    struct place {
        place(std::uint32_t h, Offset at) noexcept : hash(h), line(at) {}
        [[nodiscard]] friend bool operator<(const place& a, const place& b) noexcept {
            return a.hash != b.hash ? a.hash < b.hash : a.line < b.line;
        }
        std::uint32_t hash;
        Offset line; // where in the text
    };

    [[nodiscard]] static char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
    [[nodiscard]] static std::string_view plain(std::string_view host) noexcept {
        host.remove_suffix(host.size() > 1 && host.ends_with('.') ? 1 : 0);
        return host;
    }
    [[nodiscard]] static std::uint32_t hash(std::string_view host) noexcept { // FNV-1a
        std::uint32_t h = 2166136261U;
        for (const char c : plain(host)) {
            h = (h ^ static_cast<unsigned char>(lower(c))) * 16777619U;
        }
        return h;
    }
    [[nodiscard]] static bool names(std::string_view line, std::string_view host) noexcept {
        host = plain(host);
        for (std::string_view word = detail::next_word(line); !word.empty(); word = detail::next_word(line)) {
            word = plain(word);
            if (word.size() == host.size() &&
                std::equal(word.begin(), word.end(), host.begin(), [](char a, char b) { return lower(a) == lower(b); })) {
                return true;
            }
        }
        return false;
    }

    std::string text_;
    detail::dynamic_array<place> index_;
};
using hosts_table = basic_hosts_table<std::uint32_t>;

namespace detail {

/// A small file that is read again when it has changed, which is looked at once a second at most.
template <class Text>
class watched_file {
public:
    static constexpr seconds interval{1};

    /// Params  `path` empty: there is no file, and never will be.
    watched_file(std::string path, std::size_t most) : path_(std::move(path)), most_(most) {}

    /// True if `to` was given another text: that of the file, or none if it cannot be read.
    /// Cost  a system call per interval; three, and the reading, after a change. The calling thread waits for them.
    [[nodiscard]] bool refresh(time_point now, Text& to) {
        if (path_.empty() || now < next_look_) {
            return false;
        }
        next_look_ = now + interval;
        struct ::stat info {};
        const bool exists = ::stat(path_.c_str(), &info) == 0 && S_ISREG(info.st_mode);
        const signature seen(exists, info);
        if (seen == seen_) {
            return false;
        }
        seen_ = seen;
        to = exists ? read() : Text();
        return true;
    }

private:
    struct signature {
        signature() noexcept = default;
        signature(bool is_there, const struct ::stat& of) noexcept : exists(is_there) {
            if (exists) {
                device = of.st_dev;
                inode = of.st_ino;
                size = of.st_size;
                changed = of.st_mtim;
            }
        }
        [[nodiscard]] friend bool operator==(const signature& a, const signature& b) noexcept {
            return a.exists == b.exists && a.device == b.device && a.inode == b.inode && a.size == b.size &&
                   a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec;
        }
        bool exists = false;
        ::dev_t device{};
        ::ino_t inode{};
        ::off_t size{};
        ::timespec changed{};
    };

    [[nodiscard]] Text read() const {
        Text text;
        const unique_fd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        while (fd && text.size() < most_) {
            const std::size_t before = text.size();
            text.resize(std::min(most_, before + std::max<std::size_t>(before, 4096)));
            const ::ssize_t n = ::read(fd.get(), text.data() + before, text.size() - before);
            text.resize(before + static_cast<std::size_t>(n > 0 ? n : 0));
            if (n == 0 || (n < 0 && errno != EINTR)) {
                break;
            }
        }
        return text;
    }

    Text path_;
    std::size_t most_;
    time_point next_look_{};
    signature seen_;
};

} // namespace detail
} // namespace flux::inline FLUX_ABI
