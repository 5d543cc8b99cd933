#![allow(clippy::unwrap_used)]

use http::{HeaderName, HeaderValue};

use super::*;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

#[test]
fn a_status_line_is_read_whatever_its_version() {
    for (line, status) in [
        ("HTTP/1.1 200 OK\r\n", 200),
        ("HTTP/1.0 404 Not Found\r\n", 404),
        ("HTTP/2.0 200 OK\r\n", 200),
        ("HTTP/3 204 No Content\r\n", 204),
        ("HTTP/1.1 101 Switching Protocols\r\n", 101),
        ("HTTP/1.1 200\r\n", 200),
        ("HTTP/1.1 200 \r\n", 200),
        ("HTTP/1.1 200 OK\n", 200),
        ("HTTP/1.1 599 \u{fc}\t\r\n", 599),
    ] {
        let bytes = format!("{line}Status: 500\r\n");
        let Opening::StatusLine {
            status: read,
            length,
        } = opening(bytes.as_bytes()).unwrap()
        else {
            panic!("{line:?}");
        };
        assert_eq!((read.as_u16(), length), (status, line.len()), "{line:?}");
    }
}

#[test]
fn what_only_looks_like_a_status_line_is_refused() {
    for line in [
        "HTTP/1.1\r\n",
        "HTTP/1.1 \r\n",
        "HTTP/1.1 20\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 0200 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1 +20 OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1\t200 OK\r\n",
        "HTTP/1.1 200OK\r\n",
        "HTTP/1.1 200 O\rK\r\n",
        "HTTP/1.1 200 O\0K\r\n",
        "HTTP/ 200 OK\r\n",
        "HTTP/1. 200 OK\r\n",
        "HTTP/.1 200 OK\r\n",
        "HTTP/1.1.1 200 OK\r\n",
        "HTTP/x 200 OK\r\n",
        "HTTP/1.1 None\r\n",
        "HTTP/\n",
    ] {
        assert_eq!(
            opening(line.as_bytes()),
            Err(InvalidAnswer::StatusLine),
            "{line:?}"
        );
    }
}

#[test]
fn an_answer_of_fields_is_told_from_one_with_a_status_line() {
    for bytes in [
        "Status: 404 Not Found\r\n",
        "Content-Type: text/html\r\n",
        "http/1.1 200 OK\r\n",
        "HTTPS: on\r\n",
        "H: 1\r\n",
        "\r\n",
        "\0",
    ] {
        assert_eq!(opening(bytes.as_bytes()), Ok(Opening::Fields), "{bytes:?}");
    }
    let whole = "HTTP/1.1 200 OK\r\n";
    for length in 0..whole.len() {
        let bytes = &whole.as_bytes()[..length];
        assert_eq!(opening(bytes), Ok(Opening::Partial), "{length}");
    }
}

#[test]
fn the_status_of_a_cgi_answer_is_its_own_or_by_its_kind() {
    for (lines, status) in [
        (&[("content-type", "text/html")][..], 200),
        (&[("status", "404 Not Found")], 404),
        (&[("status", "204")], 204),
        (&[("status", "")], 200),
        (&[("location", "https://example.org/")], 302),
        (&[("location", "/elsewhere")], 302),
        (&[("location", "")], 200),
        (&[("location", "/new"), ("status", "201 Created")], 201),
        (&[("status", "301 Moved"), ("location", "/new")], 301),
        (&[("status", "101 Switching Protocols")], 101),
    ] {
        let mut headers = headers(lines);
        assert_eq!(cgi_status(&mut headers).unwrap(), status, "{lines:?}");
        assert!(!headers.contains_key("status"));
        let location = lines.iter().any(|(name, _)| *name == "location");
        assert_eq!(headers.contains_key("location"), location);
    }
}

#[test]
fn an_empty_head_is_no_answer() {
    assert_eq!(
        cgi_status(&mut HeaderMap::new()),
        Err(InvalidAnswer::NoHead)
    );
}

#[test]
fn a_status_field_that_is_none_is_refused() {
    for lines in [
        &[("status", "OK")][..],
        &[("status", "20")],
        &[("status", "2000")],
        &[("status", "200OK")],
        &[("status", "-20 x")],
        &[("status", "HTTP/1.1 200 OK")],
        // Another head would have to follow.
        &[("status", "100 Continue")],
        &[("status", "103 Early Hints")],
        &[("status", "200 OK"), ("status", "200 OK")],
        &[("status", "200 OK"), ("status", "404 Not Found")],
    ] {
        assert_eq!(
            cgi_status(&mut headers(lines)),
            Err(InvalidAnswer::StatusField),
            "{lines:?}"
        );
    }
}

#[test]
fn a_connection_is_kept_only_if_the_server_says_so_and_the_body_has_an_end() {
    for (lines, is_delimited, keeps) in [
        (&[("connection", "keep-alive")][..], true, true),
        (&[("connection", "Keep-Alive")], true, true),
        (&[("connection", "x, keep-alive")], true, true),
        // The body ends with the connection.
        (&[("connection", "keep-alive")], false, false),
        // uWSGI.
        (&[], true, false),
        (&[("content-length", "3")], true, false),
        (&[("connection", "close")], true, false),
        (&[("connection", "keep-alive, close")], true, false),
        (
            &[("connection", "keep-alive"), ("connection", "close")],
            true,
            false,
        ),
        (&[("keep-alive", "timeout=5")], true, false),
        (&[("connection", "upgrade")], true, false),
    ] {
        let headers = headers(lines);
        assert_eq!(keeps_connection(&headers, is_delimited), keeps, "{lines:?}");
    }
}
