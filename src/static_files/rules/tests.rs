use std::time::Duration;

use super::*;

fn file<'a>(name: &'a str, media_type: &'a str) -> File<'a> {
    File {
        name: Path::new(name),
        media_type,
        manifest: None,
    }
}

fn contains(files: &Files, name: &str) -> bool {
    files.contain(&file(name, "text/plain; charset=utf-8"))
}

#[test]
fn globs_match_below_the_root() {
    for (pattern, name, expected) in [
        ("*.css", "a.css", true),
        ("*.css", "css/deep/a.css", true),
        ("*.css", "a.CSS", false),
        ("*.css", "a.css.map", false),
        ("*.css", ".css", true),
        ("*", "a/b", true),
        ("**", "a/b", true),
        ("/*.css", "a.css", true),
        ("/*.css", "css/a.css", false),
        ("/robots.txt", "robots.txt", true),
        ("/robots.txt", "a/robots.txt", false),
        ("robots.txt", "a/robots.txt", true),
        ("css/*.css", "css/a.css", true),
        ("css/*.css", "css/b/a.css", false),
        ("css/*.css", "x/css/a.css", false),
        ("css/**/*.css", "css/a.css", true),
        ("css/**/*.css", "css/b/c/a.css", true),
        ("**/css/*", "x/css/a.css", true),
        ("**/css/*", "css/a.css", true),
        ("assets/**", "assets/a", true),
        ("assets/**", "assets/a/b/c", true),
        ("assets/**", "assets2/a", false),
        ("/assets/**", "assets/a/b", true),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
        ("/a?c", "a/c", false),
        ("/a[/]c", "a/c", false),
        ("img-[0-9].png", "img-7.png", true),
        ("img-[!0-9].png", "img-7.png", false),
        ("[{]a}", "{a}", true),
        ("*.é", "b.é", true),
    ] {
        let files: Files = pattern.parse().expect("a pattern");
        assert_eq!(contains(&files, name), expected, "{pattern} on {name}");
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_unicode_can_be_matched_by_the_rest_of_it() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let file = File {
        name: Path::new(OsStr::from_bytes(b"d\xff/a\xff.css")),
        media_type: "text/css",
        manifest: None,
    };
    assert!(Files::glob("*.css").contain(&file));
    assert!(Files::glob("/d?/*.css").contain(&file));
    assert!(Files::extension("css").contain(&file));
    assert!(!Files::hashed().contain(&file));
    assert!(!Files::in_manifest().contain(&file));
}

#[test]
fn a_wrong_pattern_is_refused_with_what_to_write() {
    for (pattern, says) in [
        ("", "Files::all"),
        ("/", "Files::all"),
        ("assets/", "put **"),
        ("./a", "segment"),
        ("../a", "segment"),
        ("a//b", "segment"),
        ("//a", "segment"),
        ("a\\b", "separated by /"),
        ("*.{js,css}", "one rule for each"),
        ("a**", "recursive wildcards"),
        ("a***", "wildcards"),
        ("[a", "range"),
    ] {
        let message = pattern.parse::<Files>().expect_err(pattern).to_string();
        assert!(message.contains(says), "{pattern}: {message}");
        assert!(message.starts_with(&format!("{pattern:?}")), "{message}");
    }
}

#[test]
#[should_panic(expected = "one rule for each")]
fn a_wrong_glob_panics() {
    let _ = Files::glob("*.{js,css}");
}

#[test]
fn extensions_have_no_case() {
    let files = Files::extensions(["CSS", "js"]);
    for (name, expected) in [
        ("a.css", true),
        ("a/b.CSS", true),
        ("a.min.js", true),
        ("a.js.map", false),
        ("css", false),
        (".css", false),
        ("a.css/b", false),
    ] {
        assert_eq!(contains(&files, name), expected, "{name}");
    }
}

#[test]
fn a_wrong_extension_panics() {
    for extension in ["", ".css", "*", "*.css", "a/b"] {
        let result = std::panic::catch_unwind(|| Files::extension(extension));
        assert!(result.is_err(), "{extension}");
    }
}

#[test]
fn a_media_type_is_compared_without_its_parameters() {
    for (range, media_type, expected) in [
        ("text/css", "text/css", true),
        ("text/css", "text/css; charset=utf-8", true),
        ("TEXT/css", "text/CSS ;charset=utf-8", true),
        ("text/css", "text/css2", false),
        ("image/*", "image/svg+xml", true),
        ("image/svg+xml", "image/svg+xml", true),
        ("image/*", "images/png", false),
        ("image/*", "image", false),
        ("image/*", "", false),
    ] {
        let files = Files::media_type(range);
        assert_eq!(
            files.contain(&file("a", media_type)),
            expected,
            "{range} on {media_type}"
        );
    }
    for range in [
        "",
        "text",
        "*/*",
        "*",
        "text/",
        "/css",
        "text/c*",
        "text/css; charset=utf-8",
        "a b/c",
    ] {
        let result = std::panic::catch_unwind(|| Files::media_type(range));
        assert!(result.is_err(), "{range}");
    }
}

#[test]
fn the_later_rule_counts_and_fields_are_apart() {
    let mut rules = Rules::default();
    let hour = CacheControl::max_age(Duration::from_secs(3600));
    rules.cache_control(Files::all(), &CacheControl::no_cache());
    rules.header(Files::all(), "X-Robots-Tag", "noindex");
    rules.cache_control(Files::extension("css"), &hour);
    rules.cache_control(Files::hashed(), &CacheControl::immutable());
    rules.header(Files::glob("/index.html"), "x-robots-tag", "all");

    for (name, cache_control, robots) in [
        ("index.html", "no-cache", "all"),
        ("a/index.html", "no-cache", "noindex"),
        ("a.css", "max-age=3600", "noindex"),
        (
            "a.8f3b1c2d.css",
            "public, max-age=31536000, immutable",
            "noindex",
        ),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        rules.apply(&file(name, "text/css"), &mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], cache_control, "{name}");
        assert_eq!(headers["x-robots-tag"], robots, "{name}");
        assert_eq!(headers.len(), 2, "{name}");
    }
}

#[test]
fn what_no_rule_names_is_left_alone() {
    let mut rules = Rules::default();
    rules.header(
        Files::extension("woff2"),
        "access-control-allow-origin",
        "*",
    );

    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, HeaderValue::from_static("\"x\""));
    rules.apply(&file("a.css", "text/css"), &mut headers);
    assert_eq!(headers.len(), 1);
    rules.apply(&file("a.woff2", "font/woff2"), &mut headers);
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(headers[header::ETAG], "\"x\"");
}

#[test]
fn vary_is_added_to() {
    let mut rules = Rules::default();
    rules.header(Files::all(), "vary", "Origin, accept-encoding");
    rules.header(Files::all(), "vary", "origin, Accept");
    for (before, after) in [
        (&[][..], "Origin, accept-encoding, Accept"),
        (&["Accept-Encoding"], "Accept-Encoding, Origin, Accept"),
        (&["A", "B, Origin"], "A, B, Origin, accept-encoding, Accept"),
    ] {
        let mut headers = HeaderMap::new();
        for line in before {
            headers.append(header::VARY, HeaderValue::from_static(line));
        }
        rules.apply(&file("a", "text/plain"), &mut headers);
        let lines: Vec<_> = headers.get_all(header::VARY).iter().collect();
        assert_eq!(lines, [after], "{before:?}");
    }
}

#[test]
fn a_field_of_the_layers_own_is_refused_with_what_to_say_instead() {
    for (name, says) in [
        ("Expires", "StaticFiles::cache_control"),
        ("Cache-Control", "StaticFiles::cache_control"),
        ("Pragma", "StaticFiles::cache_control"),
        ("Age", "StaticFiles::cache_control"),
        ("Content-Type", "StaticFiles::content_type"),
        ("Content-Encoding", "variant"),
        ("Content-Length", "length"),
        ("Content-Range", "length"),
        ("Accept-Ranges", "length"),
        ("ETag", "made from the file"),
        ("Last-Modified", "made from the file"),
        ("Date", "server"),
        ("Connection", "connection"),
        ("Keep-Alive", "connection"),
        ("Proxy-Connection", "connection"),
        ("TE", "connection"),
        ("Trailer", "connection"),
        ("Transfer-Encoding", "connection"),
        ("Upgrade", "connection"),
        ("Location", "no meaning"),
        ("not a name", "cannot be sent"),
        ("", "cannot be sent"),
    ] {
        let result = std::panic::catch_unwind(|| {
            Rules::default().header(Files::all(), name, "0");
        });
        let panic = result.expect_err(name);
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains(says), "{name}: {message}");
        assert!(message.contains("StaticFiles::header"), "{message}");
    }
    let result = std::panic::catch_unwind(|| {
        Rules::default().header(Files::all(), "x-a", "line\r\nset-cookie: a=b");
    });
    assert!(result.is_err());
}
