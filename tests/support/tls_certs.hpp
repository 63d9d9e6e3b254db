// SPDX-License-Identifier: MIT
// tests/support/tls_certs.hpp - certificates made by the openssl command while tests run.
//
//     cert_lab& lab = cert_lab::shared();
//     const pair& ca = lab.root("ca");
//     const pair& a = lab.issue(ca, "a", {.san = "DNS:a.test"});
//
// All of it lies in a directory that goes with the process. A certificate of the same name is made once.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include <unistd.h>

namespace test_support {

inline std::string slurp(const std::string& path) {
    std::string text;
    if (std::FILE* in = std::fopen(path.c_str(), "rb")) {
        char piece[4096];
        for (std::size_t n = 0; (n = std::fread(piece, 1, sizeof(piece), in)) != 0;) {
            text.append(piece, n);
        }
        std::fclose(in);
    }
    return text;
}
inline void spew(const std::string& path, const std::string& text) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << text;
}

class cert_lab {
public:
    struct pair {
        std::string name;
        std::string cert; // path
        std::string key;  // path
        std::string chain; // path: the certificate and those above it, without the root
        std::string issuer_chain; // PEM of what is between it and the root, its own certificate first if it is no root
        [[nodiscard]] std::string cert_pem() const { return slurp(cert); }
        [[nodiscard]] std::string key_pem() const { return slurp(key); }
        [[nodiscard]] std::string chain_pem() const { return slurp(chain); }
    };
    struct spec {
        std::string san;                       // "DNS:a.test,IP:127.0.0.1"; empty: none
        std::string key = "ec";                // ec, p384, rsa2048, rsa1024, ed25519, p224
        std::string hash = "sha256";
        std::string basic = "CA:FALSE";
        std::string usage = "digitalSignature";
        std::string extended = "serverAuth,clientAuth";
        std::string extra;                     // more lines of the extension section
        std::string from;                      // "20200101000000Z"; empty: yesterday
        std::string until;                     // empty: in ten years
        std::string subject;                   // empty: /CN=<name>
    };

    static cert_lab& shared() {
        static cert_lab lab;
        return lab;
    }
    cert_lab() {
        char name[] = "/tmp/flux_certs_XXXXXX";
        if (::mkdtemp(name) == nullptr) {
            throw std::runtime_error("mkdtemp");
        }
        dir_ = name;
    }
    cert_lab(const cert_lab&) = delete;
    cert_lab& operator=(const cert_lab&) = delete;
    ~cert_lab() { std::system(("rm -rf " + dir_).c_str()); }

    [[nodiscard]] const std::string& dir() const { return dir_; }
    [[nodiscard]] std::string path(const std::string& name) const { return dir_ + "/" + name; }

    /// A self-signed authority.
    const pair& root(const std::string& name, spec s = authority_spec()) {
        if (const auto known = made_.find(name); known != made_.end()) {
            return known->second;
        }
        pair p = files(name);
        make_key(p, s);
        sign(p, s, nullptr);
        spew(p.chain, p.cert_pem());
        return made_.emplace(name, p).first->second;
    }
    /// What `by` signs. Its chain has everything up to, but without, the root.
    const pair& issue(const pair& by, const std::string& name, const spec& s) {
        if (const auto known = made_.find(name); known != made_.end()) {
            return known->second;
        }
        pair p = files(name);
        make_key(p, s);
        sign(p, s, &by);
        p.issuer_chain = p.cert_pem() + by.issuer_chain;
        spew(p.chain, p.issuer_chain);
        return made_.emplace(name, p).first->second;
    }
    static spec authority_spec() {
        spec s;
        s.basic = "critical,CA:TRUE";
        s.usage = "critical,keyCertSign,cRLSign";
        s.extended.clear();
        return s;
    }
    /// A revocation list of `by` that names these certificates. Returns its path.
    std::string revocation_list(const pair& by, const std::string& name, const std::string& revoked_serial_lines) {
        const std::string base = path("crl_" + name);
        spew(base + ".index", revoked_serial_lines);
        spew(base + ".number", "01\n");
        spew(base + ".cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=" + base + ".index\ncrlnumber=" + base +
                                ".number\ndefault_md=sha256\ndefault_crl_days=30\n");
        run("openssl ca -batch -config " + base + ".cnf -gencrl -cert " + by.cert + " -keyfile " + by.key + " -out " + base + ".pem");
        return base + ".pem";
    }
    /// The index line that marks a certificate as revoked.
    std::string revoked_line(const pair& p) {
        run("openssl x509 -in " + p.cert + " -noout -serial | sed s/serial=// > " + path("serial"));
        std::string serial = slurp(path("serial"));
        serial = serial.substr(0, serial.find('\n'));
        return "R\t350101000000Z\t250101000000Z\t" + serial + "\tunknown\t/CN=" + p.name + "\n";
    }
    /// What `by` says of `p` as an OCSP responder: 'V' good or 'R' revoked, good for 30 days. Returns its path, DER.
    std::string ocsp_response(const pair& by, const pair& p, char status) {
        const std::string base = path("ocsp_" + p.name + "_by_" + by.name + status);
        std::string line = revoked_line(p);
        if (status == 'V') {
            line = "V\t350101000000Z\t" + line.substr(line.find('\t', 16));
        }
        spew(base + ".index", line);
        run("openssl ocsp -issuer " + by.cert + " -cert " + p.cert + " -reqout " + base + ".req -no_nonce");
        run("openssl ocsp -index " + base + ".index -CA " + by.cert + " -rsigner " + by.cert + " -rkey " + by.key + " -reqin " +
            base + ".req -respout " + base + ".der -ndays 30");
        return base + ".der";
    }
    void run(const std::string& command) const {
        if (std::system(("(" + command + ") >" + dir_ + "/log 2>&1").c_str()) != 0) {
            throw std::runtime_error(command + "\n" + slurp(dir_ + "/log"));
        }
    }

private:
    [[nodiscard]] pair files(const std::string& name) const {
        pair p;
        p.name = name;
        p.cert = path(name + ".pem");
        p.key = path(name + ".key");
        p.chain = path(name + ".chain");
        return p;
    }
    void make_key(const pair& p, const spec& s) const {
        if (s.key == "ec" || s.key == "p384" || s.key == "p224") {
            const std::string curve = s.key == "ec" ? "prime256v1" : s.key == "p384" ? "secp384r1" : "secp224r1";
            run("openssl ecparam -name " + curve + " -genkey -noout -out " + p.key);
        } else if (s.key.rfind("rsa", 0) == 0) {
            run("openssl genrsa -out " + p.key + " " + s.key.substr(3));
        } else {
            run("openssl genpkey -algorithm " + s.key + " -out " + p.key);
        }
    }
    // By "openssl ca", which alone lets the dates be chosen.
    void sign(const pair& p, const spec& s, const pair* by) const {
        const std::string subject = s.subject.empty() ? "/CN=" + p.name : s.subject;
        run("openssl req -new -key " + p.key + " -subj '" + subject + "' -out " + path(p.name + ".csr"));
        std::string ext = "[e]\n";
        ext += s.basic.empty() ? "" : "basicConstraints=" + s.basic + "\n";
        ext += s.usage.empty() ? "" : "keyUsage=" + s.usage + "\n";
        ext += s.extended.empty() ? "" : "extendedKeyUsage=" + s.extended + "\n";
        ext += s.san.empty() ? "" : "subjectAltName=" + s.san + "\n";
        ext += "subjectKeyIdentifier=hash\n";
        ext += by == nullptr ? "" : "authorityKeyIdentifier=keyid\n";
        ext += s.extra;
        const std::string base = path(p.name);
        spew(base + ".ext", ext);
        spew(base + ".index", "");
        spew(base + ".cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=" + base + ".index\nnew_certs_dir=" + dir_ +
                                "\nrand_serial=yes\nunique_subject=no\npolicy=p\ncopy_extensions=none\n[p]\ncommonName=optional\n"
                                "organizationName=optional\norganizationalUnitName=optional\n");
        std::string command = "openssl ca -batch -notext -config " + base + ".cnf -in " + base + ".csr -out " + p.cert +
                              " -md " + (s.key == "ed25519" && by == nullptr ? "default" : s.hash) + " -extfile " + base +
                              ".ext -extensions e -startdate " + (s.from.empty() ? "20240101000000Z" : s.from) +
                              " -enddate " + (s.until.empty() ? "20450101000000Z" : s.until);
        command += by == nullptr ? " -selfsign -keyfile " + p.key : " -cert " + by->cert + " -keyfile " + by->key;
        run(command);
    }

    std::string dir_;
    std::map<std::string, pair> made_;
};

inline cert_lab& lab() { return cert_lab::shared(); }
/// The authority that everybody trusts.
inline const cert_lab::pair& ca() { return lab().root("ca"); }
/// A certificate for these names, "DNS:a.test,IP:127.0.0.1". One of the same name is made once.
inline const cert_lab::pair& named(const std::string& name, const std::string& san, const cert_lab::pair& by = ca()) {
    cert_lab::spec s;
    s.san = san;
    return lab().issue(by, name, s);
}

} // namespace test_support
