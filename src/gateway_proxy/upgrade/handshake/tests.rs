use super::{accept, base64, key, sha1};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3174 §7.3, and the lengths at which the padding takes a block of its own.
#[test]
fn sha1_of_known_messages() {
    for (message, hash) in [
        (String::new(), "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc".into(), "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".into(),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
        ),
        (
            "a".repeat(1_000_000),
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
        ),
        (
            "0123456701234567012345670123456701234567012345670123456701234567".repeat(10),
            "dea356a2cddd90c7a7ecedc5ebb563934f460452",
        ),
    ] {
        assert_eq!(hex(&sha1(message.as_bytes())), hash);
    }
}

/// RFC 4648 §10.
#[test]
fn base64_of_known_texts() {
    for (text, encoded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(text.as_bytes()), encoded);
    }
    assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
}

/// RFC 6455 §1.3.
#[test]
fn the_answer_to_the_key_of_the_rfc() {
    let accept = accept("dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_key_is_sixteen_bytes_and_new_each_time() {
    let (one, two) = (key(), key());
    assert_ne!(one, two);
    for key in [one, two] {
        assert_eq!(key.len(), 24);
        assert!(key.ends_with("==") && !key.ends_with("==="));
    }
}
