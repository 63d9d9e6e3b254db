// SPDX-License-Identifier: MIT
// flux/http/message/media_type.hpp - the media type that the extension of a file name stands for.
//
// A table of what the web serves. Deliberately not here: looking into files, the types of the system (/etc/mime.types).
#pragma once

#include <flux/http/message/octets.hpp>

#include <cstddef>
#include <string_view>

namespace flux::inline FLUX_ABI::http {

namespace detail {

struct extension_type {
    std::string_view extension;
    std::string_view type;
};

// In the order of extensions: it is searched by halving.
inline constexpr extension_type extension_types[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"atom", "application/atom+xml"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"bz2", "application/x-bzip2"},
    {"css", "text/css"},
    {"csv", "text/csv"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html"},
    {"html", "text/html"},
    {"ico", "image/x-icon"},
    {"ics", "text/calendar"},
    {"jar", "application/java-archive"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"md", "text/markdown"},
    {"mid", "audio/midi"},
    {"mjs", "text/javascript"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpeg", "video/mpeg"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"ts", "video/mp2t"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "text/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};
inline constexpr std::size_t extension_type_count = sizeof(extension_types) / sizeof(extension_types[0]);

consteval bool extensions_are_in_order() {
    for (std::size_t i = 1; i < extension_type_count; ++i) {
        if (!(extension_types[i - 1].extension < extension_types[i].extension)) {
            return false;
        }
    }
    return true;
}
static_assert(extensions_are_in_order());

} // namespace detail

/// The media type of a file by its name: what follows the last dot, in any case. Empty if it is not known.
[[nodiscard]] inline std::string_view media_type_of(std::string_view file_name) noexcept {
    constexpr std::size_t longest = 16;
    const std::size_t dot = file_name.find_last_of("./");
    if (dot == std::string_view::npos || file_name[dot] == '/' || file_name.size() - dot - 1 > longest) {
        return {};
    }
    char text[longest] = {};
    std::size_t size = 0;
    for (const char c : file_name.substr(dot + 1)) {
        text[size++] = lower(c);
    }
    const std::string_view extension(text, size);
    std::size_t low = 0;
    std::size_t high = detail::extension_type_count;
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (detail::extension_types[middle].extension < extension) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const bool found = low < detail::extension_type_count && detail::extension_types[low].extension == extension;
    return found ? detail::extension_types[low].type : std::string_view();
}

} // namespace flux::inline FLUX_ABI::http
