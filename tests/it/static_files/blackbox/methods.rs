//! Methods, and the messages in which they come.

use super::{
    probe::{Probe, Request, ask, get, probe, status},
    site::TEN,
};

pub fn probes() -> Vec<Probe> {
    let whole = || status([200]).body(TEN);
    let mut probes = vec![
        probe(
            "RFC 9110 §9.3.1",
            "GET",
            get("/ten.txt"),
            whole().has("content-length", "10"),
        ),
        probe(
            "RFC 9110 §14.3",
            "ranges are offered",
            get("/ten.txt"),
            whole(),
        )
        .ours(whole().has("accept-ranges", "bytes")),
        probe(
            "RFC 9110 §8.8.3",
            "a tag is given",
            get("/ten.txt"),
            whole().has_any("etag"),
        ),
        probe(
            "RFC 9110 §9.3.1",
            "GET of an empty file",
            get("/empty.txt"),
            status([200]).body("").has("content-length", "0"),
        ),
        // "The server SHOULD send the same header fields in response to a HEAD request as it
        // would have sent if the request method had been GET."
        probe("RFC 9110 §9.3.2", "HEAD", ask("HEAD", "/ten.txt"), {
            status([200]).has("content-length", "10").has_any("etag")
        }),
        probe(
            "RFC 9110 §9.3.2",
            "HEAD of a large file",
            ask("HEAD", "/big.bin"),
            status([200]).has("content-length", "300000"),
        ),
        probe(
            "RFC 9110 §9.3.2",
            "HEAD of an empty file",
            ask("HEAD", "/empty.txt"),
            status([200]).has("content-length", "0"),
        ),
        probe(
            "RFC 9110 §15.5.5",
            "GET of nothing",
            get("/nothing"),
            status([404]),
        ),
        probe(
            "RFC 9110 §15.5.5",
            "HEAD of nothing",
            ask("HEAD", "/nothing"),
            status([404]),
        ),
        // Reason enough for both: "An origin server that receives a request method that is
        // unrecognized or not implemented SHOULD respond with the 501 (Not Implemented) status
        // code"; one that is "recognized and implemented, but not allowed", 405.
        probe(
            "RFC 9110 §9.1",
            "a method of nobody's",
            ask("BREW", "/ten.txt"),
            status([405, 501]),
        )
        .ours(status([405]).lists("allow", &["GET", "HEAD"])),
        probe(
            "RFC 9110 §9.1",
            "methods are case-sensitive",
            ask("get", "/ten.txt"),
            status([400, 405, 501]),
        )
        .ours(status([405])),
        probe("RFC 9110 §9.3.7", "OPTIONS", ask("OPTIONS", "/ten.txt"), {
            status([200, 204, 405]).lists("allow", &["GET", "HEAD"])
        })
        .ours(status([204]).lists("allow", &["GET", "HEAD", "OPTIONS"])),
        probe(
            "RFC 9110 §9.3.7",
            "OPTIONS of the server",
            ask("OPTIONS", "*"),
            status([200, 204, 405, 501]),
        )
        .ours(status([204])),
        probe("RFC 9110 §9.3.8", "TRACE", ask("TRACE", "/ten.txt"), {
            status([405, 501]).or(status([200]).has("content-type", "message/http"))
        })
        .ours(status([405])),
        probe(
            "RFC 9110 §9.3.6",
            "CONNECT",
            ask("CONNECT", "localhost:80"),
            status([400, 404, 405, 501]),
        ),
    ];
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let name = format!("{method} is not allowed");
        let expected = status([405]).lists("allow", &["GET", "HEAD"]);
        probes.push(probe(
            "RFC 9110 §15.5.6",
            name,
            ask(method, "/ten.txt"),
            expected,
        ));
    }
    probes.extend(with_bodies());
    probes.extend(messages());
    probes
}

fn chunked(request: Request) -> Request {
    request
        .with("Transfer-Encoding", "chunked")
        .body("3\r\nabc\r\n0\r\n\r\n")
}

/// What is asked next on the connection shows that the body was read as one.
fn with_bodies() -> Vec<Probe> {
    let whole = || status([200]).body(TEN);
    let sized = |request: Request| request.with("Content-Length", "3").body("abc");
    let not_allowed = || status([405]);
    vec![
        // "content received in a GET request has no generally defined semantics [...] and might
        // lead some implementations to reject the request".
        probe(
            "RFC 9110 §9.3.1",
            "GET with a body",
            sized(get("/ten.txt")),
            whole().or(status([400, 413])),
        )
        .ours(whole()),
        probe(
            "RFC 9112 §6.3",
            "GET with a chunked body",
            chunked(get("/ten.txt")),
            whole().or(status([400, 411, 413])),
        )
        .ours(whole()),
        probe(
            "RFC 9112 §6.3",
            "HEAD with a body",
            sized(ask("HEAD", "/ten.txt")),
            status([200, 400, 413]),
        )
        .ours(status([200])),
        probe(
            "RFC 9112 §6.3",
            "a miss with a body",
            sized(get("/nothing")),
            status([404]),
        ),
        probe(
            "RFC 9112 §6.3",
            "POST with a body",
            sized(ask("POST", "/ten.txt")),
            not_allowed(),
        ),
        probe(
            "RFC 9112 §6.3",
            "PUT with a chunked body",
            chunked(ask("PUT", "/ten.txt")),
            not_allowed(),
        ),
        probe(
            "RFC 9110 §10.1.1",
            "GET that expects to continue",
            sized(get("/ten.txt").with("Expect", "100-continue")),
            whole().or(status([417])),
        )
        .ours(whole()),
        probe(
            "RFC 9110 §10.1.1",
            "POST that expects to continue",
            sized(ask("POST", "/ten.txt").with("Expect", "100-continue")),
            status([405, 417]),
        ),
    ]
}

fn messages() -> Vec<Probe> {
    let whole = || status([200]).body(TEN);
    let absolute = |target| get(target).with("Host", "localhost");
    vec![
        // "MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
        // lacks a Host header field and to any request message that contains more than one Host
        // header field line or a Host header field with an invalid field value."
        probe(
            "RFC 9112 §3.2",
            "no Host",
            get("/ten.txt").without_host(),
            status([400]),
        ),
        probe(
            "RFC 9112 §3.2",
            "two Hosts",
            get("/ten.txt")
                .with("Host", "one.example")
                .with("Host", "two.example"),
            status([400]),
        ),
        probe(
            "RFC 9112 §3.2",
            "a Host that is none",
            get("/ten.txt").with("Host", "exam ple"),
            status([400]),
        ),
        // "MUST accept the absolute-form in requests".
        probe(
            "RFC 9112 §3.2.2",
            "the absolute form",
            absolute("http://localhost/ten.txt"),
            whole(),
        ),
        probe(
            "RFC 9112 §3.2.2",
            "the absolute form without a path",
            absolute("http://localhost"),
            status([200]).body("home"),
        ),
        probe(
            "RFC 9112 §9.6",
            "close",
            get("/ten.txt").with("Connection", "close"),
            whole().lists("connection", &["close"]),
        ),
        probe(
            "RFC 9110 §7.8",
            "an upgrade to nothing known",
            get("/ten.txt")
                .with("Connection", "upgrade")
                .with("Upgrade", "smoke-signals/1"),
            whole(),
        ),
        probe(
            "RFC 9112 §9.3",
            "HTTP/1.0",
            get("/ten.txt").version("HTTP/1.0"),
            whole(),
        ),
        probe(
            "RFC 9112 §9.3",
            "HTTP/1.0, a large file",
            get("/big.bin").version("HTTP/1.0"),
            status([200]).body(super::site::big()),
        ),
        // "MUST reject, with a response status code of 400 (Bad Request), any received request
        // message that contains whitespace between a header field name and colon."
        probe(
            "RFC 9112 §5.1",
            "a space before a colon",
            get("/ten.txt").with("Accept ", "*/*"),
            status([400]),
        ),
        probe(
            "RFC 9112 §6.3",
            "two lengths",
            get("/ten.txt")
                .with("Content-Length", "3")
                .with("Content-Length", "4")
                .body("abc"),
            status([400]),
        ),
        probe(
            "RFC 9112 §6.3",
            "a length that is none",
            get("/ten.txt").with("Content-Length", "-1"),
            status([400]),
        ),
        probe(
            "RFC 9110 §5.5",
            "a field with a NUL",
            get("/ten.txt").with("X-Field", "a\0b"),
            status([400]).or(whole()),
        ),
    ]
}
