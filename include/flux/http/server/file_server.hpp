// SPDX-License-Identifier: MIT
// flux/http/server/file_server.hpp - serves the files below a directory.
//
//   path -> open below the root -> validators -> conditions (304, 412) -> ranges (206, 416) -> sendfile(2)
//
// Nothing waits for a disk on the reactor: names and octets that are not in memory are looked up and read on a thread of
// the pool. Deliberately not here: caches of files, coding on the fly (flux/zlib/compress.hpp), uploads.
#pragma once

#include <flux/core/dynamic_array.hpp>
#include <flux/core/time.hpp>
#include <flux/http/message/conditional.hpp>
#include <flux/http/message/content_coding.hpp>
#include <flux/http/message/media_type.hpp>
#include <flux/http/message/range.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/file_listing.hpp>
#include <flux/http/server/file_root.hpp>
#include <flux/http/server/send_file.hpp>
#include <flux/io/blocking.hpp>

#include <sys/random.h>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace flux::inline FLUX_ABI::http {

/// How files are served. Copied, with the texts.
struct file_options {
    /// Answers for a directory; empty: nothing does.
    std::string_view index = "index.html";
    /// Said of text/* types; empty: nothing is said.
    std::string_view charset = "utf-8";
    /// Of files whose extension is not known; empty: no Content-Type.
    std::string_view default_type = "application/octet-stream";
    /// Value of Cache-Control of every file; empty: none.
    std::string_view cache_control = {};
    /// Serves `name.br` or `name.gz` instead of `name` to clients that accept the coding, if there is one.
    bool precompressed = false;
    /// Serves names that begin with a dot, too.
    bool dot_files = false;
    /// Lists directories that have no index.
    bool listing = false;
    /// Ranges of one answer, at most range_selection::max_ranges; who asks for more gets the whole file.
    std::size_t max_ranges = range_selection::max_ranges;
};
static_assert(__is_trivially_copyable(file_options));

namespace detail {

/// What all requests to one file_server share; const while it serves.
struct served_files {
    served_files(const std::string& path, const file_options& o)
        : root(path), index(o.index), charset(o.charset), default_type(o.default_type), cache_control(o.cache_control),
          precompressed(o.precompressed), dot_files(o.dot_files), listing(o.listing), max_ranges(o.max_ranges) {}
    file_root root;
    std::string index;
    std::string charset;
    std::string default_type;
    std::string cache_control;
    bool precompressed;
    bool dot_files;
    bool listing;
    std::size_t max_ranges;
};

// A tag for exactly these octets: time of change to the nanosecond, size, coding.
[[nodiscard]] inline std::string tag_of(const struct ::stat& s, std::string_view suffix) {
    char text[40];
    char* p = text + sizeof text;
    const auto put_hex = [&p](std::uint64_t n) {
        do {
            *--p = "0123456789abcdef"[n & 15];
            n >>= 4;
        } while (n != 0);
    };
    put_hex(static_cast<std::uint64_t>(s.st_size));
    *--p = '-';
    put_hex(static_cast<std::uint64_t>(s.st_mtim.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(s.st_mtim.tv_nsec));
    std::string tag(1, '"');
    tag.append(p, static_cast<std::size_t>(text + sizeof text - p));
    tag += suffix;
    tag += '"';
    return tag;
}

// Text that does not occur in files but by intent: parts of an answer are told apart by it [RFC 2046 5.1.1].
[[nodiscard]] inline std::string part_boundary() {
    static const std::uint64_t seed = [] {
        std::uint64_t number = 0;
        if (::getrandom(&number, sizeof number, 0) != static_cast<::ssize_t>(sizeof number)) {
            number = static_cast<std::uint64_t>(clock::now().time_since_epoch().count());
        }
        return number;
    }();
    static std::atomic<std::uint64_t> count{0};
    std::uint64_t words[2] = {seed, count.fetch_add(1, std::memory_order_relaxed) ^ (seed * 0x9e3779b97f4a7c15U)};
    std::string text;
    for (std::uint64_t& word : words) {
        for (int i = 0; i < 16; ++i, word >>= 4) {
            text += "0123456789abcdef"[word & 15];
        }
    }
    return text;
}

/// The body of an answer with files: what goes before each range, the ranges, what goes behind the last one.
struct file_parts {
    struct part {
        part(std::string b, byte_range r) : before(std::move(b)), range(r) {}
        std::string before;
        byte_range range;
    };
    unique_fd fd;
    file_stamp stamp;
    flux::detail::dynamic_array<part> parts;
    std::string end;
};

template <class Parts>
task<> send_parts(body_writer& out, const Parts& all) {
    for (const auto& part : all.parts) {
        const auto head = co_await attempt(out.write(part.before));
        if (!head) {
            co_await fail(head.error());
        }
        const auto sent = co_await attempt(detail::send_file(out, all.fd.get(), part.range.first, part.range.size, all.stamp));
        if (!sent) {
            co_await fail(sent.error());
        }
    }
    co_await out.write(all.end);
}

template <class Files>
class file_exchange {
public:
    file_exchange(const Files& files, request& req) noexcept : files_(&files), req_(&req) {}

    /// The path below the root; nothing if no file can have it.
    [[nodiscard]] std::optional<std::string> path() const {
        const std::string_view raw = req_->raw_path();
        for (std::size_t at = raw.find('%'); at != std::string_view::npos; at = raw.find('%', at + 1)) {
            const std::string_view code = raw.substr(at + 1, 2);
            if (iequals(code, "2f") || code == "00") {
                return std::nullopt; // part of a segment, where it cannot be part of a name
            }
        }
        std::string path;
        if (req_->route().ends_with("...}") && req_->param_count() != 0) {
            path = req_->param(req_->param_count() - 1);
        } else {
            path = percent_decode(raw.substr(raw.starts_with('/') ? 1 : 0));
        }
        return is_servable(path, files_->dot_files) ? std::optional<std::string>(std::move(path)) : std::nullopt;
    }

    /// 301 to the same path with a slash.
    [[nodiscard]] response redirect_to_directory() const {
        std::string_view path = req_->raw_path();
        while (path.starts_with("//")) { // would be the name of a host
            path.remove_prefix(1);
        }
        std::string to;
        for (const char c : path) {
            to += c == '\\' ? "%5C" : std::string_view(&c, 1); // some take it for a slash
        }
        to += '/';
        if (!req_->raw_query().empty()) {
            (to += '?') += req_->raw_query();
        }
        return plain_answer(status::moved_permanently).header(field::location, to);
    }

    [[nodiscard]] static response refusal(int failed) {
        switch (failed) {
        case EACCES:
        case EPERM: return plain_answer(status::forbidden);
        case EMFILE:
        case ENFILE:
        case ENOMEM: return plain_answer(status::service_unavailable).header(field::retry_after, "1");
        case EIO: return plain_answer(status::internal_server_error);
        default: return plain_answer(status::not_found); // ENOENT, ENOTDIR, ENAMETOOLONG; EXDEV, ELOOP: not below the root
        }
    }

    /// The answer with a file. Params: name  decides the type;  coding  that it is stored in, or empty.
    [[nodiscard]] response answer(opened_file file, std::string_view name, std::string_view coding) const {
        const auto size = static_cast<std::uint64_t>(file.stat.st_size);
        const std::string etag = tag_of(file.stat, coding.empty() ? "" : coding == "gzip" ? "-gz" : "-br");
        const validators now = validators_of(file.stat, etag);
        response out;
        switch (evaluate(req_->method(), req_->fields(), now)) {
        case precondition::proceed: break;
        case precondition::not_modified:
            out.code(status::not_modified);
            describe(out, now);
            return out;
        case precondition::failed: return plain_answer(status::precondition_failed);
        }
        range_selection selected;
        if (const auto asked = req_->fields().get(field::range); asked && if_range_holds(req_->fields(), now)) {
            selected = select_ranges(*asked, size, files_->max_ranges);
        }
        if (selected.answer() == range_answer::unsatisfiable) {
            return plain_answer(status::range_not_satisfiable).header(field::content_range, content_range_of_none(size));
        }
        const std::string type = type_of(name);
        describe(out, now);
        if (!coding.empty()) {
            out.header(field::content_encoding, coding);
        }
        file_parts body;
        std::uint64_t length = 0;
        if (selected.size() > 1) {
            length = put_parts(body, selected, type, size);
            out.header(field::content_type, "multipart/byteranges; boundary=" + body.end.substr(4, 32));
        } else {
            const byte_range range = selected.size() == 1 ? selected[0] : byte_range{0, size};
            body.parts.push_back(file_parts::part(std::string(), range));
            length = range.size;
            if (!type.empty()) {
                out.header(field::content_type, type);
            }
            if (selected.size() == 1) {
                out.header(field::content_range, content_range(range, size));
            }
        }
        if (selected.size() != 0) {
            out.code(status::partial_content);
        } else {
            out.header(field::accept_ranges, "bytes"); // a part says it by being one
        }
        if (req_->method() != method::head) {
            body.stamp = file_stamp(file.stat);
            body.fd = std::move(file.fd);
        }
        out.stream(sender(std::move(body)), length);
        return out;
    }

private:
    class sender {
    public:
        explicit sender(file_parts body) : body_(flux::detail::make_owner<file_parts>(std::move(body))) {}
        [[nodiscard]] task<> operator()(body_writer& out) const {
            const file_parts& all = *body_;
            if (all.parts.size() == 1) {
                const byte_range range = all.parts.front().range;
                return detail::send_file(out, all.fd.get(), range.first, range.size, all.stamp);
            }
            return send_parts(out, all);
        }

    private:
        flux::detail::owner<file_parts> body_;
    };

    [[nodiscard]] static validators validators_of(const struct ::stat& s, std::string_view etag) noexcept {
        using namespace std::chrono;
        validators now;
        now.etag = etag;
        const auto wall = system_clock::to_time_t(system_clock::now());
        if (s.st_mtim.tv_sec <= wall) { // a time to come must not be said [RFC 9110 8.8.2.1]
            now.modified = sys_seconds(std::chrono::seconds(s.st_mtim.tv_sec));
            now.modified_is_strong = wall - s.st_mtim.tv_sec >= 2;
        }
        return now;
    }
    void describe(response& out, const validators& now) const {
        out.header(field::etag, now.etag);
        if (now.modified) {
            char text[date_size];
            format_date(*now.modified, text);
            out.header(field::last_modified, {text, date_size});
        }
        if (!files_->cache_control.empty()) {
            out.header(field::cache_control, files_->cache_control);
        }
        if (files_->precompressed) {
            out.header(field::vary, "Accept-Encoding");
        }
    }
    [[nodiscard]] std::string type_of(std::string_view name) const {
        std::string_view known = media_type_of(name);
        std::string type(known.empty() ? files_->default_type : known);
        if (!files_->charset.empty() && type.starts_with("text/") && type.find(';') == std::string::npos) {
            (type += "; charset=") += files_->charset;
        }
        return type;
    }
    // Source: RFC 9110 14.6. Returns the length of the whole body.
    [[nodiscard]] static std::uint64_t put_parts(file_parts& body, const range_selection& selected, const std::string& type,
                                                 std::uint64_t size) {
        const std::string boundary = part_boundary();
        std::uint64_t length = 0;
        for (const byte_range& range : selected) {
            std::string before = "\r\n--" + boundary + "\r\n";
            if (!type.empty()) {
                before += "Content-Type: " + type + "\r\n";
            }
            before += "Content-Range: " + content_range(range, size) + "\r\n\r\n";
            length += before.size() + range.size;
            body.parts.push_back(file_parts::part(std::move(before), range));
        }
        body.end = "\r\n--" + boundary + "--\r\n";
        return length + body.end.size();
    }

    const Files* files_;
    request* req_;
};

// Opens at once if all of the path is in memory, else on a thread of the pool.
template <class Files>
task<opened_file> open_file(const Files& files, const std::string& path) { // lint_coro: allow parameter: awaited at once
    opened_file file = files.root.open(path, false);
    if (file.failed == EAGAIN) {
        auto open = [&] { file = files.root.open(path, true); };
        const auto done = co_await attempt(blocking(open));
        if (!done) {
            co_return fail(done.error());
        }
    }
    co_return file;
}

template <class Files>
task<response> serve_directory(const Files& files, const std::string& path, // lint_coro: allow parameter: awaited at once
                               request& req) {
    opened_file directory = co_await open_file(files, path);
    if (!directory.is_directory()) {
        co_return file_exchange<Files>::refusal(directory.failed == 0 ? ENOTDIR : directory.failed);
    }
    if (!files.listing) {
        co_return plain_answer(status::forbidden);
    }
    std::string page;
    auto list = [&] { page = file_listing(directory.fd.get(), req.path(), files.dot_files); };
    const auto done = co_await attempt(blocking(list));
    if (!done) {
        co_return fail(done.error());
    }
    co_return html(std::move(page)).header(field::cache_control, "no-cache");
}

template <class Files>
task<response> serve_file(const Files& files, request& req) {
    const file_exchange<Files> exchange(files, req);
    if (req.method() != method::get && req.method() != method::head) {
        co_return plain_answer(status::method_not_allowed).header(field::allow, "GET, HEAD");
    }
    std::optional<std::string> path = exchange.path();
    if (!path) {
        co_return plain_answer(status::not_found);
    }
    const bool is_directory = path->empty() || path->ends_with('/');
    std::string name = *path;
    if (is_directory) {
        name += files.index;
    }
    constexpr std::string_view codings[] = {"br", "gzip"};
    constexpr std::string_view suffixes[] = {".br", ".gz"};
    if (files.precompressed && !name.empty() && !name.ends_with('/')) {
        const accepted_codings accepts(req.fields());
        const std::size_t best = accepts.best_of(codings, 2);
        for (std::size_t i = 0; best < 2 && i < 2; ++i) {
            const std::size_t coding = i == 0 ? best : 1 - best;
            if (!accepts.prefers(codings[coding])) {
                break;
            }
            const std::string coded = name + std::string(suffixes[coding]);
            opened_file file = co_await open_file(files, coded);
            if (file.is_file()) {
                co_return exchange.answer(std::move(file), name, codings[coding]);
            }
        }
    }
    opened_file file = co_await open_file(files, name);
    if (file.is_file()) {
        co_return exchange.answer(std::move(file), name, {});
    }
    if (is_directory && (files.index.empty() || file.failed == ENOENT)) {
        co_return co_await serve_directory(files, *path, req);
    }
    if (file.is_directory() && !is_directory) {
        co_return exchange.redirect_to_directory();
    }
    co_return exchange.refusal(file.failed == 0 ? ENOENT : file.failed); // neither file nor directory: a socket, a device
}

} // namespace detail

/// A handler that serves the files below a directory: `app.get("/static/{path...}", http::file_server("/srv/www"));`.
///
/// The path is that of the route's `{name...}`; without one, of the whole request. GET and HEAD are answered with type,
/// length, ETag and Last-Modified; conditions and ranges are honoured. A directory is redirected to its path with a slash,
/// and then answered with its index. Files that change while they are sent end the connection.
///
/// Refused: 404 for paths that leave the root, also by symbolic links, for names with a dot in front, `%2F` and NUL; 403
/// for what cannot be read, and for directories without an index; 405 for other methods.
/// The root is opened once: a directory that takes its name later is another one.
/// Errors   the constructor throws flux::error if the directory cannot be opened.
/// Threads  calls: any.
/// Cost     openat(2), fstat(2), close(2) and what sending costs; some ten allocations.
/// Source   RFC 9110 13, 14.
class file_server {
public:
    template <class = void>
    explicit file_server(std::string_view root, file_options options = file_options())
        : files_(std::make_shared<const detail::served_files>(std::string(root), options)) {}

    template <std::same_as<request> Request> // a template, so that only those who use it compile the coroutines
    [[nodiscard]] task<response> operator()(Request& req) const {
        return detail::serve_file(*files_, req);
    }

private:
    std::shared_ptr<const detail::served_files> files_;
};

} // namespace flux::inline FLUX_ABI::http
