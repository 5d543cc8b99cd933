//! What a path names: RFC 3986 §6.2.2, and RFC 9110 §17.3 on what it must never name.

use super::{
    probe::{Expected, Probe, get, probe, status},
    site::{NAMES, TEN},
};

fn ten() -> Expected {
    status([200]).body(TEN)
}

fn nothing() -> Expected {
    status([404])
}

/// Whatever the answer is, it is no file.
fn no_file() -> Expected {
    status([301, 302, 307, 308, 400, 403, 404, 414])
}

pub fn probes() -> Vec<Probe> {
    let mut probes = directories();
    probes.extend(spellings());
    probes.extend(traversals());
    probes.extend(names());
    probes
}

/// A redirect to this path on this host, or a relative one from `/dir` that leads there.
fn leads_to(path: &str) -> Expected {
    let redirect = || status([301, 302, 303, 307, 308]);
    redirect()
        .has("location", path)
        .or(redirect().has("location", format!("http://localhost{path}")))
        .or(redirect().has("location", path.trim_start_matches('/')))
}

fn directories() -> Vec<Probe> {
    let index = || {
        status([200])
            .body("in a directory")
            .begins("content-type", "text/html")
    };
    let no_listing = || status([403, 404]);
    vec![
        probe("RFC 9110 §9.3.1", "the index of the root", get("/"), {
            status([200])
                .body("home")
                .begins("content-type", "text/html")
        }),
        probe(
            "RFC 9110 §9.3.1",
            "the index of a directory",
            get("/dir/"),
            index(),
        ),
        probe(
            "RFC 9110 §9.3.1",
            "the index by its name",
            get("/dir/index.html"),
            index(),
        ),
        probe(
            "RFC 9110 §15.4",
            "a directory without its slash",
            get("/dir"),
            leads_to("/dir/"),
        ),
        probe(
            "RFC 9110 §15.4",
            "with a query",
            get("/dir?a=1&b=%2F//c"),
            leads_to("/dir/?a=1&b=%2F//c"),
        ),
        probe("RFC 9110 §15.4", "with an empty query", get("/dir?"), {
            leads_to("/dir/?").or(leads_to("/dir/"))
        }),
        probe(
            "RFC 9110 §15.4",
            "HEAD of it",
            super::probe::ask("HEAD", "/dir"),
            leads_to("/dir/"),
        ),
        // A space and a question mark cannot stand in the path of a Location.
        probe(
            "RFC 9110 §10.2.2",
            "a directory with a space",
            get("/dir%20with%20space"),
            leads_to("/dir%20with%20space/"),
        ),
        probe(
            "RFC 9110 §10.2.2",
            "a directory with a question mark",
            get("/dir%3Fq"),
            leads_to("/dir%3Fq/"),
        ),
        // RFC 3986 §4.2: "A relative reference that begins with two slash characters is termed a
        // network-path reference": it names another host.
        probe(
            "RFC 3986 §4.2",
            "two slashes before a directory",
            get("//evil.example"),
            leads_to("/evil.example/").or(no_file_or_redirect()),
        ),
        probe("RFC 3986 §4.2", "and a query", get("//evil.example?a"), {
            leads_to("/evil.example/?a").or(no_file_or_redirect())
        }),
        probe("RFC 3986 §4.2", "four slashes", get("////evil.example"), {
            leads_to("/evil.example/").or(no_file_or_redirect())
        }),
        probe(
            "RFC 3986 §4.2",
            "slashes and a dot",
            get("/.//evil.example"),
            leads_to("/evil.example/").or(no_file_or_redirect()),
        ),
        probe(
            "RFC 3986 §4.2",
            "slashes after two dots",
            get("/dir/..//evil.example"),
            leads_to("/evil.example/").or(no_file_or_redirect()),
        ),
        probe(
            "RFC 3986 §4.2",
            "an encoded slash",
            get("/%2Fevil.example"),
            leads_to("/evil.example/").or(no_file_or_redirect()),
        ),
        probe(
            "RFC 3986 §4.2",
            "a backslash",
            get("/%5Cevil.example"),
            no_file(),
        ),
        probe(
            "RFC 9110 §17.3",
            "a directory without an index",
            get("/bare/"),
            no_listing(),
        ),
        probe("RFC 9110 §17.3", "without its slash", get("/bare"), {
            no_listing().or(leads_to("/bare/"))
        })
        .ours(nothing()),
        probe(
            "RFC 9110 §15.5.5",
            "what is not in a directory",
            get("/dir/nothing"),
            nothing(),
        ),
        probe(
            "RFC 9110 §15.5.5",
            "a file in a file",
            get("/ten.txt/nothing"),
            nothing(),
        ),
        probe(
            "RFC 9110 §15.5.5",
            "a slash behind a file",
            get("/ten.txt/"),
            no_file(),
        )
        .ours(nothing()),
        probe(
            "RFC 9110 §15.5.5",
            "an index behind a file",
            get("/ten.txt/index.html"),
            nothing(),
        ),
    ]
}

fn no_file_or_redirect() -> Expected {
    status([400, 403, 404])
}

fn spellings() -> Vec<Probe> {
    let redirected = || status([301, 302, 307, 308]).has("location", "/ten.txt");
    let lines: Vec<(&'static str, &str, &str, Expected)> = vec![
        ("RFC 3986 §6.2.2.2", "a letter escaped", "/%74en.txt", ten()),
        ("RFC 3986 §6.2.2.2", "a dot escaped", "/ten%2Etxt", ten()),
        ("RFC 3986 §6.2.2.1", "in lower case", "/ten%2etxt", ten()),
        (
            "RFC 3986 §6.2.2.1",
            "a name in another case",
            "/TEN.TXT",
            nothing(),
        ),
        (
            "RFC 3986 §6.2.2.3",
            "a dot",
            "/./ten.txt",
            ten().or(redirected()),
        ),
        (
            "RFC 3986 §6.2.2.3",
            "two dots",
            "/dir/../ten.txt",
            ten().or(redirected()).or(status([400, 404])),
        ),
        (
            "RFC 3986 §6.2.2.3",
            "two dots too many",
            "/../../ten.txt",
            ten().or(redirected()).or(status([400, 404])),
        ),
        (
            "RFC 3986 §6.2.2.3",
            "two dots, escaped",
            "/dir/%2e%2E/ten.txt",
            ten().or(redirected()).or(status([400, 404])),
        ),
        (
            "RFC 3986 §3.3",
            "two slashes",
            "//ten.txt",
            ten().or(redirected()).or(nothing()),
        ),
        ("RFC 3986 §3.4", "a query", "/ten.txt?x=1", ten()),
        (
            "RFC 3986 §3.4",
            "a query with dots and slashes",
            "/ten.txt?../../x//y",
            ten(),
        ),
        (
            "RFC 3986 §3.4",
            "a query with an escape that is none",
            "/ten.txt?%zz",
            ten(),
        ),
        (
            "RFC 3986 §2.1",
            "an escape that is none",
            "/ten%zz.txt",
            status([400, 404]),
        ),
        (
            "RFC 3986 §2.1",
            "half an escape",
            "/ten.txt%",
            status([400, 404]),
        ),
        (
            "RFC 3986 §2.1",
            "two thirds of one",
            "/ten.txt%2",
            status([400, 404]),
        ),
        (
            "RFC 3986 §7.3",
            "a NUL behind a name",
            "/ten.txt%00",
            status([400, 404]),
        ),
        (
            "RFC 3986 §7.3",
            "a NUL in it",
            "/ten.txt%00.html",
            status([400, 404]),
        ),
        (
            "RFC 3986 §2.2",
            "an encoded slash is none",
            "/dir%2Findex.html",
            status([400, 404]),
        ),
        (
            "RFC 3986 §2.4",
            "nothing is decoded twice",
            "/%2574en.txt",
            status([400, 404]),
        ),
    ];
    lines
        .into_iter()
        .map(|(rule, name, target, right)| probe(rule, name, get(target), right))
        .collect()
}

/// "Attacks Based on File and Path Names": "path segment names that have special meaning".
fn traversals() -> Vec<Probe> {
    let mut probes = Vec::new();
    for target in [
        "/../beside/secret.txt",
        "/dir/../../beside/secret.txt",
        "/%2e%2e/beside/secret.txt",
        "/.%2e/beside/secret.txt",
        "/..%2fbeside%2fsecret.txt",
        "/..%5cbeside%5csecret.txt",
        "/..%5Cbeside/secret.txt",
        "/%252e%252e/beside/secret.txt",
        "/..;/beside/secret.txt",
        "/..%00/beside/secret.txt",
        "/dir/..%c0%af../beside/secret.txt",
        "/%c0%ae%c0%ae/beside/secret.txt",
        "//etc/passwd",
        "/%2Fetc%2Fpasswd",
        "/file:///etc/passwd",
        "/~root/",
        "/.../beside/secret.txt",
    ] {
        probes.push(probe("RFC 9110 §17.3", target, get(target), no_file()));
    }
    // What nobody meant to publish; it is for a server to say so.
    for target in ["/.env", "/.git/config", "/%2eenv", "/.git/", "/dir/../.env"] {
        let right = no_file().or(status([200]));
        probes.push(probe("RFC 9110 §17.3", target, get(target), right).ours(nothing()));
    }
    // "a path prefix [...] for "well-known locations"".
    let well_known = get("/.well-known/security.txt");
    probes.push(probe("RFC 8615 §3", "a well-known name", well_known, {
        status([200]).body("Contact:")
    }));
    probes
}

fn names() -> Vec<Probe> {
    let escape = |name: &[u8]| -> String {
        percent_encoding::percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let mut probes = Vec::new();
    for name in NAMES {
        let target = format!("/{}", escape(name));
        let label = format!("a file called {:?}", String::from_utf8_lossy(name));
        // Octets that are no UTF-8 are of a URI like any others; not of every file system.
        let right = match std::str::from_utf8(name) {
            Ok(_) => status([200]).body("named"),
            Err(_) => status([200]).body("named").or(status([400, 404])),
        };
        let ours = status([200]).body("named");
        probes.push(probe("RFC 3986 §2.1", label, get(&target), right).ours(ours));
    }
    for target in ["/a+b.txt", "/semi;v=1.txt"] {
        let name = format!("{target} as it is");
        probes.push(probe(
            "RFC 3986 §3.3",
            name,
            get(target),
            status([200]).body("named"),
        ));
    }
    // No octet beyond ASCII stands in a URI as it is; some servers take it.
    let long = |length| format!("/{}", "x".repeat(length));
    let refused = || status([404, 414, 431]);
    probes.extend([
        probe(
            "RFC 3986 §3.3",
            "a plus is no space",
            get("/sp+ace.txt"),
            nothing(),
        ),
        probe(
            "RFC 3986 §3.3",
            "a parameter is of the name",
            get("/ten.txt;v=1"),
            nothing(),
        ),
        probe(
            "RFC 9110 §4.1",
            "a name of 255 bytes",
            get(&long(255)),
            status([200]).body("long"),
        ),
        probe(
            "RFC 9110 §15.5.5",
            "a name of 256 bytes",
            get(&long(256)),
            nothing(),
        ),
        probe(
            "RFC 9110 §15.5.5",
            "a name of 4,000 bytes",
            get(&long(4000)),
            refused(),
        ),
        probe(
            "RFC 9110 §15.5.15",
            "a name of 7,000 bytes",
            get(&long(7000)),
            refused(),
        ),
        probe(
            "RFC 9110 §15.5.15",
            "a path of 6,000 bytes",
            get(&"/dir".repeat(1500)),
            refused(),
        ),
        probe(
            "RFC 9110 §15.5.15",
            "a path of 60,000 bytes",
            get(&"/dir".repeat(15_000)),
            refused().or(status([400])),
        ),
        probe(
            "RFC 9110 §17.3",
            "a backslash in a name",
            get("/back%5Cslash.txt"),
            status([200, 400, 404]),
        )
        .ours(status([400])),
        probe(
            "RFC 9110 §17.3",
            "line breaks come back in no field",
            get("/dir%0D%0AX-Injected:%20yes"),
            no_file().lacks("x-injected"),
        ),
        probe(
            "RFC 9110 §17.3",
            "nor those of a query",
            get("/dir?%0D%0AX-Injected:%20yes"),
            leads_to("/dir/?%0D%0AX-Injected:%20yes").lacks("x-injected"),
        ),
    ]);
    probes
}
