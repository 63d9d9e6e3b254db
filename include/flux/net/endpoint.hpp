// SPDX-License-Identifier: MIT
// flux/net/endpoint.hpp - the address of a socket: IPv4, IPv6, a Unix path or an abstract Unix name.
//
// A value: no system call but for the names of network interfaces in scope ids. Texts are read strictly and
// written back the same. Deliberately not here: host names (resolve.hpp), sockets (socket.hpp).
#pragma once

#include <flux/core/result.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI {

enum class address_family : std::uint8_t { none, ipv4, ipv6, local };

/// Where a socket listens or connects to. Equality is that of the address: two texts of one address give equal
/// endpoints, an IPv4-mapped IPv6 address and the IPv4 address do not (see unmapped()).
///
/// Threads  as int.  Cost  120 octets, trivially copyable.
class endpoint {
public:
    /// No address; family none, prints as an empty text.
    endpoint() noexcept = default;

    /// Reads one of
    ///     127.0.0.1:80         IPv4, four decimal numbers without leading zeros
    ///     [::1]:80             IPv6; listening on [::] means IPv6 only
    ///     [fe80::1%eth0]:80    with a scope id, by interface name or number, for link-local addresses
    ///     :80                  every interface, any(80)
    ///     unix:/run/app.sock   a path of at most 107 octets
    ///     unix:@name           an abstract name of 1 to 107 octets
    /// In paths and names \xNN stands for one octet; control octets, `"` and the backslash are written so.
    /// Port 0 lets the kernel choose one when it is bound.
    ///
    /// Errors   errc::invalid_argument, with the text and the reason.
    /// Cost     no allocation on success; a system call only for an interface name.
    /// Source   RFC 4291 2.2 (IPv6 text), RFC 4007 11 (scope), RFC 3986 3.2.2 (brackets), unix(7).
    [[nodiscard]] static result<endpoint> parse(std::string_view text);

    /// An IP address without brackets and port, as in a URL whose brackets were taken off: `127.0.0.1`, `::1`,
    /// `fe80::1%eth0`. Errors  as parse(): also the way to find out whether a host is a name.
    [[nodiscard]] static result<endpoint> parse_ip(std::string_view address, std::uint16_t port);

    /// Every interface. At listen time that is [::] for IPv6 and IPv4 together where the machine has IPv6, and
    /// 0.0.0.0 where it has not; is_dual_stack() tells the listener that it may choose. Prints as `:port`.
    [[nodiscard]] static endpoint any(std::uint16_t port) noexcept {
        endpoint e = ipv6({}, port);
        e.dual_stack_ = true;
        return e;
    }
    /// 127.0.0.1.
    [[nodiscard]] static endpoint loopback(std::uint16_t port) noexcept { return ipv4({127, 0, 0, 1}, port); }

    /// Params  `address` in network order.
    [[nodiscard]] static endpoint ipv4(const std::array<std::uint8_t, 4>& address, std::uint16_t port) noexcept {
        endpoint e(address_family::ipv4, port);
        e.assign(address.data(), address.size());
        return e;
    }
    /// Params  `address` in network order; `scope_id` is dropped where the address is not link-local, as the
    ///         kernel does.
    [[nodiscard]] static endpoint ipv6(const std::array<std::uint8_t, 16>& address, std::uint16_t port,
                                       std::uint32_t scope_id = 0) noexcept {
        endpoint e(address_family::ipv6, port);
        e.assign(address.data(), address.size());
        e.scope_id_ = e.takes_scope() ? scope_id : 0;
        return e;
    }

    /// What accept, getsockname, getpeername or getaddrinfo gave. The unnamed end of a Unix socket pair
    /// becomes a local endpoint with an empty address.
    /// Errors  errc::invalid_argument: another family, or `size` does not fit the family.
    [[nodiscard]] static result<endpoint> from_sockaddr(const sockaddr_storage& from, socklen_t size);

    /// Writes the form the kernel takes; the rest of `to` is zeros.
    /// Returns  its size; 0 if there is no address.
    socklen_t to_sockaddr(sockaddr_storage& to) const noexcept;

    [[nodiscard]] address_family family() const noexcept { return family_; }
    /// In host order; 0 for Unix.
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] endpoint with_port(std::uint16_t port) const noexcept {
        endpoint e = *this;
        e.port_ = e.is_ip() ? port : std::uint16_t{0};
        return e;
    }
    /// The number of the interface of a link-local IPv6 address; 0: none was given.
    [[nodiscard]] std::uint32_t scope_id() const noexcept { return scope_id_; }

    /// 4 or 16 octets in network order; of a Unix socket the path, or NUL and the abstract name.
    [[nodiscard]] std::span<const std::byte> address() const& noexcept {
        return std::as_bytes(std::span(octets_.data(), size_));
    }
    void address() const&& = delete;
    /// The path of a Unix socket, not terminated; empty for everything else.
    [[nodiscard]] std::string_view path() const& noexcept {
        return family_ == address_family::local && !is_abstract() ? octets() : std::string_view();
    }
    void path() const&& = delete;

    [[nodiscard]] bool is_ip() const noexcept {
        return family_ == address_family::ipv4 || family_ == address_family::ipv6;
    }
    /// Whether listening means both IP versions; true only for what any() or `:port` made.
    [[nodiscard]] bool is_dual_stack() const noexcept { return dual_stack_; }
    [[nodiscard]] bool is_abstract() const noexcept {
        return family_ == address_family::local && size_ > 0 && octets_[0] == '\0';
    }
    /// 0.0.0.0, [::] and any(): good for listening, not for connecting.
    [[nodiscard]] bool is_wildcard() const noexcept {
        return is_ip() && octets().find_first_not_of('\0') == std::string_view::npos;
    }
    /// 127.0.0.0/8, also IPv4-mapped, and ::1. False for Unix sockets: they have no IP address to trust.
    [[nodiscard]] bool is_loopback() const noexcept;
    /// The IPv4 endpoint in an IPv4-mapped one (`::ffff:1.2.3.4`: how a dual-stack listener sees IPv4
    /// peers); everything else as it is.
    [[nodiscard]] endpoint unmapped() const noexcept;

    /// The text that parse() reads; an interface that has no name any more is written by its number.
    [[nodiscard]] std::string to_string() const;

    [[nodiscard]] friend bool operator==(const endpoint& a, const endpoint& b) noexcept {
        return (a <=> b) == 0;
    }
    /// A total order without further meaning: family, address, port.
    [[nodiscard]] friend std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
        if (a.family_ != b.family_) {
            return a.family_ <=> b.family_;
        }
        if (const int order = a.octets().compare(b.octets()); order != 0) {
            return order <=> 0;
        }
        if (a.port_ != b.port_) {
            return a.port_ <=> b.port_;
        }
        if (a.scope_id_ != b.scope_id_) {
            return a.scope_id_ <=> b.scope_id_;
        }
        return a.dual_stack_ <=> b.dual_stack_;
    }
    /// For hash tables; not for peers who choose their address in order to collide.
    [[nodiscard]] std::size_t hash() const noexcept {
        const std::size_t of_address = std::hash<std::string_view>()(octets());
        const std::size_t rest = (std::size_t{scope_id_} << 24) ^ (std::size_t{port_} << 8) ^
                                 (static_cast<std::size_t>(family_) << 1) ^ (dual_stack_ ? 1U : 0U);
        return of_address ^ (rest * 0x9e3779b97f4a7c15U);
    }

private:
    static constexpr std::size_t capacity = sizeof(sockaddr_un::sun_path);
    static constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

    endpoint(address_family family, std::uint16_t port) noexcept : port_(port), family_(family) {}

    void assign(const void* from, std::size_t size) noexcept {
        std::memcpy(octets_.data(), from, size);
        size_ = static_cast<std::uint8_t>(size);
    }
    [[nodiscard]] std::string_view octets() const noexcept { return {octets_.data(), size_}; }
    [[nodiscard]] std::uint8_t octet(std::size_t i) const noexcept {
        return static_cast<std::uint8_t>(octets_[i]);
    }

    // fe80::/10, and multicast of interface-local or link-local scope: where the kernel looks at a scope id.
    [[nodiscard]] bool takes_scope() const noexcept {
        return (octet(0) == 0xfe && (octet(1) & 0xc0) == 0x80) ||
               (octet(0) == 0xff && ((octet(1) & 0x0f) == 0x01 || (octet(1) & 0x0f) == 0x02));
    }
    [[nodiscard]] bool is_mapped() const noexcept {
        constexpr std::string_view prefix("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
        return family_ == address_family::ipv6 && octets().starts_with(prefix);
    }

    // Each of these returns nullptr, or the reason for the refusal.
    static const char* read(std::string_view text, endpoint& to) noexcept;
    static const char* read_port(std::string_view digits, std::uint16_t& to) noexcept;
    static const char* read_ipv4(std::string_view address, endpoint& to) noexcept;
    static const char* read_ipv6(std::string_view address, endpoint& to) noexcept;
    static const char* read_scope(std::string_view scope, std::uint32_t& to) noexcept;
    static const char* read_local(std::string_view name, endpoint& to) noexcept;

    static void append_escaped(std::string& to, std::string_view octets);
    [[nodiscard]] static failure refuse(std::string_view text, const char* reason);

    std::array<char, capacity> octets_{}; // zeros behind size_
    std::uint32_t scope_id_ = 0;
    std::uint16_t port_ = 0;
    address_family family_ = address_family::none;
    std::uint8_t size_ = 0;
    bool dual_stack_ = false;
};

static_assert(std::is_trivially_copyable_v<endpoint> && std::is_trivially_destructible_v<endpoint>);
static_assert(sizeof(sockaddr_un) <= sizeof(sockaddr_storage));

inline result<endpoint> endpoint::parse(std::string_view text) {
    endpoint e;
    if (const char* reason = read(text, e)) {
        return refuse(text, reason);
    }
    return e;
}

inline result<endpoint> endpoint::parse_ip(std::string_view address, std::uint16_t port) {
    endpoint e;
    const bool colon = address.find(':') != std::string_view::npos;
    if (const char* reason = colon ? read_ipv6(address, e) : read_ipv4(address, e)) {
        return refuse(address, reason);
    }
    e.port_ = port;
    return e;
}

inline const char* endpoint::read(std::string_view text, endpoint& to) noexcept {
    constexpr std::string_view scheme = "unix:";
    if (text.starts_with(scheme)) {
        return read_local(text.substr(scheme.size()), to);
    }
    if (text.empty()) {
        return "the text is empty";
    }
    const bool brackets = text.front() == '[';
    const std::size_t end = brackets ? text.find(']') : text.find(':');
    if (end == std::string_view::npos) {
        return brackets ? "the bracket is not closed" : "the port is missing";
    }
    const std::string_view host = brackets ? text.substr(1, end - 1) : text.substr(0, end);
    std::string_view port = text.substr(brackets ? end + 1 : end);
    if (port.empty()) {
        return "the port is missing";
    }
    if (port.front() != ':') {
        return "after the bracket there must be a colon and a port";
    }
    port.remove_prefix(1);
    if (!brackets && port.find(':') != std::string_view::npos) {
        return "an IPv6 address must be in brackets, as in [::1]:80";
    }
    std::uint16_t number = 0;
    if (const char* reason = read_port(port, number)) {
        return reason;
    }
    if (host.empty() && !brackets) {
        to = any(number);
        return nullptr;
    }
    const char* reason = brackets ? read_ipv6(host, to) : read_ipv4(host, to);
    to.port_ = number;
    return reason;
}

inline const char* endpoint::read_port(std::string_view digits, std::uint16_t& to) noexcept {
    if (digits.empty()) {
        return "the port is missing";
    }
    if (digits.find_first_not_of("0123456789") != std::string_view::npos) {
        return "the port is not a decimal number";
    }
    if (digits.size() > 1 && digits.front() == '0') {
        return "the port has a leading zero";
    }
    unsigned value = 0;
    for (const char c : digits) {
        value = value * 10 + static_cast<unsigned>(c - '0');
        if (value > 65535) {
            return "the port is out of range";
        }
    }
    to = static_cast<std::uint16_t>(value);
    return nullptr;
}

inline const char* endpoint::read_ipv4(std::string_view address, endpoint& to) noexcept {
    // inet_pton wants C text: an octet that would end it early must not get that far.
    char text[INET_ADDRSTRLEN] = {};
    std::array<std::uint8_t, 4> octets{};
    if (address.empty() || address.size() >= sizeof(text) || address.find('\0') != std::string_view::npos) {
        return "the host is not an IP address";
    }
    address.copy(text, address.size());
    if (::inet_pton(AF_INET, text, octets.data()) != 1) {
        return "the host is not an IP address";
    }
    to = ipv4(octets, 0);
    return nullptr;
}

inline const char* endpoint::read_ipv6(std::string_view address, endpoint& to) noexcept {
    const std::size_t percent = address.find('%');
    const std::string_view number = address.substr(0, percent);
    char text[INET6_ADDRSTRLEN] = {};
    std::array<std::uint8_t, 16> octets{};
    if (number.empty() || number.size() >= sizeof(text) || number.find('\0') != std::string_view::npos) {
        return "the host is not an IPv6 address";
    }
    number.copy(text, number.size());
    if (::inet_pton(AF_INET6, text, octets.data()) != 1) {
        return "the host is not an IPv6 address";
    }
    to = ipv6(octets, 0);
    if (percent == std::string_view::npos) {
        return nullptr;
    }
    if (!to.takes_scope()) {
        return "a scope id fits a link-local address only";
    }
    return read_scope(address.substr(percent + 1), to.scope_id_);
}

// A name first: interfaces may have names of digits only.
inline const char* endpoint::read_scope(std::string_view scope, std::uint32_t& to) noexcept {
    if (scope.empty()) {
        return "the scope id is empty";
    }
    char name[IF_NAMESIZE] = {};
    if (scope.size() < sizeof(name) && scope.find('\0') == std::string_view::npos) {
        scope.copy(name, scope.size());
        to = ::if_nametoindex(name);
        if (to != 0) {
            return nullptr;
        }
    }
    std::uint64_t number = 0;
    for (const char c : scope) {
        if (c < '0' || c > '9' || number > 0xffff'ffff) {
            return "the scope id is not a network interface of this machine";
        }
        number = number * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (scope.front() == '0' || number > 0x7fff'ffff) { // the kernel's interface numbers are positive ints
        return "the scope id is not a network interface of this machine";
    }
    to = static_cast<std::uint32_t>(number);
    return nullptr;
}

inline const char* endpoint::read_local(std::string_view name, endpoint& to) noexcept {
    constexpr std::size_t longest = capacity - 1; // paths: room for their NUL; names: for the NUL in front
    const bool abstract_name = name.starts_with('@');
    if (abstract_name) {
        name.remove_prefix(1);
    }
    if (name.empty()) {
        return abstract_name ? "the abstract name is empty" : "the path is missing";
    }
    const auto hex = [](char c) noexcept -> int {
        constexpr std::string_view digits = "0123456789abcdefABCDEF";
        const std::size_t at = digits.find(c);
        return at == std::string_view::npos ? -1 : static_cast<int>(at < 16 ? at : at - 6);
    };
    std::array<char, capacity> octets{};
    std::size_t size = abstract_name ? 1 : 0;
    const std::size_t end = longest + size;
    while (!name.empty()) {
        char c = name.front();
        std::size_t used = 1;
        if (c == '\\') {
            if (name.size() < 4 || name[1] != 'x' || hex(name[2]) < 0 || hex(name[3]) < 0) {
                return "a backslash must be followed by x and two hexadecimal digits";
            }
            c = static_cast<char>(static_cast<unsigned char>(hex(name[2]) * 16 + hex(name[3])));
            used = 4;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            return "a control octet must be written as \\xNN";
        }
        if (c == '\0' && !abstract_name) {
            return "a path cannot contain NUL";
        }
        if (size == end) {
            return abstract_name ? "the abstract name is longer than 107 octets"
                                 : "the path is longer than 107 octets";
        }
        octets[size++] = c;
        name.remove_prefix(used);
    }
    to = endpoint(address_family::local, 0);
    to.assign(octets.data(), size);
    return nullptr;
}

inline result<endpoint> endpoint::from_sockaddr(const sockaddr_storage& from, socklen_t size) {
    const auto wrong = [](const char* what) { return fail(error(errc::invalid_argument).doing(what)); };
    if (size < sizeof(sa_family_t) || size > sizeof(from)) {
        return wrong("socket address of an impossible size");
    }
    // Copies, not casts: the storage holds whatever type its writer used.
    if (from.ss_family == AF_INET) {
        sockaddr_in in{};
        if (size < sizeof(in)) {
            return wrong("IPv4 socket address cut short");
        }
        std::memcpy(&in, &from, sizeof(in));
        std::array<std::uint8_t, 4> octets{};
        std::memcpy(octets.data(), &in.sin_addr, octets.size());
        return ipv4(octets, ntohs(in.sin_port));
    }
    if (from.ss_family == AF_INET6) {
        sockaddr_in6 in{};
        if (size < sizeof(in)) {
            return wrong("IPv6 socket address cut short");
        }
        std::memcpy(&in, &from, sizeof(in));
        std::array<std::uint8_t, 16> octets{};
        std::memcpy(octets.data(), &in.sin6_addr, octets.size());
        return ipv6(octets, ntohs(in.sin6_port), in.sin6_scope_id);
    }
    if (from.ss_family == AF_UNIX) {
        sockaddr_un un{};
        std::memcpy(&un, &from, sizeof(un));
        // A path of 108 octets comes without its NUL, with a size that counts it all the same.
        std::size_t length = size < sizeof(un) ? size - path_offset : capacity;
        if (length > 0 && un.sun_path[0] != '\0') {
            length = ::strnlen(un.sun_path, length);
        }
        endpoint e(address_family::local, 0);
        e.assign(un.sun_path, length);
        return e;
    }
    return wrong("socket address of an unknown family");
}

inline socklen_t endpoint::to_sockaddr(sockaddr_storage& to) const noexcept {
    to = {};
    switch (family_) {
    case address_family::none: return 0;
    case address_family::ipv4: {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(port_);
        std::memcpy(&in.sin_addr, octets_.data(), sizeof(in.sin_addr));
        std::memcpy(&to, &in, sizeof(in));
        return sizeof(in);
    }
    case address_family::ipv6: {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(port_);
        in.sin6_scope_id = scope_id_;
        std::memcpy(&in.sin6_addr, octets_.data(), sizeof(in.sin6_addr));
        std::memcpy(&to, &in, sizeof(in));
        return sizeof(in);
    }
    case address_family::local: {
        sockaddr_un un{};
        un.sun_family = AF_UNIX;
        std::memcpy(un.sun_path, octets_.data(), size_);
        std::memcpy(&to, &un, sizeof(un));
        const bool terminated = size_ > 0 && size_ < capacity && !is_abstract();
        return static_cast<socklen_t>(path_offset + size_ + (terminated ? 1 : 0));
    }
    }
    return 0;
}

inline bool endpoint::is_loopback() const noexcept {
    if (family_ == address_family::ipv4) {
        return octet(0) == 127;
    }
    constexpr std::string_view one("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    return family_ == address_family::ipv6 && (octets() == one || (is_mapped() && octet(12) == 127));
}

inline endpoint endpoint::unmapped() const noexcept {
    if (!is_mapped()) {
        return *this;
    }
    return ipv4({octet(12), octet(13), octet(14), octet(15)}, port_);
}

inline std::string endpoint::to_string() const {
    std::string text;
    char address[INET6_ADDRSTRLEN] = {};
    switch (family_) {
    case address_family::none: return text;
    case address_family::ipv4:
        ::inet_ntop(AF_INET, octets_.data(), address, sizeof(address));
        text += address;
        break;
    case address_family::ipv6:
        if (dual_stack_) {
            break;
        }
        ::inet_ntop(AF_INET6, octets_.data(), address, sizeof(address));
        text += '[';
        text += address;
        if (scope_id_ != 0) {
            char name[IF_NAMESIZE] = {};
            text += '%';
            text += ::if_indextoname(scope_id_, name) != nullptr ? std::string(name) : std::to_string(scope_id_);
        }
        text += ']';
        break;
    case address_family::local:
        text += "unix:";
        if (is_abstract()) {
            text += '@';
            append_escaped(text, octets().substr(1));
        } else if (octets().starts_with('@')) { // a relative path that must not be read as a name
            text += "\\x40";
            append_escaped(text, octets().substr(1));
        } else {
            append_escaped(text, octets());
        }
        return text;
    }
    text += ':';
    text += std::to_string(port_);
    return text;
}

inline void endpoint::append_escaped(std::string& to, std::string_view octets) {
    constexpr char digits[] = "0123456789abcdef";
    for (const char c : octets) {
        const auto u = static_cast<unsigned char>(c);
        if (u < 0x20 || u == 0x7f || c == '\\' || c == '"') {
            to += "\\x";
            to += digits[u >> 4];
            to += digits[u & 15];
        } else {
            to += c;
        }
    }
}

inline failure endpoint::refuse(std::string_view text, const char* reason) {
    constexpr std::size_t shown = 120; // enough for every valid text but the longest paths
    std::string what = "endpoint \"";
    append_escaped(what, text.substr(0, shown));
    what += text.size() > shown ? "...\": " : "\": ";
    what += reason;
    return fail(error(errc::invalid_argument).doing(std::move(what)));
}

} // namespace flux::inline FLUX_ABI

template <>
struct std::hash<flux::endpoint> {
    [[nodiscard]] std::size_t operator()(const flux::endpoint& e) const noexcept { return e.hash(); }
};
