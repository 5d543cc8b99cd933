//! Who has passed a message on, and how often it may be.

use super::probe::{Probe, probe};
use crate::support::raw::Answer;

pub fn probes() -> Vec<Probe> {
    vec![
        // RFC 9110 §7.6.3: "A proxy MUST send an appropriate Via header field [...] in each message
        // that it forwards. An HTTP-to-HTTP gateway MUST send an appropriate Via header field in
        // each inbound request message and MAY send a Via header field in forwarded response
        // messages."
        probe(
            "RFC 9110 §7.6.3",
            "a request is passed on with Via",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .passes()
        .request("one member, of 1.1", |request| {
            let via = request.lines("via").join(", ");
            via.starts_with("1.1 ") && !via.contains(',')
        }),
        probe(
            "RFC 9110 §7.6.3",
            "Via of others is kept, and continued",
            "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred, 1.1 barney\r\nVia: 2 wilma (x, y)\r\n\r\n",
        )
        .passes()
        .request("they come first", |request| {
            let via = request.lines("via").join(", ");
            via.strip_prefix("1.0 fred, 1.1 barney, 2 wilma (x, y), ")
                .is_some_and(|own| own.starts_with("1.1 "))
        }),
        probe(
            "RFC 9110 §7.6.3",
            "Via says by which version a request came",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        )
        .passes()
        .request("1.0", |request| {
            request
                .lines("via")
                .iter()
                .any(|via| via.starts_with("1.0 "))
        }),
        probe(
            "RFC 9110 §7.6.3",
            "an answer is passed on with Via",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .upstream("HTTP/1.1 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 2\r\n\r\nok")
        .passes()
        .answer("the inner one first", |answer: &Answer| {
            let via = answer.header_all("via").join(", ");
            via.strip_prefix("1.1 inner, ")
                .is_some_and(|own| own.starts_with("1.1 "))
        }),
        // RFC 9110 §7.6.2: "If the received value is zero (0), the intermediary MUST NOT forward the
        // request; instead, the intermediary MUST respond as the final recipient."
        probe(
            "RFC 9110 §7.6.2",
            "OPTIONS that may go no further is answered here",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        )
        .answered(200)
        .goes()
        .answered(204)
        .goes(),
        // What is answered here is a request like others.
        probe(
            "RFC 9112 §3.2",
            "OPTIONS that may go no further says for which host it is",
            "OPTIONS / HTTP/1.1\r\nMax-Forwards: 0\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §3.2",
            "OPTIONS that may go no further says it once",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        )
        .refused(&[400]),
        probe(
            "RFC 9112 §6.1",
            "nor is its coding an unknown one",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\
             Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        )
        .refused(&[501]),
        // "the intermediary MUST generate an updated Max-Forwards field in the forwarded message".
        probe(
            "RFC 9110 §7.6.2",
            "OPTIONS that may go further counts down",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n",
        )
        .passes()
        .field("max-forwards", ["4"]),
        probe(
            "RFC 9110 §7.6.2",
            "OPTIONS that may go once more arrives with 0",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n",
        )
        .passes()
        .target("*")
        .field("max-forwards", ["0"]),
        // "A recipient MAY ignore a Max-Forwards header field received with any other request
        // methods."
        probe(
            "RFC 9110 §7.6.2",
            "a GET with Max-Forwards: 0 is passed on",
            "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        )
        .passes(),
        // It would show the client what is not for it: the cookies of a script, who it is.
        probe(
            "RFC 9110 §9.3.8",
            "TRACE is not allowed",
            "TRACE / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n",
        )
        .answered(405)
        .answer("it says what is", |answer: &Answer| {
            answer.header("allow").is_some()
        })
        .goes(),
        probe(
            "RFC 9110 §9.3.8",
            "TRACE with Max-Forwards: 0 is not either",
            "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        )
        .answered(405),
    ]
}
