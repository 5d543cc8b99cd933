//! Bytes as strings, and strings as bytes.

use serde_json::json;

use super::super::row::{Row, row};

const UNICODE: &str = "PEP 3333, Unicode Issues";

pub fn rows() -> Vec<Row> {
    vec![
        row(
            UNICODE,
            "servers and gateways must not supply strings to an application containing any other \
             Unicode characters",
            "variables are latin-1",
        )
        .asks(b"GET /kinds/%E2%82%AC?\xe2\x82\xac HTTP/1.1\r\nHost: a\r\nX-Euro: \xe2\x82\xac\r\n\r\n")
        .told_or_refused(|told| told["beyond latin-1"] == json!([])),
        row(
            UNICODE,
            "all \"strings\" referred to in this specification must contain only code points \
             representable in ISO-8859-1 encoding (\\u0000 through \\u00FF, inclusive)",
            "bytes in a field are code points",
        )
        .asks(b"GET /environ HTTP/1.1\r\nHost: a\r\nX-One: caf\xe9\r\nX-Two: caf\xc3\xa9\r\n\r\n")
        .variable("HTTP_X_ONE", Some("caf\u{e9}"))
        .variable("HTTP_X_TWO", Some("caf\u{c3}\u{a9}")),
        row(
            UNICODE,
            "all \"strings\" referred to in this specification must contain only code points \
             representable in ISO-8859-1 encoding (\\u0000 through \\u00FF, inclusive)",
            "bytes in a path are code points",
        )
        .get("/environ/%E2%82%AC/%FF")
        .variable("PATH_INFO", Some("/environ/\u{e2}\u{82}\u{ac}/\u{ff}")),
        row(
            UNICODE,
            "strings passed to start_response() as a status or as response headers must follow \
             RFC 2616 with respect to encoding. That is, they must either be ISO-8859-1 \
             characters, or use RFC 2047 MIME encoding.",
            "a field of an answer is sent as latin-1",
        )
        .get("/latin1")
        .status(200)
        .wire(b": caf\xe9 \xff\r\n"),
        row(
            UNICODE,
            "strings passed to start_response() as a status or as response headers must follow \
             RFC 2616 with respect to encoding. That is, they must either be ISO-8859-1 \
             characters, or use RFC 2047 MIME encoding.",
            "UTF-8 in code points comes out as UTF-8",
        )
        .get("/utf8_as_latin1")
        .status(200)
        .wire(b": \xe2\x82\xac\r\n"),
        row(
            UNICODE,
            "strings passed to start_response() as a status [...] must either be ISO-8859-1 \
             characters",
            "a reason is sent as latin-1",
        )
        .get("/latin1")
        .wire(b"HTTP/1.1 200 Tr\xe8s bien\r\n"),
        row(
            UNICODE,
            "It is a fatal error for an application to supply strings containing any other \
             Unicode character or code point.",
            "a field beyond latin-1 is an error",
        )
        .get("/bad_head?value-euro")
        .status(500)
        .no_evil(),
        row(
            UNICODE,
            "It is a fatal error for an application to supply strings containing any other \
             Unicode character or code point.",
            "a reason beyond latin-1 is an error",
        )
        .get("/bad_head?status-euro")
        .status(500)
        .no_evil(),
        row(
            UNICODE,
            "Again, all objects referred to in this specification as \"strings\" must be of type \
             str",
            "a number is no value",
        )
        .get("/bad_head?value-number")
        .status(500),
        row(
            UNICODE,
            "Again, all objects referred to in this specification as \"strings\" must be of type \
             str",
            "bytes are no value",
        )
        .get("/bad_head?value-bytes")
        .status(500)
        .no_evil(),
        row(
            UNICODE,
            "Again, all objects referred to in this specification as \"strings\" must be of type \
             str",
            "a number is no status",
        )
        .get("/bad_head?status-number")
        .status(500),
        row(
            UNICODE,
            "For values referred to in this specification as \"bytestrings\" (i.e., values read \
             from wsgi.input, passed to write() or yielded by the application), the value must be \
             of type bytes",
            "text in a list is an error",
        )
        .get("/list_of_str")
        .status(500),
        row(
            UNICODE,
            "For values referred to in this specification as \"bytestrings\" (i.e., values [...] \
             yielded by the application), the value must be of type bytes",
            "text as the first block is an error",
        )
        .get("/str")
        .status(500)
        .notes(["close"]),
        row(
            UNICODE,
            "For values referred to in this specification as \"bytestrings\" (i.e., values [...] \
             yielded by the application), the value must be of type bytes",
            "text as a later block breaks the answer",
        )
        .get("/str_later")
        .breaks()
        .notes(["close"]),
        row(
            UNICODE,
            "For values referred to in this specification as \"bytestrings\" (i.e., values [...] \
             passed to write() [...]), the value must be of type bytes",
            "text is not written",
        )
        .get("/write_str")
        .status(500)
        .notes(["raised"]),
        row(
            UNICODE,
            "For values referred to in this specification as \"bytestrings\" (i.e., values [...] \
             yielded by the application), the value must be of type bytes",
            "bytes for a list of bytes are an error",
        )
        .get("/bytes")
        .status(500),
    ]
}
