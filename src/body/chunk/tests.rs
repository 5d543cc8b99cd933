//! What of a buffer is used again, and what is not.

use super::*;

fn filled(length: usize, byte: u8) -> Bytes {
    let mut chunk = Chunk::new(length);
    chunk.as_mut().fill(byte);
    chunk.into_bytes()
}

#[test]
fn a_piece_is_exactly_as_long_as_was_asked_for() {
    for length in [0, 1, SMALL, SMALL + 1, CHUNK - 1, CHUNK, CHUNK + 1, 1 << 20] {
        let piece = filled(length, 7);
        assert_eq!(piece.len(), length);
        assert!(piece.iter().all(|byte| *byte == 7), "{length}");
    }
}

#[test]
fn a_buffer_is_nobody_else_s_while_a_part_of_it_is_held() {
    let first = filled(SMALL + 1, 1);
    let part = first.slice(10..20);
    drop(first);
    let others: Vec<_> = (0..WAITING).map(|_| filled(CHUNK, 2)).collect();
    assert!(part.iter().all(|byte| *byte == 1));
    drop(others);
    assert!(part.iter().all(|byte| *byte == 1));
}

#[test]
fn only_so_many_buffers_wait() {
    let many: Vec<_> = (0..2 * WAITING).map(|_| filled(CHUNK, 3)).collect();
    drop(many);
    assert!(free().len() <= WAITING);
    // What a use before left behind is not seen.
    assert_eq!(filled(SMALL + 1, 4).len(), SMALL + 1);
}
