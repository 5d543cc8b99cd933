#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn parsed(text: &'static [u8]) -> Result<Head, BadHead> {
    parse(&Bytes::from_static(text))
}

#[test]
fn a_head_is_read_as_it_was_written() {
    let head = parsed(
        b"404 Not Found\nContent-Type\ntext/html\nSet-Cookie\na=1\nset-cookie\nb=2\n\
          X-Name\ncaf\xe9\nContent-Length\n12\nX-Empty\n",
    )
    .unwrap();
    assert_eq!(head.status, 404);
    assert_eq!(head.length, Some(12));
    let cookies: Vec<_> = head.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(head.headers["content-type"], "text/html");
    assert_eq!(head.headers["x-name"].as_bytes(), b"caf\xe9");
    assert_eq!(head.headers["x-empty"], "");
    assert_eq!(head.headers.len(), 6);
}

#[test]
fn a_status_is_one_of_an_answer() {
    for (text, status) in [
        (&b"200 OK"[..], Some(200)),
        (b"200", Some(200)),
        (b"200 ", Some(200)),
        (b"299 \xe9t\xe9", Some(299)),
        (b"999 What", Some(999)),
        (b"100 Continue", None),
        (b"101 Switching Protocols", None),
        (b"103 Early Hints", None),
        (b"099 ?", None),
        (b"1000", None),
        (b"20", None),
        (b"2000 OK", None),
        (b"200OK", None),
        (b"OK", None),
        (b" 200 OK", None),
        (b"", None),
    ] {
        let head = parsed(text).map(|head| head.status.as_u16());
        assert_eq!(head.ok(), status, "{}", text.escape_ascii());
    }
}

#[test]
fn a_reason_of_its_own_is_kept() {
    for (text, reason) in [
        (&b"200 OK"[..], None),
        (b"200", None),
        (b"200 ", None),
        (b"200 Fine", Some(&b"Fine"[..])),
        (b"404 Not  Found", Some(b"Not  Found")),
        (b"299 \xe9t\xe9", Some(b"\xe9t\xe9")),
        (b"299 OK", Some(b"OK")),
    ] {
        let head = parsed(text).unwrap();
        let given = head.reason.as_ref().map(ReasonPhrase::as_bytes);
        assert_eq!(given, reason, "{}", text.escape_ascii());
    }
    assert_eq!(parsed(b"200 a\x01b").err(), Some(BadHead::Status));
}

#[test]
fn what_is_no_head_says_why() {
    let name = |name| HeaderName::from_static(name);
    for (text, error) in [
        (&b"200 OK\nX"[..], BadHead::Value),
        (b"200 OK\n", BadHead::Name),
        (b"200 OK\n\nvalue", BadHead::Name),
        (b"200 OK\nX Y\nvalue", BadHead::Name),
        (b"200 OK\nX:\nvalue", BadHead::Name),
        (b"200 OK\nX\nvalue\r", BadHead::Field(name("x"))),
        (b"200 OK\nX\nval\0ue", BadHead::Field(name("x"))),
        (
            b"200 OK\nConnection\nclose",
            BadHead::HopByHop(name("connection")),
        ),
        (
            b"200 OK\nTransfer-Encoding\nchunked",
            BadHead::HopByHop(name("transfer-encoding")),
        ),
        (b"200 OK\nUpgrade\nfoo", BadHead::HopByHop(name("upgrade"))),
        (b"200 OK\nContent-Length\n", BadHead::Length),
        (b"200 OK\nContent-Length\n-1", BadHead::Length),
        (b"200 OK\nContent-Length\n+1", BadHead::Length),
        (b"200 OK\nContent-Length\n1, 1", BadHead::Length),
        (
            b"200 OK\nContent-Length\n1\nContent-Length\n1",
            BadHead::Length,
        ),
        (
            b"200 OK\nContent-Length\n99999999999999999999",
            BadHead::Length,
        ),
    ] {
        let said = parsed(text).map(|head| head.headers).unwrap_err();
        assert_eq!(said, error, "{}", text.escape_ascii());
        assert!(!said.to_string().is_empty());
    }
}

#[test]
fn an_answer_without_content_has_no_length() {
    let head = parsed(b"204 No Content\nContent-Length\n0").unwrap();
    assert_eq!((head.headers.len(), head.length), (0, None));
    // It says how long the body would have been.
    let head = parsed(b"304 Not Modified\nContent-Length\n7").unwrap();
    assert_eq!((head.headers.len(), head.length), (1, Some(7)));
}

proptest! {
    #[test]
    fn nothing_that_a_worker_writes_is_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _read = parse(&Bytes::from(text));
    }

    #[test]
    fn what_looks_like_a_head_is_read_or_refused(
        text in "(200 OK|1|[0-9]{3})(\n[A-Za-z-]{0,12}\n[ -~]{0,9}){0,6}\n?",
    ) {
        let _read = parse(&Bytes::from(text));
    }

    #[test]
    fn fields_come_out_as_they_went_in(
        fields in prop::collection::vec(("x-[a-z]{1,9}", "[!-~\u{80}-\u{ff}]{0,20}"), 0..40),
    ) {
        let mut text = b"200 OK".to_vec();
        for (name, value) in &fields {
            for part in [name, value] {
                text.push(b'\n');
                text.extend(part.chars().map(|char| u8::try_from(u32::from(char)).unwrap()));
            }
        }
        let head = parse(&Bytes::from(text)).unwrap();
        prop_assert_eq!(head.headers.len(), fields.len());
        let read: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let written: usize = fields.iter().map(|(name, value)| name.len() + value.chars().count()).sum();
        prop_assert_eq!(read, written);
    }
}
