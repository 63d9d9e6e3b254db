// SPDX-License-Identifier: MIT
#include <flux/http/server/file_server.hpp> // also proves the header is self-contained

#include <flux/http/server/router.hpp>
#include <http/server/over_tcp.hpp>
#include <support/driver_matrix.hpp>
#include <support/transport_sockets.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace flux;
using test_support::on_each_driver;
using test_support::run;

namespace {

namespace fs = std::filesystem;

constexpr const char* old_date = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A directory that is gone at the end.
class tree {
public:
    tree() {
        std::string name = (fs::temp_directory_path() / "flux-files-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        root_ = name;
    }
    tree(const tree&) = delete;
    tree& operator=(const tree&) = delete;
    ~tree() { fs::remove_all(root_); }
    // Written, and of 1994.
    void put(const std::string& name, std::string_view text) const {
        fs::create_directories((root_ / name).parent_path());
        std::ofstream(root_ / name) << text;
        const ::timespec times[2] = {{784111777, 123456789}, {784111777, 123456789}};
        REQUIRE(::utimensat(AT_FDCWD, (root_ / name).c_str(), times, 0) == 0);
    }
    [[nodiscard]] fs::path operator/(const std::string& name) const { return root_ / name; }
    [[nodiscard]] std::string path() const { return root_.string(); }

private:
    fs::path root_;
};

struct answer {
    int status = 0;
    std::multimap<std::string, std::string> fields;
    std::string body;
    [[nodiscard]] std::string field(const std::string& name) const {
        const auto at = fields.find(name);
        return at == fields.end() ? "" : at->second;
    }
};

answer parse(const std::string& octets) {
    answer a;
    const std::size_t end = octets.find("\r\n\r\n");
    REQUIRE(end != std::string::npos);
    a.body = octets.substr(end + 4);
    a.status = std::stoi(octets.substr(9, 3));
    for (std::size_t at = octets.find("\r\n") + 2; at < end;) {
        const std::size_t next = octets.find("\r\n", at);
        const std::string line = octets.substr(at, next - at);
        a.fields.emplace(line.substr(0, line.find(':')), line.substr(line.find(": ") + 2));
        at = next + 2;
    }
    return a;
}

/// One request after the other, each over a connection of its own, on each driver.
class site {
public:
    explicit site(const tree& files, http::file_options options = {}) {
        app_.get("/{path...}", http::file_server(files.path(), options));
    }
    explicit site(http::router app) : app_(std::move(app)) {}

    answer get(const std::string& target, const std::string& fields = "", const std::string& method = "GET") {
        answer last;
        on_each_driver([&](const reactor_options& options) {
            reactor r(options);
            last = parse(run(r, flux_test::over_tcp(&app_, method + " " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" +
                                                              fields + "\r\n",
                                                    [](std::string&) {})));
            if (method != "HEAD" && last.status != 304) {
                CHECK(last.field("Content-Length") == std::to_string(last.body.size()));
            }
        });
        return last;
    }
    answer head(const std::string& target, const std::string& fields = "") { return get(target, fields, "HEAD"); }

private:
    http::router app_;
};

} // namespace

TEST_SUITE("http/server/file_server") {
    TEST_CASE("a file comes with type, length and validators; HEAD gives the same without it [RFC 9110 9.3.2]") {
        const tree files;
        files.put("a.html", "<p>hello");
        files.put("sub/b.bin", std::string(100'000, 'b'));
        files.put("empty.txt", "");
        files.put("unknown", "?");
        site s(files);
        const answer a = s.get("/a.html");
        CHECK(a.status == 200);
        CHECK(a.body == "<p>hello");
        CHECK(a.field("Content-Type") == "text/html; charset=utf-8");
        CHECK(a.field("Last-Modified") == old_date);
        CHECK(a.field("ETag") == "\"ae1b981c3a4d715-8\"");
        CHECK(a.field("Accept-Ranges") == "bytes");
        CHECK(a.fields.count("Cache-Control") == 0);
        CHECK(a.fields.count("Vary") == 0);
        const answer h = s.head("/a.html");
        CHECK(h.status == 200);
        CHECK(h.body.empty());
        answer same = a;
        same.fields.erase("Date");
        answer got = h;
        got.fields.erase("Date");
        CHECK((same.fields == got.fields));
        CHECK((s.get("/sub/b.bin").body == std::string(100'000, 'b')));
        CHECK(s.get("/sub/b.bin").field("Content-Type") == "application/octet-stream");
        CHECK(s.get("/empty.txt").status == 200);
        CHECK(s.get("/empty.txt").body.empty());
        CHECK(s.get("/unknown").field("Content-Type") == "application/octet-stream");
        CHECK(s.get("/a.html?version=3").status == 200);
    }

    TEST_CASE("names are percent-decoded, and so are spaces and other octets") {
        const tree files;
        files.put("a b.txt", "space");
        files.put("d\xc3\xa9j\xc3\xa0.txt", "vu");
        files.put("a+b.txt", "plus");
        files.put("100%.txt", "percent");
        site s(files);
        CHECK(s.get("/a%20b.txt").body == "space");
        CHECK(s.get("/d%C3%A9j%C3%a0.txt").body == "vu");
        CHECK(s.get("/a+b.txt").body == "plus");
        CHECK(s.get("/100%25.txt").body == "percent");
        CHECK(s.get("/a%2520b.txt").status == 404); // decoded once
    }

    TEST_CASE("conditions decide between 200, 304 and 412 [RFC 9110 13.2.2]") {
        const tree files;
        files.put("a.txt", "0123456789");
        site s(files);
        const std::string etag = s.get("/a.txt").field("ETag");
        const answer not_modified = s.get("/a.txt", "If-None-Match: " + etag + "\r\n");
        CHECK(not_modified.status == 304);
        CHECK(not_modified.body.empty());
        CHECK(not_modified.field("ETag") == etag);
        CHECK(not_modified.field("Last-Modified") == old_date);
        CHECK(not_modified.fields.count("Content-Length") == 0);
        CHECK(not_modified.fields.count("Content-Type") == 0);
        CHECK(s.head("/a.txt", "If-None-Match: " + etag + "\r\n").status == 304);
        CHECK(s.get("/a.txt", "If-None-Match: \"x\"\r\n").status == 200);
        CHECK(s.get("/a.txt", std::string("If-Modified-Since: ") + old_date + "\r\n").status == 304);
        CHECK(s.get("/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n").status == 200);
        CHECK(s.get("/a.txt", "If-Match: \"x\"\r\n").status == 412);
        CHECK(s.get("/a.txt", "If-Match: " + etag + "\r\n").status == 200);
        CHECK(s.get("/a.txt", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n").status == 412);
        CHECK(s.get("/a.txt", "If-None-Match: " + etag + "\r\nRange: bytes=0-0\r\n").status == 304);
        CHECK(s.get("/a.txt", "If-Match: \"x\"\r\nRange: bytes=99-\r\n").status == 412);
        CHECK(s.get("/none.txt", "If-Match: \"x\"\r\n").status == 404);
    }

    TEST_CASE("one range is 206 with its place, none is 416 [RFC 9110 15.3.7, 15.5.17]") {
        const tree files;
        files.put("a.txt", "0123456789");
        site s(files);
        const answer a = s.get("/a.txt", "Range: bytes=2-4\r\n");
        CHECK(a.status == 206);
        CHECK(a.body == "234");
        CHECK(a.field("Content-Range") == "bytes 2-4/10");
        CHECK(a.field("Content-Type") == "text/plain; charset=utf-8");
        CHECK(a.field("Last-Modified") == old_date);
        CHECK(s.get("/a.txt", "Range: bytes=-3\r\n").body == "789");
        CHECK(s.get("/a.txt", "Range: bytes=0-\r\n").status == 206);
        const answer none = s.get("/a.txt", "Range: bytes=10-\r\n");
        CHECK(none.status == 416);
        CHECK(none.field("Content-Range") == "bytes */10");
        CHECK(s.get("/a.txt", "Range: lines=1-2\r\n").status == 200);
        CHECK(s.get("/a.txt", "Range: bytes=0-,0-0\r\n").status == 200);
        const answer h = s.head("/a.txt", "Range: bytes=2-4\r\n");
        CHECK(h.status == 206);
        CHECK(h.field("Content-Length") == "3");
        CHECK(h.body.empty());
    }

    TEST_CASE("several ranges are parts, in the order asked for [RFC 9110 14.6]") {
        const tree files;
        files.put("a.txt", "0123456789");
        site s(files);
        const answer a = s.get("/a.txt", "Range: bytes=-1,0-1\r\n");
        CHECK(a.status == 206);
        CHECK(a.fields.count("Content-Range") == 0);
        const std::string type = a.field("Content-Type");
        REQUIRE(type.starts_with("multipart/byteranges; boundary="));
        const std::string boundary = type.substr(31);
        CHECK(boundary.size() == 32);
        CHECK(a.body == "\r\n--" + boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n--" +
                            boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--" +
                            boundary + "--\r\n");
        CHECK(s.get("/a.txt", "Range: bytes=-1,0-1\r\n").field("Content-Type") != type); // another one each time
        CHECK(s.get("/a.txt", "Range: bytes=0-1,99-\r\n").field("Content-Range") == "bytes 0-1/10");
        CHECK(s.head("/a.txt", "Range: bytes=-1,0-1\r\n").field("Content-Length") == std::to_string(a.body.size()));
    }

    TEST_CASE("If-Range lets a range through only for the very same octets [RFC 9110 13.1.5]") {
        const tree files;
        files.put("a.txt", "0123456789");
        site s(files);
        const std::string etag = s.get("/a.txt").field("ETag");
        CHECK(s.get("/a.txt", "Range: bytes=0-0\r\nIf-Range: " + etag + "\r\n").status == 206);
        CHECK(s.get("/a.txt", "Range: bytes=0-0\r\nIf-Range: \"x\"\r\n").status == 200);
        CHECK(s.get("/a.txt", "Range: bytes=99-\r\nIf-Range: \"x\"\r\n").status == 200); // not 416
        CHECK(s.get("/a.txt", std::string("Range: bytes=0-0\r\nIf-Range: ") + old_date + "\r\n").status == 206);
        CHECK(s.get("/a.txt", "Range: bytes=0-0\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n").status == 200);
    }

    TEST_CASE("a date is no strong validator right after a change, and one to come is not said [RFC 9110 8.8.2]") {
        const tree files;
        std::ofstream(files / "new.txt") << "new";
        files.put("future.txt", "future");
        const ::timespec times[2] = {{4102444800, 0}, {4102444800, 0}};
        REQUIRE(::utimensat(AT_FDCWD, (files / "future.txt").c_str(), times, 0) == 0);
        const ::timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
        site s(files);
        REQUIRE(::utimensat(AT_FDCWD, (files / "new.txt").c_str(), now, 0) == 0);
        const std::string date = s.get("/new.txt").field("Last-Modified");
        CHECK(!date.empty());
        CHECK(s.get("/future.txt").fields.count("Last-Modified") == 0);
        CHECK(!s.get("/future.txt").field("ETag").empty());
    }

    TEST_CASE("a directory is answered with its index, and redirected to its path with a slash") {
        const tree files;
        files.put("index.html", "root");
        files.put("sub/index.html", "sub");
        fs::create_directories(files / "bare");
        site s(files);
        CHECK(s.get("/").body == "root");
        CHECK(s.get("/sub/").body == "sub");
        CHECK(s.get("/sub/").field("Content-Type") == "text/html; charset=utf-8");
        const answer to = s.get("/sub?a=1");
        CHECK(to.status == 301);
        CHECK(to.field("Location") == "/sub/?a=1");
        CHECK(s.get("/bare").status == 301);
        CHECK(s.get("/bare/").status == 403);
        CHECK(s.get("/none/").status == 404);
        CHECK(s.get("/index.html/").status == 404); // a file is no directory
        CHECK(s.get("/index.html/x").status == 404);
        http::file_options without;
        without.index = "";
        CHECK(site(files, without).get("/sub/").status == 403);
    }

    TEST_CASE("a listing is made if it is asked for, escaped, without dots and links") {
        const tree files;
        files.put("dir/b <i>.txt", "");
        files.put("dir/a.txt", "");
        files.put("dir/.hidden", "");
        files.put("dir/sub/x", "");
        fs::create_symlink("a.txt", files / "dir/link");
        http::file_options options;
        options.listing = true;
        const answer a = site(files, options).get("/dir/");
        CHECK(a.status == 200);
        CHECK(a.field("Content-Type") == "text/html; charset=utf-8");
        CHECK(a.body.find("<title>/dir/</title>") != std::string::npos);
        const std::size_t first = a.body.find("<li><a href=\"./a.txt\">a.txt</a></li>");
        const std::size_t second = a.body.find("<li><a href=\"./b%20%3Ci%3E.txt\">b &lt;i&gt;.txt</a></li>");
        CHECK(first < second);
        CHECK(second != std::string::npos);
        CHECK(a.body.find("<li><a href=\"./sub/\">sub/</a></li>") != std::string::npos);
        CHECK(a.body.find("hidden") == std::string::npos);
        CHECK(a.body.find("link") == std::string::npos);
        CHECK(site(files).get("/dir/").status == 403);
        CHECK(site(files, options).get("/none/").status == 404);
    }

    TEST_CASE("nothing outside of the root is served, by no name") {
        const tree outside;
        outside.put("secret.txt", "secret");
        const tree files;
        files.put("sub/a.txt", "a");
        files.put(".env", "secret");
        files.put(".git/config", "secret");
        files.put("sub/.hidden/a.txt", "secret");
        fs::create_symlink(outside / "secret.txt", files / "absolute");
        fs::create_symlink("../" + (outside / "secret.txt").parent_path().filename().string() + "/secret.txt", files / "relative");
        fs::create_symlink(outside.path(), files / "directory");
        fs::create_symlink("a.txt", files / "sub/inside");
        fs::create_symlink("/proc/self/cwd", files / "magic");
        REQUIRE(::mkfifo((files / "fifo").c_str(), 0600) == 0);
        site s(files);
        const std::string up = "/../" + (outside / "x").parent_path().filename().string() + "/secret.txt";
        for (const std::string& target :
             {std::string("/absolute"), std::string("/relative"), std::string("/directory/secret.txt"), std::string("/magic/a"),
              std::string("/.env"), std::string("/.git/config"), std::string("/sub/.hidden/a.txt"), std::string("/%2eenv"),
              std::string("/sub%2fa.txt"), std::string("/sub%2Fa.txt"), std::string("/sub/a.txt%00"), std::string("/sub/a.txt%00.html"),
              std::string("/%2e%2e/secret.txt"), std::string("/sub/%2e%2e/%2e%2e/secret.txt"), std::string("/..%2fsecret.txt"),
              std::string("/%2e%2e%2f") + up.substr(4), std::string("/fifo"), std::string("/sub/%2e/a.txt"),
              "/" + std::string(5000, 'a'), std::string("/..\\secret.txt"), std::string("/%2fetc/passwd")}) {
            CAPTURE(target);
            const answer a = s.get(target);
            CHECK((a.status == 404 || a.status == 308 || a.status == 400));
            CHECK(a.body.find("secret") == std::string::npos);
        }
        CHECK(s.get(up).body.find("secret") == std::string::npos);
        CHECK(s.get("/sub/inside").body == "a"); // a link that stays inside is followed
        http::file_options with_dots;
        with_dots.dot_files = true;
        CHECK(site(files, with_dots).get("/.env").body == "secret");
        CHECK(site(files, with_dots).get("/%2e%2e/x").status != 200);
    }

    TEST_CASE("without openat2, no link is followed at all") {
        const tree files;
        files.put("sub/a.txt", "a");
        fs::create_symlink("sub", files / "link");
        fs::create_symlink("sub/a.txt", files / "file");
        const http::detail::file_root root(files.path());
        const auto opens = [&](const std::string& path) {
            const unique_fd fd(root.walk(path));
            return fd.is_open();
        };
        CHECK(opens("sub/a.txt"));
        CHECK(opens("sub/"));
        CHECK(opens("sub"));
        CHECK(opens(""));
        CHECK(!opens("link/a.txt"));
        CHECK(!opens("link/"));
        CHECK(!opens("file"));
        CHECK(!opens("none/a.txt"));
        CHECK(!opens("sub/a.txt/"));
    }

    TEST_CASE("what cannot be read is 403, other methods are 405 [RFC 9110 15.5]") {
        const tree files;
        files.put("a.txt", "a");
        files.put("closed.txt", "c");
        REQUIRE(::chmod((files / "closed.txt").c_str(), 0) == 0);
        site s(files);
        if (::geteuid() != 0) {
            CHECK(s.get("/closed.txt").status == 403);
        }
        const answer a = s.get("/a.txt", "Content-Length: 0\r\n", "POST");
        CHECK(a.status == 405);
        http::router any;
        any.any("/{path...}", http::file_server(files.path()));
        site all(std::move(any));
        const answer b = all.get("/a.txt", "Content-Length: 0\r\n", "PUT");
        CHECK(b.status == 405);
        CHECK(b.field("Allow") == "GET, HEAD");
        CHECK_THROWS_AS(http::file_server((files / "none").string()), flux::error);
        CHECK_THROWS_AS(http::file_server((files / "a.txt").string()), flux::error);
    }

    TEST_CASE("a file that is stored coded goes to who accepts that, as a representation of its own [RFC 9110 12.5.3]") {
        const tree files;
        files.put("a.js", "plain");
        files.put("a.js.gz", "gzipped");
        files.put("a.js.br", "brotli");
        files.put("b.js", "plain b");
        files.put("index.html", "index");
        files.put("index.html.gz", "index gz");
        http::file_options options;
        options.precompressed = true;
        site s(files, options);
        const answer plain = s.get("/a.js");
        CHECK(plain.body == "plain");
        CHECK(plain.field("Vary") == "Accept-Encoding");
        CHECK(plain.fields.count("Content-Encoding") == 0);
        const answer gz = s.get("/a.js", "Accept-Encoding: gzip\r\n");
        CHECK(gz.body == "gzipped");
        CHECK(gz.field("Content-Encoding") == "gzip");
        CHECK(gz.field("Content-Type") == "text/javascript; charset=utf-8");
        CHECK(gz.field("Vary") == "Accept-Encoding");
        CHECK(gz.field("ETag") != plain.field("ETag"));
        CHECK(gz.field("ETag").ends_with("-gz\""));
        CHECK(s.get("/a.js", "Accept-Encoding: gzip, br\r\n").body == "brotli");
        CHECK(s.get("/a.js", "Accept-Encoding: gzip, br;q=0.5\r\n").body == "gzipped");
        CHECK(s.get("/a.js", "Accept-Encoding: gzip;q=0\r\n").body == "plain");
        CHECK(s.get("/b.js", "Accept-Encoding: gzip, br\r\n").body == "plain b");
        CHECK(s.get("/", "Accept-Encoding: gzip, br\r\n").body == "index gz"); // there is no .br
        CHECK(s.get("/", "Accept-Encoding: br\r\n").body == "index");
        const answer part = s.get("/a.js", "Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n");
        CHECK(part.body == "gz");
        CHECK(part.field("Content-Encoding") == "gzip");
        CHECK(s.get("/a.js", "Accept-Encoding: gzip\r\nIf-None-Match: " + gz.field("ETag") + "\r\n").status == 304);
        CHECK(s.get("/a.js", "If-None-Match: " + gz.field("ETag") + "\r\n").status == 200);
        CHECK(site(files).get("/a.js", "Accept-Encoding: gzip\r\n").body == "plain"); // off by default
    }

    TEST_CASE("serves below a prefix, in a mounted router, and as a fallback") {
        const tree files;
        files.put("sub/a.txt", "a");
        http::router inner;
        inner.get("/files/{path...}", http::file_server(files.path()));
        http::router app;
        app.mount("/tenants/{tenant}", std::move(inner));
        app.get("/static/{path...}", http::file_server(files.path()));
        app.fallback(http::file_server(files.path()));
        site s(std::move(app));
        CHECK(s.get("/tenants/x/files/sub/a.txt").body == "a");
        CHECK(s.get("/tenants/x/files/sub").field("Location") == "/tenants/x/files/sub/");
        CHECK(s.get("/static/sub/a.txt").body == "a");
        CHECK(s.get("/sub/a.txt").body == "a");
        CHECK(s.get("/static/../sub/a.txt").status != 200);
        CHECK(s.get("//sub//a.txt").status != 200);
    }

    TEST_CASE("the cache is told what it may do, if that is given") {
        const tree files;
        files.put("a.txt", "a");
        http::file_options options;
        options.cache_control = "public, max-age=60";
        options.charset = "";
        site s(files, options);
        const answer a = s.get("/a.txt");
        CHECK(a.field("Cache-Control") == "public, max-age=60");
        CHECK(a.field("Content-Type") == "text/plain");
        CHECK(s.get("/a.txt", "If-None-Match: *\r\n").field("Cache-Control") == "public, max-age=60");
    }
}
