//! How a request becomes variables.

use serde_json::json;

use super::super::row::{Row, row};

const VARIABLES: &str = "PEP 3333, environ Variables";

pub fn rows() -> Vec<Row> {
    vec![
        row(
            VARIABLES,
            "REQUEST_METHOD: The HTTP request method, such as \"GET\" or \"POST\".",
            "a method that nobody knows is told as it came",
        )
        .asks("M-SEARCH /environ HTTP/1.1\r\nHost: a\r\n\r\n")
        .variable("REQUEST_METHOD", Some("M-SEARCH")),
        row(
            VARIABLES,
            "SCRIPT_NAME: This may be an empty string, if the application corresponds to the \
             \"root\" of the server.",
            "without a mount there is no name",
        )
        .get("/environ")
        .told(|told| told["SCRIPT_NAME"].is_null() || told["SCRIPT_NAME"] == ""),
        row(
            VARIABLES,
            "PATH_INFO: The remainder of the request URL's \"path\", designating the virtual \
             \"location\" of the request's target within the application.",
            "the path is told",
        )
        .get("/environ/below/")
        .variable("PATH_INFO", Some("/environ/below/")),
        row(
            "RFC 3875 §4.1.5",
            "The PATH_INFO string is not URL-encoded, and cannot contain path-segment parameters.",
            "the path is decoded once",
        )
        .get("/environ/a%20b+c%2525;d")
        .variable("PATH_INFO", Some("/environ/a b+c%25;d")),
        row(
            VARIABLES,
            "QUERY_STRING: The portion of the request URL that follows the \"?\", if any.",
            "the query is told as it came",
        )
        .get("/environ?a=%2F&b=//%zz+'?&=")
        .variable("QUERY_STRING", Some("a=%2F&b=//%zz+'?&=")),
        row(
            VARIABLES,
            "QUERY_STRING: May be empty or absent.",
            "without a query it is empty",
        )
        .get("/environ")
        .told(|told| told["QUERY_STRING"].is_null() || told["QUERY_STRING"] == ""),
        row(
            VARIABLES,
            "SERVER_PROTOCOL: The version of the protocol the client used to send the request.",
            "HTTP/1.1 is told",
        )
        .get("/environ")
        .variable("SERVER_PROTOCOL", Some("HTTP/1.1")),
        row(
            VARIABLES,
            "SERVER_PROTOCOL: The version of the protocol the client used to send the request.",
            "HTTP/1.0 is told",
        )
        .asks("GET /environ HTTP/1.0\r\nHost: a\r\n\r\n")
        .variable("SERVER_PROTOCOL", Some("HTTP/1.0")),
        row(
            VARIABLES,
            "The presence or absence of these variables should correspond with the presence or \
             absence of the appropriate HTTP header in the request.",
            "an empty field is there, an absent one is not",
        )
        .asks("GET /environ HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Some:  a  b \r\n\r\n")
        .variable("HTTP_X_EMPTY", Some(""))
        .variable("HTTP_X_SOME", Some("a  b"))
        .variable("HTTP_X_ABSENT", None),
        row(
            "RFC 3875 §4.1.18",
            "If multiple header fields with the same field-name are received then the server MUST \
             rewrite them as a single value having the same semantics.",
            "fields of one name become one value",
        )
        .asks(
            "GET /environ HTTP/1.1\r\nHost: a\r\nX-Twice: one\r\nX-Other: 1\r\nx-twice: two\r\n\r\n",
        )
        .told(|told| {
            let value = told["HTTP_X_TWICE"].as_str().unwrap_or_default();
            matches!(value, "one,two" | "one, two")
        }),
        row(
            "RFC 9113 §8.2.3",
            "these MUST be concatenated into a single octet string using the two-octet delimiter \
             of 0x3B, 0x20 (the ASCII string \"; \") before being passed into a non-HTTP/2 \
             context, such as an HTTP/1.1 connection, or a generic HTTP server application.",
            "cookies are joined as cookies",
        )
        .asks("GET /environ HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")
        .variable("HTTP_COOKIE", Some("a=1; b=2")),
        row(
            "RFC 3875 §4.1.18; CVE-2016-1000110 (httpoxy)",
            "The server is not required to create meta-variables for all the header fields that \
             it receives.",
            "no client sets HTTP_PROXY",
        )
        .asks("GET /environ HTTP/1.1\r\nHost: a\r\nProxy: http://evil\r\n\r\n")
        .variable("HTTP_PROXY", None),
        row(
            "CVE-2015-0219",
            "(an underscore and a hyphen are the same in the name of a variable)",
            "X_Forwarded_For is not X-Forwarded-For",
        )
        .asks(
            "GET /environ HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\n\
             X_Own: 6.6.6.6\r\nContent_Length: 6\r\nContent_Type: 6.6.6.6\r\n\r\n",
        )
        .told(|told| !told.to_string().contains("6.6.6.6"))
        .told(|told| matches!(told["CONTENT_LENGTH"].as_str(), None | Some("" | "0"))),
        row(
            "RFC 9112 §3.2",
            "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request \
             message that lacks a Host header field and to any request message that contains \
             more than one Host header field line",
            "two hosts are none",
        )
        .asks("GET /environ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        .status(400),
        row(
            "RFC 9112 §3.2",
            "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request \
             message that lacks a Host header field",
            "HTTP/1.1 names a host",
        )
        .asks("GET /environ HTTP/1.1\r\n\r\n")
        .status(400),
        row(
            "RFC 9112 §3.2.2",
            "When an origin server receives a request with an absolute-form of request-target, \
             the origin server MUST ignore the received Host header field (if any) and instead \
             use the host information of the request-target.",
            "the target names the host, if it does",
        )
        .asks("GET http://example.org/environ?q HTTP/1.1\r\nHost: example.org\r\n\r\n")
        .variable("HTTP_HOST", Some("example.org"))
        .variable("PATH_INFO", Some("/environ"))
        .variable("QUERY_STRING", Some("q")),
        row(
            "(no standard; Werkzeug and others ask for it)",
            "REQUEST_URI or RAW_URI: the request target as it came",
            "the target is told as it came",
        )
        .get("/environ/a%20%C3%BC?a=%2F")
        .told(|told| {
            let target = told.get("REQUEST_URI").or(told.get("RAW_URI"));
            target.is_some_and(|target| target == "/environ/a%20%C3%BC?a=%2F")
        }),
        row(
            "PEP 3333, URL Reconstruction",
            "If an application wishes to reconstruct a request's complete URL, it may do so using \
             the following algorithm",
            "the URL can be made again",
        )
        .asks("GET /url/a%20b?x=%20 HTTP/1.1\r\nHost: example.org:81\r\n\r\n")
        .tells(json!("http://example.org:81/url/a%20b?x=%20")),
        row(
            "PEP 3333, Other HTTP Features",
            "WSGI servers must handle any supported inbound \"hop-by-hop\" headers on their own, \
             such as by decoding any inbound Transfer-Encoding",
            "chunks are not the application's to decode",
        )
        .post_chunks("/environ", "0123456789", 3)
        .variable("HTTP_TRANSFER_ENCODING", None)
        .variable("HTTP_TRAILER", None),
        row(
            "RFC 9112 §6.3",
            "If a message is received with both a Transfer-Encoding and a Content-Length header \
             field, the Transfer-Encoding overrides the Content-Length.",
            "of a length and chunks, one is told",
        )
        .asks(
            "POST /by_length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
             Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n",
        )
        .told_or_refused(|told| told == "abcdef" || told == ""),
        row(
            "RFC 9112 §6.3",
            "If a message is received without Transfer-Encoding and with an invalid Content-Length \
             header field, then the message framing is invalid and the recipient MUST treat it as \
             an unrecoverable error",
            "a length that is none is refused",
        )
        .asks("POST /environ HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc")
        .status(400)
        .closes(),
    ]
}
