//! `wsgi.input`.

use serde_json::json;

use super::super::{
    row::{Row, json, post, row, shown},
    sides::Stage,
};
use crate::support::session::sha256;

const STREAMS: &str = "PEP 3333, Input and Error Streams";
const EXPECT: &str = "PEP 3333, HTTP 1.1 Expect/Continue";

const LINES: &str = "one\ntwo\r\n\nthree";

pub fn rows() -> Vec<Row> {
    let mut rows = calls();
    rows.extend(ends());
    rows.extend(sizes());
    rows.extend(framings());
    rows.extend(timing());
    rows
}

fn calls() -> Vec<Row> {
    vec![
        row(
            STREAMS,
            "The semantics of each method are as documented in the Python Library Reference",
            "read(size) reads so many",
        )
        .post("/input?read=3&read=4&read=0&read=100&read=5", "abcdefghij")
        .tells(json!(["abc", "defg", "", "hij", ""])),
        row(
            STREAMS,
            "A server should allow read() to be called without an argument, and return the \
             remainder of the client's input stream.",
            "read() reads the rest",
        )
        .post("/input?read=3&read=", "abcdefghij")
        .tells(json!(["abc", "defghij"])),
        row(
            STREAMS,
            "The semantics of each method are as documented in the Python Library Reference",
            "read(-1) reads the rest",
        )
        .post("/input?read=-1&read=-1", "abcdefghij")
        .tells(json!(["abcdefghij", ""])),
        row(
            STREAMS,
            "The semantics of each method are as documented in the Python Library Reference",
            "readline() gives a line with its end",
        )
        .post(
            "/input?readline=&readline=&readline=&readline=&readline=",
            LINES,
        )
        .tells(json!(["one\n", "two\r\n", "\n", "three", ""])),
        row(
            STREAMS,
            "Servers should support the optional \"size\" argument to readline()",
            "readline(size) stops there",
        )
        .post(
            "/input?readline=2&readline=2&readline=100&readline=-1&readline=1",
            LINES,
        )
        .tells(json!(["on", "e\n", "two\r\n", "\n", "t"])),
        row(
            STREAMS,
            "The semantics of each method are as documented in the Python Library Reference",
            "readlines() gives all lines",
        )
        .post("/input?readlines=&read=", LINES)
        .tells(json!([["one\n", "two\r\n", "\n", "three"], ""])),
        row(
            STREAMS,
            "The application is free not to supply it, and the server or gateway is free to \
             ignore it.",
            "readlines(hint) gives whole lines and loses none",
        )
        .post("/lines_hint", LINES)
        .told(|told| {
            // Whether it stops at the hint or behind it is the reference's to say, and it does not.
            let lines = told["lines"].as_array().unwrap();
            told["all"] == LINES
                && !lines.is_empty()
                && lines
                    .iter()
                    .zip(LINES.split_inclusive('\n'))
                    .all(|(told, line)| told == line)
        }),
        row(STREAMS, "__iter__()", "iteration gives lines")
            .post("/input?for=&read=", LINES)
            .tells(json!([["one\n", "two\r\n", "\n", "three"], ""])),
        row(
            STREAMS,
            "The semantics of each method are as documented in the Python Library Reference",
            "what one method leaves the next one reads",
        )
        .post(
            "/input?read=1&readline=&first=&readline=1&readlines=",
            LINES,
        )
        .tells(json!(["o", "ne\n", "two\r\n", "\n", ["three"]])),
    ]
}

fn ends() -> Vec<Row> {
    vec![
        row(
            STREAMS,
            "A server should return empty bytestrings from any attempt to read from an empty or \
             exhausted input stream.",
            "nothing comes behind the end",
        )
        .post(
            "/input?read=&read=&read=9&readline=&readline=9&readlines=&for=",
            "all",
        )
        .tells(json!(["all", "", "", "", "", [], []])),
        row(
            STREAMS,
            "A server should return empty bytestrings from any attempt to read from an empty or \
             exhausted input stream.",
            "without a body there is nothing, at once",
        )
        .get("/input?read=&read=9&readline=&readlines=&for=")
        .tells(json!(["", "", "", [], []])),
        row(
            STREAMS,
            "A server should return empty bytestrings from any attempt to read from an empty or \
             exhausted input stream.",
            "a body of no length is nothing",
        )
        .post("/input?readline=&read=9&read=", "")
        .tells(json!(["", "", ""])),
        row(
            STREAMS,
            "The server is not required to read past the client's specified Content-Length, and \
             should simulate an end-of-file condition if the application attempts to read past \
             that point.",
            "the next request is not read",
        )
        .story(|stage| Box::pin(pipelined(stage))),
        row(
            "RFC 9112 §8",
            "A message body that uses the chunked transfer coding is incomplete if the zero-sized \
             chunk that terminates the encoding has not been received.",
            "half a chunked body is not a whole one",
        )
        .story(|stage| Box::pin(incomplete(stage, HALF_CHUNKED))),
        row(
            "RFC 9112 §8",
            "A message that uses a valid Content-Length is incomplete if the size of the message \
             body received (in octets) is less than the value given by Content-Length.",
            "half a body is not a whole one",
        )
        .story(|stage| Box::pin(incomplete(stage, HALF))),
    ]
}

const HALF_CHUNKED: &str = "POST /incomplete HTTP/1.1\r\nHost: a\r\n\
     Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n";
const HALF: &str = "POST /incomplete HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabcde";

fn sizes() -> Vec<Row> {
    let large = large();
    let digest = json!({"size": large.len(), "sha256": sha256(&large)});
    vec![
        row(
            "PEP 3333, A Note On String Types",
            "\"Bytestrings\" (which are implemented using the bytes type in Python 3 [...]), that \
             are used for the bodies of requests and responses",
            "every byte arrives",
        )
        .post("/input?read=", (0..=255).collect::<Vec<u8>>())
        .told(|told| {
            let text = told[0].as_str().unwrap_or_default();
            text.chars().map(u32::from).eq(0..256)
        }),
        row(
            STREAMS,
            "The semantics of each method are as documented in the Python Library Reference",
            "a large body is read in odd sizes",
        )
        .post("/digest", &large)
        .tells(digest.clone()),
        row(
            "PEP 3333, Other HTTP Features",
            "by decoding any inbound Transfer-Encoding, including chunked encoding if applicable",
            "a large body in chunks is read in odd sizes",
        )
        .post_chunks("/digest", &large, 9_999)
        .tells(digest),
    ]
}

/// More than any buffer on the way holds, with lines of all lengths in it.
fn large() -> Vec<u8> {
    let mut state = 1_u32;
    let bytes = (0..3_000_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bytes.collect()
}

fn framings() -> Vec<Row> {
    vec![
        row(
            "PEP 3333, Other HTTP Features",
            "by decoding any inbound Transfer-Encoding, including chunked encoding if applicable",
            "lines go across chunks",
        )
        .post_chunks("/input?readline=&readline=2&read=2&readlines=", LINES, 1)
        .tells(json!(["one\n", "tw", "o\r", ["\n", "\n", "three"]])),
        row(
            "RFC 9112 §7.1.1, §7.1.2",
            "A recipient MUST ignore unrecognized chunk extensions. A recipient that removes the \
             chunked coding from a message MAY selectively retain or discard the received trailer \
             fields.",
            "extensions and trailers are no body",
        )
        .asks(
            "POST /input?read=&read= HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             3;a=b\r\nabc\r\n2\r\nde\r\n0;c\r\nX-Trailer: f\r\n\r\n",
        )
        .tells(json!(["abcde", ""])),
        row(
            STREAMS,
            "The application should not attempt to read more data than is specified by the \
             CONTENT_LENGTH variable.",
            "the end of a chunked body can be known",
        )
        .post_chunks("/end_known", "0123456789", 3)
        .told(|told| told["length"] == "10" || told["terminated"] == true),
        row(
            "RFC 3875 §4.1.2",
            "The CONTENT_LENGTH value must reflect the length of the message-body after the \
             server has removed any transfer-codings or content-codings.",
            "who reads by the length gets a chunked body",
        )
        .spools()
        .post_chunks("/by_length", "0123456789", 3)
        .tells(json!("0123456789")),
    ]
}

fn timing() -> Vec<Row> {
    vec![
        row(
            STREAMS,
            "(The server or gateway may perform reads on-demand as requested by the application, \
             or it may pre-read the client's request body and buffer it in-memory or on disk)",
            "a body that comes slowly comes whole",
        )
        .story(|stage| Box::pin(slowly(stage))),
        row(
            EXPECT,
            "Servers and gateways that implement HTTP 1.1 must provide transparent support for \
             HTTP 1.1's \"expect/continue\" mechanism.",
            "who expects to be told to go on is told",
        )
        .story(|stage| Box::pin(expects(stage))),
        row(
            "RFC 9110 §10.1.1",
            "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore \
             that expectation.",
            "HTTP/1.0 expects nothing",
        )
        .story(|stage| Box::pin(expects_in_1_0(stage))),
        row(
            "RFC 9112 §9.3",
            "A server MUST read the entire request message body or close the connection after \
             sending its response; otherwise, the remaining data on a persistent connection would \
             be misinterpreted as the next request.",
            "a body that nobody reads is no request",
        )
        .post("/unread", unread())
        .body("unread"),
        row(
            "RFC 9112 §9.3",
            "A server MUST read the entire request message body or close the connection after \
             sending its response",
            "a short body that nobody reads is no request",
        )
        .post("/unread", "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
        .body("unread"),
        row(
            "RFC 9110 §7.5",
            "a client SHOULD monitor the connection for an error response while it is \
             transmitting the request",
            "an answer need not wait for the body",
        )
        .streams()
        .story(|stage| Box::pin(early(stage))),
        row(
            "PEP 3333, Buffering and Streaming",
            "WSGI servers, gateways, and middleware must not delay the transmission of any block",
            "request and answer go both at once",
        )
        .streams()
        .story(|stage| Box::pin(both_ways(stage))),
        row(
            STREAMS,
            "(The server or gateway may perform reads on-demand as requested by the application)",
            "a body can be read between two blocks",
        )
        .post("/reads_late", vec![b'x'; 200_000])
        .body([b"got: ".to_vec(), vec![b'x'; 200_000]].concat()),
    ]
}

/// Requests all the way down, for whoever takes a body for one.
fn unread() -> Vec<u8> {
    b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000)
}

async fn pipelined(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let first = stage.named(post("/input?read=100000&readline=&read=", "hello"));
    let second = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send([&first, &second[..]].concat()).await?;
    let answer = client.expect(false).await?;
    match json(&answer)? == json!(["hello", "", ""]) {
        true => {}
        false => return Err(shown(&answer)),
    }
    match client.answer(false).await? {
        None => Ok(()),
        Some(next) if next.body == b"next" => Ok(()),
        Some(other) => Err(format!("the second is answered {}", shown(&other))),
    }
}

/// The client goes away. Whatever the application sees of it, it is not a body without fault.
async fn incomplete(stage: &Stage, request: &str) -> Result<(), String> {
    let mut client = stage.client().await;
    client.send(stage.named(request)).await?;
    client.finish().await;
    // An answer, or an end.
    let answer = client.answer(false).await?;
    drop(client);
    match stage.notes().iter().any(|note| note.starts_with("whole")) {
        true => Err("the application reads a whole body".to_owned()),
        false => match answer {
            Some(answer) if answer.status < 400 => Err(shown(&answer)),
            _ => Ok(()),
        },
    }
}

async fn slowly(stage: &Stage) -> Result<(), String> {
    let request = stage.named(post("/input?read=4&readline=&read=", "abcdefgh\nij"));
    let mut client = stage.client().await;
    let head = request.len() - 11;
    client.send(&request[..head]).await?;
    for byte in &request[head..] {
        stage.a_moment().await;
        client.send([*byte]).await?;
    }
    let answer = client.expect(false).await?;
    match json(&answer)? == json!(["abcd", "efgh\n", "ij"]) {
        true => Ok(()),
        false => Err(shown(&answer)),
    }
}

async fn expects(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let head = "POST /input?read= HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
                Expect: 100-continue\r\n\r\n";
    client.send(stage.named(head)).await?;
    match client.expect_interim().await? {
        100 => {}
        status => return Err(format!("told {status}")),
    }
    client.send("hello").await?;
    let answer = client.expect(false).await?;
    match json(&answer)? == json!(["hello"]) {
        true => Ok(()),
        false => Err(shown(&answer)),
    }
}

async fn expects_in_1_0(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let request = "POST /input?read= HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\
                   Expect: 100-continue\r\n\r\nhello";
    client.send(stage.named(request)).await?;
    let answer = client.expect(false).await?;
    match (
        client.interim.is_empty(),
        json(&answer)? == json!(["hello"]),
    ) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("told {:?}", client.interim)),
        _ => Err(shown(&answer)),
    }
}

async fn early(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let head = "POST /refuses HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nsome";
    client.send(stage.named(head)).await?;
    let answer = client.expect(false).await?;
    match (answer.status, answer.text().as_str()) {
        (413, "too much") => Ok(()),
        _ => Err(shown(&answer)),
    }
}

async fn both_ways(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let head = "POST /echo_lines HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(stage.named(head)).await?;
    for line in ["one\n", "two\n", "three\n"] {
        client
            .send(format!("{:x}\r\n{line}\r\n", line.len()))
            .await?;
        client.wait_for(&format!("> {line}")).await?;
    }
    client.send("0\r\n\r\n").await
}
