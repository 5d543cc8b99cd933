//! The rows in which gateways differ, each with the best that any of them does.

use super::probe::{Probe, probe};

pub fn probes() -> Vec<Probe> {
    let mut probes = bodies();
    probes.extend(identity());
    probes.extend(connection_fields());
    probes.extend(hosts());
    probes.extend(answers());
    probes
}

fn bodies() -> Vec<Probe> {
    vec![
        probe(
            "RFC 9112 §6.3",
            "a GET with a chunked body keeps it",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
        .passes()
        .body("abcde")
        .goes(),
        probe(
            "RFC 9110 §9.3.5",
            "a DELETE with a chunked body keeps it",
            "DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\n\r\n",
        )
        .passes()
        .body("abc")
        .goes(),
        probe(
            "RFC 9112 §6.1",
            "a body that is coded below its chunks is refused",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
             2\r\nxx\r\n0\r\n\r\n",
        )
        .refused(&[501]),
        // A server below a layer has to refuse it; hyper drops the length and tells nobody. So the
        // other thing that RFC 9112 §6.3 allows: "process such a request in accordance with the
        // Transfer-Encoding alone. Regardless, the server MUST close the connection".
        probe(
            "RFC 9112 §6.3",
            "of a length and chunks, one rules, and the connection ends",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nok\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .refused(&[400])
        .passes()
        .body("ok")
        .closes(),
        probe(
            "RFC 9110 §6.5",
            "trailers of a request pass",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
        )
        .passes()
        .body("ok")
        .trailer("x-sum: 42")
        .goes(),
        probe(
            "RFC 9110 §6.5.1",
            "trailers that route or identify do not",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             2\r\nok\r\n0\r\nX-Sum: 42\r\nX-Forwarded-For: 6.6.6.6\r\nHost: evil\r\n\
             Content-Length: 5\r\nTransfer-Encoding: chunked\r\nCookie: evil\r\n\
             X_Sum: evil\r\n\r\n",
        )
        .passes()
        .request("nothing of it", |request| {
            !request.raw.contains("6.6.6.6") && !request.raw.contains("evil")
        }),
    ]
}

fn identity() -> Vec<Probe> {
    vec![
        probe(
            "CVE-2020-35863 and its kin",
            "X-Forwarded-For of anybody is replaced",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.7\r\n\r\n",
        )
        .passes()
        .field("x-forwarded-for", ["127.0.0.1"]),
        probe(
            "its kin",
            "X-Forwarded-Host and -Proto of anybody are replaced",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /evil\r\nX-Real-IP: 6.6.6.6\r\n\r\n",
        )
        .passes()
        .field("x-forwarded-host", ["a"])
        .field("x-forwarded-proto", ["http"])
        .lacks("x-forwarded-prefix")
        .request("nothing of it", |request| {
            !["evil", "443", "6.6.6.6"]
                .iter()
                .any(|word| request.raw.contains(word))
        }),
        probe(
            "RFC 7239 §8.1",
            "Forwarded of anybody is replaced",
            "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6.6.6.6;proto=https\r\n\r\n",
        )
        .passes()
        .field("forwarded", ["for=127.0.0.1;host=a;proto=http"]),
        probe(
            "GHSA-f59h-q822-g45g",
            "X_Forwarded_For is dropped",
            "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\nSCRIPT_NAME: /evil\r\n\r\n",
        )
        .passes()
        .lacks("x_forwarded_for")
        .lacks("script_name"),
        probe(
            "GHSA-49wc-4hcv-v58q",
            "X.Forwarded.For is dropped",
            "GET / HTTP/1.1\r\nHost: a\r\nX.Forwarded.For: 6.6.6.6\r\n\r\n",
        )
        .passes()
        .lacks("x.forwarded.for"),
        probe(
            "CVE-2016-5385",
            "Proxy is dropped",
            "GET / HTTP/1.1\r\nHost: a\r\nProxy: http://evil\r\n\r\n",
        )
        .passes()
        .lacks("proxy"),
    ]
}

fn connection_fields() -> Vec<Probe> {
    vec![
        probe(
            "RFC 9110 §7.6.1",
            "Connection that names Cookie and Authorization is refused",
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nAuthorization: Basic x\r\n\
             Connection: Cookie, Authorization\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9110 §7.6.1",
            "Connection that names who asks is refused",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9110 §7.6.1",
            "Connection that names Host is refused",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9110 §7.6.1",
            "Connection that names Content-Length is refused",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 38\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9110 §7.6.1",
            "Connection that names a pseudo-header is refused",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: :authority\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9110 §7.6.1",
            "Connection that names Transfer-Encoding changes nothing",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .refused(&[400])
        .passes()
        .body("ok"),
        probe(
            "RFC 9110 §7.6.1",
            "all lines of Connection are read",
            "GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\nX-End: 4\r\n\
             Connection: keep-alive, x-one\r\nConnection: ,X-Two,, \r\nconnection:X-THREE\r\n\
             Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
             Proxy-Authorization: Basic x\r\nHTTP2-Settings: AA\r\n\r\n",
        )
        .passes()
        .lacks("x-one")
        .lacks("x-two")
        .lacks("x-three")
        .lacks("keep-alive")
        .lacks("proxy-connection")
        .lacks("proxy-authorization")
        .lacks("http2-settings")
        .field("x-end", ["4"]),
        probe(
            "RFC 9110 §7.8",
            "an upgrade to foo is asked for",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
        )
        .passes()
        .field("upgrade", ["foo"])
        .request("Connection says so", |request| {
            request.lines("connection").iter().any(|line| {
                line.split(',')
                    .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
            })
        })
        .goes(),
        probe(
            "RFC 9110 §7.8",
            "an Upgrade that Connection does not name is not",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\n\r\n",
        )
        .passes()
        .lacks("upgrade")
        .lacks("connection"),
        probe(
            "RFC 9110 §7.8",
            "an upgrade to h2c is not",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        )
        .passes()
        .lacks("upgrade")
        .lacks("http2-settings"),
        probe(
            "RFC 9110 §7.8",
            "an upgrade in HTTP/1.0 is not",
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
        )
        .passes()
        .lacks("upgrade"),
        probe(
            "RFC 9110 §10.1.4",
            "TE is passed on for trailers only",
            "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, trailers\r\nConnection: TE\r\n\r\n",
        )
        .passes()
        .field("te", ["trailers"]),
    ]
}

fn hosts() -> Vec<Probe> {
    vec![
        probe(
            "RFC 9112 §3.2",
            "two Hosts are refused",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2",
            "two Hosts that are the same are refused",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2.2",
            "the host of an absolute target wins",
            "GET http://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .passes()
        .target("/x?y")
        .field("host", ["b"])
        .goes(),
        probe(
            "RFC 9112 §3.2",
            "no Host is refused",
            "GET / HTTP/1.1\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2",
            "no Host is refused, whatever the target says",
            "GET http://a/ HTTP/1.1\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2",
            "a Host that is none is refused",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2",
            "a Host with a user is refused",
            "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2.2",
            "an absolute target without a host is refused",
            "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2.4",
            "OPTIONS * is of the server",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .passes()
        .target("*"),
    ]
}

fn answers() -> Vec<Probe> {
    const TRAILERS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                            2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n";
    vec![
        probe(
            "RFC 9110 §6.5",
            "trailers of an answer pass to who wants them",
            "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
        )
        .upstream(TRAILERS)
        .passes()
        .answer_field("x-sum", ["42"])
        .answer_body("ok")
        .goes(),
        probe(
            "RFC 9110 §6.5.1",
            "who does not want them gets a whole answer all the same",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .upstream(TRAILERS)
        .passes()
        .answer_body("ok")
        .goes(),
        probe(
            "RFC 6265 §3",
            "Set-Cookie is never merged",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .upstream(
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1, b\r\nSet-Cookie: c=2\r\nSet-Cookie: a=1, b\r\n\
             Content-Length: 2\r\n\r\nok",
        )
        .passes()
        .answer_field("set-cookie", ["a=1, b", "c=2", "a=1, b"]),
        probe(
            "RFC 9110 §7.6.1",
            "connection fields of an answer stay on their connection",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .upstream(
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nConnection: X-Other\r\n\
             Keep-Alive: timeout=5\r\nX-Hop: 1\r\nX-Other: 1\r\nProxy-Authenticate: Basic\r\n\
             Upgrade: foo\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok",
        )
        .passes()
        .answer_lacks("keep-alive")
        .answer_lacks("x-hop")
        .answer_lacks("x-other")
        .answer_lacks("proxy-authenticate")
        .answer_lacks("upgrade")
        .answer_field("x-end", ["1"])
        .goes(),
        probe(
            "RFC 9112 §6.3",
            "an answer until the close is whole",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .upstream("HTTP/1.0 200 OK\r\n\r\nuntil the end")
        .passes()
        .answer_body("until the end")
        .goes(),
        probe(
            "RFC 9112 §6.1",
            "to HTTP/1.0, nothing is chunked",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        )
        .upstream(TRAILERS)
        .passes()
        .answer_lacks("transfer-encoding")
        .answer_body("ok")
        .closes(),
        probe(
            "RFC 9110 §9.3.2",
            "an answer to HEAD has no body, and says its length",
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .upstream("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        .passes()
        .answer_field("content-length", ["5"])
        .goes(),
    ]
}
