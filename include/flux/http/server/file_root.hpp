// SPDX-License-Identifier: MIT
// flux/http/server/file_root.hpp - opens files below a directory, and nothing that is not below it.
//
//   relative path --is_servable()--> openat2(RESOLVE_BENEATH) --> descriptor + stat
//
// The kernel decides what is below: `..`, absolute names and symbolic links that lead out are refused there, whatever
// happens to the tree meanwhile. Where openat2 is missing, directories are walked one by one without following any
// link. Deliberately not here: HTTP.
#pragma once

#include <flux/core/error.hpp>
#include <flux/io/unique_fd.hpp>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::http::detail {

/// Whether a decoded, relative path may name a file at all: no empty segment but the last one, none of "." and "..",
/// none that begins with a dot unless those are allowed, no NUL.
[[nodiscard]] inline bool is_servable(std::string_view path, bool dot_files) noexcept {
    if (path.find('\0') != std::string_view::npos) {
        return false;
    }
    while (!path.empty()) {
        const std::size_t end = path.find('/');
        const std::string_view segment = path.substr(0, end);
        if (segment.empty() || segment == "." || segment == ".." || (segment.front() == '.' && !dot_files)) {
            return false;
        }
        path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
    }
    return true;
}

/// An open file, or the errno of why there is none.
struct opened_file {
    unique_fd fd;
    struct ::stat stat {};
    int failed = 0;

    [[nodiscard]] bool is_file() const noexcept { return failed == 0 && S_ISREG(stat.st_mode); }
    [[nodiscard]] bool is_directory() const noexcept { return failed == 0 && S_ISDIR(stat.st_mode); }
};

class file_root {
public:
    /// Errors  throws flux::error if the directory cannot be opened.
    explicit file_root(const std::string& path) : fd_(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
        if (!fd_) {
            flux::detail::throw_error(error::from_errno(errno).doing("directory of files to serve: " + path));
        }
    }

    /// Opens what `path` names, file or directory, for reading; an empty path is the root itself.
    /// Params  path      that is_servable() accepts.
    ///         may_wait  false: fails with EAGAIN where that would take a disk.
    [[nodiscard]] opened_file open(const std::string& path, bool may_wait) const noexcept {
        opened_file file;
        const char* const name = path.empty() ? "." : path.c_str();
        int fd = -1;
        for (int tries = 0; tries < 8; ++tries) { // EAGAIN also where a rename came between
            fd = beneath(name, may_wait);
            if (fd >= 0 || errno != EAGAIN || !may_wait) {
                break;
            }
        }
        if (fd < 0 && errno == EINVAL && !may_wait) {
            errno = EAGAIN; // a kernel that cannot say whether it would wait
        }
        if (fd < 0 && (errno == ENOSYS || errno == EPERM)) { // an old kernel, or a sandbox
            fd = walk(path);
        }
        file.fd.reset(fd);
        if (fd < 0 || ::fstat(fd, &file.stat) != 0) {
            file.failed = errno;
        }
        return file;
    }

    // The way without openat2: as open(), but no symbolic link is followed at all.
    [[nodiscard]] int walk(const std::string& path) const noexcept {
        try {
            unique_fd at(::openat(fd_.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
            std::string_view rest = path;
            for (std::size_t slash = 0; at && (slash = rest.find('/')) != std::string_view::npos;) {
                const std::string segment(rest.substr(0, slash));
                unique_fd inner(::openat(at.get(), segment.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
                at = std::move(inner);
                rest.remove_prefix(slash + 1);
            }
            const std::string name(rest.empty() ? "." : rest); // empty behind a last slash: the directory itself
            return at ? ::openat(at.get(), name.c_str(), read_flags | O_NOFOLLOW) : -1;
        } catch (...) {
            errno = ENOMEM;
            return -1;
        }
    }

private:
    static constexpr int read_flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK; // a FIFO must not wait for a writer

    [[nodiscard]] int beneath(const char* name, bool may_wait) const noexcept {
        constexpr std::uint64_t no_magic_links = 0x02; // of linux/openat2.h
        constexpr std::uint64_t below = 0x08;
        constexpr std::uint64_t cached = 0x20; // Linux 5.12
        const std::uint64_t how[3] = {static_cast<std::uint64_t>(read_flags), 0,
                                      below | no_magic_links | (may_wait ? 0 : cached)};
        constexpr long openat2 = 437;
        return static_cast<int>(::syscall(openat2, fd_.get(), name, how, sizeof how));
    }

    unique_fd fd_;
};

} // namespace flux::inline FLUX_ABI::http::detail
