#![allow(clippy::unwrap_used)]

use super::*;

fn said(pieces: &[&[u8]]) -> Vec<String> {
    let mut lines = Lines::default();
    let mut said = Vec::new();
    for piece in pieces {
        lines.push(piece, |line| said.push(line.to_owned()));
    }
    lines.end(|line| said.push(line.to_owned()));
    said
}

#[test]
fn lines_are_lines_however_they_come() {
    let lines = ["Traceback:", "  File \"größe.py\"", "", "end"];
    let bytes = "Traceback:\n  File \"größe.py\"\r\n\nend".as_bytes();
    assert_eq!(said(&[bytes]), lines);
    let pieces: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(said(&pieces), lines);
}

#[test]
fn a_long_line_is_several_and_no_character_is_cut() {
    let line = "ö".repeat(LINE);
    let said = said(&[b"a", line.as_bytes(), b"\nnext"]);
    assert!(said.iter().all(|line| line.len() <= LINE));
    assert_eq!(said.last().unwrap(), "next");
    assert_eq!(said[..said.len() - 1].concat(), format!("a{line}"));
}

#[test]
fn what_is_no_utf_8_is_told_all_the_same() {
    assert_eq!(said(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}"]);
    let bytes = [0x80; 3 * LINE];
    assert_eq!(said(&[&bytes]).concat().chars().count(), 3 * LINE);
}

#[test]
fn only_the_last_lines_are_kept() {
    let tail = Tail::default();
    for number in 0..100 {
        tail.push(&number.to_string());
    }
    let kept: Vec<_> = (60..100).map(|number: u32| number.to_string()).collect();
    assert_eq!(tail.lines(), kept);
}
