//! Answers that have no body, whatever the application yields.

use super::super::row::{Row, row};

pub fn rows() -> Vec<Row> {
    let head = "The server SHOULD send the same header fields in response to a HEAD request as it \
                would have sent if the request method had been GET. [...] the server MUST NOT send \
                content in the response";
    vec![
        row("RFC 9110 §9.3.2", head, "HEAD has the length that GET has")
            .head("/length_told")
            .fields("content-length", ["5"])
            .body(""),
        row("RFC 9110 §9.3.2", head, "HEAD of a list sends none of it")
            .head("/plain")
            .no_zero_length()
            .body(""),
        row(
            "RFC 9110 §9.3.2",
            head,
            "HEAD of a generator sends none of it",
        )
        .head("/generator")
        .no_zero_length()
        .body("")
        .notes(["close"]),
        row(
            "RFC 9110 §9.3.2",
            head,
            "HEAD of what is written sends none of it",
        )
        .head("/write")
        .no_zero_length()
        .body(""),
        row("RFC 9110 §9.3.2", head, "HEAD of a file sends none of it")
            .head("/file?kind=buffered&length=100000")
            .fields("content-length", ["100000"])
            .body(""),
        row("RFC 9110 §9.3.2", head, "HEAD of a file closes it")
            .head("/file_closed")
            .fields("content-length", ["100000"])
            .notes(["close"]),
        row(
            "RFC 9110 §15.3.5",
            "A 204 response is terminated by the end of the header section; it cannot contain \
             content or trailers.",
            "204 has no body",
        )
        .get("/no_content?status=204%20No%20Content")
        .status(204)
        .lacks("transfer-encoding")
        .lacks("content-length")
        .notes(["close"]),
        row(
            "RFC 9110 §15.3.5",
            "A 204 response is terminated by the end of the header section; it cannot contain \
             content or trailers.",
            "204 has no body, though there is one",
        )
        .get("/no_content_with_some?status=204%20No%20Content")
        .status(204)
        .lacks("transfer-encoding")
        .notes(["close"]),
        row(
            "RFC 9110 §15.4.5",
            "A 304 response is terminated by the end of the header section; it cannot contain \
             content or trailers.",
            "304 has no body",
        )
        .get("/no_content?status=304%20Not%20Modified")
        .status(304)
        .lacks("transfer-encoding")
        .no_zero_length()
        .notes(["close"]),
        row(
            "RFC 9110 §15.4.5",
            "A 304 response is terminated by the end of the header section; it cannot contain \
             content or trailers.",
            "304 has no body, though there is one",
        )
        .get("/no_content_with_some?status=304%20Not%20Modified")
        .status(304)
        .lacks("transfer-encoding")
        .notes(["close"]),
        row(
            "RFC 9110 §8.6",
            "A server MAY send a Content-Length header field in a 304 (Not Modified) response",
            "304 may tell a length",
        )
        .get("/not_modified_length")
        .status(304)
        .no_zero_length(),
    ]
}
