use http::{HeaderMap, HeaderValue, Version, header};
use proptest::prelude::*;

use super::{InvalidPseudonym, Pseudonym, append, has_passed, passes};

fn headers(lines: &[&str]) -> HeaderMap {
    let lines = lines.iter().map(|line| {
        let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        (header::VIA, value)
    });
    lines.collect()
}

#[test]
fn a_station_is_found_wherever_it_stands() {
    let us = Pseudonym::new("gw").unwrap();
    for (lines, times) in [
        (&[][..], 0),
        (&[""], 0),
        (&["1.1 gw"], 1),
        (&["1.1 GW"], 1),
        (&["HTTP/1.1 gw"], 1),
        (&["2.0 gw (a comment)"], 1),
        (&["2.0 gw(a comment)"], 1),
        (&["1.1\tgw"], 1),
        (&["1.0 fred, 1.1 gw, 1.1 p.example.net"], 1),
        (&["1.0 fred,1.1 gw,,"], 1),
        (&["1.0 fred", "1.1 gw"], 1),
        (&["1.1 gw, 1.1 gw", "1.1 gw"], 3),
        // Others.
        (&["1.1 gw2"], 0),
        (&["1.1 a-gw"], 0),
        (&["1.1 gw:80"], 0),
        (&["gw"], 0),
        (&["gw 1.1"], 0),
        (&["1.1 fred gw"], 0),
        // In a comment it is no station.
        (&["1.1 fred (1.1 gw)"], 0),
        (&["1.1 fred (x, 1.1 gw, y)"], 0),
        (&["1.1 fred (x (y), 1.1 gw)"], 0),
        (&["1.1 fred (\\), 1.1 gw)"], 0),
        (&["1.1 fred (x), 1.1 gw"], 1),
        // A comment that does not end hides nothing that was appended to it.
        (&["1.1 fred (, 1.1 gw"], 1),
        (&["1.1 fred ((), 1.1 gw"], 1),
        (&["1.1 fred (, 1.1 gw (a comment)"], 1),
        (&["1.1 fred (\\", "1.1 gw"], 1),
        (&["1.1 fred (\\), 1.1 gw"], 1),
        // Nor does a quote.
        (&["1.1 \"fred, 1.1 gw"], 1),
        (&["1.1 \"fred, 1.1 gw\""], 0),
        (&[") 1.1 gw, 1.1 gw"], 1),
    ] {
        assert_eq!(passes(&headers(lines), &us), times, "{lines:?}");
        assert_eq!(has_passed(&headers(lines), &us), times > 0, "{lines:?}");
    }
}

/// With work for each `(` that grows with what is behind it, this would not come to its end.
#[test]
fn a_line_costs_its_length() {
    let us = Pseudonym::new("gw").unwrap();
    for part in ["(", "(a, ", "(()", "(\\", "()", "((), "] {
        let line = part.repeat(1 << 20) + ", 1.1 gw";
        let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        let headers = HeaderMap::from_iter([(header::VIA, value)]);
        assert_eq!(passes(&headers, &us), 1, "{part}");
    }
}

#[test]
fn a_port_belongs_to_the_name() {
    let us = Pseudonym::new("example.org:8080").unwrap();
    assert!(has_passed(&headers(&["1.1 Example.org:8080"]), &us));
    assert!(!has_passed(&headers(&["1.1 example.org"]), &us));
}

#[test]
fn the_version_is_that_of_the_message_as_it_came() {
    let us = Pseudonym::numbered(0xab);
    for (version, entry) in [
        (Version::HTTP_09, "0.9 gateway-000000ab"),
        (Version::HTTP_10, "1.0 gateway-000000ab"),
        (Version::HTTP_11, "1.1 gateway-000000ab"),
        (Version::HTTP_2, "2.0 gateway-000000ab"),
        (Version::HTTP_3, "3.0 gateway-000000ab"),
    ] {
        let mut headers = headers(&["1.0 fred (", "x"]);
        append(&mut headers, version, &us).unwrap();
        let lines: Vec<_> = headers.get_all(header::VIA).iter().collect();
        // What was there is as it was.
        assert_eq!(lines, ["1.0 fred (", "x", entry]);
    }
}

#[test]
fn a_full_map_is_told() {
    let mut headers = HeaderMap::new();
    while headers
        .try_append("x", HeaderValue::from_static("1"))
        .is_ok_and(|_| headers.len() < 40_000)
    {}
    let is_full = headers
        .try_append("y", HeaderValue::from_static("1"))
        .is_err();
    let appended = append(&mut headers, Version::HTTP_11, &Pseudonym::numbered(1));
    assert_eq!(appended.is_err(), is_full);
}

#[test]
fn pseudonyms() {
    for good in ["a", "gate-way", "example.org", "example.org:80", "a:"] {
        assert_eq!(Pseudonym::new(good).unwrap().as_str(), good);
    }
    let longest = "a".repeat(255);
    assert!(Pseudonym::new(&longest).is_ok());
    for (bad, why) in [
        ("", InvalidPseudonym::Empty),
        (&*(longest + "a"), InvalidPseudonym::TooLong),
        ("a b", InvalidPseudonym::Malformed),
        ("a,b", InvalidPseudonym::Malformed),
        ("a(b)", InvalidPseudonym::Malformed),
        (":80", InvalidPseudonym::Malformed),
        ("a:b", InvalidPseudonym::Malformed),
        ("a:80:80", InvalidPseudonym::Malformed),
        ("[::1]", InvalidPseudonym::Malformed),
        ("é", InvalidPseudonym::Malformed),
        ("a\r\nx: y", InvalidPseudonym::Malformed),
    ] {
        assert_eq!(Pseudonym::new(bad), Err(why), "{bad}");
    }
}

proptest! {
    /// However a client writes the field, and whether or not those on the way join its lines:
    /// once appended, a name is found.
    #[test]
    fn nobody_hides_a_station(
        before in "[ -~]{0,40}",
        after in prop::sample::select(vec!["", ", 1.1 fred", ", 1.1 fred (nginx)"]),
        is_joined: bool,
    ) {
        // A comment of the client's can be closed only by the client.
        prop_assume!(!after.contains(')') || !before.contains('('));
        let us = Pseudonym::numbered(7);
        let mut headers = headers(&[&before]);
        append(&mut headers, Version::HTTP_11, &us).unwrap();
        if is_joined {
            let lines: Vec<_> = headers.get_all(header::VIA).iter().collect();
            let joined = format!("{}, {}{after}", lines[0].to_str().unwrap(), lines[1].to_str().unwrap());
            headers.insert(header::VIA, HeaderValue::try_from(joined).unwrap());
        }
        prop_assert!(has_passed(&headers, &us));
    }
}
