// SPDX-License-Identifier: MIT
// flux/net/dns_message.hpp - DNS questions as octets, and octets as answers.
//
//   host name -> dns::name -> dns::query -> octets -> ... -> octets -> read_answer() -> dns::answer
//
// Sans I/O. Nothing that a server sends is believed that was not asked for; every loop over it is bounded by the
// message and by the limits below. Deliberately not here: other records than addresses, DNSSEC, sockets.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/result.hpp>
#include <flux/net/endpoint.hpp>
#include <flux/net/resolve_errc.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace flux::inline FLUX_ABI::dns {

inline constexpr std::size_t max_udp_size = 1232;     ///< octets of an answer over UDP that are asked for
inline constexpr std::size_t max_cnames = 16;         ///< aliases that are followed in one answer
inline constexpr std::size_t max_addresses = 64;      ///< addresses that are taken of one answer
inline constexpr std::size_t max_records = 1000;      ///< records in a section; more make an answer invalid
inline constexpr std::uint32_t max_ttl = 0x7fff'ffff; ///< seconds; RFC 2181 8

enum class record_type : std::uint16_t { a = 1, ns = 2, cname = 5, soa = 6, aaaa = 28, opt = 41 };

/// RFC 1035 4.1.1, RFC 6891 9. Other values may come.
enum class response_code : std::uint16_t {
    no_error = 0, form_error = 1, server_failure = 2, no_such_name = 3, not_implemented = 4, refused = 5, bad_version = 16
};

/// A domain name as on the wire, in lower case. A value of 256 octets.
class name {
public:
    /// The root.
    name() noexcept = default;

    /// Reads a host name: labels of 1 to 63 letters, digits, `-` and `_`, at most 253 octets, perhaps with a final dot.
    /// A last label of digits only, or like 0x7f, is refused: it would be an IPv4 address that others read differently.
    /// Errors  errc::invalid_argument with the text and the reason.
    [[nodiscard]] static result<name> parse(std::string_view text) {
        name n;
        const char* reason = n.read(text);
        if (reason != nullptr) {
            return fail(error(errc::invalid_argument).doing(reason).doing("name \"" + printable(text) + "\""));
        }
        return n;
    }

    [[nodiscard]] std::span<const std::uint8_t> wire() const& noexcept { return std::span(octets_.data(), size_); }
    void wire() const&& = delete;
    /// Without a final dot; the root is ".". Octets that no host name has are written as \DDD.
    [[nodiscard]] std::string to_string() const;

    [[nodiscard]] friend bool operator==(const name& a, const name& b) noexcept {
        return a.size_ == b.size_ && std::memcmp(a.octets_.data(), b.octets_.data(), a.size_) == 0;
    }
    /// Whether `zone` is this name or a name above it.
    [[nodiscard]] bool is_under(const name& zone) const noexcept {
        for (std::size_t at = 0; at + zone.size_ <= size_; at += octets_[at] + std::size_t{1}) {
            if (size_ - at == zone.size_) {
                return std::memcmp(octets_.data() + at, zone.octets_.data(), zone.size_) == 0;
            }
        }
        return false;
    }

    /// Appends a label of 1 to 63 octets. False: no room.
    [[nodiscard]] bool append(std::span<const std::uint8_t> label) noexcept {
        if (size_ + label.size() + 1 > octets_.size()) {
            return false;
        }
        std::size_t at = size_ - std::size_t{1};
        octets_[at++] = static_cast<std::uint8_t>(label.size());
        for (const std::uint8_t c : label) {
            octets_[at++] = c >= 'A' && c <= 'Z' ? static_cast<std::uint8_t>(c | 0x20) : c;
        }
        octets_[at++] = 0;
        size_ = static_cast<std::uint8_t>(at);
        return true;
    }

private:
    const char* read(std::string_view text) noexcept;
    [[nodiscard]] static std::string printable(std::string_view text);
    [[nodiscard]] static bool is_number(std::string_view label) noexcept {
        const bool hex = label.size() >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
        return label.find_first_not_of(hex ? "0123456789abcdefABCDEF" : "0123456789", hex ? 2 : 0) ==
               std::string_view::npos;
    }

    std::array<std::uint8_t, 255> octets_{};
    std::uint8_t size_ = 1;
};

inline const char* name::read(std::string_view text) noexcept {
    if (text.ends_with('.')) {
        text.remove_suffix(1);
    }
    if (text.empty()) {
        return "it is empty";
    }
    std::string_view label;
    for (bool more = true; more;) {
        const std::size_t dot = text.find('.');
        more = dot != std::string_view::npos;
        label = text.substr(0, dot);
        text.remove_prefix(more ? dot + 1 : text.size());
        if (label.empty() || label.size() > 63) {
            return label.empty() ? "a label is empty" : "a label is longer than 63 octets";
        }
        for (const char c : label) {
            const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            if (!fits) {
                return "a host name has letters, digits and hyphens only (others as xn--...)";
            }
        }
        if (!append(std::span(reinterpret_cast<const std::uint8_t*>(label.data()), label.size()))) {
            return "it is longer than 253 octets";
        }
    }
    return is_number(label) ? "it ends in a number, and is no IP address" : nullptr;
}

[[gnu::cold]] inline std::string name::printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 300)) {
        const auto value = static_cast<unsigned char>(c);
        if (value > 0x20 && value < 0x7f && c != '\\') {
            out += c;
        } else {
            const char digits[] = {'\\', static_cast<char>('0' + value / 100), static_cast<char>('0' + value / 10 % 10),
                                   static_cast<char>('0' + value % 10)};
            out.append(digits, sizeof digits);
        }
    }
    return out;
}

inline std::string name::to_string() const {
    std::string out;
    for (std::size_t at = 0; octets_[at] != 0; at += octets_[at] + std::size_t{1}) {
        out += out.empty() ? "" : ".";
        out += printable(std::string_view(reinterpret_cast<const char*>(octets_.data() + at + 1), octets_[at]));
    }
    return out.empty() ? "." : out;
}

/// One question, ready to be sent: recursion wanted, class IN, with an OPT record unless `edns` is false.
/// Source  RFC 1035 4.1, RFC 6891 6.
class query {
public:
    query(const name& asked, record_type type, std::uint16_t id, bool edns = true) noexcept
        : asked_(asked), type_(type), id_(id) {
        put16(id);
        put16(0x0100); // a standard query, recursion desired
        put16(1);
        put16(0);
        put16(0);
        put16(edns ? 1 : 0);
        std::memcpy(octets_.data() + size_, asked.wire().data(), asked.wire().size());
        size_ += asked.wire().size();
        put16(static_cast<unsigned>(type));
        put16(1);
        if (edns) {
            octets_[size_++] = 0; // the root
            put16(static_cast<unsigned>(record_type::opt));
            put16(max_udp_size);
            put16(0);
            put16(0);
            put16(0);
        }
    }

    [[nodiscard]] std::span<const std::byte> octets() const& noexcept {
        return std::as_bytes(std::span(octets_.data(), size_));
    }
    void octets() const&& = delete;
    [[nodiscard]] const name& asked() const noexcept { return asked_; }
    [[nodiscard]] record_type type() const noexcept { return type_; }
    [[nodiscard]] std::uint16_t id() const noexcept { return id_; }

private:
    void put16(unsigned value) noexcept {
        octets_[size_++] = static_cast<std::uint8_t>(value >> 8);
        octets_[size_++] = static_cast<std::uint8_t>(value);
    }

    name asked_;
    record_type type_;
    std::uint16_t id_;
    std::size_t size_ = 0;
    std::array<std::uint8_t, 12 + 255 + 4 + 11> octets_{};
};

/// What a server said to a query.
class answer {
public:
    response_code code = response_code::no_error;
    bool truncated = false;     ///< it did not fit: ask over TCP; everything below is empty
    bool lame = false;          ///< a server that neither knows nor asks others
    bool cacheable = false;     ///< `ttl` holds for it
    std::uint32_t ttl = 0;      ///< seconds; of a negative answer as RFC 2308 5 has it
    name canonical;             ///< where the aliases led to
    detail::dynamic_array<endpoint> addresses; ///< of the type that was asked for, with port 0
};

enum class verdict : std::uint8_t {
    ours,      ///< the answer to the query
    foreign,   ///< something else: another id, another question, no answer at all
    malformed, ///< an answer to the query that breaks the protocol
};

} // namespace flux::inline FLUX_ABI::dns

namespace flux::inline FLUX_ABI::detail {

/// Reads one message. Every function returns false where the message ends too early or breaks a rule.
class dns_reader {
public:
    explicit dns_reader(std::span<const std::byte> message) noexcept
        : data_(reinterpret_cast<const std::uint8_t*>(message.data())), size_(message.size()) {}

    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    void seek(std::size_t at) noexcept { at_ = at; }
    [[nodiscard]] bool u16(std::uint16_t& to) noexcept {
        if (size_ - at_ < 2) {
            return false;
        }
        to = static_cast<std::uint16_t>(data_[at_] << 8 | data_[at_ + 1]);
        at_ += 2;
        return true;
    }
    [[nodiscard]] bool u32(std::uint32_t& to) noexcept {
        std::uint16_t high = 0;
        std::uint16_t low = 0;
        if (!u16(high) || !u16(low)) {
            return false;
        }
        to = static_cast<std::uint32_t>(high) << 16 | low;
        return true;
    }
    [[nodiscard]] bool octets(void* to, std::size_t n) noexcept {
        if (size_ - at_ < n) {
            return false;
        }
        std::memcpy(to, data_ + at_, n);
        at_ += n;
        return true;
    }
    [[nodiscard]] bool skip(std::size_t n) noexcept {
        if (size_ - at_ < n) {
            return false;
        }
        at_ += n;
        return true;
    }
    /// A name, perhaps compressed. A pointer must lead to before where the labels that hold it begin, so every
    /// jump goes backwards; and a name has at most 255 octets.
    [[nodiscard]] bool name(dns::name& to) noexcept {
        to = dns::name();
        std::size_t at = at_;
        std::size_t begin = at_;
        bool jumped = false;
        for (;;) {
            if (at >= size_) {
                return false;
            }
            const std::size_t length = data_[at];
            if (length == 0) {
                at_ = jumped ? at_ : at + 1;
                return true;
            }
            if (length >= 0xc0) {
                if (size_ - at < 2) {
                    return false;
                }
                const std::size_t target = (length & 0x3f) << 8 | data_[at + 1];
                if (target >= begin) {
                    return false;
                }
                at_ = jumped ? at_ : at + 2;
                jumped = true;
                at = begin = target;
                continue;
            }
            if (length > 63 || size_ - at - 1 < length || !to.append(std::span(data_ + at + 1, length))) {
                return false;
            }
            at += length + 1;
        }
    }

private:
    const std::uint8_t* data_;
    std::size_t size_;
    std::size_t at_ = 0; // at most size_
};

class dns_record {
public:
    dns::name owner;
    std::uint16_t type = 0;
    std::uint16_t class_or_size = 0;
    std::uint32_t ttl = 0;
    std::size_t data = 0; // where it begins
    std::uint16_t size = 0;

    /// Reads the head of a record and goes behind its data.
    [[nodiscard]] bool read(dns_reader& in) noexcept {
        if (!in.name(owner) || !in.u16(type) || !in.u16(class_or_size) || !in.u32(ttl) || !in.u16(size)) {
            return false;
        }
        data = in.at();
        return in.skip(size);
    }
    [[nodiscard]] bool is(dns::record_type wanted) const noexcept {
        return type == static_cast<std::uint16_t>(wanted) && class_or_size == 1;
    }
    [[nodiscard]] std::uint32_t lifetime() const noexcept { return ttl > dns::max_ttl ? 0 : ttl; }
};

/// The sections behind the question.
class dns_sections {
public:
    dns_sections(const dns_reader& behind_question, const dns::query& asked, std::array<std::uint16_t, 3> counts) noexcept
        : in_(behind_question), answers_(behind_question.at()), asked_(&asked), counts_(counts) {}

    [[nodiscard]] bool read(dns::answer& to) {
        to.canonical = asked_->asked();
        to.ttl = dns::max_ttl;
        return follow_aliases(to) && take_addresses(to) && read_authority(to) && read_additional(to);
    }
    [[nodiscard]] bool has_soa() const noexcept { return soa_; }

private:
    [[nodiscard]] bool follow_aliases(dns::answer& to) {
        for (std::size_t hop = 0; hop <= dns::max_cnames; ++hop) {
            bool moved = false;
            in_.seek(answers_);
            for (std::size_t i = 0; i < counts_[0]; ++i) {
                dns_record r;
                if (!r.read(in_)) {
                    return false;
                }
                if (!moved && r.is(dns::record_type::cname) && r.owner == to.canonical) {
                    dns_reader target = in_;
                    target.seek(r.data);
                    if (!target.name(to.canonical) || target.at() != r.data + r.size) {
                        return false;
                    }
                    to.ttl = r.lifetime() < to.ttl ? r.lifetime() : to.ttl;
                    moved = true;
                }
            }
            if (!moved) {
                return true;
            }
        }
        return false; // a loop, or as good as one
    }
    [[nodiscard]] bool take_addresses(dns::answer& to) {
        in_.seek(answers_);
        for (std::size_t i = 0; i < counts_[0]; ++i) {
            dns_record r;
            if (!r.read(in_)) {
                return false;
            }
            if (!r.is(asked_->type()) || !(r.owner == to.canonical)) {
                continue;
            }
            if (!take_address(r, to)) {
                return false;
            }
            to.ttl = r.lifetime() < to.ttl ? r.lifetime() : to.ttl;
        }
        to.cacheable = !to.addresses.empty();
        return true;
    }
    [[nodiscard]] bool take_address(const dns_record& r, dns::answer& to) const {
        std::array<std::uint8_t, 4> v4{};
        std::array<std::uint8_t, 16> v6{};
        const bool is_v4 = r.is(dns::record_type::a);
        if (r.size != (is_v4 ? v4.size() : v6.size())) {
            return false;
        }
        if (to.addresses.size() == dns::max_addresses) {
            return true;
        }
        dns_reader data = in_;
        data.seek(r.data);
        const bool read = is_v4 ? data.octets(v4.data(), v4.size()) : data.octets(v6.data(), v6.size());
        to.addresses.push_back(is_v4 ? endpoint::ipv4(v4, 0) : endpoint::ipv6(v6, 0));
        return read;
    }
    [[nodiscard]] bool read_authority(dns::answer& to) {
        for (std::size_t i = 0; i < counts_[1]; ++i) {
            dns_record r;
            if (!r.read(in_)) {
                return false;
            }
            if (!r.is(dns::record_type::soa) || !to.canonical.is_under(r.owner) || soa_) {
                continue;
            }
            dns_reader data = in_;
            data.seek(r.data);
            dns::name ignored;
            std::uint32_t minimum = 0;
            if (!data.name(ignored) || !data.name(ignored) || !data.skip(16) || !data.u32(minimum) ||
                data.at() != r.data + r.size) {
                return false;
            }
            soa_ = true;
            if (to.addresses.empty()) { // RFC 2308 5: the lesser of the record's TTL and its last field
                minimum = minimum > dns::max_ttl ? 0 : minimum;
                const std::uint32_t ttl = r.lifetime() < minimum ? r.lifetime() : minimum;
                to.ttl = ttl < to.ttl ? ttl : to.ttl;
                to.cacheable = true;
            }
        }
        return true;
    }
    [[nodiscard]] bool read_additional(dns::answer& to) {
        for (std::size_t i = 0; i < counts_[2]; ++i) {
            dns_record r;
            if (!r.read(in_)) {
                return false;
            }
            if (r.type == static_cast<std::uint16_t>(dns::record_type::opt)) { // RFC 6891 6.1.3: the upper 8 bits
                to.code = static_cast<dns::response_code>(static_cast<unsigned>(to.code) | (r.ttl >> 24) << 4);
            }
        }
        return true;
    }

    dns_reader in_;
    std::size_t answers_;
    const dns::query* asked_;
    std::array<std::uint16_t, 3> counts_;
    bool soa_ = false;
};

} // namespace flux::inline FLUX_ABI::detail

namespace flux::inline FLUX_ABI::dns {

/// Reads what a server sent.
///
/// It is the answer only with the id, the name (in any case of letters), the type and the class of the query. Records of
/// other names than the one asked for and its aliases are not looked at.
/// Params   to  fresh.
/// Cost     bounded by the limits above; one allocation for the addresses.
/// Source   RFC 1035 4.1, RFC 2181 5.4 and 8, RFC 2308, RFC 5452 9.1, RFC 6891.
[[nodiscard]] inline verdict read_answer(std::span<const std::byte> message, const query& asked, answer& to) {
    detail::dns_reader in(message);
    std::uint16_t id = 0;
    std::uint16_t flags = 0;
    std::uint16_t questions = 0;
    std::array<std::uint16_t, 3> counts{};
    if (!in.u16(id) || !in.u16(flags) || !in.u16(questions) || !in.u16(counts[0]) || !in.u16(counts[1]) ||
        !in.u16(counts[2])) {
        return verdict::foreign;
    }
    const bool answers_a_query = (flags & 0xf800) == 0x8000; // QR, and the opcode of a standard query
    if (id != asked.id() || !answers_a_query || questions > 1) {
        return verdict::foreign;
    }
    to.code = static_cast<response_code>(flags & 0x000f);
    if (questions == 0) { // some servers refuse what they cannot read without repeating it
        const bool failed = to.code != response_code::no_error && to.code != response_code::no_such_name;
        return failed ? verdict::ours : verdict::foreign;
    }
    name repeated;
    std::uint16_t type = 0;
    std::uint16_t class_in = 0;
    if (!in.name(repeated) || !in.u16(type) || !in.u16(class_in) || !(repeated == asked.asked()) ||
        type != static_cast<std::uint16_t>(asked.type()) || class_in != 1) {
        return verdict::foreign;
    }
    to.truncated = (flags & 0x0200) != 0;
    if (to.truncated) {
        return verdict::ours;
    }
    if (counts[0] > max_records || counts[1] > max_records || counts[2] > max_records) {
        return verdict::malformed;
    }
    detail::dns_sections sections(in, asked, counts);
    if (!sections.read(to)) {
        return verdict::malformed;
    }
    const bool nothing = to.code == response_code::no_error && counts[0] == 0 && !sections.has_soa();
    to.lame = nothing && (flags & 0x0480) == 0; // neither authoritative nor recursive
    return verdict::ours;
}

} // namespace flux::inline FLUX_ABI::dns
