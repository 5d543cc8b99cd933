//! What is sent, read by a parser that takes nothing but what the RFCs allow.

use std::{io::Write, task::Waker};

use http_body::Body as _;
use http_body_util::BodyExt;
use proptest::prelude::*;

use super::*;

type Part = (Option<String>, Range<u64>, Vec<u8>);

/// The parts of a body, and the length of the whole that they all name.
fn parse(content_type: &HeaderValue, body: &[u8]) -> Result<(Vec<Part>, u64), String> {
    let content_type = content_type.to_str().map_err(|error| error.to_string())?;
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .ok_or("not a multipart/byteranges")?;
    // RFC 2046: "boundary := 0*69<bchars> bcharsnospace"; and a token, since it is not quoted.
    if boundary.is_empty()
        || boundary.len() > 70
        || !boundary.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(format!("{boundary} is no boundary"));
    }
    let delimiter = format!("\r\n--{boundary}");
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|part| part == what);

    let mut rest = body
        .strip_prefix(delimiter.as_bytes())
        .ok_or("no CRLF and boundary at the start")?;
    let mut parts = Vec::new();
    let mut whole = None;
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = find(part, delimiter.as_bytes()).ok_or("a part has no end")?;
        let (part, behind) = part.split_at(end);
        let blank = find(part, b"\r\n\r\n").ok_or("no empty line behind the fields")?;
        let content = &part[blank + 4..];
        let (mut media_type, mut range) = (None, None);
        for line in part[..blank].split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
            let (name, value) = line.split_once(": ").ok_or("no colon")?;
            let place = match name {
                "Content-Type" => &mut media_type,
                "Content-Range" => &mut range,
                _ => return Err(format!("a field named {name}")),
            };
            if place.replace(value.to_owned()).is_some() {
                return Err(format!("two fields named {name}"));
            }
        }
        let range = range.ok_or("no Content-Range")?;
        let numbers: Vec<u64> = range
            .strip_prefix("bytes ")
            .ok_or("another unit")?
            .split(['-', '/'])
            .map(|number| number.parse().map_err(|error| format!("{range}: {error}")))
            .collect::<Result<_, _>>()?;
        let [first, last, length] = numbers[..] else {
            return Err(format!("{range} is no range"));
        };
        if last < first || last >= length || content.len() as u64 != last - first + 1 {
            return Err(format!("{range} of {} bytes", content.len()));
        }
        if whole.replace(length).is_some_and(|other| other != length) {
            return Err("two lengths of the whole".into());
        }
        parts.push((media_type, first..last + 1, content.to_vec()));
        rest = &behind[delimiter.len()..];
    }
    match rest {
        b"--\r\n" => Ok((parts, whole.ok_or("no part")?)),
        _ => Err("something else behind a boundary".into()),
    }
}

fn digits(length: usize) -> Vec<u8> {
    (b'0'..=b'9').cycle().take(length).collect()
}

fn file(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(content).expect("room for it");
    Arc::new(file)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Takes all of it, and holds it to its promises on the way.
async fn collect(multipart: Multipart) -> Result<(HeaderValue, Vec<u8>), BoxError> {
    let content_type = multipart.content_type();
    let length = multipart.length();
    let mut body = Body::new(multipart);
    assert_eq!(body.size_hint().exact(), Some(length));
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame?.into_data().expect("no trailers");
        assert!(!data.is_empty() && data.len() <= super::super::file::CHUNK);
        bytes.extend_from_slice(&data);
        let left = length - bytes.len() as u64;
        assert_eq!(body.size_hint().exact(), Some(left));
        assert_eq!(body.is_end_stream(), left == 0);
    }
    assert_eq!(bytes.len() as u64, length);
    assert!(body.frame().await.is_none());
    Ok((content_type, bytes))
}

#[test]
fn it_is_written_as_in_the_example_of_the_rfc() {
    let content = Bytes::from(digits(8000));
    let pdf = HeaderValue::from_static("application/pdf");
    let multipart = Multipart::new(content, 8000, vec![500..503, 7998..8000], Some(&pdf));
    let (content_type, bytes) = run(collect(multipart)).expect("all of it");
    let boundary = content_type.to_str().expect("ASCII");
    let boundary = boundary.strip_prefix("multipart/byteranges; boundary=");
    let expected = "\r\n\
        --B\r\n\
        Content-Type: application/pdf\r\n\
        Content-Range: bytes 500-502/8000\r\n\
        \r\n\
        012\r\n\
        --B\r\n\
        Content-Type: application/pdf\r\n\
        Content-Range: bytes 7998-7999/8000\r\n\
        \r\n\
        89\r\n\
        --B--\r\n"
        .replace('B', boundary.expect("a boundary"));
    assert_eq!(String::from_utf8(bytes).expect("ASCII"), expected);
}

#[test]
fn a_part_has_no_type_if_the_whole_has_none() {
    let content = Bytes::from_static(b"0123456789");
    let multipart = Multipart::new(content, 10, vec![8..10, 0..1], None);
    let (content_type, bytes) = run(collect(multipart)).expect("all of it");
    let parts = vec![(None, 8..10, b"89".to_vec()), (None, 0..1, b"0".to_vec())];
    assert_eq!(parse(&content_type, &bytes), Ok((parts, 10)));
}

#[test]
fn a_type_is_repeated_byte_for_byte() {
    let content = Bytes::from_static(b"0123456789");
    let odd = HeaderValue::from_bytes(b"text/x; a=\"\xff\"").expect("a field value");
    let multipart = Multipart::new(content, 10, vec![0..1, 9..10], Some(&odd));
    let (_, bytes) = run(collect(multipart)).expect("all of it");
    let field = b"\r\nContent-Type: text/x; a=\"\xff\"\r\n";
    let count = bytes.windows(field.len()).filter(|part| part == field);
    assert_eq!(count.count(), 2);
}

#[test]
fn a_large_file_is_sent_in_chunks() {
    let chunk = super::super::file::CHUNK as u64;
    let length = chunk * 4;
    let content = digits(length as usize);
    let ranges = vec![chunk + 7..3 * chunk + 9, 0..1, length - chunk..length];
    let multipart = Multipart::new(file(&content), length, ranges.clone(), None);
    let (content_type, bytes) = run(collect(multipart)).expect("all of it");
    let parts = ranges
        .into_iter()
        .map(|range| {
            (
                None,
                range.clone(),
                content[range.start as usize..range.end as usize].to_vec(),
            )
        })
        .collect();
    assert_eq!(parse(&content_type, &bytes), Ok((parts, length)));
}

#[test]
fn a_file_that_became_shorter_ends_it_with_an_error() {
    let file = file(&digits(1000));
    let multipart = Multipart::new(
        Arc::clone(&file),
        1000,
        vec![0..10, 500..600, 900..1000],
        None,
    );
    file.set_len(550).expect("a shorter file");
    let mut body = Body::new(multipart);
    run(async {
        let mut taken = Vec::new();
        loop {
            match body.frame().await.expect("no end without an error") {
                Ok(frame) => taken.extend(frame.into_data().expect("no trailers")),
                Err(error) => {
                    let error = error.downcast::<std::io::Error>().expect("of the file");
                    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                    break;
                }
            }
        }
        assert!(taken.ends_with(b"bytes 500-599/1000\r\n\r\n"));
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    });
    // Nothing holds on to it.
    assert_eq!(Arc::strong_count(&file), 1);
}

#[test]
fn the_file_is_let_go_at_the_end_and_when_the_body_is_dropped() {
    let file = file(&digits(1000));
    let multipart = || Multipart::new(Arc::clone(&file), 1000, vec![0..10, 500..600], None);
    let mut all = multipart();
    run(async { while all.frame().await.is_some() {} });
    assert_eq!(Arc::strong_count(&file), 1);

    // At every await.
    for polls in 0..6 {
        let mut body = multipart();
        run(async {
            for _ in 0..polls {
                let _ = body.frame().await;
            }
        });
        drop(body);
        assert_eq!(Arc::strong_count(&file), 1, "{polls}");
    }
}

#[test]
fn bytes_are_ready_at_once_and_never_copied() {
    let content = Bytes::from(digits(8000));
    let mut multipart = Multipart::new(content.clone(), 8000, vec![0..9, 7000..8000], None);
    let mut cx = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    while let Poll::Ready(Some(frame)) = Pin::new(&mut multipart).poll_frame(&mut cx) {
        frames.push(frame.expect("bytes").into_data().expect("no trailers"));
    }
    assert_eq!(frames.len(), 5);
    assert_eq!(frames[3].as_ptr(), content[7000..].as_ptr());
}

#[test]
fn every_response_has_a_boundary_of_its_own() {
    let mut seen: Vec<String> = (0..10_000).map(|_| new_boundary()).collect();
    assert!(seen.iter().all(|boundary| boundary.len() == 32));
    // Nor have two of them a half in common.
    let mut halves: Vec<&str> = seen
        .iter()
        .flat_map(|boundary| [&boundary[..16], &boundary[16..]])
        .collect();
    halves.sort_unstable();
    halves.dedup();
    assert_eq!(halves.len(), 20_000);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 10_000);
}

#[test]
fn a_part_costs_about_what_the_plan_takes_for_granted() {
    use crate::semantics::range::PART_OVERHEAD;

    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let length = 5_000_000;
    let head = head(
        &new_boundary(),
        &(1_000_000..2_000_000),
        length,
        Some(&html),
    );
    assert!(
        (PART_OVERHEAD - 8..=PART_OVERHEAD).contains(&(head.len() as u64)),
        "{}",
        head.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_strict_parser_reads_what_was_put_in(
        content in prop::collection::vec(any::<u8>(), 1..2000),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..20),
        media_type in prop::option::of("[a-z]{1,9}/[a-z]{1,9}"),
        is_file: bool,
    ) {
        let length = content.len() as u64;
        let ranges: Vec<Range<u64>> = ranges
            .into_iter()
            .map(|(start, more)| {
                let start = start.index(content.len());
                let end = start + 1 + more.index(content.len() - start);
                start as u64..end as u64
            })
            .collect();
        let value = media_type.as_deref().map(|text| HeaderValue::from_str(text).expect("ASCII"));
        let source = match is_file {
            true => Content::from(file(&content)),
            false => Content::from(Bytes::from(content.clone())),
        };
        let multipart = Multipart::new(source, length, ranges.clone(), value.as_ref());
        let (content_type, bytes) = run(collect(multipart)).expect("all of it");
        let parts = ranges
            .into_iter()
            .map(|range| {
                let bytes = content[range.start as usize..range.end as usize].to_vec();
                (media_type.clone(), range, bytes)
            })
            .collect();
        prop_assert_eq!(parse(&content_type, &bytes), Ok((parts, length)));
    }
}
