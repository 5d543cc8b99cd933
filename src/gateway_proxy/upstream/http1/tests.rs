use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode, Version};
use proptest::prelude::*;

use super::{
    BadAnswer,
    chunked::{Chunked, Piece},
    framing::{self, Framing},
    head,
};

const MAX: usize = 64 << 10;

fn headers(text: &str) -> HeaderMap {
    let mut buffer = BytesMut::from(format!("HTTP/1.1 200 OK\r\n{text}\r\n").as_bytes());
    let answer = head::answer(&mut buffer, MAX).unwrap().unwrap();
    answer.headers().clone()
}

#[test]
fn heads_of_answers() {
    for (text, status, version, fields) in [
        ("HTTP/1.1 200 OK\r\n\r\n", 200, Version::HTTP_11, 0),
        (
            "HTTP/1.0 404 Not Found\r\na: b\r\n\r\n",
            404,
            Version::HTTP_10,
            1,
        ),
        (
            "HTTP/1.1 204\r\na: b\r\nA:c\r\n\r\n",
            204,
            Version::HTTP_11,
            2,
        ),
        (
            "HTTP/1.1 200 \r\nempty:\r\nspaced:  x  \r\n\r\n",
            200,
            Version::HTTP_11,
            2,
        ),
        ("HTTP/1.1 999 é\r\n\r\n", 999, Version::HTTP_11, 0),
        ("HTTP/1.1 200 OK\nbare: LF\n\n", 200, Version::HTTP_11, 1),
    ] {
        // However it is cut, it is the same, and not a byte beyond it is taken.
        for cut in 0..text.len() {
            let mut buffer = BytesMut::from(&text.as_bytes()[..cut]);
            assert_eq!(
                head::answer(&mut buffer, MAX).map(|head| head.is_some()),
                Ok(false)
            );
            buffer.extend_from_slice(&text.as_bytes()[cut..]);
            buffer.extend_from_slice(b"rest");
            let answer = head::answer(&mut buffer, MAX).unwrap().unwrap();
            assert_eq!(answer.status(), status, "{text:?}");
            assert_eq!(answer.version(), version);
            assert_eq!(answer.headers().len(), fields);
            assert_eq!(&buffer[..], b"rest");
        }
    }
    assert_eq!(headers("spaced:  x \t\r\n")["spaced"], "x");
    assert_eq!(
        headers("two: a\r\ntwo: b\r\n")
            .get_all("two")
            .iter()
            .count(),
        2
    );
}

#[test]
fn heads_that_are_none() {
    for text in [
        "hello\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 0200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nname : space\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: nul\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: bare\rCR\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: nameless\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
    ] {
        let mut buffer = BytesMut::from(text);
        assert!(head::answer(&mut buffer, MAX).is_err(), "{text:?}");
    }
    let fields = "a: b\r\n".repeat(101);
    let mut buffer = BytesMut::from(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes());
    assert_eq!(
        head::answer(&mut buffer, MAX).unwrap_err(),
        BadAnswer("it has too many fields")
    );
}

#[test]
fn a_head_is_no_larger_than_allowed_whether_it_ends_or_not() {
    let head = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(100));
    let read = |text: &str, max| head::answer(&mut BytesMut::from(text), max);
    assert!(read(&head, head.len()).unwrap().is_some());
    assert_eq!(
        read(&head, head.len() - 1).unwrap_err().0,
        "its head is too large"
    );
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(8 << 10));
    assert!(read(&endless, endless.len()).unwrap().is_none());
    assert_eq!(
        read(&endless, endless.len() - 1).unwrap_err().0,
        "its head is too large"
    );
    assert!(read(&format!("{endless}\r\n\r\n"), MAX).unwrap().is_some());
}

#[test]
fn where_a_body_ends() {
    let length = |n| move |framing: &Framing| matches!(framing, Framing::Length(l) if *l == n);
    let chunked = |framing: &Framing| matches!(framing, Framing::Chunked(_));
    let close = |framing: &Framing| matches!(framing, Framing::Close);
    let rows: [(&str, u16, &str, &dyn Fn(&Framing) -> bool); 15] = [
        ("GET", 200, "content-length: 5\r\n", &length(5)),
        (
            "GET",
            200,
            "content-length: 5\r\ncontent-length: 5\r\n",
            &length(5),
        ),
        ("GET", 200, "content-length: 5, 5\r\n", &length(5)),
        ("GET", 200, "transfer-encoding: chunked\r\n", &chunked),
        (
            "GET",
            200,
            "transfer-encoding: Chunked\r\ncontent-length: 5\r\n",
            &chunked,
        ),
        ("GET", 200, "", &close),
        ("HEAD", 200, "content-length: 5\r\n", &length(0)),
        ("HEAD", 200, "transfer-encoding: chunked\r\n", &length(0)),
        ("HEAD", 200, "", &length(0)),
        ("GET", 204, "content-length: 5\r\n", &length(0)),
        ("GET", 304, "content-length: 5\r\n", &length(0)),
        ("GET", 304, "content-length: 5, 6\r\n", &length(0)),
        ("GET", 101, "", &length(0)),
        ("GET", 200, "content-length: 0\r\n", &length(0)),
        (
            "GET",
            200,
            "content-length: 18446744073709551615\r\n",
            &length(u64::MAX),
        ),
    ];
    for (method, status, text, like) in rows {
        let method: Method = method.parse().unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let framing = framing::of(&method, Version::HTTP_11, status, &mut headers(text)).unwrap();
        let framing = framing.framing;
        assert!(like(&framing), "{method} {status} {text:?}: {framing:?}");
    }
    for text in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: -5\r\n",
        "content-length: +5\r\n",
        "content-length: 0x5\r\n",
        "content-length: 5 5\r\n",
        "content-length:\r\n",
        "content-length: 18446744073709551616\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding:\r\n",
    ] {
        let read = framing::of(
            &Method::GET,
            Version::HTTP_11,
            StatusCode::OK,
            &mut headers(text),
        );
        assert!(read.is_err(), "{text:?}");
    }
}

#[test]
fn which_connections_persist() {
    for (version, text, persists) in [
        (Version::HTTP_11, "content-length: 5\r\n", true),
        (
            Version::HTTP_11,
            "content-length: 5\r\nconnection: close\r\n",
            false,
        ),
        (
            Version::HTTP_11,
            "content-length: 5\r\nconnection: a, Close\r\n",
            false,
        ),
        (Version::HTTP_11, "", false),
        (Version::HTTP_11, "transfer-encoding: chunked\r\n", true),
        (Version::HTTP_10, "content-length: 5\r\n", false),
        (
            Version::HTTP_10,
            "content-length: 5\r\nconnection: keep-alive\r\n",
            true,
        ),
    ] {
        let mut headers = headers(text);
        let framing = framing::of(&Method::GET, version, StatusCode::OK, &mut headers).unwrap();
        assert_eq!(
            framing::persists(version, &headers, &framing),
            persists,
            "{text:?}"
        );
    }
}

/// Everything that a decoder finds in bytes that come in pieces.
fn decode(bytes: &[u8], piece: usize) -> Result<Option<(Vec<u8>, HeaderMap)>, BadAnswer> {
    let mut chunked = Chunked::new();
    let mut buffer = BytesMut::new();
    let mut data = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(piece) = chunked.next(&mut buffer, MAX)? {
            match piece {
                Piece::Data(bytes) => data.extend_from_slice(&bytes),
                Piece::End(trailers) => return Ok(Some((data, trailers))),
            }
        }
    }
    Ok(None)
}

#[test]
fn chunks() {
    for (text, expected) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("1\r\nh\r\n00004\r\nello\r\n000\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        (
            "a;name=value;other=\"x\"\r\n0123456789\r\n0;last\r\n\r\n",
            "0123456789",
        ),
        ("5 ;x\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\n\r\n\r\n\r\r\n0\r\n\r\n", "\r\n\r\n\r"),
    ] {
        for piece in 1..=text.len() {
            let (data, trailers) = decode(text.as_bytes(), piece).unwrap().unwrap();
            assert_eq!(data, expected.as_bytes(), "{text:?}");
            assert!(trailers.is_empty());
        }
        for cut in 0..text.len() {
            assert_eq!(decode(&text.as_bytes()[..cut], 3), Ok(None), "{text:?}");
        }
    }
    let (_, trailers) = decode(b"0\r\nsum: 1\r\nsum: 2\r\n\r\n", 4)
        .unwrap()
        .unwrap();
    assert_eq!(trailers.get_all("sum").iter().count(), 2);
}

#[test]
fn chunks_that_are_none() {
    for text in [
        "x\r\n\r\n",
        "\r\n",
        "-1\r\n",
        "+1\r\nx\r\n",
        "0x1\r\nx\r\n",
        " 1\r\nx\r\n",
        "1 \r\nx\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\rx\r\n",
        "1\r\nxx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "10000000000000000\r\n",
        "1;\0\r\nx\r\n",
        "1;a\rb\r\nx\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\na : b\r\n\r\n",
    ] {
        for piece in [1, text.len()] {
            assert!(decode(text.as_bytes(), piece).is_err(), "{text:?} {piece}");
        }
    }
}

#[test]
fn chunk_extensions_and_trailers_have_an_end() {
    let long = format!("1;{}", "x".repeat(20 << 10));
    assert!(decode(long.as_bytes(), 1 << 10).is_err());
    let many = "1;xxxxxxxxxxxxxxx\r\nx\r\n".repeat(2 << 10);
    assert!(decode(many.as_bytes(), 1 << 10).is_err());
    let trailers = format!("0\r\na: {}", "x".repeat(MAX));
    assert!(decode(trailers.as_bytes(), 1 << 10).is_err());
}

proptest! {
    #[test]
    fn what_is_cut_into_chunks_is_put_together(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..10),
        piece in 1_usize..64,
    ) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let (data, _) = decode(&bytes, piece).unwrap().unwrap();
        prop_assert_eq!(data, chunks.concat());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..64) {
        let _ = decode(&bytes, piece);
        let _ = head::answer(&mut BytesMut::from(&bytes[..]), MAX);
        let mut line = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
        line.extend_from_slice(&bytes);
        let _ = head::answer(&mut line, 100);
    }
}
