//! `semantics::path` and `semantics::mount`: the one reading of a request path.

use http::{Request, Uri};
use proptest::prelude::*;
use tower_gateway::{
    PathPolicy,
    semantics::{
        mount::{Prefix, external_prefix},
        path::{EncodedSlash, PathError, PathRefusal, Spelling, decode, match_key},
    },
};

fn read(path: &str) -> Result<String, PathError> {
    PathPolicy::new().read(path).map(Into::into)
}

// === spellings ===

/// Spelling, reading.
const SPELLINGS: &[(&str, &str)] = &[
    ("/", "/"),
    ("/a/b", "/a/b"),
    ("/a/b/", "/a/b/"),
    // RFC 3986 §6.2.2.1: case of the digits.
    ("/%c3%bc", "/%C3%BC"),
    // RFC 3986 §6.2.2.2: unreserved bytes need no escape.
    ("/%70rivate", "/private"),
    ("/%41%7a%30%2d%2E%5f%7E", "/Az0-._~"),
    // RFC 3986 §5.2.4: dot segments, its own two examples first.
    ("/a/b/c/./../../g", "/a/g"),
    ("/mid/content=5/../6", "/mid/6"),
    ("/.", "/"),
    ("/..", "/"),
    ("/../", "/"),
    ("/../../../etc/passwd", "/etc/passwd"),
    ("/a/.", "/a/"),
    ("/a/..", "/"),
    ("/a/b/..", "/a/"),
    ("/a/./b", "/a/b"),
    ("/a/%2e%2E/b", "/b"),
    ("/a/.%2e/b", "/b"),
    ("/%2e/a", "/a"),
    // A name that only begins with dots is a name.
    ("/...", "/..."),
    ("/..a/.b", "/..a/.b"),
    ("/a../b", "/a../b"),
    ("/..;/a", "/..;/a"),
    // Empty segments.
    ("//", "/"),
    ("///a", "/a"),
    ("/a//b///c//", "/a/b/c/"),
    ("//../a", "/a"),
    ("/a//../b", "/b"),
    ("/.//a", "/a"),
    // Reserved bytes stay as they are written: RFC 3986 §2.2.
    ("/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b"),
    ("/a%21b%3Bc", "/a%21b%3Bc"),
    ("/a%3bb", "/a%3Bb"),
    // What can only be in a path escaped.
    ("/a b", "/a%20b"),
    ("/{x}|\"^[y]", "/%7Bx%7D%7C%22%5E%5By%5D"),
    ("/ü", "/%C3%BC"),
    ("/%ff%FE", "/%FF%FE"),
    ("/a%3Fb%23c", "/a%3Fb%23c"),
    ("/a%0Ab", "/a%0Ab"),
    // A percent sign is decoded once, never twice.
    ("/%2570rivate", "/%2570rivate"),
    ("/%252e%252e/x", "/%252e%252e/x"),
    ("/%252Fx", "/%252Fx"),
];

#[test]
fn each_spelling_has_one_reading() {
    for (spelling, reading) in SPELLINGS {
        assert_eq!(read(spelling).as_deref(), Ok(*reading), "{spelling}");
    }
}

/// Spellings with which file servers and routers were led astray.
#[test]
fn attack_spellings_of_a_guarded_path_are_the_guarded_path_or_refused() {
    const GUARDED: &str = "/static/private/x";
    for spelling in [
        "/static//private/x",
        "//static/private/x",
        "/static///private//x",
        "/static/./private/x",
        "/./static/private/./x",
        "/static/%70rivate/x",
        "/%73tatic/%70%72%69%76%61%74%65/x",
        "/static/%2e/private/x",
        "/static/public/../private/x",
        "/static/public/%2e%2e/private/x",
        "/static/public/%2E./private/x",
        "/api/../static/private/x",
        "/../static/private/x",
        "/%2e%2e/static/private/x",
        "/static/private/y/../x",
        "/static/private/./%78",
    ] {
        assert_eq!(read(spelling).as_deref(), Ok(GUARDED), "{spelling}");
    }
    for (spelling, error) in [
        ("/static/private%2Fx", PathError::EncodedSlash),
        ("/static%2fprivate/x", PathError::EncodedSlash),
        ("/x/..%2fprivate/x", PathError::EncodedSlash),
        ("/static/..%5cprivate/x", PathError::Backslash),
        ("/static\\private\\x", PathError::Backslash),
        ("/static/%5C..%5Cprivate", PathError::Backslash),
        ("/static/private/x%00.css", PathError::Nul),
        ("/%00", PathError::Nul),
        ("/static/%", PathError::BadEscape),
        ("/static/%7", PathError::BadEscape),
        ("/static/%zz", PathError::BadEscape),
        ("/static/%-1", PathError::BadEscape),
        ("/static/%+7", PathError::BadEscape),
        ("/static/% 7", PathError::BadEscape),
        ("/static/%u002e", PathError::BadEscape),
        ("static/x", PathError::NotAbsolute),
        ("", PathError::NotAbsolute),
    ] {
        assert_eq!(read(spelling), Err(error), "{spelling}");
    }
    // Overlong UTF-8 for a dot or a slash is two bytes, and stays two bytes.
    assert_eq!(read("/%c0%ae%c0%ae/x").as_deref(), Ok("/%C0%AE%C0%AE/x"));
    assert_eq!(read("/..%c0%afx").as_deref(), Ok("/..%C0%AFx"));
}

#[test]
fn an_encoded_slash_is_what_the_policy_says() {
    let with = |meaning| PathPolicy::new().encoded_slash(meaning);
    let keep = with(EncodedSlash::Keep);
    assert_eq!(keep.read("/a%2fb").unwrap(), "/a%2Fb");
    assert_eq!(keep.read("/a/..%2Fb/c").unwrap(), "/a/..%2Fb/c");
    let decode = with(EncodedSlash::Decode);
    assert_eq!(decode.read("/a%2Fb").unwrap(), "/a/b");
    assert_eq!(decode.read("/x/..%2fprivate/x").unwrap(), "/private/x");
    assert_eq!(decode.read("/%2F%2Fevil.example").unwrap(), "/evil.example");
    assert_eq!(
        with(EncodedSlash::Reject).read("/a%2Fb"),
        Err(PathError::EncodedSlash)
    );
}

#[test]
fn two_escapes_of_one_file_name_have_one_match_key() {
    assert_eq!(match_key("/a%21b%3Bc%20d"), "/a!b;c%20d");
    assert_eq!(match_key("/a!b;c%20d"), "/a!b;c%20d");
    // Neither of these is the byte it stands for: one would be a slash, one would begin an escape.
    assert_eq!(match_key("/a%2Fb%25c%2521"), "/a%2Fb%25c%2521");
}

// === targets ===

fn enforce(policy: PathPolicy, uri: &str) -> Result<String, PathRefusal> {
    let mut uri: Uri = uri.parse().unwrap();
    policy.enforce(&mut uri).map(|()| uri.to_string())
}

#[test]
fn the_query_and_the_rest_of_the_target_are_never_touched() {
    let policy = PathPolicy::new();
    for (target, reading) in [
        ("//a?x=//%70/../%zz", "/a?x=//%70/../%zz"),
        ("/a?", "/a?"),
        ("//a?", "/a?"),
        ("//a??b", "/a??b"),
        (
            "http://example.com:8080//a/../b?c=%2F",
            "http://example.com:8080/b?c=%2F",
        ),
        ("http://example.com", "http://example.com/"),
    ] {
        assert_eq!(enforce(policy, target).as_deref(), Ok(reading), "{target}");
    }
}

#[test]
fn a_target_without_a_path_passes() {
    for policy in [
        PathPolicy::new(),
        PathPolicy::new().spelling(Spelling::Reject),
    ] {
        assert_eq!(enforce(policy, "*").as_deref(), Ok("*"));
        assert_eq!(
            enforce(policy, "example.com:443").as_deref(),
            Ok("example.com:443")
        );
    }
}

#[test]
fn the_policy_redirects_or_rejects_other_spellings() {
    let redirect = PathPolicy::new().spelling(Spelling::Redirect);
    assert_eq!(
        enforce(redirect, "//evil.example/%2e%2e?q"),
        Err(PathRefusal::Redirect("/?q".to_owned()))
    );
    assert_eq!(enforce(redirect, "/a?q").as_deref(), Ok("/a?q"));
    let reject = PathPolicy::new().spelling(Spelling::Reject);
    assert_eq!(
        enforce(reject, "/a//b"),
        Err(PathRefusal::Malformed(PathError::NotCanonical))
    );
    assert_eq!(enforce(reject, "/a/b").as_deref(), Ok("/a/b"));
    // What is malformed is refused, not redirected.
    assert_eq!(
        enforce(redirect, "//a%2Fb"),
        Err(PathRefusal::Malformed(PathError::EncodedSlash))
    );
}

#[test]
fn a_path_that_grows_beyond_a_uri_is_refused() {
    // Each brace grows from one byte to three.
    let long = format!("/{}", "{".repeat(30_000));
    assert_eq!(
        enforce(PathPolicy::new(), &long),
        Err(PathRefusal::Malformed(PathError::TooLong))
    );
}

// === properties ===

/// Paths rich in what matters: dots, slashes, escapes.
fn paths() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("."),
        Just(".."),
        Just("a"),
        Just("%2e"),
        Just("%2E"),
        Just("%2f"),
        Just("%61"),
        Just("%21"),
        Just("!"),
        Just("%20"),
        Just(";"),
        Just("%25"),
        Just("%c3%bc"),
        Just("ü"),
        Just("{"),
        Just("%"),
        Just("\\"),
        Just("%5C"),
        Just("%00"),
        Just("%3B"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn policies() -> impl Strategy<Value = PathPolicy> {
    prop_oneof![
        Just(EncodedSlash::Reject),
        Just(EncodedSlash::Keep),
        Just(EncodedSlash::Decode)
    ]
    .prop_map(|meaning| PathPolicy::new().encoded_slash(meaning))
}

/// The reading, done slowly: decode everything, split, resolve.
fn segments(path: &str, decode_slash: bool) -> Vec<Vec<u8>> {
    let mut separated = path.to_owned();
    if decode_slash {
        separated = separated.replace("%2f", "/").replace("%2F", "/");
    }
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let mut pieces: Vec<_> = separated
        .split('/')
        .skip(1)
        .map(|s| decode(s).into_owned())
        .collect();
    let last = pieces.pop().unwrap();
    for piece in pieces {
        match piece.as_slice() {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(piece),
        }
    }
    match last.as_slice() {
        b"." => segments.push(Vec::new()),
        b".." => {
            segments.pop();
            segments.push(Vec::new());
        }
        _ => segments.push(last),
    }
    segments
}

proptest! {
    #[test]
    fn a_reading_is_its_own_reading(path in paths(), policy in policies()) {
        if let Ok(reading) = policy.read(&path) {
            prop_assert!(matches!(policy.read(&reading), Ok(std::borrow::Cow::Borrowed(again)) if again == reading));
        }
    }

    #[test]
    fn a_reading_never_escapes(path in paths(), policy in policies()) {
        if let Ok(reading) = policy.read(&path) {
            prop_assert!(reading.starts_with('/') && !reading.contains("//"));
            let decoded = decode(&reading);
            for segment in decoded.split(|byte| *byte == b'/') {
                // A kept slash is a byte of its segment, which who decodes it may not know.
                let is_dot = segment == b"." || segment == b"..";
                prop_assert!(!is_dot || reading.contains("%2F"));
            }
            for segment in reading.split('/') {
                prop_assert!(segment != "." && segment != "..");
            }
            prop_assert!(!decoded.contains(&0) && !decoded.contains(&b'\\'));
        }
    }

    #[test]
    fn a_reading_names_what_its_spelling_names(path in paths(), decode_slash: bool) {
        let meaning = if decode_slash { EncodedSlash::Decode } else { EncodedSlash::Keep };
        if let Ok(reading) = PathPolicy::new().encoded_slash(meaning).read(&path) {
            prop_assert_eq!(segments(&path, decode_slash), segments(&reading, false));
        }
    }

    #[test]
    fn what_names_the_same_matches_the_same(one in paths(), other in paths(), policy in policies()) {
        if let (Ok(one), Ok(other)) = (policy.read(&one), policy.read(&other)) {
            let same_name = segments(&one, false) == segments(&other, false);
            prop_assert_eq!(same_name, match_key(&one) == match_key(&other));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "/\\PC{0,40}", policy in policies()) {
        if let Ok(reading) = policy.read(&text) {
            prop_assert!(reading.is_ascii());
            prop_assert!(reading.parse::<Uri>().is_ok());
        }
    }

    #[test]
    fn a_spelling_is_below_a_prefix_as_its_key_is(path in paths(), prefix in paths()) {
        let (Ok(path), Ok(prefix)) = (read(&path), read(&prefix)) else { return Ok(()) };
        let mount: Prefix = prefix.parse().unwrap();
        let trimmed = prefix.strip_suffix('/').unwrap_or(&prefix);
        let key_of_prefix = match_key(trimmed);
        let expected = match_key(&path).strip_prefix(&*key_of_prefix).is_some_and(|below| {
            below.is_empty() || below.starts_with('/')
        });
        prop_assert_eq!(mount.strip(&path).is_some(), expected, "{} under {}", path, prefix);
        if let Some(below) = mount.strip(&path) {
            prop_assert!(path.ends_with(below));
            prop_assert_eq!(format!("{}{}", mount.as_str(), match_key(below)), match_key(&path));
        }
    }
}

// === prefixes ===

#[test]
fn a_prefix_matches_on_segment_boundaries() {
    for (prefix, path, below) in [
        ("/", "/", Some("/")),
        ("", "/a", Some("/a")),
        ("/", "*", None),
        ("/", "", None),
        ("/api", "/api", Some("")),
        ("/api", "/api/", Some("/")),
        ("/api/", "/api/x", Some("/x")),
        ("/api", "/apix", None),
        ("/api", "/API", None),
        ("/api", "/", None),
        ("/a b", "/a%20b", None),
        ("/a%20b", "/a%20b/c", Some("/c")),
        ("/a!b", "/a%21b/c%3B", Some("/c%3B")),
        ("/a%21b", "/a!b/c", Some("/c")),
        ("/a", "/a%2Fb", None),
        // What a policy keeps may be mounted.
        ("/a%2Fb", "/a%2Fb/c", Some("/c")),
        ("/a%2Fb", "/a/b/c", None),
    ] {
        let Ok(prefix) = prefix.parse::<Prefix>() else {
            assert_eq!(prefix, "/a b");
            continue;
        };
        assert_eq!(prefix.strip(path), below, "{path} under {prefix}");
    }
}

#[test]
fn a_prefix_that_no_path_can_have_says_why() {
    for (prefix, reason) in [
        ("static", "begins with a slash"),
        ("/a//b", "canonical"),
        ("/a/../b", "canonical"),
        ("/%61", "canonical"),
        ("/a b", "canonical"),
        ("/a?b", "without a query"),
        ("/a#b", "without a query"),
        ("/%zz", "not a path"),
        ("/a\\b", "not a path"),
    ] {
        let error = prefix.parse::<Prefix>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(&format!("{prefix:?}")), "{error}");
    }
}

#[test]
fn nothing_was_stripped_from_a_request_that_is_not_mounted() {
    let request = Request::new(());
    assert_eq!(external_prefix(request.extensions(), "/a"), "");
}
