//! The lines of a head, and what a careless reader makes of them.

use super::probe::{Probe, probe};

/// Bad, or too large.
const BAD: &[u16] = &[400, 431];

pub fn probes() -> Vec<Probe> {
    let mut probes = request_lines();
    probes.extend(fields());
    probes.extend(sizes());
    probes
}

fn request_lines() -> Vec<Probe> {
    const RULE: &str = "RFC 9112 §3";
    let line = |name, line: &str| probe(RULE, name, format!("{line}\r\nHost: a\r\n\r\n"));
    let bad = |name, text| line(name, text).refused(&[400, 404, 405, 414, 501, 505]);
    vec![
        probe(
            "RFC 9112 §2.2",
            "an empty line before a request is ignored",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .passes()
        .target("/")
        .goes(),
        bad("two spaces before the target", "GET  / HTTP/1.1"),
        bad("a tab before the target", "GET\t/ HTTP/1.1"),
        bad("a space in the target", "GET /a b HTTP/1.1"),
        bad("a target without a slash", "GET evil HTTP/1.1"),
        bad("a target of OPTIONS alone", "GET * HTTP/1.1"),
        bad("a target of CONNECT alone", "GET evil:80 HTTP/1.1"),
        bad("no version", "GET /"),
        bad("HTTP/0.9", "GET / HTTP/0.9"),
        bad("HTTP/2 in words", "GET / HTTP/2.0"),
        bad("HTTP/3 in words", "GET / HTTP/3.0"),
        bad("a version that is none", "GET / HTTP/1.11"),
        bad("another protocol", "GET / HTTQ/1.1"),
        bad("a version in small letters", "GET / http/1.1"),
        bad(
            "something behind the version",
            "GET / HTTP/1.1 GET /smuggled HTTP/1.1",
        ),
        bad("a method that is no token", "G(E)T / HTTP/1.1"),
        bad("a control character in the target", "GET /\x01 HTTP/1.1"),
        bad("a NUL in the target", "GET /\0 HTTP/1.1"),
        bad("a bare CR in the target", "GET /\rX:y HTTP/1.1"),
        line(
            "a method of one's own is passed on",
            "PURGE-all /x HTTP/1.1",
        )
        .passes()
        .request("as it is", |request| {
            request.raw.starts_with("PURGE-all /x HTTP/1.1\r\n")
        }),
        line("CONNECT is refused", "CONNECT a:443 HTTP/1.1").refused(&[400, 405, 501]),
        bad(
            "a target too long",
            &format!("GET /{} HTTP/1.1", "a".repeat(100_000)),
        )
        .refused(&[400, 414, 431]),
    ]
}

fn fields() -> Vec<Probe> {
    const RULE: &str = "RFC 9112 §5";
    let field = |name, lines: &str| {
        probe(
            RULE,
            name,
            format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\nX-End: end\r\n\r\n"),
        )
    };
    let bad = |name, lines| field(name, lines).refused(&[400]);
    vec![
        // "A server MUST reject, with a response status code of 400 (Bad Request), any received
        // request message that contains whitespace between a header field name and colon".
        bad("a space before the colon", "X-A : b"),
        bad("a tab before the colon", "X-A\t: b"),
        bad("a field without a colon", "X-A"),
        bad("a field without a name", ": b"),
        bad("a space in a name", "X A: b"),
        bad("a NUL in a name", "X\0A: b"),
        bad("a character beyond ASCII in a name", "X-\u{e9}: b"),
        bad("a NUL in a value", "X-A: b\0c"),
        bad("a bare CR in a value", "X-A: b\rX-Evil: c"),
        bad("a bare CR at the end of a value", "X-A: b\r\r\nX-B: c"),
        bad("a control character in a value", "X-A: b\x01c"),
        bad("a DEL in a value", "X-A: b\x7fc"),
        // "MUST either reject the message by sending a 400 (Bad Request) [...] or replace each
        // received obs-fold with one or more SP octets".
        bad("a folded value", "X-A: b\r\n c")
            .passes()
            .field("x-a", ["b c"]),
        bad("a folded first line", " X-A: b"),
        bad("a fold of nothing", "X-A:\r\n X-Evil: c")
            .passes()
            .field("x-a", ["X-Evil: c"]),
        // "MAY recognize a single LF as a line terminator".
        bad("a bare line feed as the end of a line", "X-A: b\nX-B: c")
            .passes()
            .field("x-a", ["b"])
            .field("x-b", ["c"]),
        probe(
            RULE,
            "a bare line feed as the end of a head",
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\n\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .answers(2)
        .refused(&[400])
        .passes()
        .field("x-a", ["b"]),
        field("bytes beyond ASCII in a value pass", "X-A: \u{e9}\tb")
            .passes()
            .field("x-a", ["\u{e9}\tb"])
            .field("x-end", ["end"]),
        field("spaces around a value do not", "X-A: \t b \t ")
            .passes()
            .field("x-a", ["b"]),
        field("an empty value passes", "X-A:")
            .passes()
            .field("x-a", [""])
            .field("x-end", ["end"]),
        field(
            "lines of a list stay in order",
            "X-A: 1\r\nX-B: 2\r\nX-A: 3",
        )
        .passes()
        .field("x-a", ["1", "3"]),
        probe(
            RULE,
            "a head that ends in a header",
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: HTTP/1.1 200 OK\r\n\r\n",
        )
        .passes()
        .field("x-a", ["HTTP/1.1 200 OK"]),
    ]
}

fn sizes() -> Vec<Probe> {
    const RULE: &str = "RFC 6585 §5";
    let with = |lines: String| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    vec![
        probe(RULE, "90 fields pass", with("X-A: b\r\n".repeat(90)))
            .passes()
            .request("all of them", |request| request.lines("x-a").len() == 90),
        probe(
            RULE,
            "1,000 fields are refused",
            with("X-A: b\r\n".repeat(1_000)),
        )
        .refused(BAD),
        probe(
            RULE,
            "100,000 fields are refused",
            with("A:b\r\n".repeat(100_000)),
        )
        .refused(BAD),
        probe(
            RULE,
            "a value of 20 KiB passes or is refused",
            with(format!("X-A: {}\r\n", "b".repeat(20 << 10))),
        )
        .refused(BAD)
        .passes()
        .request("all of it", |request| {
            request.lines("x-a")[0].len() == 20 << 10
        }),
        probe(
            RULE,
            "a value of 1 MiB is refused",
            with(format!("X-A: {}\r\n", "b".repeat(1 << 20))),
        )
        .refused(BAD),
        probe(
            RULE,
            "a name of 1 MiB is refused",
            with(format!("{}: b\r\n", "X".repeat(1 << 20))),
        )
        .refused(BAD),
    ]
}
