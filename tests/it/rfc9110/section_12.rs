//! Content negotiation.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use proptest::prelude::*;
use tower_gateway::semantics::negotiate::{
    Coding::{self, Brotli, Gzip, Zstd},
    accepts, accepts_by_name, choose_coding, choose_media_type,
};

const ALL: [Coding; 3] = [Brotli, Zstd, Gzip];

fn fields(name: &HeaderName, lines: &[&str]) -> HeaderMap {
    lines
        .iter()
        .map(|line| {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            (name.clone(), value)
        })
        .collect()
}

fn coding_of(lines: &[&str]) -> Option<Coding> {
    choose_coding(&fields(&header::ACCEPT_ENCODING, lines), ALL)
}

fn accept(line: &str) -> HeaderMap {
    fields(&header::ACCEPT, &[line])
}

mod section_12_5_3_accept_encoding {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        for (line, coding) in [
            ("compress, gzip", Some(Gzip)),
            ("", None),
            ("*", Some(Brotli)),
            ("compress;q=0.5, gzip;q=1.0", Some(Gzip)),
            ("gzip;q=1.0, identity; q=0.5, *;q=0", Some(Gzip)),
        ] {
            assert_eq!(coding_of(&[line]), coding, "{line}");
        }
    }

    #[test]
    fn the_highest_weight_wins_and_then_the_order_of_the_server() {
        for (line, coding) in [
            // Chromium, Firefox, Safari, curl --compressed, wget.
            ("gzip, deflate, br, zstd", Some(Brotli)),
            ("gzip, deflate, br", Some(Brotli)),
            ("deflate, gzip, br, zstd", Some(Brotli)),
            ("identity", None),
            ("gzip", Some(Gzip)),
            ("gzip, zstd", Some(Zstd)),
            // "the acceptable content coding with the highest non-zero qvalue is preferred"
            ("br;q=0.9, zstd;q=0.8, gzip", Some(Gzip)),
            ("br;q=0.999, zstd, gzip;q=0.999", Some(Zstd)),
            ("br;q=0.001", Some(Brotli)),
            ("br;q=0.001, gzip;q=0.002", Some(Gzip)),
            ("br;q=0.5, gzip;q=0.50, zstd;q=0.500", Some(Brotli)),
            // "A qvalue of 0 means "not acceptable"."
            ("br;q=0, gzip;q=0.0, zstd;q=0.000", None),
            ("br;q=0", None),
            ("br;q=0, gzip", Some(Gzip)),
            // "matches any available content coding not explicitly listed in the field"
            ("*;q=0.5, gzip", Some(Gzip)),
            ("*, br;q=0.5", Some(Zstd)),
            ("*, br;q=0, zstd;q=0", Some(Gzip)),
            ("*;q=0, gzip;q=0.1", Some(Gzip)),
            ("*;q=0", None),
            // "compress" and "deflate" are known to nobody here.
            ("deflate, compress", None),
            ("brotli, zst, gz", None),
        ] {
            assert_eq!(coding_of(&[line]), coding, "{line}");
        }
        let headers = fields(&header::ACCEPT_ENCODING, &["br, gzip;q=0.5"]);
        assert_eq!(choose_coding(&headers, [Gzip]), Some(Gzip));
        assert_eq!(choose_coding(&headers, []), None);
        let headers = fields(&header::ACCEPT_ENCODING, &["gzip, br, zstd"]);
        assert_eq!(choose_coding(&headers, [Gzip, Zstd, Brotli]), Some(Gzip));
        assert_eq!(choose_coding(&HeaderMap::new(), ALL), None);
    }

    #[test]
    fn identity_comes_first_only_if_it_is_named_with_a_higher_weight() {
        for (line, coding) in [
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.501, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("identity;q=0.5, gzip", Some(Gzip)),
            // By "*" it is not named.
            ("gzip;q=0.001, br;q=0, zstd;q=0, *", Some(Gzip)),
            // Nothing is acceptable: the field is disregarded.
            ("identity;q=0", None),
            ("identity;q=0, deflate", None),
            ("identity;q=0, *;q=0", None),
            ("identity;q=0, gzip;q=0.001", Some(Gzip)),
        ] {
            assert_eq!(coding_of(&[line]), coding, "{line}");
        }
    }

    #[test]
    fn it_is_a_list_over_all_lines() {
        for (lines, coding) in [
            (&["gzip", "br"][..], Some(Brotli)),
            (&["", "gzip;q=0.5", "identity;q=0.6"], None),
            (&["br;q=0.1", "gzip"], Some(Gzip)),
            (&[",, ,gzip ,", "\t"], Some(Gzip)),
            // The last counts.
            (&["gzip", "gzip;q=0"], None),
            (&["gzip;q=0", "gzip"], Some(Gzip)),
        ] {
            assert_eq!(coding_of(lines), coding, "{lines:?}");
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        for (line, coding) in [
            ("GZIP", Some(Gzip)),
            ("Br", Some(Brotli)),
            ("zStD", Some(Zstd)),
            ("IDENTITY, gzip;q=0.5", None),
            ("gzip;Q=0.5, br;Q=0.4", Some(Gzip)),
            // "x-gzip" is "equivalent to gzip".
            ("x-gzip", Some(Gzip)),
            ("X-GZIP", Some(Gzip)),
            ("x-br", None),
        ] {
            assert_eq!(coding_of(&[line]), coding, "{line}");
        }
    }

    #[test]
    fn a_member_that_cannot_be_read_is_no_member() {
        for bad in [
            "gzip;",
            "gzip;q",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=1.1",
            "gzip;q=0.1234",
            "gzip;q=.5",
            "gzip;q=-1",
            "gzip;q=0,5x",
            "gzip;q=0.5;q=0.6",
            "gzip;q =0.5",
            "gzip;q= 0.5",
            "gzip;q=\"1\"",
            "gzip;level=9",
            "gzip;level=9;q=1",
            "gzip;q=0.5;x=y",
            "gzip;q=0.a",
            "gzip;q=01",
            "gzip;q=00",
            "gzip;q=1e0",
            "gzip q=1",
            "gzip br",
            "gzip/br",
            ";q=1",
            "gzip;;q=1",
            "\"gzip\"",
            "gzip;q=\u{661}",
        ] {
            assert_eq!(coding_of(&[bad]), None, "{bad}");
            let line = format!("{bad}, zstd;q=0.001");
            assert_eq!(coding_of(&[&line]), Some(Zstd), "{bad}");
        }
        for good in [
            "gzip;q=1",
            "gzip;q=1.",
            "gzip;q=1.0",
            "gzip;q=1.00",
            "gzip;q=1.000",
            "gzip ; q=1",
            "gzip\t;\tq=1",
            " gzip;q=0. , br;q=0, gzip;q=0.1 ",
        ] {
            assert_eq!(coding_of(&[good]), Some(Gzip), "{good}");
        }
    }

    #[test]
    fn tokens_and_extensions() {
        let names = ALL.map(|coding| (coding.token(), coding.extension()));
        assert_eq!(names, [("br", "br"), ("zstd", "zst"), ("gzip", "gz")]);
    }

    #[test]
    fn nothing_is_allocated() {
        let headers = fields(
            &header::ACCEPT_ENCODING,
            &["gzip, deflate, br;q=0.9", "zstd, *;q=0.5"],
        );
        let allocations = allocation_counter::measure(|| {
            assert_eq!(choose_coding(&headers, ALL), Some(Zstd));
        });
        assert_eq!(allocations.count_total, 0);
    }
}

mod section_12_5_1_accept {
    use super::*;

    #[test]
    fn the_most_specific_range_has_precedence() {
        // Of the RFC, with the weights that its table gives.
        let headers = accept(
            "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, \
             text/plain;format=fixed;q=0.4, */*;q=0.5",
        );
        let by_weight = [
            "text/html",
            "text/plain;format=fixed",
            "image/jpeg",
            "text/plain",
            "text/plain;format=flowed",
        ];
        for (index, _) in by_weight.iter().enumerate() {
            let offered = &by_weight[..=index];
            assert_eq!(
                choose_media_type(&headers, offered),
                Some(index),
                "{offered:?}"
            );
        }
    }

    #[test]
    fn a_listing_is_html_or_json() {
        let offered = ["text/html", "application/json"];
        for (line, choice) in [
            // Chromium, curl, fetch() with and without a wish.
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
                Some(0),
            ),
            ("*/*", Some(0)),
            ("application/json", Some(1)),
            ("application/json, */*", Some(0)),
            ("application/json, */*;q=0.1", Some(1)),
            ("Application/JSON; charset=UTF-8", Some(1)),
            ("application/*", Some(1)),
            ("application/*;q=0.5, text/*;q=0.4", Some(1)),
            ("text/html;q=0, */*", Some(1)),
            ("text/html;q=0.5, text/*", Some(0)),
            ("text/html;q=0", None),
            ("image/png", None),
            ("*/*;q=0", None),
            ("text/html;level=1", None),
            ("text/html;level=1, application/json;q=0.1", Some(1)),
            // Parameter names and "q" in any order and case.
            (
                "application/json;q=0.4;charset=utf-8, text/html;Q=0.3",
                Some(1),
            ),
            // A quoted string hides what looks like a member.
            (r#"image/png;x="a, text/html, \", application/json""#, None),
            (r#"image/png;x="a;q=0.1", application/json;q=0.2"#, Some(1)),
            // What is no member; and without a member there is no preference.
            ("text/html;q=2, application/json;q=0.1", Some(1)),
            ("text/html;q=.2, application/json;q=0.1", Some(1)),
            (
                "text, /html, text/, */html, application/json;q=0.1",
                Some(1),
            ),
            ("", Some(0)),
            (" ,,", Some(0)),
            ("*", Some(0)),
        ] {
            assert_eq!(choose_media_type(&accept(line), &offered), choice, "{line}");
        }
        assert_eq!(choose_media_type(&HeaderMap::new(), &offered), Some(0));
        assert_eq!(choose_media_type(&HeaderMap::new(), &[]), None);
        let lines = ["text/html;q=0.5", "application/json"];
        let headers = fields(&header::ACCEPT, &lines);
        assert_eq!(choose_media_type(&headers, &offered), Some(1));
    }

    #[test]
    fn a_page_is_accepted_and_may_be_named() {
        for (line, is_accepted, is_named) in [
            ("text/html", true, true),
            ("TEXT/HTML", true, true),
            ("text/html;q=0.1", true, true),
            ("text/html;charset=utf-8", true, true),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", true, true),
            ("*/*, text/html", true, true),
            ("*/*", true, false),
            ("text/*", true, false),
            // A parameter makes no name of an asterisk.
            ("text/*;charset=utf-8", true, false),
            ("*/*;charset=utf-8", true, false),
            ("image/avif,image/webp,*/*;q=0.8", true, false),
            ("text/css,*/*;q=0.1", true, false),
            ("", true, false),
            ("text/html;q=0", false, false),
            ("text/html;q=0, */*", false, false),
            ("application/json", false, false),
            ("text/html+xml", false, false),
            ("text/htm", false, false),
            ("text/html;level=1", false, false),
        ] {
            let headers = accept(line);
            assert_eq!(accepts(&headers, "text/html"), is_accepted, "{line}");
            assert_eq!(accepts_by_name(&headers, "text/html"), is_named, "{line}");
            let offered = "text/html; charset=utf-8";
            assert_eq!(accepts(&headers, offered), is_accepted, "{line}");
            assert_eq!(accepts_by_name(&headers, offered), is_named, "{line}");
        }
        assert!(accepts(&HeaderMap::new(), "text/html"));
        assert!(!accepts_by_name(&HeaderMap::new(), "text/html"));
    }

    #[test]
    fn nothing_is_allocated() {
        let headers = accept("text/html,application/xhtml+xml;x=\"y\",*/*;q=0.8");
        let allocations = allocation_counter::measure(|| {
            assert!(accepts_by_name(&headers, "text/html; charset=utf-8"));
        });
        assert_eq!(allocations.count_total, 0);
    }
}

/// A member of `Accept-Encoding`, and how it is written.
fn member() -> impl Strategy<Value = (&'static str, Option<u16>, String)> {
    let names = prop::sample::select(vec!["br", "zstd", "gzip", "identity", "*", "deflate"]);
    let spaces = || prop::sample::select(vec!["", " ", "\t", "  "]);
    let weight = prop::option::of(prop_oneof![Just(0), Just(1000), 0..=1000_u16]);
    (names, weight, spaces(), spaces()).prop_map(|(name, weight, before, after)| {
        let text = match weight {
            None => name.to_owned(),
            Some(weight) => {
                let (whole, decimals) = (weight / 1000, weight % 1000);
                format!("{name}{before};{after}q={whole}.{decimals:03}")
            }
        };
        (name, weight, text)
    })
}

proptest! {
    #[test]
    fn the_coding_is_the_best_by_the_rules_one_by_one(
        members in prop::collection::vec(member(), 0..8),
        break_at in 0..8_usize,
    ) {
        let texts: Vec<&str> = members.iter().map(|(_, _, text)| text.as_str()).collect();
        let (first, second) = texts.split_at(break_at.min(texts.len()));
        let chosen = coding_of(&[&first.join(","), &second.join(" , ")]);

        let weight = |name: &str| {
            let last = members.iter().rev().find(|(listed, ..)| *listed == name);
            last.map(|(_, weight, _)| weight.unwrap_or(1000))
        };
        let of = |coding: Coding| weight(coding.token()).or(weight("*")).unwrap_or(0);
        let identity = weight("identity").unwrap_or(0);
        match chosen {
            Some(coding) => {
                prop_assert!(of(coding) > 0 && of(coding) >= identity);
                for other in ALL {
                    prop_assert!(of(other) <= of(coding));
                }
                let before = ALL.iter().take_while(|other| **other != coding);
                for other in before {
                    prop_assert!(of(*other) < of(coding));
                }
            }
            None => for coding in ALL {
                prop_assert!(of(coding) == 0 || of(coding) < identity);
            },
        }
    }

    #[test]
    fn no_field_makes_it_panic(bytes: Vec<u8>, media_type: String, text in "[a-z*/;=q0-9., \"\\\\]{0,40}") {
        let values = [HeaderValue::from_bytes(&bytes), HeaderValue::from_str(&text)];
        for value in values.into_iter().flatten() {
            let headers = [(header::ACCEPT, value.clone()), (header::ACCEPT_ENCODING, value)]
                .into_iter()
                .collect();
            let _ = choose_coding(&headers, ALL);
            let _ = accepts(&headers, &media_type);
            let _ = choose_media_type(&headers, &[&media_type, "text/html;q=1;x=\"", &text]);
        }
    }
}
