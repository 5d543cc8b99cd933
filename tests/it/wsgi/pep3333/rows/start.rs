//! `start_response` and `write`.

use serde_json::json;

use super::super::{
    row::{Row, row},
    sides::Stage,
};

const START: &str = "PEP 3333, The start_response() Callable";
const WRITE: &str = "PEP 3333, The write() Callable";
const DETAILS: &str = "PEP 3333, Specification Details";

pub fn rows() -> Vec<Row> {
    let mut rows = calls();
    rows.extend(writes());
    rows.extend(minds());
    rows.extend(heads());
    rows.extend(bad_heads());
    rows
}

fn calls() -> Vec<Row> {
    vec![
        row(
            DETAILS,
            "A server or gateway must invoke the application object using positional (not \
             keyword) arguments.",
            "arguments have no names",
        )
        .get("/positional")
        .body("called"),
        row(
            DETAILS,
            "However, this invocation may be performed by the iterable's first iteration, so \
             servers must not assume that start_response() has been called before they begin \
             iterating over the iterable.",
            "a generator starts when it is asked",
        )
        .get("/late")
        .status(201)
        .fields("x-late", ["yes"])
        .body("late"),
        row(
            DETAILS,
            "Callables are only to be called, not introspected upon.",
            "an application can be a class",
        )
        .get("/class")
        .status(201)
        .fields("x-late", ["yes"])
        .body("late"),
        row(
            DETAILS,
            "the application must invoke the start_response() callable before the iterable yields \
             its first body bytestring",
            "who never starts has no answer",
        )
        .get("/never")
        .status(500),
        row(
            DETAILS,
            "the application must invoke the start_response() callable before the iterable yields \
             its first body bytestring",
            "a generator that never starts has no answer",
        )
        .get("/never_in_generator")
        .status(500),
        row(
            DETAILS,
            "the application object must always return an iterable yielding zero or more \
             bytestrings",
            "nothing is no iterable",
        )
        .get("/none")
        .status(500),
        row(
            START,
            "it is a fatal error to call start_response without the exc_info argument if \
             start_response has already been called within the current invocation of the \
             application",
            "nobody starts twice",
        )
        .get("/twice")
        .status(500)
        .notes(["raised"]),
        row(
            START,
            "This includes the case where the first call to start_response raised an error.",
            "nobody starts twice, even if the first was wrong",
        )
        .get("/again_after_error")
        .status(500)
        .notes(["raised", "raised again"]),
        row(
            START,
            "That way, if an error occurs, start_response can only be re-called with exc_info set.",
            "who started wrongly may apologise",
        )
        .get("/apologises")
        .status(500)
        .wire(b"500 Sorry\r\n")
        .body("sorry"),
    ]
}

fn writes() -> Vec<Row> {
    vec![
        row(
            START,
            "it must return a write(body_data) callable",
            "start_response gives write",
        )
        .get("/returns_write")
        .body("callable"),
        row(
            WRITE,
            "any bytestrings yielded by the iterable are transmitted after all bytestrings passed \
             to write() have been sent to the client",
            "what is written comes first",
        )
        .get("/write")
        .body("abcd"),
        row(
            WRITE,
            "The returned iterable may be empty",
            "all may be written",
        )
        .get("/write_only")
        .body("all of it"),
        row(
            WRITE,
            "before write() returns, it must guarantee that the passed-in bytestring was either \
             completely sent to the client, or that it is buffered for transmission while the \
             application proceeds onward",
            "what is written is sent at once",
        )
        .story(|stage| Box::pin(written_at_once(stage))),
        row(
            "PEP 3333, Handling the Content-Length Header",
            "or raise an error if the application tries to write() past that point",
            "nobody writes past the length",
        )
        .get("/write_past_length")
        .body("four")
        .notes(["raised"]),
    ]
}

fn minds() -> Vec<Row> {
    vec![
        row(
            START,
            "If exc_info is supplied, and no HTTP headers have been output yet, start_response \
             should replace the currently-stored HTTP response headers with the newly-supplied \
             ones",
            "an error in time replaces the head",
        )
        .get("/changes_its_mind")
        .status(500)
        .lacks("x-old")
        .fields("x-new", ["1"])
        .wire(b"500 Oops\r\n")
        .body("error body"),
        row(
            START,
            "response headers must not be sent until there is actual body data available, or \
             until the application's returned iterable is exhausted",
            "an empty block is not the body yet",
        )
        .get("/changes_its_mind_late")
        .status(500)
        .lacks("x-old")
        .fields("x-new", ["1"])
        .wire(b"500 Oops\r\n")
        .body("error body"),
        row(
            START,
            "the start_response callable must not actually transmit the response headers. \
             Instead, it must store them for the server or gateway to transmit only after the \
             first iteration of the application return value that yields a non-empty bytestring",
            "a head waits for its body",
        )
        .story(|stage| Box::pin(lazy_head(stage))),
        row(
            START,
            "if exc_info is provided, and the HTTP headers have already been sent, start_response \
             must raise an error, and should re-raise using the exc_info tuple",
            "an error too late is raised again",
        )
        .get("/too_late")
        .breaks()
        .notes(["the same"]),
        row(
            START,
            "servers, gateways, or middleware implementing start_response should ensure that no \
             reference is held to the exc_info parameter beyond the duration of the function's \
             execution",
            "the error is forgotten",
        )
        .get("/forgets_error")
        .body("forgotten"),
    ]
}

fn heads() -> Vec<Row> {
    vec![
        row(
            START,
            "The status argument is an HTTP \"status\" string like \"200 OK\" or \"404 Not \
             Found\".",
            "the reason is the application's",
        )
        .get("/own_words")
        .status(299)
        .wire(b"HTTP/1.1 299 Own Words\r\n"),
        row(
            START,
            "if the application omits a header required by HTTP (or other relevant specifications \
             that are in effect), the server or gateway must add it. For example, the HTTP Date: \
             [...] headers would normally be supplied by the server or gateway.",
            "there is a Date",
        )
        .get("/plain")
        .one("date"),
        row(
            START,
            "(A reminder for server/gateway authors: HTTP header names are case-insensitive, so \
             be sure to take that into consideration when examining application-supplied headers!)",
            "what the application says is not said twice",
        )
        .get("/own_date")
        .fields("date", ["Thu, 01 Jan 1970 00:00:00 GMT"])
        .fields("server", ["mine"]),
        row(
            "PEP 3333, Other HTTP Features",
            "servers and gateways should \"play dumb\" and allow the application complete control \
             over its output",
            "fields of one name stay as they are",
        )
        .get("/two_cookies")
        .fields("set-cookie", ["b=1", "a=2; Path=/", "b=1"]),
        row(
            "PEP 3333, Other HTTP Features",
            "They should only make changes that do not alter the effective semantics of the \
             application's response.",
            "what is coded stays coded",
        )
        .asks("GET /coded HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n")
        .fields("content-encoding", ["gzip"])
        .digest("x-digest"),
    ]
}

/// What no server sends, whatever the application says.
fn bad_heads() -> Vec<Row> {
    let controls = "Each header_value must not include any control characters, including carriage \
                    returns or linefeeds, either embedded or at the end.";
    let names = "Each header_name must be a valid HTTP header field-name (as defined by RFC 2616, \
                 Section 4.2), without a trailing colon or other punctuation.";
    let status = "The string must not contain control characters, and must not be terminated with \
                  a carriage return, linefeed, or combination thereof.";
    let hops = "a server or gateway should consider it a fatal error for an application to attempt \
                sending them, and raise an error if they are supplied to start_response()";
    let lengths = "the server or gateway is responsible for ensuring that correct headers are sent \
                   to the client";
    let bad = |sentence, name, which: &str| {
        row(START, sentence, name)
            .get(&format!("/bad_head?{which}"))
            .status(500)
            .lacks("set-cookie")
            .no_evil()
            // "Servers should check for errors in the headers at the time start_response is called,
            // so that an error can be raised while the application is still running."
            .notes(["raised"])
    };
    vec![
        bad(controls, "no line ends in a value", "value-crlf"),
        bad(controls, "no line feed is in a value", "value-lf"),
        bad(controls, "no carriage return is in a value", "value-cr"),
        bad(controls, "no line ends at the end of a value", "value-end"),
        bad(controls, "no NUL is in a value", "value-nul"),
        bad(
            controls,
            "no control character is in a value",
            "value-control",
        ),
        bad(names, "no line ends in a name", "name-crlf"),
        bad(names, "no colon is in a name", "name-colon"),
        bad(names, "no space is in a name", "name-space"),
        bad(names, "no name is empty", "name-empty"),
        bad(status, "no line ends in a status", "status-crlf"),
        bad(
            "a string consisting of a Status-Code and a Reason-Phrase, in that order",
            "no status is without a code",
            "status-words",
        ),
        bad(hops, "the connection is the server's", "connection"),
        bad(hops, "keeping it is the server's", "keep-alive"),
        bad(hops, "an upgrade is the server's", "upgrade"),
        bad(
            "applications and middleware must not apply any kind of Transfer-Encoding to their \
             output",
            "the transfer coding is the server's",
            "transfer-encoding",
        ),
        bad(
            "Applications and middleware are forbidden from using HTTP/1.1 \"hop-by-hop\" features",
            "no application switches protocols",
            "switching",
        ),
        bad(lengths, "no length is a word", "length-words"),
        bad(lengths, "no two lengths differ", "length-twice"),
    ]
}

async fn written_at_once(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let request = "GET /write_at_once HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(stage.named(request)).await?;
    client.wait_for("first").await?;
    stage.go("go");
    client.wait_for("second").await
}

async fn lazy_head(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let request = "GET /lazy_head HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.send(stage.named(request)).await?;
    stage.noted(&["waiting"]).await?;
    client.expect_silence().await?;
    stage.go("go");
    let answer = client.expect(false).await?;
    match answer.body == b"body" {
        true => Ok(()),
        false => Err(json!(answer.text()).to_string()),
    }
}
