// SPDX-License-Identifier: MIT
// flux/http/server/file_listing.hpp - a page that lists the files of a directory.
#pragma once

#include <flux/core/algorithm.hpp>
#include <flux/http/message/query.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flux::inline FLUX_ABI::http::detail {

inline constexpr std::size_t max_listed = 10'000; // names of one page; the page says so if there are more

/// `text` as text of an HTML page.
[[nodiscard]] inline std::string html_escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break;
        default: out += c;
        }
    }
    return out;
}

// The names of a directory in order, those of directories with a slash. Links and special files are left out.
template <class Name>
[[nodiscard]] std::vector<Name> names_in(int directory, bool dot_files) {
    std::vector<Name> names;
    ::DIR* const list = ::fdopendir(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
    if (list == nullptr) {
        return names;
    }
    ::rewinddir(list);
    while (const ::dirent* entry = ::readdir(list)) {
        Name name = static_cast<const char*>(entry->d_name);
        if (name == "." || name == ".." || (name.front() == '.' && !dot_files)) {
            continue;
        }
        unsigned char type = entry->d_type;
        if (type == DT_UNKNOWN) {
            struct ::stat s {};
            const bool known = ::fstatat(directory, entry->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0;
            type = known && S_ISDIR(s.st_mode) ? DT_DIR : known && S_ISREG(s.st_mode) ? DT_REG : DT_UNKNOWN;
        }
        if (type == DT_DIR || type == DT_REG) {
            names.push_back(type == DT_DIR ? name + '/' : name);
        }
        if (names.size() > max_listed) {
            break;
        }
    }
    ::closedir(list);
    flux::detail::sort_in_place(names.data(), names.size());
    return names;
}

/// The page. Waits for the disk. Params: directory  open for reading;  path  decoded, for the title.
template <class Text>
[[nodiscard]] Text file_listing(int directory, const Text& path, bool dot_files) {
    const Text title = html_escape(path);
    Text page = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>" + title + "</title></head>\n<body><h1>" +
                title + "</h1>\n<ul>\n";
    const std::vector<Text> names = names_in<Text>(directory, dot_files);
    for (const Text& name : names) {
        const std::string_view bare = std::string_view(name).substr(0, name.size() - (name.ends_with('/') ? 1 : 0));
        page += "<li><a href=\"./" + percent_encode(bare) + (name.ends_with('/') ? "/" : "") + "\">" + html_escape(name) +
                "</a></li>\n";
    }
    page += names.size() > max_listed ? "<li>and more</li>\n</ul></body></html>\n" : "</ul></body></html>\n";
    return page;
}

} // namespace flux::inline FLUX_ABI::http::detail
