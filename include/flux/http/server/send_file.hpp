// SPDX-License-Identifier: MIT
// flux/http/server/send_file.hpp - octets of a file as a part of a body.
//
//   file -> sendfile(2) -> socket                     where the body goes out as it is
//   file -> read -> body_writer, responder            where a layer, TLS, or a stream in memory is between
//
// What is not in memory is read on a thread of the pool first, so that the reactor does not wait for a disk.
// Deliberately not here: which file (file_server.hpp).
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/coro/scope.hpp>
#include <flux/http/message/body.hpp>
#include <flux/http/server/direct_output.hpp>
#include <flux/http/server/write_watch.hpp>
#include <flux/http/wire/errc.hpp>
#include <flux/io/blocking.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::http {

namespace detail {

/// What tells one content of a file from another. One that is of no file equals none, not even itself.
class file_stamp {
public:
    file_stamp() noexcept = default;
    explicit file_stamp(const struct ::stat& s) noexcept : modified_(s.st_mtim), size_(s.st_size) {}
    /// That of an open file; of no file if it cannot be had.
    [[nodiscard]] static file_stamp of(int file) noexcept {
        struct ::stat now {};
        return ::fstat(file, &now) == 0 ? file_stamp(now) : file_stamp();
    }
    [[nodiscard]] friend bool operator==(const file_stamp& a, const file_stamp& b) noexcept {
        return a.size_ >= 0 && a.size_ == b.size_ && a.modified_.tv_sec == b.modified_.tv_sec && a.modified_.tv_nsec == b.modified_.tv_nsec;
    }

private:
    ::timespec modified_{};
    ::off_t size_ = -1;
};

[[nodiscard]] inline ::ssize_t read_file(int file, char* to, std::size_t size, std::uint64_t at) noexcept {
    ::ssize_t n = 0;
    do {
        n = ::pread(file, to, size, static_cast<::off_t>(at));
    } while (n < 0 && errno == EINTR);
    return n;
}

inline constexpr std::size_t copied_piece = 65'536;  // octets that are read at a time where they are copied
inline constexpr std::size_t direct_piece = 1U << 20; // octets that one sendfile(2) may send

struct scratch_room {
    char octets[copied_piece];
};

// Has the disk fill the kernel's memory. Fails like a read.
template <class Size>
task<> fetch(int file, std::uint64_t at, Size size) {
    auto read_all = [file, at, size]() noexcept -> int {
        const flux::detail::owner<scratch_room> scratch(new (std::nothrow) scratch_room);
        for (std::uint64_t done = 0; scratch && done < size;) {
            const ::ssize_t n = read_file(file, scratch->octets, copied_piece, at + done);
            if (n <= 0) {
                return n < 0 ? errno : 0;
            }
            done += static_cast<std::uint64_t>(n);
        }
        return 0;
    };
    const auto failed = co_await attempt(blocking(read_all));
    if (!failed) {
        co_await fail(failed.error());
    }
    if (*failed != 0) {
        co_await fail(error::from_errno(*failed));
    }
}

// 1 to `size` octets, or 0 at the end of the file.
template <class Size>
task<Size> read_piece(int file, char* to, Size size, std::uint64_t at) {
    ::ssize_t n = 0;
    int failed = 0;
    auto read = [&] {
        n = read_file(file, to, size, at);
        failed = errno;
    };
    if (flux::detail::in_memory(file, at, size)) {
        read();
    } else {
        const auto done = co_await attempt(blocking(read));
        if (!done) {
            co_return fail(done.error());
        }
    }
    if (n < 0) {
        co_return fail(error::from_errno(failed));
    }
    co_return static_cast<Size>(n);
}

[[nodiscard, gnu::cold]] inline error file_changed() {
    return error(errc::body_length_mismatch).doing("file that changed while it was sent");
}

template <class Stamp>
task<> send_directly(direct_output& to, int file, std::uint64_t at, std::uint64_t size, Stamp stamp) {
    auto ctx = co_await this_context();
    for (bool first = true; size != 0; first = false) {
        if (!first && file_stamp::of(file) != stamp) {
            co_await fail(to.broke(file_changed()));
        }
        const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(size, direct_piece));
        if (!flux::detail::in_memory(file, at, piece)) {
            const auto fetched = co_await attempt(fetch(file, at, piece));
            if (!fetched) {
                co_await fail(to.broke(fetched.error()));
            }
        }
        write_watch<socket_stream> watch(*to.stream, ctx.node(), *to.options);
        const auto sent = co_await attempt(
            flux::detail::under<flux::detail::send_file_op>(watch.node(), to.stream->send_file(as_octets(to.gathered->view()), file, at, piece)));
        to.gathered->clear();
        if (!sent) {
            co_await fail(to.broke(sent.error()));
        }
        if (*sent == 0) {
            co_await fail(to.broke(file_changed()));
        }
        at += *sent;
        size -= *sent;
    }
}

template <class Writer>
task<> send_copied(Writer& to, int file, std::uint64_t at, std::uint64_t size, file_stamp stamp) {
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(size, copied_piece));
    flux::detail::dynamic_array<char> piece; // its room is used, nothing is put into it
    piece.reserve(room);
    for (bool first = true; size != 0; first = false) {
        if (!first && file_stamp::of(file) != stamp) {
            co_await fail(file_changed());
        }
        const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(size, room));
        const auto n = co_await attempt(read_piece(file, piece.data(), most, at));
        if (!n) {
            co_await fail(n.error());
        }
        if (*n == 0) {
            co_await fail(file_changed());
        }
        const auto written = co_await attempt(to.write(std::string_view(piece.data(), *n)));
        if (!written) {
            co_await fail(written.error());
        }
        at += *n;
        size -= *n;
    }
}

template <class Writer>
[[nodiscard]] task<> send_file(Writer& to, int file, std::uint64_t at, std::uint64_t size, file_stamp stamp) {
    if (direct_output* const direct = to.direct(size); direct != nullptr) {
        return send_directly(*direct, file, at, size, stamp);
    }
    return send_copied(to, file, at, size, stamp);
}

} // namespace detail

/// Sends octets `at` to `at + size` of a file as the next part of a body, without a copy where that is possible.
///
/// A file that is shorter, or changes meanwhile, is an error: the client must not take what it got for the whole. Octets
/// that are not in memory are read on a thread of the pool (blocking.hpp).
/// Params   to     body_writer or responder; borrowed until the task ends.
///          file   a regular file, borrowed; its own position is not used.
/// Errors   as of write(); of reading; http::errc::body_length_mismatch. The answer is lost then.
/// Cancel   as write().
/// Cost     at most 1 MiB at a time to a socket, with one sendfile(2) each; elsewhere a buffer of 64 KiB.
template <class Writer>
[[nodiscard]] task<> send_file(Writer& to, int file, std::uint64_t at, std::uint64_t size) {
    return detail::send_file(to, file, at, size, detail::file_stamp::of(file));
}

} // namespace flux::inline FLUX_ABI::http
