// SPDX-License-Identifier: MIT
// flux/tls/certificate.hpp - what an X.509 certificate says, read from its DER without the TLS library.
//
//   DER -> certificate{names, validity, key, signature, usage, constraints}
//
// The library verifies signatures and chains; flux reads the certificate once more to judge what the library
// judges differently (common names, bare wildcards, IP constraints, weak signatures), and to say in words what is
// wrong. Strict DER: what is not well formed is no certificate. Deliberately not here: rules (verify.hpp), PEM.
#pragma once

#include <flux/core/result.hpp>
#include <flux/tls/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux::inline FLUX_ABI::tls {

/// Seconds since 1970, UTC; as std::time_t.
using unix_seconds = std::int64_t;

/// "2026-11-24" for messages.
[[nodiscard]] inline std::string date_text(unix_seconds at) {
    // Civil date of a day count, with eras of 400 years that begin on the first of March.
    const std::int64_t days = (at >= 0 ? at : at - 86'399) / 86'400 + 719'468;
    const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
    const std::int64_t of_era = days - era * 146'097;
    const std::int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
    const std::int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t shifted = (5 * of_year + 2) / 153;
    const std::int64_t day = of_year - (153 * shifted + 2) / 5 + 1;
    const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    const auto two = [](std::int64_t n) { return std::string(n < 10 ? "0" : "") + std::to_string(n); };
    return std::to_string(year) + '-' + two(month) + '-' + two(day);
}

enum class key_kind : std::uint8_t { rsa, elliptic, edwards, other };
enum class signature_kind : std::uint8_t { strong, weak, unknown }; ///< weak: MD2, MD5, SHA-1

/// One subtree of a name constraint. Source  RFC 5280 4.2.1.10.
struct name_subtree {
    enum class kind : std::uint8_t { dns, address, uri, mail, directory, other };
    name_subtree(kind k, std::string t) : what(k), text(std::move(t)) {}
    kind what;
    std::string text; ///< a DNS or host name; address and mask, octets; DER of a directory name
};

/// A certificate in parts. Names are as they stand there; verify.hpp compares them.
struct certificate {
    std::string subject;            ///< for people: "CN=a.test, O=flux"
    std::string issuer;
    std::string subject_name;       ///< DER, to be compared
    std::string issuer_name;
    std::string public_key;         ///< DER of SubjectPublicKeyInfo
    std::string serial;             ///< hexadecimal
    unix_seconds not_before = 0;
    unix_seconds not_after = 0;
    key_kind key = key_kind::other;
    unsigned key_bits = 0;
    signature_kind signature = signature_kind::unknown;
    std::vector<std::string> dns_names;
    std::vector<std::string> addresses; ///< 4 or 16 octets each
    std::vector<std::string> uris;      ///< SPIFFE identities are such
    std::vector<std::string> mails;
    bool has_subject_alternatives = false;
    bool is_authority = false;      ///< basic constraints say so
    int path_length = -1;           ///< authorities below it; -1: no limit
    bool has_key_usage = false;
    std::uint16_t key_usage = 0;    ///< bit 0 digitalSignature ... bit 5 keyCertSign, bit 6 cRLSign
    bool has_extended_usage = false;
    bool for_servers = false;       ///< extended usage serverAuth or any
    bool for_clients = false;
    std::vector<name_subtree> permitted;
    std::vector<name_subtree> excluded;
    bool constraints_unreadable = false; ///< a constraint of a form that flux does not know, and critical

    [[nodiscard]] bool self_issued() const noexcept { return subject_name == issuer_name; }
    [[nodiscard]] bool may_sign_certificates() const noexcept {
        return is_authority && (!has_key_usage || (key_usage & (1U << 5)) != 0);
    }
    [[nodiscard]] bool may_sign_handshakes() const noexcept { return !has_key_usage || (key_usage & 1U) != 0; }
};

namespace detail {

// One level of DER: elements of tag, length, content. Past an error it is empty and failed() stays true.
class der_reader {
public:
    explicit der_reader(std::string_view octets) noexcept : left_(octets) {}

    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] bool empty() const noexcept { return left_.empty(); }
    [[nodiscard]] int tag() const noexcept { return left_.empty() ? -1 : static_cast<std::uint8_t>(left_[0]); }
    /// The content of the next element, which must have this tag.
    std::string_view take(int wanted) noexcept { return element(wanted, false); }
    /// The element with its header.
    std::string_view take_whole(int wanted) noexcept { return element(wanted, true); }
    [[nodiscard]] der_reader enter(int wanted) noexcept {
        der_reader inner(take(wanted));
        inner.failed_ = failed_;
        return inner;
    }
    /// The next element of any tag.
    std::string_view next() noexcept { return element(tag(), false); }
    bool skip_if(int wanted) noexcept {
        if (tag() != wanted) {
            return false;
        }
        take(wanted);
        return true;
    }

private:
    std::string_view element(int wanted, bool whole) noexcept {
        if (failed_ || left_.size() < 2 || tag() != wanted || (wanted & 0x1f) == 0x1f) {
            return give_up();
        }
        std::size_t header = 2;
        std::size_t length = static_cast<std::uint8_t>(left_[1]);
        if (length >= 0x80) {
            const std::size_t octets = length & 0x7f;
            if (octets == 0 || octets > 4 || left_.size() < 2 + octets) {
                return give_up();
            }
            length = 0;
            for (std::size_t i = 0; i < octets; ++i) {
                length = length << 8 | static_cast<std::uint8_t>(left_[2 + i]);
            }
            if (length < 0x80 || left_[2] == 0) { // DER has one form for each length
                return give_up();
            }
            header += octets;
        }
        if (left_.size() - header < length) {
            return give_up();
        }
        const std::string_view taken = whole ? left_.substr(0, header + length) : left_.substr(header, length);
        left_.remove_prefix(header + length);
        return taken;
    }
    std::string_view give_up() noexcept {
        failed_ = true;
        left_ = {};
        return {};
    }
    std::string_view left_;
    bool failed_ = false;
};

namespace der {
inline constexpr int integer = 0x02, bits = 0x03, octets = 0x04, oid = 0x06, sequence = 0x30, set = 0x31, boolean = 0x01;
[[nodiscard]] constexpr int context(int n) noexcept { return 0x80 | n; }
[[nodiscard]] constexpr int constructed(int n) noexcept { return 0xa0 | n; }
} // namespace der

// Object identifiers, as their DER content.
namespace oid {
inline constexpr std::string_view rsa = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
inline constexpr std::string_view rsa_pss = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
inline constexpr std::string_view pkcs1 = "\x2a\x86\x48\x86\xf7\x0d\x01\x01";
inline constexpr std::string_view ec = "\x2a\x86\x48\xce\x3d\x02\x01";
inline constexpr std::string_view ecdsa_sha1 = "\x2a\x86\x48\xce\x3d\x04\x01";
inline constexpr std::string_view ecdsa_sha2 = "\x2a\x86\x48\xce\x3d\x04\x03";
inline constexpr std::string_view dsa_sha1 = "\x2a\x86\x48\xce\x38\x04\x03";
inline constexpr std::string_view edwards = "\x2b\x65"; // then 112 or 113
inline constexpr std::string_view sha1{"\x2b\x0e\x03\x02\x1a", 5};
inline constexpr std::string_view extension{"\x55\x1d", 2};       // then the extension's number
inline constexpr std::string_view any_usage{"\x55\x1d\x25\x00", 4};
inline constexpr std::string_view server_usage = "\x2b\x06\x01\x05\x05\x07\x03\x01";
inline constexpr std::string_view client_usage = "\x2b\x06\x01\x05\x05\x07\x03\x02";
} // namespace oid

class certificate_parser {
public:
    explicit certificate_parser(certificate& into) noexcept : to_(into) {}

    [[nodiscard]] bool parse(std::string_view der_octets) {
        der_reader top(der_octets);
        der_reader outer = top.enter(der::sequence);
        der_reader body = outer.enter(der::sequence);
        to_.signature = signature(outer.enter(der::sequence));
        outer.take(der::bits);
        if (top.failed() || outer.failed() || !outer.empty() || !top.empty()) {
            return false;
        }
        body.skip_if(der::constructed(0)); // version
        to_.serial = hexadecimal(body.take(der::integer));
        body.take(der::sequence); // signature algorithm, again
        const std::string_view issuer = body.take_whole(der::sequence);
        der_reader validity = body.enter(der::sequence);
        const bool dates = time(validity, to_.not_before) && time(validity, to_.not_after);
        const std::string_view subject = body.take_whole(der::sequence);
        if (!dates || body.failed() || !name(issuer, to_.issuer) || !name(subject, to_.subject)) {
            return false;
        }
        to_.issuer_name = std::string(issuer);
        to_.subject_name = std::string(subject);
        const std::string_view key = body.take_whole(der::sequence);
        der_reader key_element(key);
        if (!public_key(key_element.enter(der::sequence))) {
            return false;
        }
        to_.public_key = std::string(key);
        body.skip_if(der::context(1));
        body.skip_if(der::context(2));
        if (body.tag() == der::constructed(3)) {
            der_reader wrapper = body.enter(der::constructed(3));
            der_reader list = wrapper.enter(der::sequence);
            while (!list.empty()) {
                if (!extension(list.enter(der::sequence))) {
                    return false;
                }
            }
            if (list.failed() || wrapper.failed()) {
                return false;
            }
        }
        return !body.failed() && body.empty();
    }

    [[nodiscard]] static std::string hexadecimal(std::string_view octets) {
        constexpr char digits[] = "0123456789abcdef";
        std::string text;
        for (const char c : octets) {
            text += digits[static_cast<std::uint8_t>(c) >> 4];
            text += digits[static_cast<std::uint8_t>(c) & 15];
        }
        return text;
    }
    // UTCTime or GeneralizedTime, in the one form that RFC 5280 4.1.2.5 allows.
    [[nodiscard]] static bool time(der_reader& in, unix_seconds& to) {
        const bool generalized = in.tag() == 0x18;
        const std::string_view text = in.take(generalized ? 0x18 : 0x17);
        const std::size_t year_digits = generalized ? 4 : 2;
        if (text.size() != year_digits + 11 || text.back() != 'Z') {
            return false;
        }
        int fields[6] = {};
        std::size_t at = 0;
        for (int i = 0; i < 6; ++i) {
            const std::size_t digits = i == 0 ? year_digits : 2;
            for (std::size_t k = 0; k < digits; ++k, ++at) {
                if (text[at] < '0' || text[at] > '9') {
                    return false;
                }
                fields[i] = fields[i] * 10 + (text[at] - '0');
            }
        }
        if (!generalized) {
            fields[0] += fields[0] < 50 ? 2000 : 1900;
        }
        if (fields[1] < 1 || fields[1] > 12 || fields[2] < 1 || fields[2] > 31 || fields[3] > 23 || fields[4] > 59 ||
            fields[5] > 60) {
            return false;
        }
        const std::int64_t year = fields[0] - (fields[1] <= 2 ? 1 : 0);
        const std::int64_t era = year / 400;
        const std::int64_t of_era = year - era * 400;
        const std::int64_t of_year = (153 * (fields[1] + (fields[1] > 2 ? -3 : 9)) + 2) / 5 + fields[2] - 1;
        const std::int64_t days = era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
        to = ((days * 24 + fields[3]) * 60 + fields[4]) * 60 + fields[5];
        return true;
    }

private:
    [[nodiscard]] static signature_kind signature(der_reader algorithm) {
        const std::string_view id = algorithm.take(der::oid);
        if (id.size() == oid::pkcs1.size() + 1 && id.starts_with(oid::pkcs1)) {
            const char last = id.back();
            if (last == 10) { // PSS: the hash is a parameter, and SHA-1 where there is none
                return pss_signature(algorithm);
            }
            return last >= 11 && last <= 14 ? signature_kind::strong : signature_kind::weak;
        }
        if (id.starts_with(oid::ecdsa_sha2) || (id.size() == 3 && id.starts_with(oid::edwards))) {
            return signature_kind::strong;
        }
        return id == oid::ecdsa_sha1 || id == oid::dsa_sha1 ? signature_kind::weak : signature_kind::unknown;
    }
    [[nodiscard]] static signature_kind pss_signature(der_reader algorithm) {
        der_reader parameters = algorithm.enter(der::sequence);
        if (parameters.tag() != der::constructed(0)) {
            return signature_kind::weak;
        }
        der_reader wrapper = parameters.enter(der::constructed(0));
        der_reader hash = wrapper.enter(der::sequence);
        const std::string_view id = hash.take(der::oid);
        return hash.failed() || id == oid::sha1 ? signature_kind::weak : signature_kind::strong;
    }
    [[nodiscard]] static bool name(std::string_view whole, std::string& text) {
        der_reader outer(whole);
        der_reader parts = outer.enter(der::sequence);
        while (!parts.empty()) {
            der_reader part = parts.enter(der::set);
            while (!part.empty()) {
                der_reader pair = part.enter(der::sequence);
                const std::string_view type = pair.take(der::oid);
                const std::string_view value = pair.next();
                if (pair.failed()) {
                    return false;
                }
                const char* label = type == std::string_view("\x55\x04\x03", 3)   ? "CN="
                                    : type == std::string_view("\x55\x04\x0a", 3) ? "O="
                                    : type == std::string_view("\x55\x04\x0b", 3) ? "OU="
                                                                                   : nullptr;
                if (label != nullptr) {
                    text += text.empty() ? "" : ", ";
                    text += label;
                    text += printable(value);
                }
            }
            if (part.failed()) {
                return false;
            }
        }
        return !parts.failed();
    }
    // What a peer wrote, fit for a line of a log.
    [[nodiscard]] static std::string printable(std::string_view text) {
        std::string clean(text.substr(0, 128));
        for (char& c : clean) {
            c = c < 0x20 || c == 0x7f ? '?' : c;
        }
        return clean;
    }
    [[nodiscard]] bool public_key(der_reader key) {
        der_reader algorithm = key.enter(der::sequence);
        const std::string_view id = algorithm.take(der::oid);
        const std::string_view octets = key.take(der::bits);
        if (key.failed() || algorithm.failed() || octets.empty()) {
            return false;
        }
        if (id == oid::rsa || id == oid::rsa_pss) {
            der_reader outer(octets.substr(1));
            der_reader pair = outer.enter(der::sequence);
            std::string_view modulus = pair.take(der::integer);
            while (!modulus.empty() && modulus[0] == 0) {
                modulus.remove_prefix(1);
            }
            to_.key = key_kind::rsa;
            to_.key_bits = static_cast<unsigned>(modulus.size() * 8);
            for (unsigned first = modulus.empty() ? 0x80U : static_cast<std::uint8_t>(modulus[0]); (first & 0x80) == 0; first <<= 1) {
                --to_.key_bits;
            }
            return !pair.failed();
        }
        if (id == oid::ec) { // an uncompressed point: one octet, then two coordinates
            to_.key = key_kind::elliptic;
            const bool compressed = octets.size() > 1 && octets[1] != 4;
            const std::size_t coordinates = octets.size() < 2 ? 0 : octets.size() - 2;
            to_.key_bits = static_cast<unsigned>((compressed ? coordinates : coordinates / 2) * 8);
            return true;
        }
        if (id.size() == 3 && id.starts_with(oid::edwards)) {
            to_.key = key_kind::edwards;
            to_.key_bits = static_cast<unsigned>((octets.size() - 1) * 8);
        }
        return true;
    }
    [[nodiscard]] bool extension(der_reader e) {
        const std::string_view id = e.take(der::oid);
        bool critical = false;
        if (e.tag() == der::boolean) {
            const std::string_view flag = e.take(der::boolean);
            critical = !flag.empty() && flag[0] != 0;
        }
        const std::string_view value = e.take(der::octets);
        if (e.failed() || !e.empty()) {
            return false;
        }
        if (id.size() != 3 || !id.starts_with(oid::extension)) {
            return true; // the library refuses critical ones that nobody knows
        }
        switch (static_cast<std::uint8_t>(id[2])) {
        case 15: return key_usage(der_reader(value));
        case 17: return alternatives(der_reader(value));
        case 19: return basic_constraints(der_reader(value));
        case 30: return name_constraints(der_reader(value), critical);
        case 37: return extended_usage(der_reader(value));
        default: return true;
        }
    }
    [[nodiscard]] bool key_usage(der_reader in) {
        const std::string_view octets = in.take(der::bits);
        if (in.failed() || octets.empty()) {
            return false;
        }
        to_.has_key_usage = true;
        for (std::size_t bit = 0; bit < 9 && 1 + bit / 8 < octets.size(); ++bit) {
            const unsigned octet = static_cast<std::uint8_t>(octets[1 + bit / 8]);
            const unsigned set = octet >> (7 - bit % 8) & 1U;
            to_.key_usage = static_cast<std::uint16_t>(to_.key_usage | set << bit);
        }
        return true;
    }
    [[nodiscard]] bool alternatives(der_reader in) {
        der_reader names = in.enter(der::sequence);
        to_.has_subject_alternatives = true;
        while (!names.empty()) {
            const int tag = names.tag();
            const std::string_view value = names.next();
            if (tag == der::context(2)) {
                to_.dns_names.emplace_back(without_controls(value));
            } else if (tag == der::context(7)) {
                to_.addresses.emplace_back(value);
            } else if (tag == der::context(6)) {
                to_.uris.emplace_back(without_controls(value));
            } else if (tag == der::context(1)) {
                to_.mails.emplace_back(without_controls(value));
            }
        }
        return !names.failed() && in.empty();
    }
    // Names are compared, too, and none may lose the part that a constraint is about: they are kept whole.
    [[nodiscard]] static std::string without_controls(std::string_view text) {
        std::string clean(text);
        for (char& c : clean) {
            c = c <= 0x20 || c == 0x7f ? '?' : c;
        }
        return clean;
    }
    [[nodiscard]] bool basic_constraints(der_reader in) {
        der_reader fields = in.enter(der::sequence);
        if (fields.tag() == der::boolean) {
            const std::string_view flag = fields.take(der::boolean);
            to_.is_authority = !flag.empty() && flag[0] != 0;
        }
        if (fields.tag() == der::integer) {
            const std::string_view number = fields.take(der::integer);
            // More than 127 below it is no limit that any chain reaches.
            to_.path_length = number.size() == 1 ? static_cast<std::uint8_t>(number[0]) : 127;
        }
        return !fields.failed() && fields.empty();
    }
    [[nodiscard]] bool extended_usage(der_reader in) {
        der_reader list = in.enter(der::sequence);
        to_.has_extended_usage = true;
        while (!list.empty()) {
            const std::string_view id = list.take(der::oid);
            to_.for_servers = to_.for_servers || id == oid::server_usage || id == oid::any_usage;
            to_.for_clients = to_.for_clients || id == oid::client_usage || id == oid::any_usage;
        }
        return !list.failed();
    }
    [[nodiscard]] bool name_constraints(der_reader in, bool critical) {
        der_reader fields = in.enter(der::sequence);
        for (const int which : {0, 1}) {
            if (fields.tag() != der::constructed(which)) {
                continue;
            }
            der_reader list = fields.enter(der::constructed(which));
            while (!list.empty()) {
                der_reader subtree = list.enter(der::sequence);
                if (!add_subtree(subtree, which == 0 ? to_.permitted : to_.excluded, critical)) {
                    return false;
                }
            }
            if (list.failed()) {
                return false;
            }
        }
        return !fields.failed() && fields.empty();
    }
    [[nodiscard]] bool add_subtree(der_reader& subtree, std::vector<name_subtree>& to, bool critical) {
        using kind = name_subtree::kind;
        const int tag = subtree.tag();
        const std::string_view value = subtree.next();
        if (subtree.failed() || !subtree.empty()) { // minimum and maximum must not be there [RFC 5280 4.2.1.10]
            return false;
        }
        const kind what = tag == der::context(2)       ? kind::dns
                          : tag == der::context(7)     ? kind::address
                          : tag == der::context(6)     ? kind::uri
                          : tag == der::context(1)     ? kind::mail
                          : tag == der::constructed(4) ? kind::directory
                                                       : kind::other;
        if (what == kind::other && critical) {
            to_.constraints_unreadable = true;
        }
        if (what == kind::address && value.size() != 8 && value.size() != 32) {
            return false;
        }
        to.emplace_back(what, std::string(value));
        return true;
    }

    certificate& to_;
};

} // namespace detail

/// Reads a certificate.
/// Params   der  the whole of it and nothing behind it.
/// Errors   errc::bad_certificate.
[[nodiscard]] inline result<certificate> parse_certificate(std::string_view der) {
    certificate c;
    if (!detail::certificate_parser(c).parse(der)) {
        return flux::fail(make_error(errc::bad_certificate, "certificate cannot be read"));
    }
    return c;
}

} // namespace flux::inline FLUX_ABI::tls
