use proptest::prelude::*;

use super::{Frames, Side, close};

/// A frame as either side would write it.
fn frame(opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
    let mask = if is_masked { 0x80 } else { 0 };
    let mut frame = vec![opcode];
    match length {
        0..126 => frame.push(mask | length as u8),
        126..=0xffff => {
            frame.push(mask | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend([0x88; 4]);
    }
    // What looks like the head of a Close frame.
    frame.resize(frame.len() + length, 0x88);
    frame
}

#[test]
fn the_end_of_each_frame_is_found_however_the_bytes_come() {
    for length in [0, 1, 125, 126, 127, 0xffff, 0x10000] {
        for is_masked in [false, true] {
            let one = frame(0x82, length, is_masked);
            let bytes = [&one[..], &one, &[0x81]].concat();
            for piece in [1, 2, 3, 7, bytes.len()] {
                let mut frames = Frames::default();
                let mut ends = Vec::new();
                let mut at = 0;
                for mut piece in bytes.chunks(piece) {
                    while !piece.is_empty() {
                        let taken = frames.one(piece);
                        assert!(taken > 0);
                        at += taken;
                        piece = &piece[taken..];
                        if frames.is_between() {
                            ends.push(at);
                        }
                    }
                }
                assert_eq!(ends, [one.len(), 2 * one.len()], "{length} {is_masked}");
                assert!(!frames.has_closed());
            }
        }
    }
}

#[test]
fn a_close_frame_is_seen_when_it_is_whole() {
    for side in [Side::Client, Side::Upstream] {
        let mut frames = Frames::default();
        frames.follow(&frame(0x01, 300, true));
        let close = close(side);
        let (last, most) = close.split_last().unwrap();
        frames.follow(most);
        assert!(!frames.has_closed() && !frames.is_between());
        frames.follow(&[*last]);
        assert!(frames.has_closed() && frames.is_between());
    }
    let mut frames = Frames::default();
    frames.follow(&frame(0x88, 0, false));
    assert!(frames.has_closed());
}

#[test]
fn close_frames_say_1001() {
    assert_eq!(close(Side::Client), [0x88, 2, 0x03, 0xe9]);
    let masked = close(Side::Upstream);
    assert_eq!(masked[..2], [0x88, 0x82]);
    assert_eq!(masked.len(), 8);
    assert_eq!([masked[6] ^ masked[2], masked[7] ^ masked[3]], [0x03, 0xe9]);
}

proptest! {
    /// Anything may come, in any pieces: every byte is taken, and the pieces make no difference.
    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1_usize..20,
    ) {
        let mut whole = Frames::default();
        whole.follow(&bytes);
        let mut pieces = Frames::default();
        for piece in bytes.chunks(piece) {
            pieces.follow(piece);
        }
        prop_assert_eq!(whole.is_between(), pieces.is_between());
        prop_assert_eq!(whole.has_closed(), pieces.has_closed());
        prop_assert_eq!(whole.left, pieces.left);
        prop_assert_eq!(whole.known, pieces.known);
    }
}
