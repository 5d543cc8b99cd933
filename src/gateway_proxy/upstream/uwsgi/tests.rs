#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;

/// One request as its reader sees it.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    modifiers: (u8, u8),
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// What follows.
    rest: Vec<u8>,
}

/// Reads what [`encode`] wrote, byte by byte as the protocol says.
fn decode(bytes: &[u8]) -> Packet {
    let (header, rest) = bytes.split_at(4);
    let size = usize::from(u16::from_le_bytes([header[1], header[2]]));
    let (mut block, rest) = rest.split_at(size);
    let mut variables = Vec::new();
    while !block.is_empty() {
        let name = sized(&mut block);
        variables.push((name, sized(&mut block)));
    }
    Packet {
        modifiers: (header[0], header[3]),
        variables,
        rest: rest.to_vec(),
    }
}

fn sized(block: &mut &[u8]) -> Vec<u8> {
    let (size, rest) = block.split_at(2);
    let (bytes, rest) = rest.split_at(usize::from(u16::from_le_bytes([size[0], size[1]])));
    *block = rest;
    bytes.to_vec()
}

fn visited(meta: &Meta<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut visited = Vec::new();
    cgi::variables(meta, &mut |name, value| {
        visited.push((name.to_vec(), value.to_vec()));
    });
    visited
}

/// The length of the block of a bare request.
fn bare_length() -> usize {
    let headers = HeaderMap::new();
    let meta = Meta::new(&Method::GET, "/", &headers);
    let mut out = BytesMut::new();
    encode(&meta, WSGI, MAX_BLOCK, &mut out).unwrap().length
}

/// A request whose block has this length, by one field.
fn headers_for(length: usize) -> HeaderMap {
    let overhead = 4 + "HTTP_X".len();
    let value = vec![b'v'; length - bare_length() - overhead];
    let mut headers = HeaderMap::new();
    headers.insert(
        "x",
        HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).unwrap(),
    );
    headers
}

#[test]
fn a_request_has_these_bytes() {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("a"));
    let mut meta = Meta::new(&Method::GET, "/", &headers);
    meta.server_port = Some(1);
    let mut out = BytesMut::from("before");
    let block = encode(&meta, (5, 7), MAX_BLOCK, &mut out).unwrap();
    let expected = b"before\
        \x05\xc0\x00\x07\
        \x0e\x00REQUEST_METHOD\x03\x00GET\
        \x0b\x00REQUEST_URI\x01\x00/\
        \x0b\x00SCRIPT_NAME\x00\x00\
        \x09\x00PATH_INFO\x01\x00/\
        \x0c\x00QUERY_STRING\x00\x00\
        \x0f\x00SERVER_PROTOCOL\x08\x00HTTP/1.1\
        \x0e\x00REQUEST_SCHEME\x04\x00http\
        \x0b\x00REMOTE_ADDR\x00\x00\
        \x0b\x00SERVER_NAME\x01\x00a\
        \x0b\x00SERVER_PORT\x01\x001\
        \x09\x00HTTP_HOST\x01\x00a";
    assert_eq!(
        out.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    assert_eq!(
        block,
        Block {
            length: 0xc0,
            variables: 11
        }
    );
}

#[test]
fn a_block_up_to_its_limit_is_whole_and_a_longer_one_is_not_begun() {
    for (length, limit, fits) in [
        (4096, 4096, true),
        (4097, 4096, false),
        (4096, 4095, false),
        (65_535, MAX_BLOCK, true),
        (65_535, usize::MAX, true),
        (65_536, MAX_BLOCK, false),
        (65_536, usize::MAX, false),
        (200_000, usize::MAX, false),
        (4096, 0, false),
    ] {
        let headers = headers_for(length);
        let meta = Meta::new(&Method::GET, "/", &headers);
        let mut out = BytesMut::from("before");
        let encoded = encode(&meta, WSGI, limit, &mut out);
        if fits {
            assert_eq!(encoded.unwrap().length, length);
            assert_eq!(out.len(), "before".len() + 4 + length);
            assert_eq!(decode(&out["before".len()..]).variables, visited(&meta));
        } else {
            let limit = limit.min(65_535);
            assert_eq!(encoded, Err(TooLarge { length, limit }));
            assert_eq!(out, "before", "{length} with {limit}");
        }
    }
    let said = TooLarge {
        length: 4097,
        limit: 4096,
    }
    .to_string();
    assert!(said.contains("4097") && said.contains("4096"), "{said}");
}

#[test]
fn too_much_is_measured_to_its_end_wherever_it_is() {
    let mut headers = headers_for(70_000);
    headers.insert("x-after", HeaderValue::from_static("small"));
    let path = format!("/{}", "p".repeat(80_000));
    let mut meta = Meta::new(&Method::GET, &path, &headers);
    meta.content_length = Some(3);
    let expected: usize = visited(&meta)
        .iter()
        .map(|(name, value)| 4 + name.len() + value.len())
        .sum();
    let mut out = BytesMut::new();
    let error = encode(&meta, WSGI, MAX_BLOCK, &mut out).unwrap_err();
    assert_eq!(error.length, expected);
    assert!(out.is_empty());
}

#[test]
fn a_server_that_went_may_have_had_too_much() {
    let unanswered = |length, variables| Block { length, variables }.unanswered();
    assert_eq!(unanswered(4096, 128), None);
    for (length, variables) in [(4097, 20), (4000, 129)] {
        let said = unanswered(length, variables).unwrap().to_string();
        assert!(
            said.contains("buffer-size") && said.contains("max-vars"),
            "{said}"
        );
        assert!(
            said.contains(&format!("{variables} variables of {length} bytes")),
            "{said}"
        );
    }
}

prop_compose! {
    fn fields()(
        lines in prop::collection::vec(("[a-z]{1,3}(-[a-z0-9]{1,70})?", "[ -~\u{80}-\u{ff}]{0,50}"), 0..30)
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        headers
    }
}

proptest! {
    #[test]
    fn every_variable_comes_back_in_its_place(
        headers in fields(),
        path in "/[a-z%0-9]{0,40}",
        query in "[!-~]{0,40}",
        script_name in "(/[a-z]{1,5})?",
        content_length in prop::option::of(any::<u64>()),
        remote_addr in prop::option::of(any::<IpAddr>()),
        modifiers in any::<(u8, u8)>(),
        body in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut meta = Meta::new(&Method::PUT, &path, &headers);
        meta.query = &query;
        meta.script_name = &script_name;
        meta.content_length = content_length;
        meta.remote_addr = remote_addr;
        meta.scheme = "https";
        let mut out = BytesMut::new();
        let block = encode(&meta, modifiers, MAX_BLOCK, &mut out).unwrap();
        out.extend_from_slice(&body);

        let expected = Packet { modifiers, variables: visited(&meta), rest: body };
        prop_assert_eq!(block.variables, expected.variables.len());
        prop_assert_eq!(decode(&out), expected);
    }
}
