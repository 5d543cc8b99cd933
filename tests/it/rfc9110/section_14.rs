//! Range requests.

use std::ops::Range;

use proptest::prelude::*;
use tower_gateway::semantics::range::{
    MAX_RANGES,
    Selection::{self, Many, One, Unsatisfiable, Whole},
    select,
};

#[test]
#[allow(clippy::single_range_in_vec_init)]
fn section_14_1_2_byte_ranges() {
    let table = [
        ("bytes=0-0", 10, One(0..1)),
        ("bytes=0-9", 10, One(0..10)),
        ("bytes=0-", 10, One(0..10)),
        ("bytes=9-", 10, One(9..10)),
        ("bytes=5-99", 10, One(5..10)),
        ("bytes=007-008", 10, One(7..9)),
        ("bytes=-1", 10, One(9..10)),
        ("bytes=-10", 10, One(0..10)),
        // "If the selected representation is shorter than the specified suffix-length, the entire
        // representation is used."
        ("bytes=-11", 10, One(0..10)),
        ("bytes=-99999999999999999999999", 10, One(0..10)),
        // Behind the end, and a suffix of nothing.
        ("bytes=10-", 10, Unsatisfiable),
        ("bytes=10-11", 10, Unsatisfiable),
        ("bytes=-0", 10, Unsatisfiable),
        ("bytes=99999999999999999999999-", 10, Unsatisfiable),
        ("bytes=10-,-0", 10, Unsatisfiable),
        // "recipients MUST anticipate potentially large decimal numerals"
        ("bytes=0-18446744073709551616", 10, One(0..10)),
        ("bytes=0-18446744073709551615", u64::MAX, One(0..u64::MAX)),
        (
            "bytes=18446744073709551614-",
            u64::MAX,
            One(u64::MAX - 1..u64::MAX),
        ),
        ("bytes=18446744073709551615-", u64::MAX, Unsatisfiable),
        // An empty file has no part.
        ("bytes=0-", 0, Unsatisfiable),
        ("bytes=0-0", 0, Unsatisfiable),
        ("bytes=-0", 0, Unsatisfiable),
        ("bytes=-1", 0, Whole),
        // Several.
        ("bytes=0-0,2-3", 10, Many(vec![0..1, 2..4])),
        ("bytes=5-6,0-1", 10, Many(vec![5..7, 0..2])),
        ("bytes= ,0-1 ,\t-1,", 10, Many(vec![0..2, 9..10])),
        ("bytes=0-1,10-", 10, One(0..2)),
        // A unit in any case.
        ("BYTES=0-4", 10, One(0..5)),
        ("Bytes=0-4", 10, One(0..5)),
    ];
    for (field, length, selection) in table {
        assert_eq!(select(field, length), selection, "{field} of {length}");
    }
}

#[test]
fn section_14_2_what_is_not_understood_is_ignored() {
    for field in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=1",
        "bytes=a-b",
        "bytes=0-b",
        "bytes=+0-1",
        "bytes=0-+1",
        "bytes=-+1",
        "bytes=0x0-1",
        "bytes=0 - 1",
        "bytes=0- 1",
        "bytes =0-1",
        " bytes=0-1",
        "bytes:0-1",
        "bytes=0-1-2",
        "bytes=0-1;2-3",
        "bytes=1-0",
        "bytes=0-1,1-0",
        "bytes=99999999999999999999999-99999999999999999999998",
        "bytes=0-1,x",
        "bytes=\u{661}-2",
        "lines=0-1",
        "none",
        "=0-1",
    ] {
        assert_eq!(select(field, 10), Whole, "{field}");
    }
}

#[test]
fn section_14_2_too_many_ranges_are_ignored() {
    let allowed = format!("bytes={}", vec!["0-0"; MAX_RANGES].join(","));
    assert_eq!(select(&allowed, 10), Many(vec![0..1; MAX_RANGES]));
    let attack = format!("{allowed},0-0");
    assert_eq!(select(&attack, 10), Whole);
    let huge = format!("bytes={}", "0-,".repeat(100_000));
    assert_eq!(select(&huge, 10), Whole);
}

/// The same decisions, byte for byte, by asking of each byte whether it is meant.
fn slow(specs: &[(Option<u64>, Option<u64>)], length: u64) -> Selection {
    let mut parts: Vec<Range<u64>> = Vec::new();
    for &(first, last) in specs {
        if matches!((first, last), (Some(first), Some(last)) if last < first)
            || (first, last) == (None, None)
        {
            return Whole;
        }
        let meant = |byte: &u64| match (first, last) {
            (Some(first), Some(last)) => (first..=last).contains(byte),
            (Some(first), None) => *byte >= first,
            (None, Some(suffix)) => byte + suffix >= length,
            (None, None) => false,
        };
        let bytes: Vec<u64> = (0..length).filter(meant).collect();
        if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
            parts.push(*first..last + 1);
        }
    }
    let is_suffix_of_nothing =
        |spec: &(Option<u64>, Option<u64>)| length == 0 && matches!(spec, (None, Some(1..)));
    match parts.len() {
        0 if specs.iter().any(is_suffix_of_nothing) => Whole,
        0 => Unsatisfiable,
        1 => One(parts.remove(0)),
        _ => Many(parts),
    }
}

proptest! {
    #[test]
    fn the_parser_decides_as_a_slow_one_does(
        specs in prop::collection::vec(
            (prop::option::of(0..20_u64), prop::option::of(0..20_u64)),
            1..6,
        ),
        length in 0..15_u64,
        separator in "[ \t]{0,2},[ \t,]{0,2}",
    ) {
        let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let set: Vec<String> = specs
            .iter()
            .map(|&(first, last)| format!("{}-{}", text(first), text(last)))
            .collect();
        let field = format!("bytes={}", set.join(&separator));
        prop_assert_eq!(select(&field, length), slow(&specs, length), "{} of {}", field, length);
    }

    #[test]
    fn nothing_but_parts_of_the_whole_is_ever_selected(
        field in "(bytes=)?[0-9,\\- ]{0,60}",
        length: u64,
    ) {
        let parts = match select(&field, length) {
            One(part) => vec![part],
            Many(parts) => parts,
            _ => Vec::new(),
        };
        for part in parts {
            prop_assert!(part.start < part.end && part.end <= length);
        }
    }

    #[test]
    fn no_field_makes_it_panic(field: String, length: u64) {
        let _ = select(&field, length);
        let _ = select(&format!("bytes={field}"), length);
    }
}
