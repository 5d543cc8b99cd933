//! Conditional requests.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use proptest::prelude::*;
use tower_gateway::semantics::conditional::{
    EntityTag, HttpDate, LastModified, Validators, Verdict, evaluate, range_applies,
};

/// "Sun, 06 Nov 1994 08:49:37 GMT", and a little later in the same second.
fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500)
}

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const EXACT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn current() -> Validators {
    Validators {
        etag: EntityTag::strong("v,2"),
        last_modified: HttpDate::new(modified()).map(LastModified::strong),
    }
}

fn fields(lines: &[(HeaderName, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (name.clone(), value)
        })
        .collect()
}

fn of_get(lines: &[(HeaderName, &str)]) -> Verdict {
    evaluate(&Method::GET, &fields(lines), &current())
}

mod section_8_8_3_entity_tags {
    use super::*;

    #[test]
    fn a_tag_is_quoted_and_may_be_weak() {
        for (text, weak) in [
            (r#""x""#, false),
            (r#""""#, false),
            (r#"W/"x""#, true),
            ("\"\u{80}\"", false),
            (r#"" "#, false),
        ] {
            let tag = EntityTag::parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap());
            match text {
                r#"" "# => assert_eq!(tag, None),
                _ => assert_eq!(tag.unwrap().is_weak(), weak, "{text}"),
            }
        }
        for bad in [
            "x",
            r#""x"#,
            r#"x""#,
            r#"w/"x""#,
            r#""a b""#,
            r#""a""b""#,
            "",
            "*",
            "W/",
        ] {
            let value = HeaderValue::from_str(bad).unwrap();
            assert_eq!(EntityTag::parse(&value), None, "{bad}");
        }
        assert_eq!(EntityTag::strong("a\"b"), None);
        assert_eq!(EntityTag::strong("a b"), None);
        assert_eq!(EntityTag::strong("x").unwrap().to_header(), r#""x""#);
        assert_eq!(EntityTag::weak("a\"b"), None);
        assert_eq!(EntityTag::weak("a b"), None);
        let weak = EntityTag::weak("x").unwrap();
        assert_eq!(weak.to_header(), r#"W/"x""#);
        assert!(weak.is_weak());
    }
}

mod section_5_6_7_dates {
    use super::*;

    #[test]
    fn all_three_forms_are_read_and_one_is_written() {
        let date = HttpDate::new(modified()).unwrap();
        for text in [
            EXACT,
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(HttpDate::parse(&value), Some(date), "{text}");
        }
        assert_eq!(date.to_header(), EXACT);
    }

    #[test]
    fn a_time_that_http_cannot_write_is_no_date() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(HttpDate::new(epoch - Duration::from_nanos(1)), None);
        assert_eq!(
            HttpDate::new(epoch).unwrap().to_header(),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
        let last = epoch + Duration::from_secs(253_402_300_799);
        assert_eq!(
            HttpDate::new(last).unwrap().to_header(),
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
        assert_eq!(HttpDate::new(last + Duration::from_secs(1)), None);

        for bad in [
            "",
            "0",
            "now",
            "Sun, 06 Nov 1894 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            let value = HeaderValue::from_static(bad);
            assert_eq!(HttpDate::parse(&value), None, "{bad}");
        }
    }
}

mod section_8_8_2_last_modified {
    use super::*;

    fn after(nanos: u64) -> Option<LastModified> {
        LastModified::new(modified(), modified() + Duration::from_nanos(nanos))
    }

    #[test]
    fn it_is_weak_until_a_second_after_its_own() {
        for (nanos, is_strong) in [
            (0, false),
            (500_000_000, false),
            (1_499_999_999, false),
            (1_500_000_000, true),
            (86_400_000_000_000, true),
        ] {
            let last_modified = after(nanos).unwrap();
            assert_eq!(last_modified.is_strong(), is_strong, "{nanos}");
            assert_eq!(last_modified.date(), HttpDate::new(modified()).unwrap());
            assert_eq!(last_modified.to_header(), EXACT);
        }
        // A clock that HTTP cannot write is long after every date.
        let never = SystemTime::UNIX_EPOCH + Duration::from_secs(300_000_000_000);
        let last_modified = LastModified::new(modified(), never).unwrap();
        assert!(last_modified.is_strong());
    }

    #[test]
    fn a_time_of_the_future_and_one_that_http_cannot_write_are_not_said() {
        let epoch = SystemTime::UNIX_EPOCH;
        let nanosecond = Duration::from_nanos(1);
        assert_eq!(LastModified::new(modified(), modified() - nanosecond), None);
        assert_eq!(LastModified::new(epoch - nanosecond, modified()), None);
    }
}

mod section_13_1_1_if_match {
    use super::*;

    #[test]
    fn it_compares_strongly_over_all_lines() {
        use Verdict::{Failed, Proceed};
        for (value, verdict) in [
            ("*", Proceed),
            (" * ", Proceed),
            (r#""v,2""#, Proceed),
            (r#""v1", "v,2""#, Proceed),
            (r#", ,"v1",,"v,2" ,"#, Proceed),
            (r#"W/"v,2""#, Failed),
            (r#""v1""#, Failed),
            ("v,2", Failed),
            (r#""v1", nonsense, "v,2""#, Failed),
            (r#""v,2"x"#, Failed),
            ("", Failed),
        ] {
            assert_eq!(of_get(&[(header::IF_MATCH, value)]), verdict, "{value}");
        }
        let lines = [
            (header::IF_MATCH, r#""v1""#),
            (header::IF_MATCH, r#""v,2""#),
        ];
        assert_eq!(of_get(&lines), Proceed);
    }

    /// RFC 9110 §8.8.3.2: both have to be strong.
    #[test]
    fn a_weak_tag_of_the_representation_never_matches() {
        let weak = Validators {
            etag: EntityTag::weak("x"),
            last_modified: None,
        };
        for (given, verdict) in [
            (r#""x""#, Verdict::Failed),
            (r#"W/"x""#, Verdict::Failed),
            ("*", Verdict::Proceed),
        ] {
            let headers = fields(&[(header::IF_MATCH, given)]);
            assert_eq!(evaluate(&Method::GET, &headers, &weak), verdict, "{given}");
        }
        let headers = fields(&[(header::IF_NONE_MATCH, r#""x""#)]);
        assert_eq!(
            evaluate(&Method::GET, &headers, &weak),
            Verdict::NotModified
        );
    }

    #[test]
    fn without_a_tag_only_the_asterisk_matches() {
        let none = Validators::default();
        let asterisk = fields(&[(header::IF_MATCH, "*")]);
        assert_eq!(evaluate(&Method::GET, &asterisk, &none), Verdict::Proceed);
        let tag = fields(&[(header::IF_MATCH, r#""v,2""#)]);
        assert_eq!(evaluate(&Method::GET, &tag, &none), Verdict::Failed);
    }
}

mod section_13_1_2_if_none_match {
    use super::*;

    #[test]
    fn it_compares_weakly_over_all_lines() {
        use Verdict::{NotModified, Proceed};
        for (value, verdict) in [
            ("*", NotModified),
            (r#""v,2""#, NotModified),
            (r#"W/"v,2""#, NotModified),
            (r#""v1","v,2""#, NotModified),
            (r#"W/"v1"	,	W/"v,2""#, NotModified),
            (r#"w/"v,2""#, Proceed),
            (r#""v""#, Proceed),
            ("2", Proceed),
            ("", Proceed),
        ] {
            assert_eq!(
                of_get(&[(header::IF_NONE_MATCH, value)]),
                verdict,
                "{value}"
            );
        }
        let lines = [
            (header::IF_NONE_MATCH, r#""v1""#),
            (header::IF_NONE_MATCH, r#"W/"v,2""#),
        ];
        assert_eq!(of_get(&lines), NotModified);
        // `"*" / #entity-tag`: the asterisk is no member of a list.
        for lines in [["*", r#""v1""#], [r#""v1""#, "*"]] {
            let lines = lines.map(|line| (header::IF_NONE_MATCH, line));
            assert_eq!(of_get(&lines), Proceed, "{lines:?}");
        }
    }

    #[test]
    fn another_method_than_get_and_head_fails() {
        let headers = fields(&[(header::IF_NONE_MATCH, "*")]);
        assert_eq!(
            evaluate(&Method::HEAD, &headers, &current()),
            Verdict::NotModified
        );
        assert_eq!(
            evaluate(&Method::PUT, &headers, &current()),
            Verdict::Failed
        );
    }
}

mod section_13_1_3_if_modified_since {
    use super::*;

    #[test]
    fn it_compares_whole_seconds() {
        for (value, verdict) in [
            (BEFORE, Verdict::Proceed),
            (EXACT, Verdict::NotModified),
            (AFTER, Verdict::NotModified),
        ] {
            assert_eq!(
                of_get(&[(header::IF_MODIFIED_SINCE, value)]),
                verdict,
                "{value}"
            );
        }
    }

    #[test]
    fn it_is_ignored_where_it_says_nothing() {
        for bad in ["", "yesterday", r#""v,2""#, "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(
                of_get(&[(header::IF_MODIFIED_SINCE, bad)]),
                Verdict::Proceed,
                "{bad}"
            );
        }
        let twice = [
            (header::IF_MODIFIED_SINCE, AFTER),
            (header::IF_MODIFIED_SINCE, AFTER),
        ];
        assert_eq!(of_get(&twice), Verdict::Proceed);

        let once = fields(&twice[..1]);
        assert_eq!(evaluate(&Method::PUT, &once, &current()), Verdict::Proceed);
        let none = Validators::default();
        assert_eq!(evaluate(&Method::GET, &once, &none), Verdict::Proceed);
    }
}

mod section_13_1_4_if_unmodified_since {
    use super::*;

    #[test]
    fn it_compares_whole_seconds() {
        for (value, verdict) in [
            (BEFORE, Verdict::Failed),
            (EXACT, Verdict::Proceed),
            (AFTER, Verdict::Proceed),
            ("yesterday", Verdict::Proceed),
        ] {
            let lines = [(header::IF_UNMODIFIED_SINCE, value)];
            assert_eq!(of_get(&lines), verdict, "{value}");
            assert_eq!(
                evaluate(&Method::PUT, &fields(&lines), &current()),
                verdict,
                "{value}"
            );
        }
    }
}

mod section_13_1_5_if_range {
    use super::*;

    #[test]
    fn it_wants_the_very_validator() {
        for (value, applies) in [
            (r#""v,2""#, true),
            (EXACT, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", true),
            (r#"W/"v,2""#, false),
            (r#""v1""#, false),
            (r#""v1", "v,2""#, false),
            ("*", false),
            (BEFORE, false),
            (AFTER, false),
            ("v,2", false),
            ("", false),
        ] {
            let headers = fields(&[(header::IF_RANGE, value)]);
            assert_eq!(range_applies(&headers, &current()), applies, "{value}");
            let none = Validators::default();
            assert!(!range_applies(&headers, &none), "{value}");
        }
        assert!(range_applies(&HeaderMap::new(), &current()));

        let twice = fields(&[
            (header::IF_RANGE, r#""v,2""#),
            (header::IF_RANGE, r#""v,2""#),
        ]);
        assert!(!range_applies(&twice, &current()));
    }

    #[test]
    fn a_weak_date_never_lets_a_range_count() {
        let date = HttpDate::new(modified()).unwrap();
        let headers = fields(&[(header::IF_RANGE, EXACT)]);
        for (last_modified, applies) in [
            (LastModified::weak(date), false),
            (LastModified::strong(date), true),
        ] {
            let validators = Validators {
                etag: None,
                last_modified: Some(last_modified),
            };
            assert_eq!(range_applies(&headers, &validators), applies);

            // The other conditions on dates compare weakly.
            let since = fields(&[(header::IF_MODIFIED_SINCE, EXACT)]);
            let verdict = evaluate(&Method::GET, &since, &validators);
            assert_eq!(verdict, Verdict::NotModified);
            let since = fields(&[(header::IF_UNMODIFIED_SINCE, EXACT)]);
            let verdict = evaluate(&Method::GET, &since, &validators);
            assert_eq!(verdict, Verdict::Proceed);
        }
    }

    #[test]
    fn a_weak_tag_never_lets_a_range_count() {
        let weak = Validators {
            etag: EntityTag::weak("x"),
            last_modified: None,
        };
        let headers = fields(&[(header::IF_RANGE, r#"W/"x""#)]);
        assert!(!range_applies(&headers, &weak));
    }
}

mod section_13_2_2_precedence {
    use super::*;

    #[test]
    fn if_match_makes_if_unmodified_since_void() {
        let lines = [
            (header::IF_MATCH, r#""v,2""#),
            (header::IF_UNMODIFIED_SINCE, BEFORE),
        ];
        assert_eq!(of_get(&lines), Verdict::Proceed);
        let lines = [
            (header::IF_MATCH, "malformed"),
            (header::IF_UNMODIFIED_SINCE, AFTER),
        ];
        assert_eq!(of_get(&lines), Verdict::Failed);
    }

    #[test]
    fn if_none_match_makes_if_modified_since_void() {
        for tags in [r#""v1""#, "malformed"] {
            let lines = [
                (header::IF_NONE_MATCH, tags),
                (header::IF_MODIFIED_SINCE, AFTER),
            ];
            assert_eq!(of_get(&lines), Verdict::Proceed, "{tags}");
        }
        let lines = [
            (header::IF_NONE_MATCH, r#""v,2""#),
            (header::IF_MODIFIED_SINCE, BEFORE),
        ];
        assert_eq!(of_get(&lines), Verdict::NotModified);
    }

    #[test]
    fn what_fails_comes_before_what_is_not_modified() {
        for failing in [
            (header::IF_MATCH, r#""v1""#),
            (header::IF_UNMODIFIED_SINCE, BEFORE),
        ] {
            let lines = [failing.clone(), (header::IF_NONE_MATCH, "*")];
            assert_eq!(of_get(&lines), Verdict::Failed, "{failing:?}");
            let lines = [failing.clone(), (header::IF_MODIFIED_SINCE, AFTER)];
            assert_eq!(of_get(&lines), Verdict::Failed, "{failing:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_list_matches_if_and_only_if_it_has_the_tag(
        tags in prop::collection::vec(("(W/)?", "[a-c,*]{0,3}"), 1..6),
        separator in "[ \t]{0,2},[ \t,]{0,2}",
        split in 0..6_usize,
    ) {
        let current = Validators {
            etag: EntityTag::strong("a,"),
            last_modified: None,
        };
        let text: Vec<String> = tags
            .iter()
            .map(|(weak, opaque)| format!("{weak}\"{opaque}\""))
            .collect();
        // In one line or in two, a list is a list.
        let (first, second) = text.split_at(split.min(text.len()));
        let lines = |name: &HeaderName| {
            let mut headers = HeaderMap::new();
            for line in [first, second] {
                let line = HeaderValue::try_from(line.join(&separator)).unwrap();
                headers.append(name, line);
            }
            headers
        };
        let weakly = tags.iter().any(|(_, opaque)| opaque == "a,");
        let strongly = tags.iter().any(|(weak, opaque)| weak.is_empty() && opaque == "a,");
        let verdict = evaluate(&Method::GET, &lines(&header::IF_NONE_MATCH), &current);
        prop_assert_eq!(verdict == Verdict::NotModified, weakly);
        let verdict = evaluate(&Method::GET, &lines(&header::IF_MATCH), &current);
        prop_assert_eq!(verdict == Verdict::Proceed, strongly);
    }

    #[test]
    fn no_field_makes_it_panic(bytes: Vec<u8>, date in "[A-Za-z]{3,9}, [0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,5} [0-9:]{8} GMT") {
        for value in [HeaderValue::from_bytes(&bytes), HeaderValue::from_str(&date)] {
            let Ok(value) = value else { continue };
            for name in [
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                header::IF_MODIFIED_SINCE,
                header::IF_UNMODIFIED_SINCE,
                header::IF_RANGE,
            ] {
                let headers: HeaderMap = [(name, value.clone())].into_iter().collect();
                let _ = evaluate(&Method::GET, &headers, &current());
                let _ = range_applies(&headers, &current());
            }
            if let Some(date) = HttpDate::parse(&value) {
                prop_assert_eq!(HttpDate::parse(&date.to_header()), Some(date));
            }
        }
    }
}
