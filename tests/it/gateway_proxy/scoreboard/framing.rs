//! Where a body ends: the ways in which two readers of one request have disagreed.

use super::probe::{Probe, probe};

/// A request within a body, or behind it; the length is 38.
macro_rules! hidden {
    () => {
        "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
    };
}

/// Bad, or not known.
const BAD: &[u16] = &[400, 501];

pub fn probes() -> Vec<Probe> {
    let mut probes = lengths();
    probes.extend(codings());
    probes.extend(chunks());
    probes.extend(undrained());
    probes
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

fn lengths() -> Vec<Probe> {
    const RULE: &str = "RFC 9112 §6.3";
    let bad = |name, value: &str| {
        probe(
            RULE,
            name,
            post(&format!("Content-Length: {value}\r\n"), hidden!()),
        )
        .refused(&[400])
    };
    vec![
        probe(RULE, "one length", post("Content-Length: 5\r\n", "hello"))
            .passes()
            .body("hello")
            .goes(),
        // "the sender MUST either reject the message as invalid or replace the duplicated field
        // values with a single valid Content-Length".
        probe(
            "RFC 9110 §8.6",
            "a list of the same length",
            post("Content-Length: 5, 5\r\n", "hello"),
        )
        .refused(&[400])
        .passes()
        .body("hello"),
        probe(
            "RFC 9110 §8.6",
            "two lines of the same length",
            post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        )
        .refused(&[400])
        .passes()
        .body("hello"),
        bad("a list of two lengths", "5,6"),
        bad("two lines of two lengths", "38\r\nContent-Length: 0"),
        bad(
            "two lines of two lengths, the other way",
            "0\r\nContent-Length: 38",
        ),
        bad("a negative length", "-1"),
        bad("a length with a sign", "+38"),
        bad("a length in hex", "0x27"),
        bad("a length and something", "38 0"),
        bad("a length with a fraction", "38.0"),
        bad("an empty length", ""),
        bad("a length of 2^64", "18446744073709551616"),
        bad("a length of 2^64 and 38", "18446744073709551655"),
        bad(
            "a length of many digits",
            "100000000000000000000000000000000000000038",
        ),
        probe(
            RULE,
            "a length with zeros in front is 5 or refused",
            post("Content-Length: 0000005\r\n", "hello"),
        )
        .refused(&[400])
        .passes()
        .body("hello"),
        probe(
            "RFC 9112 §5.1",
            "a space before the colon of a length",
            post("Content-Length : 38\r\n", hidden!()),
        )
        .refused(&[400]),
        probe(
            "CVE-2026-2835",
            "HTTP/1.0 with a length",
            "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        )
        .passes()
        .body("hello")
        .closes(),
        // "MUST treat the message as if the framing is faulty".
        probe(
            "RFC 9112 §6.1, CVE-2026-2835",
            "HTTP/1.0 with chunks",
            concat!(
                "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n",
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                hidden!()
            ),
        )
        .refused(BAD)
        .passes()
        .body("")
        .closes(),
        probe(
            "RFC 9112 §6.1, CVE-2026-2835",
            "HTTP/1.0 with chunks and a length",
            concat!(
                "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 44\r\n",
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                hidden!()
            ),
        )
        .refused(BAD)
        .passes()
        .body("")
        .closes(),
    ]
}

fn codings() -> Vec<Probe> {
    const RULE: &str = "RFC 9112 §6.1";
    let coding = |name, value: &str| {
        probe(
            RULE,
            name,
            post(
                &format!("Transfer-Encoding: {value}\r\n"),
                concat!("2\r\nok\r\n0\r\n\r\n", hidden!()),
            ),
        )
    };
    let bad = |name, value| coding(name, value).refused(BAD);
    let good = |name, value| {
        probe(
            RULE,
            name,
            post(
                &format!("Transfer-Encoding:{value}\r\n"),
                "2\r\nok\r\n0\r\n\r\n",
            ),
        )
        .passes()
        .body("ok")
        .goes()
    };
    vec![
        good("chunked", " chunked"),
        good("chunked in capitals", " CHUNKED"),
        good("chunked with spaces around", "  \t chunked \t"),
        good("chunked without a space", "chunked"),
        bad("chunked with a weight", "chunked;q=1"),
        bad("xchunked", "xchunked"),
        bad("chunkedx", "chunkedx"),
        bad("chunked twice", "chunked, chunked"),
        bad(
            "chunked in two lines",
            "chunked\r\nTransfer-Encoding: chunked",
        ),
        bad(
            "gzip and chunked in two lines",
            "gzip\r\nTransfer-Encoding: chunked",
        ),
        bad("chunked and gzip", "chunked, gzip"),
        bad("chunked and identity", "chunked, identity"),
        bad("identity", "identity"),
        bad("identity and chunked", "identity, chunked"),
        bad("gzip alone", "gzip"),
        bad("chunked in quotes", "\"chunked\""),
        bad("chunked behind a vertical tab", "\x0bchunked"),
        bad("chunked before a vertical tab", "chunked\x0b"),
        bad("chunked folded", "\r\n chunked"),
        bad("chunked behind a bare CR", "x\rTransfer-Encoding: chunked"),
        bad(
            "a space before the colon of a coding",
            "x\r\nTransfer-Encoding : chunked",
        ),
        probe(
            RULE,
            "an empty coding",
            post("Transfer-Encoding: \r\nContent-Length: 38\r\n", hidden!()),
        )
        .refused(BAD),
        probe(
            RULE,
            "a coding behind a comma",
            post("Transfer-Encoding: ,chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
        )
        .refused(BAD)
        .passes()
        .body("ok"),
        // To the upstream it would be the other one.
        probe(
            RULE,
            "Transfer_Encoding is no coding",
            post(
                "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
                "0\r\n\r\n",
            ),
        )
        .refused(&[400])
        .passes()
        .body("0\r\n\r\n")
        .lacks("transfer_encoding")
        .goes(),
    ]
}

fn chunks() -> Vec<Probe> {
    const RULE: &str = "RFC 9112 §7.1";
    let chunks = |name, body: &str| probe(RULE, name, post("Transfer-Encoding: chunked\r\n", body));
    let bad = |name, body| chunks(name, body).refused(&[400, 413]);
    // Not every reader takes it; who does reads this.
    let lenient = |name, body| bad(name, body).passes().body("hello");
    let filler = "x".repeat(100_000);
    vec![
        chunks(
            "an extension of a chunk is dropped",
            "5;a=b;c=\"d;e\"\r\nhello\r\n0;z\r\n\r\n",
        )
        .passes()
        .body("hello")
        .request("no extension", |request| !request.raw.contains("a=b"))
        .goes(),
        chunks(
            "sizes in capitals and with zeros",
            "00000A\r\nhellohello\r\n000\r\n\r\n",
        )
        .passes()
        .body("hellohello")
        .goes(),
        bad(
            "an extension without an end",
            Box::leak(format!("5;{filler}").into_boxed_str()),
        ),
        bad(
            "many extensions",
            Box::leak(format!("5;{filler}\r\nhello\r\n0\r\n\r\n{}", hidden!()).into_boxed_str()),
        ),
        bad(
            "a line feed in an extension",
            concat!("5;a\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a bare CR in an extension",
            concat!("5;a\rb\r\nhello\r\n0\r\n\r\n", hidden!()),
        )
        .passes()
        .body("hello"),
        bad(
            "a size that is none",
            concat!("x\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "an empty size",
            concat!("\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a negative size",
            concat!("-5\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a size with a sign",
            concat!("+5\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a size with 0x",
            concat!("0x5\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a size with an underscore",
            concat!("0_5\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a size of 2^64",
            concat!("10000000000000000\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a size of 2^64 and 5",
            concat!("10000000000000005\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a size of 20 digits",
            concat!("FFFFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a chunk longer than its size",
            concat!("4\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "no end of line behind a chunk",
            concat!("5\r\nhello0\r\n\r\n", hidden!()),
        ),
        bad(
            "a bare line feed behind a chunk",
            concat!("5\r\nhello\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a bare line feed behind a size",
            concat!("5\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        lenient("a space behind a size", "5 \r\nhello\r\n0\r\n\r\n"),
        lenient("a space before a size", " 5\r\nhello\r\n0\r\n\r\n"),
        bad(
            "a space in a size",
            concat!("5 5\r\nhello\r\n0\r\n\r\n", hidden!()),
        ),
        bad(
            "a trailer that is no field",
            concat!("0\r\nnothing\r\n\r\n", hidden!()),
        ),
        bad(
            "a folded trailer",
            concat!("0\r\nX: a\r\n b\r\n\r\n", hidden!()),
        ),
        bad(
            "trailers without an end",
            Box::leak(format!("0\r\n{}", "X-Y: z\r\n".repeat(20_000)).into_boxed_str()),
        ),
    ]
}

/// What is not read of a body is no request.
fn undrained() -> Vec<Probe> {
    const RULE: &str = "CVE-2025-4366";
    vec![
        probe(
            RULE,
            "a refused request's body is not the next request",
            post(
                "Connection: Host\r\nContent-Length: 38\r\n",
                concat!(hidden!(), "\r\n"),
            ),
        )
        .refused(&[400]),
        probe(
            RULE,
            "nor is that of an unknown coding",
            concat!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n26\r\n",
                hidden!(),
                "\r\n0\r\n\r\n"
            ),
        )
        .refused(&[501]),
        probe(
            RULE,
            "nor is that of a bad path",
            concat!(
                "POST /%00 HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n",
                hidden!()
            ),
        )
        .refused(&[400]),
        probe(
            RULE,
            "nor is that of a CONNECT",
            concat!(
                "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 38\r\n\r\n",
                hidden!()
            ),
        )
        .refused(&[400, 405, 501]),
        probe(
            "RFC 9112 §9.3.2",
            "requests in one packet are two",
            concat!(
                "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n",
                hidden!(),
                "GET /two HTTP/1.1\r\nHost: a\r\n\r\n"
            ),
        )
        .answers(2)
        .passes()
        .target("/one")
        .body(hidden!())
        .goes(),
        probe(
            "RFC 9112 §9.6",
            "behind Connection: close nothing is read",
            concat!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                hidden!()
            ),
        )
        .passes()
        .closes(),
        // "a server that receives a GET with content" reads it as its framing says.
        probe(
            "RFC 9110 §9.3.1",
            "the body of a GET is not the next request",
            concat!(
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n",
                hidden!()
            ),
        )
        .passes()
        .body(hidden!())
        .goes(),
        probe(
            "CVE-2026-2833",
            "nothing is tunnelled before the switch",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n\
             GET /second HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
        )
        .answers(2)
        .passes()
        .field("upgrade", ["foo"]),
    ]
}
