//! What an application yields, and what becomes of it.

use super::super::{
    row::{Row, row},
    sides::Stage,
};

const DETAILS: &str = "PEP 3333, Specification Details";
const LENGTH: &str = "PEP 3333, Handling the Content-Length Header";
const BUFFERING: &str = "PEP 3333, Buffering and Streaming";

pub fn rows() -> Vec<Row> {
    let mut rows = iterables();
    rows.extend(blocks());
    rows.extend(lengths());
    rows
}

fn iterables() -> Vec<Row> {
    vec![
        row(
            DETAILS,
            "Finally, servers and gateways must not directly use any other attributes of the \
             iterable returned by the application",
            "nothing is asked of an iterable but its blocks",
        )
        .get("/attributes")
        .body("curious")
        .notes([]),
        row(
            DETAILS,
            "unless it is an instance of a type specific to that server or gateway, such as a \
             \"file wrapper\" returned by wsgi.file_wrapper",
            "what looks like a file is iterated",
        )
        .get("/pretends")
        .body("iterated"),
        row(
            DETAILS,
            "If a call to len(iterable) succeeds, the server must be able to rely on the result \
             being accurate.",
            "if len() fails, it is not relied upon",
        )
        .get("/len_fails")
        .body("hello"),
        row(
            "PEP 3333, Supporting Older (<2.2) Versions of Python",
            "That is, provide a __getitem__ method that accepts an integer key, and raises \
             IndexError when exhausted.",
            "the old way of iterating is one",
        )
        .get("/old_iterable")
        .body("abc"),
        row(
            LENGTH,
            "If the application does not call the write() callable, and returns an iterable whose \
             len() is 1, then the server can automatically determine Content-Length by taking the \
             length of the first bytestring yielded by the iterable.",
            "one block has a length",
        )
        .get("/plain")
        .fields("content-length", ["5"])
        .lacks("transfer-encoding")
        .body("hello"),
        row(
            LENGTH,
            "and returns an iterable whose len() is 1, then the server can automatically \
             determine Content-Length",
            "one block of any iterable has a length",
        )
        .get("/len_one")
        .fields("content-length", ["5"])
        .body("hello"),
    ]
}

fn blocks() -> Vec<Row> {
    vec![
        row(
            BUFFERING,
            "WSGI servers, gateways, and middleware must not delay the transmission of any block",
            "each block is sent before the next is asked",
        )
        .story(|stage| Box::pin(in_turn(stage))),
        row(
            DETAILS,
            "the application object must return an iterable yielding zero or more bytestrings",
            "no block is an empty body",
        )
        .get("/nothing")
        .status(200)
        .body(""),
        row(
            DETAILS,
            "the application object must return an iterable yielding zero or more bytestrings",
            "an empty block ends nothing",
        )
        .get("/blocks")
        .body("abc"),
        row(
            DETAILS,
            "The server or gateway should treat the yielded bytestrings as binary byte sequences: \
             in particular, it should ensure that line endings are not altered.",
            "every byte is sent as it is",
        )
        .get("/every_byte")
        .body(every_byte()),
        row(
            DETAILS,
            "The server or gateway must transmit the yielded bytestrings to the client",
            "many small blocks are sent",
        )
        .get("/one_by_one")
        .body((0..5_000).map(|n| format!("{n}\n")).collect::<String>()),
        row(
            DETAILS,
            "The server or gateway must transmit the yielded bytestrings to the client",
            "a large block is sent",
        )
        .get("/large")
        .body((0..251).collect::<Vec<u8>>().repeat(20_000)),
        row(
            LENGTH,
            "if the server and client both support HTTP/1.1 \"chunked encoding\", then the server \
             may use chunked encoding",
            "HTTP/1.0 has no chunks",
        )
        .asks("GET /generator HTTP/1.0\r\nHost: a\r\n\r\n")
        .lacks("transfer-encoding")
        .body("hello")
        .closes()
        .notes(["close"]),
    ]
}

fn lengths() -> Vec<Row> {
    let more = "If the application supplies a Content-Length header, the server should not \
                transmit more bytes to the client than the header allows";
    let less = "if the application does not provide enough data to meet its stated Content-Length, \
                the server should close the connection";
    vec![
        row(LENGTH, more, "no more is sent than was said")
            .get("/longer_at_once")
            .body("HT"),
        row(
            LENGTH,
            "and should stop iterating over the response when enough data has been sent",
            "nobody asks for what is not sent",
        )
        .get("/longer")
        .fields("content-length", ["5"])
        .body("abcde")
        .notes(["asked", "asked", "close"]),
        row(
            "PEP 3333, The start_response() Callable",
            "(The only possible exception to this rule is if the response headers explicitly \
             include a Content-Length of zero.)",
            "a length of zero is the end",
        )
        .get("/length_zero")
        .fields("content-length", ["0"])
        .body(""),
        row(LENGTH, less, "too little is seen to be too little")
            .get("/shorter")
            .breaks()
            .notes(["close"]),
        row(LENGTH, less, "one block that is too short is seen to be")
            .get("/shorter_at_once")
            .breaks(),
    ]
}

fn every_byte() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend(b"\r\n\n\r0\r\n\r\n");
    let back = bytes.iter().rev().copied().collect();
    [bytes, back].concat()
}

async fn in_turn(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let request = "GET /in_turn HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(stage.named(request)).await?;
    client.wait_for("first").await?;
    stage.go("1");
    client.wait_for("second").await?;
    stage.go("2");
    client.wait_for("third").await
}
