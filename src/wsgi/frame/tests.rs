#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn a_header_has_these_bytes() {
    let header = Header {
        kind: Kind::Request,
        flags: INLINE,
        number: 0x0102,
        first: 0x0003_0405,
        second: MAX_PART,
    };
    let bytes = *b"Q\x01\x02\x01\x05\x04\x03\x00\x00\x00\x00\x01";
    assert_eq!(header.encode(), bytes);
    assert_eq!(Header::decode(&bytes), Ok(header));
}

#[test]
fn what_is_no_frame_says_why() {
    let decode = |bytes| Header::decode(bytes).unwrap_err().to_string();
    assert_eq!(
        decode(b"?\0\0\0\0\0\0\0\0\0\0\0"),
        "there is no frame of kind '?'"
    );
    assert_eq!(
        decode(b"O\0\0\0\x01\0\0\x01\0\0\0\0"),
        "a part of a frame has 16777217 bytes, and may have 16777216"
    );
    assert_eq!(
        decode(b"O\0\0\0\0\0\0\0\xff\xff\xff\xff"),
        "a part of a frame has 4294967295 bytes, and may have 16777216"
    );
}

#[test]
fn a_letter_is_one_kind() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of(*kind as u8), Some(*kind));
    }
    let known = (0..=u8::MAX).filter_map(Kind::of).count();
    assert_eq!(known, Kind::ALL.len());
}

proptest! {
    #[test]
    fn bytes_are_read_as_they_were_written(bytes in any::<[u8; HEADER]>()) {
        match Header::decode(&bytes) {
            Ok(header) => prop_assert_eq!(header.encode(), bytes),
            Err(BadFrame::Kind(kind)) => prop_assert_eq!(kind, bytes[0]),
            Err(BadFrame::Length(length)) => prop_assert!(length as usize > MAX_PART),
        }
    }
}
