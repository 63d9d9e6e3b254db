// SPDX-License-Identifier: MIT
// flux/tls/pem.hpp - PEM text and the files it comes from.
//
// Whole files are read, when a configuration is made; what is wrong with one is an error that names it.
// Deliberately not here: what is in the blocks (certificate.hpp), private keys of any special form.
#pragma once

#include <flux/core/result.hpp>
#include <flux/tls/error.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::tls {

/// One block: "CERTIFICATE" and its DER; `text` is the block as it stood there.
struct pem_block {
    std::string label;
    std::string der;
    std::string text;
};

namespace detail {

// Octets of base64 text with white space in it; false if it is anything else.
[[nodiscard]] inline bool decode_base64(std::string_view text, std::string& out) {
    std::uint32_t bits = 0;
    int count = 0;
    bool padded = false;
    for (const char c : text) {
        unsigned value = 0;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            continue;
        }
        if (c == '=') {
            padded = true;
            continue;
        }
        if (c >= 'A' && c <= 'Z') {
            value = static_cast<unsigned>(c - 'A');
        } else if (c >= 'a' && c <= 'z') {
            value = static_cast<unsigned>(c - 'a' + 26);
        } else if (c >= '0' && c <= '9') {
            value = static_cast<unsigned>(c - '0' + 52);
        } else if (c == '+' || c == '/') {
            value = c == '+' ? 62 : 63;
        } else {
            return false;
        }
        if (padded) {
            return false;
        }
        bits = bits << 6 | value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>(bits >> count & 0xff));
        }
    }
    return count < 6 && (bits & ((1U << count) - 1)) == 0;
}

class closing_fd {
public:
    explicit closing_fd(int fd) noexcept : fd_(fd) {}
    closing_fd(const closing_fd&) = delete;
    closing_fd& operator=(const closing_fd&) = delete;
    ~closing_fd() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

} // namespace detail

/// Everything in a file of at most 16 MiB.
/// Errors   errc::bad_file, with the file's name and the system's reason. Blocks the thread.
[[nodiscard]] inline result<std::string> read_file(const std::string& path) {
    constexpr std::size_t limit = 16U << 20;
    const auto failed = [&](const char* why) { return flux::fail(make_error(errc::bad_file, path + ": " + why)); };
    const detail::closing_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) {
        return failed(std::strerror(errno));
    }
    std::string all;
    struct ::stat facts {};
    if (::fstat(fd.get(), &facts) == 0 && facts.st_size > 0 && static_cast<std::uint64_t>(facts.st_size) <= limit) {
        all.reserve(static_cast<std::size_t>(facts.st_size) + 2 * 16'384); // a key leaves no copies behind
    }
    for (;;) {
        const std::size_t before = all.size();
        all.resize(before + 16'384);
        const ::ssize_t n = ::read(fd.get(), all.data() + before, 16'384);
        if (n < 0 && errno == EINTR) {
            all.resize(before);
            continue;
        }
        if (n < 0) {
            return failed(std::strerror(errno));
        }
        all.resize(before + static_cast<std::size_t>(n));
        if (n == 0) {
            return all;
        }
        if (all.size() > limit) {
            return failed("larger than 16 MiB");
        }
    }
}

/// The blocks of PEM text, in order; text between them is skipped [RFC 7468 2].
/// Params   name  what messages call the text: a file name, or "certificate".
/// Errors   errc::bad_file for a block without an end, or whose content is no base64.
[[nodiscard]] inline result<std::vector<pem_block>> read_pem(std::string_view text, const std::string& name) {
    constexpr std::string_view begin = "-----BEGIN ";
    constexpr std::string_view dashes = "-----";
    std::vector<pem_block> blocks;
    std::size_t at = 0;
    while ((at = text.find(begin, at)) != std::string_view::npos) {
        const std::size_t label_at = at + begin.size();
        const std::size_t label_end = text.find(dashes, label_at);
        if (label_end == std::string_view::npos || label_end - label_at > 64) {
            return flux::fail(make_error(errc::bad_file, name + ": damaged PEM"));
        }
        pem_block block;
        block.label = std::string(text.substr(label_at, label_end - label_at));
        const std::string end = "-----END " + block.label + "-----";
        const std::size_t content = label_end + dashes.size();
        const std::size_t end_at = text.find(end, content);
        if (end_at == std::string_view::npos) {
            return flux::fail(make_error(errc::bad_file, name + ": \"" + block.label + "\" has no end"));
        }
        block.text = std::string(text.substr(at, end_at + end.size() - at)) + '\n';
        // Keys may have headers before the octets ("Proc-Type: 4,ENCRYPTED"); those stay text.
        const std::string_view octets = text.substr(content, end_at - content);
        if (octets.find(':') == std::string_view::npos && !detail::decode_base64(octets, block.der)) {
            return flux::fail(make_error(errc::bad_file, name + ": \"" + block.label + "\" is damaged"));
        }
        blocks.push_back(std::move(block));
        at = end_at + end.size();
    }
    return blocks;
}

/// The certificates of PEM text, or of a single DER certificate.
/// Errors   errc::bad_file, also if there is none.
[[nodiscard]] inline result<std::vector<std::string>> read_certificates(std::string_view text, const std::string& name) {
    std::vector<std::string> all;
    if (text.starts_with('\x30')) {
        all.emplace_back(text);
        return all;
    }
    auto blocks = read_pem(text, name);
    if (!blocks) {
        return flux::fail(std::move(blocks).error());
    }
    for (pem_block& b : *blocks) {
        if (b.label == "CERTIFICATE" || b.label == "X509 CERTIFICATE" || b.label == "TRUSTED CERTIFICATE") {
            all.push_back(std::move(b.der));
        }
    }
    if (all.empty()) {
        return flux::fail(make_error(errc::bad_file, name + ": no certificate in it"));
    }
    return all;
}

} // namespace flux::inline FLUX_ABI::tls
