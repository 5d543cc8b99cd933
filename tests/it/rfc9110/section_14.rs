//! Range requests.

use std::ops::Range;

use proptest::prelude::*;
use tower_gateway::semantics::range::{
    MAX_OVERLAPS, MAX_RANGES, MAX_REVERSALS, PART_OVERHEAD,
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
        ("bytes=0-0,500-501", 999, Many(vec![0..1, 500..502])),
        ("bytes= ,0-1 ,\t-1,", 999, Many(vec![0..2, 998..999])),
        // One of which is behind the end, so that it is one.
        ("bytes=0-1,10-", 10, One(0..2)),
        ("bytes=99-,0-", 10, One(0..10)),
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
#[allow(clippy::single_range_in_vec_init)]
fn section_15_3_7_2_several_parts() {
    let table = [
        // "in the same order that the corresponding range-spec appeared"
        ("bytes=500-501,0-0", Many(vec![500..502, 0..1])),
        ("bytes=-1,0-0,500-501", Many(vec![998..999, 0..1, 500..502])),
        // "excluding those ranges that were deemed unsatisfiable"
        ("bytes=999-,500-501,-0,0-0", Many(vec![500..502, 0..1])),
        // "or that were coalesced into other ranges"
        ("bytes=0-0,500-501,1-1", Many(vec![0..2, 500..502])),
        ("bytes=500-501,9-9,0-0", Many(vec![500..502, 0..10])),
        // "ranges that overlap", touch, or are in one another
        ("bytes=0-9,5-14", One(0..15)),
        ("bytes=5-14,0-9", One(0..15)),
        ("bytes=0-9,10-19", One(0..20)),
        ("bytes=10-19,0-9", One(0..20)),
        ("bytes=0-99,50-59,60-69", One(0..100)),
        ("bytes=0-0,0-0", One(0..1)),
        // One that bridges two.
        ("bytes=0-0,300-300,0-299", One(0..301)),
        // "or that are separated by a gap that is smaller than the overhead"
        ("bytes=0-0,128-128", One(0..129)),
        ("bytes=0-0,129-129", Many(vec![0..1, 129..130])),
        ("bytes=129-129,0-0", Many(vec![129..130, 0..1])),
        // "it can be less efficient to transfer many small disjoint parts"
        ("bytes=0-499,628-869", Many(vec![0..500, 628..870])),
        ("bytes=0-499,628-870", Whole),
        ("bytes=0-499,500-", Whole),
        ("bytes=0-499,500-997", One(0..998)),
        ("bytes=0-,0-", Whole),
        ("bytes=0-0,-1,-999", Whole),
    ];
    for (field, selection) in table {
        assert_eq!(select(field, 999), selection, "{field}");
    }
    // No sum of lengths is too large.
    let most = u64::MAX;
    assert_eq!(
        select("bytes=0-0,-1", most),
        Many(vec![0..1, most - 1..most])
    );
    assert_eq!(
        select("bytes=0-9223372036854775807,9223372036854775936-", most),
        Whole
    );
}

/// A field of as many ranges, far apart.
fn ascending(count: u64) -> Vec<Range<u64>> {
    (0..count)
        .map(|index| index * 1000..index * 1000 + 1)
        .collect()
}

fn field(ranges: &[Range<u64>]) -> String {
    let specs: Vec<String> = ranges
        .iter()
        .map(|range| format!("{}-{}", range.start, range.end - 1))
        .collect();
    format!("bytes={}", specs.join(","))
}

#[test]
fn section_14_2_too_many_ranges_are_ignored() {
    let most = ascending(MAX_RANGES as u64);
    assert_eq!(select(&field(&most), 1 << 20), Many(most));
    let attack = ascending(MAX_RANGES as u64 + 1);
    assert_eq!(select(&field(&attack), 1 << 20), Whole);
    let huge = format!("bytes={}", "0-,".repeat(100_000));
    assert_eq!(select(&huge, 1 << 20), Whole);
}

#[test]
fn section_14_2_too_many_overlaps_are_ignored() {
    let overlapping = |count| {
        let ranges: Vec<Range<u64>> = (0..=count).map(|index| index..index + 2).collect();
        select(&field(&ranges), 1 << 20)
    };
    let most = MAX_OVERLAPS as u64;
    assert_eq!(overlapping(most), One(0..most + 2));
    assert_eq!(overlapping(most + 1), Whole);
    // Two that take turns, so that none overlaps its neighbour.
    let in_turns = |count| {
        let mut ranges = ascending(2);
        ranges.extend((0..count).map(|index| index % 2 * 1000..index % 2 * 1000 + 1));
        select(&field(&ranges), 1 << 20)
    };
    assert_eq!(in_turns(most), Many(ascending(2)));
    assert_eq!(in_turns(most + 1), Whole);
}

#[test]
fn section_14_2_many_small_ranges_out_of_order_are_ignored() {
    let descending = |count| {
        let mut ranges = ascending(count);
        ranges.reverse();
        (select(&field(&ranges), 1 << 20), ranges)
    };
    let (selection, ranges) = descending(MAX_REVERSALS as u64 + 1);
    assert_eq!(selection, Many(ranges));
    assert_eq!(descending(MAX_REVERSALS as u64 + 2).0, Whole);
}

type Specs = [(Option<u64>, Option<u64>)];

/// The same decisions, by asking of each byte whether it is meant.
fn slow(specs: &Specs, length: u64) -> Selection {
    // Which spec is the first to mean this byte.
    let mut meant: Vec<Option<usize>> = vec![None; length as usize];
    let mut satisfiable = 0;
    for (place, &(first, last)) in specs.iter().enumerate() {
        let means = |byte: u64| match (first, last) {
            (Some(first), Some(last)) => (first..=last).contains(&byte),
            (Some(first), None) => byte >= first,
            (None, Some(suffix)) => byte + suffix >= length,
            (None, None) => false,
        };
        if matches!((first, last), (Some(first), Some(last)) if last < first)
            || (first, last) == (None, None)
        {
            return Whole;
        }
        let bytes: Vec<u64> = (0..length).filter(|byte| means(*byte)).collect();
        satisfiable += usize::from(!bytes.is_empty());
        for byte in bytes {
            meant[byte as usize].get_or_insert(place);
        }
    }
    if satisfiable == 0 {
        let suffix_of_nothing =
            length == 0 && specs.iter().any(|spec| matches!(spec, (None, Some(1..))));
        return if suffix_of_nothing {
            Whole
        } else {
            Unsatisfiable
        };
    }
    let mut parts: Vec<(usize, Range<u64>)> = Vec::new();
    for (byte, place) in (0..).zip(meant) {
        let Some(place) = place else { continue };
        match parts.last_mut() {
            Some((first, part)) if byte - part.end < PART_OVERHEAD => {
                part.end = byte + 1;
                *first = place.min(*first);
            }
            _ => parts.push((place, byte..byte + 1)),
        }
    }
    parts.sort_by_key(|(place, _)| *place);
    let mut parts: Vec<Range<u64>> = parts.into_iter().map(|(_, part)| part).collect();
    if satisfiable == 1 {
        return One(parts.remove(0));
    }
    let heads = if parts.len() == 1 {
        0
    } else {
        parts.len() as u64
    };
    let cost = heads * PART_OVERHEAD + parts.iter().map(|part| part.end - part.start).sum::<u64>();
    match parts.len() {
        _ if cost >= length => Whole,
        1 => One(parts.remove(0)),
        _ => Many(parts),
    }
}

fn written(specs: &Specs, separator: &str) -> String {
    let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let set: Vec<String> = specs
        .iter()
        .map(|&(first, last)| format!("{}-{}", text(first), text(last)))
        .collect();
    format!("bytes={}", set.join(separator))
}

proptest! {
    #[test]
    fn short_fields_select_what_each_byte_says(
        specs in prop::collection::vec(
            (prop::option::of(0..20_u64), prop::option::of(0..20_u64)),
            1..6,
        ),
        length in 0..15_u64,
        separator in "[ \t]{0,2},[ \t,]{0,2}",
    ) {
        let field = written(&specs, &separator);
        prop_assert_eq!(select(&field, length), slow(&specs, length), "{} of {}", field, length);
    }

    #[test]
    fn several_parts_are_what_each_byte_says(
        specs in prop::collection::vec(
            prop_oneof![
                8 => (0..3000_u64, 0..200_u64).prop_map(|(first, more)| (Some(first), Some(first + more))),
                1 => (0..100_u64).prop_map(|suffix| (None, Some(suffix))),
                1 => (2800..3100_u64).prop_map(|first| (Some(first), None)),
            ],
            // No more than may overlap, or be reversed.
            1..MAX_OVERLAPS,
        ),
        length in 2000..3000_u64,
    ) {
        let field = written(&specs, ",");
        prop_assert_eq!(select(&field, length), slow(&specs, length), "{} of {}", field, length);
    }

    #[test]
    fn what_is_sent_is_all_that_was_asked_for_and_less_than_the_whole(
        asked in prop::collection::vec((0..1_000_000_u64, 0..5_000_u64), 2..250),
        sorted: bool,
        length in 1..1_000_000_u64,
    ) {
        let mut asked: Vec<Range<u64>> =
            asked.into_iter().map(|(start, more)| start..start + more + 1).collect();
        if sorted {
            asked.sort_by_key(|range| range.start);
        }
        let selection = select(&field(&asked), length);
        let parts = match &selection {
            Whole => std::iter::once(0..length).collect(),
            One(part) => vec![part.clone()],
            Many(parts) => parts.clone(),
            _ => Vec::new(),
        };
        for range in &asked {
            let range = range.start..range.end.min(length);
            let is_sent = |part: &Range<u64>| part.start <= range.start && range.end <= part.end;
            prop_assert!(range.is_empty() || parts.iter().any(is_sent), "{:?}", range);
        }
        let mut sorted = parts.clone();
        sorted.sort_by_key(|part| part.start);
        prop_assert!(sorted.iter().all(|part| part.start < part.end && part.end <= length));
        prop_assert!(sorted.windows(2).all(|pair| pair[0].end + PART_OVERHEAD <= pair[1].start));
        if let Many(parts) = selection {
            let bytes: u64 = parts.iter().map(|part| part.end - part.start).sum();
            prop_assert!((2..=MAX_RANGES).contains(&parts.len()));
            prop_assert!(bytes + parts.len() as u64 * PART_OVERHEAD < length);
        }
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
