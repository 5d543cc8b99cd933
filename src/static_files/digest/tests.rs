use std::{
    io::Write,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::*;

fn value(tag: Option<EntityTag>) -> Option<String> {
    tag.map(|tag| {
        let value = tag.to_header();
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    })
}

#[test]
fn a_tag_is_half_of_the_sha_256() {
    // FIPS 180-2, appendix B.1.
    let tag = value(Some(of_bytes(b"abc")));
    assert_eq!(tag.as_deref(), Some("\"ba7816bf8f01cfea414140de5dae2223\""));
}

#[test]
fn a_file_has_the_tag_of_its_bytes() -> io::Result<()> {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile()?;
        file.write_all(&content)?;
        let read = of_file(&file, length as u64)?;
        assert_eq!(read, of_bytes(&content), "{length}");
    }
    Ok(())
}

#[test]
fn a_file_that_became_shorter_has_no_tag() -> io::Result<()> {
    let mut file = tempfile::tempfile()?;
    file.write_all(b"four")?;
    let error = of_file(&file, 5).expect_err("one byte is missing");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    Ok(())
}

#[test]
fn a_state_of_a_file_is_hashed_once_however_many_ask() {
    const MANY: usize = 32;
    let digests = Digests::new();
    let computed = AtomicUsize::new(0);
    let barrier = Barrier::new(MANY);
    thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| {
                barrier.wait();
                let tag = digests.get_or_compute(&"key", || {
                    computed.fetch_add(1, Ordering::SeqCst);
                    Ok(of_bytes(b"content"))
                });
                assert_eq!(tag.expect("it is computed"), of_bytes(b"content"));
            });
        }
    });
    assert_eq!(computed.into_inner(), 1);
    assert_eq!(digests.get(&"key"), Some(of_bytes(b"content")));
}

#[test]
fn what_fails_or_panics_is_computed_anew() {
    let digests = Digests::new();
    let failed = digests.get_or_compute(&1, || Err(io::ErrorKind::NotFound.into()));
    assert!(failed.is_err());
    assert_eq!(digests.get(&1), None);
    let panicked = thread::scope(|scope| {
        let broken = || digests.get_or_compute(&1, || panic!("on purpose"));
        scope.spawn(broken).join()
    });
    assert!(panicked.is_err());
    let tag = digests.get_or_compute(&1, || Ok(of_bytes(b"")));
    assert_eq!(tag.ok(), Some(of_bytes(b"")));
}

#[test]
fn no_more_is_kept_than_was_said() {
    let digests = Digests::with_capacity(64);
    for key in 0..10_000 {
        let tag = digests.get_or_compute(&key, || Ok(of_bytes(b"")));
        assert!(tag.is_ok());
    }
    let kept = (0..10_000).filter(|key| digests.get(key).is_some()).count();
    assert!(kept <= 64, "{kept}");
}

#[test]
fn a_sidecar_says_its_tag_with_or_without_quotes() {
    let longest = "x".repeat(256);
    let quoted_longest = format!("\"{longest}\"");
    for (content, tag) in [
        (&b"abc"[..], Some("\"abc\"")),
        (b"abc\n", Some("\"abc\"")),
        (b"abc\r\n", Some("\"abc\"")),
        (b" \"abc\" \n", Some("\"abc\"")),
        (b"\"\"", Some("\"\"")),
        (b"W/\"abc\"\n", Some("W/\"abc\"")),
        (b"sha256:9f+/=", Some("\"sha256:9f+/=\"")),
        ("é".as_bytes(), Some("\"é\"")),
        ("\"é\"".as_bytes(), Some("\"é\"")),
        (longest.as_bytes(), Some(quoted_longest.as_str())),
        // What is none.
        (quoted_longest.as_bytes(), None),
        (b"", None),
        (b"\n", None),
        (b"\"", None),
        (b"\"abc", None),
        (b"abc\"", None),
        (b"a\"b", None),
        (b"\"abc\", \"def\"", None),
        (b"two words", None),
        (b"two\nlines", None),
        (b"nul\0", None),
        (b"w/\"abc\"", None),
        (b"\xff\xfe", None),
    ] {
        let read = value(parse_sidecar(content));
        assert_eq!(
            read.as_deref(),
            tag,
            "{:?}",
            content.escape_ascii().to_string()
        );
    }
}

#[test]
fn only_so_many_threads_are_at_work_on_tags() {
    let digests = Digests::<u32>::new();
    let leaves: Vec<_> = (0..AT_WORK).map(|_| digests.leave()).collect();
    assert!(leaves.iter().all(Option::is_some));
    assert!(digests.leave().is_none());
    drop(leaves);
    assert!(digests.leave().is_some(), "what was refused holds nothing");
}
