//! `X-Accel-Redirect` and `X-Sendfile`: what may be named, and what is sent.

use http::Response;
use tower_gateway::{
    Body, StaticFiles,
    semantics::{
        negotiate::Coding,
        send_file::{SendsFiles, X_ACCEL_REDIRECT, X_SENDFILE},
    },
};

use super::{
    inside::{Inside, write_settled},
    tree::{Got, Tree},
};

/// What an application answers that names a file.
const FIELDS: &[(&str, &str)] = &[
    ("x-accel-redirect", "/protected/report.pdf"),
    ("x-accel-buffering", "no"),
    ("x-accel-charset", "utf-8"),
    ("x-accel-expires", "60"),
    ("x-accel-limit-rate", "1000"),
    ("content-type", "application/x-report"),
    ("content-disposition", "attachment; filename=\"r.pdf\""),
    ("cache-control", "private"),
    ("cache-control", "max-age=60"),
    ("expires", "Thu, 01 Jan 2032 00:00:00 GMT"),
    ("set-cookie", "a=1"),
    ("set-cookie", "b=2"),
    ("vary", "Cookie"),
    ("content-length", "7"),
    ("content-encoding", "gzip"),
    ("content-language", "de"),
    ("etag", "\"of the application\""),
    ("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT"),
    ("accept-ranges", "none"),
    ("location", "/elsewhere"),
    ("x-frame-options", "DENY"),
];

/// Ten letters.
const REPORT: &str = "0123456789";

struct Site {
    public: Tree,
    protected: Tree,
}

fn site() -> Site {
    let site = Site {
        public: Tree::of(&[("a.txt", "public")]),
        protected: Tree::new(),
    };
    write_settled(&site.protected, "report.pdf", REPORT);
    site
}

impl Site {
    fn files(&self) -> StaticFiles {
        let files = self.public.files().at("/static");
        files.accel_redirect("/protected", self.protected.root())
    }
}

fn names(path: &str) -> Inside {
    Inside::says(200, &[("x-accel-redirect", path)], "of the application")
}

fn values<'a>(got: &'a Got, name: &str) -> Vec<&'a str> {
    let values = got.headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

fn leaks_nothing(got: &Got) {
    for name in got.names() {
        assert!(!name.starts_with("x-accel-"), "{got:?}");
        assert_ne!(name, "x-sendfile", "{got:?}");
    }
    assert!(!got.text().contains("of the application"), "{got:?}");
}

#[tokio::test]
async fn the_file_takes_the_place_of_the_answer_and_what_nginx_keeps_is_kept() {
    let site = site();
    let inside = Inside::says(200, FIELDS, "of the application");
    // Below the mount of the files, and elsewhere.
    for target in ["/download/1", "/static/download"] {
        let got = inside.behind(&site.files(), "GET", target, &[]).await;
        assert_eq!((got.status, got.text()), (200, REPORT));
        assert_eq!(
            got.names(),
            [
                "accept-ranges",
                "cache-control",
                "content-disposition",
                "content-length",
                "content-type",
                "etag",
                "expires",
                "last-modified",
                "set-cookie",
                "vary",
                "x-content-type-options"
            ]
        );
        assert_eq!(got.header("content-type"), Some("application/x-report"));
        assert_eq!(got.header("content-length"), Some("10"));
        assert_eq!(values(&got, "cache-control"), ["private", "max-age=60"]);
        assert_eq!(values(&got, "set-cookie"), ["a=1", "b=2"]);
        assert_eq!(got.header("vary"), Some("Cookie"));
        assert_eq!(got.header("accept-ranges"), Some("bytes"));
        assert_ne!(got.header("etag"), Some("\"of the application\""));
    }
    assert_eq!(inside.calls(), 2);
}

#[tokio::test]
async fn without_a_word_of_the_application_the_type_is_the_file_s() {
    let site = site();
    let inside = names("/protected/report.pdf");
    let got = inside.behind(&site.files(), "GET", "/x", &[]).await;
    assert_eq!(got.header("content-type"), Some("application/pdf"));
    assert_eq!(got.header("cache-control"), None);
}

#[tokio::test]
async fn the_answer_may_have_any_status_and_the_request_any_method() {
    let site = site();
    for status in [200, 201, 204, 206, 302, 304, 403, 404, 416, 500, 503] {
        let fields = [("x-accel-redirect", "/protected/report.pdf")];
        let inside = Inside::says(status, &fields, "of the application");
        for method in ["GET", "POST", "PUT", "DELETE", "PROPFIND"] {
            let got = inside.behind(&site.files(), method, "/x", &[]).await;
            assert_eq!((got.status, got.text()), (200, REPORT), "{method} {status}");
        }
        let got = inside.behind(&site.files(), "HEAD", "/x", &[]).await;
        assert_eq!((got.status, got.text()), (200, ""), "{status}");
        assert_eq!(got.header("content-length"), Some("10"));
    }
}

#[tokio::test]
async fn ranges_and_conditions_are_about_the_file() {
    let site = site();
    let inside = Inside::says(200, FIELDS, "of the application");
    let files = &site.files();
    let first = inside.behind(files, "GET", "/x", &[]).await;
    let tag = first.header("etag").unwrap();
    assert!(!tag.starts_with("W/"), "{tag}");
    let date = first.header("last-modified").unwrap();
    let range = ("range", "bytes=2-4");
    let theirs = "\"of the application\"";
    for (fields, status, body) in [
        (&[range][..], 206, "234"),
        (&[range, ("if-range", tag)], 206, "234"),
        (&[range, ("if-range", date)], 206, "234"),
        (&[range, ("if-range", theirs)], 200, REPORT),
        (&[("range", "lines=1-2")], 200, REPORT),
        (&[("range", "bytes=10-")], 416, "Range Not Satisfiable"),
        (&[("if-none-match", tag)], 304, ""),
        (&[("if-none-match", theirs)], 200, REPORT),
        (&[("if-modified-since", date)], 304, ""),
        (&[("if-match", tag)], 200, REPORT),
        (&[("if-match", theirs)], 412, "Precondition Failed"),
    ] {
        let got = inside.behind(files, "GET", "/x", fields).await;
        assert_eq!((got.status, got.text()), (status, body), "{fields:?}");
        leaks_nothing(&got);
        // The session goes on, whatever became of the file.
        assert_eq!(values(&got, "set-cookie"), ["a=1", "b=2"], "{fields:?}");
        assert_eq!(got.header("vary"), Some("Cookie"), "{fields:?}");
        let of_ok = matches!(status, 200 | 206 | 304);
        let cached: &[&str] = if of_ok {
            &["private", "max-age=60"]
        } else {
            &[]
        };
        assert_eq!(values(&got, "cache-control"), cached, "{fields:?}");
        assert_eq!(got.headers.contains_key("expires"), of_ok, "{fields:?}");
    }
    let got = inside.behind(files, "GET", "/x", &[range]).await;
    assert_eq!(got.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(got.header("content-type"), Some("application/x-report"));
    let got = inside
        .behind(files, "GET", "/x", &[("range", "bytes=99-")])
        .await;
    assert_eq!(got.header("content-range"), Some("bytes */10"));
    assert_eq!(got.header("content-disposition"), None);

    // RFC 9110 §14.2: only GET has ranges.
    let got = inside.behind(files, "HEAD", "/x", &[range]).await;
    assert_eq!(
        (got.status, got.header("content-length")),
        (200, Some("10"))
    );
    let got = inside
        .behind(files, "HEAD", "/x", &[("if-none-match", tag)])
        .await;
    assert_eq!(got.status, 304);
    // The conditions of a POST were for the application, which has done what it was to do.
    for field in [range, ("if-none-match", tag), ("if-match", theirs)] {
        let got = inside.behind(files, "POST", "/x", &[field]).await;
        assert_eq!((got.status, got.text()), (200, REPORT), "{field:?}");
    }
}

#[tokio::test]
async fn several_ranges_have_the_type_that_the_application_says() {
    let site = site();
    write_settled(&site.protected, "report.pdf", REPORT.repeat(1000));
    let inside = Inside::says(200, FIELDS, "of the application");
    let several = &[("range", "bytes=0-9,5000-5009")];
    let got = inside.behind(&site.files(), "GET", "/x", several).await;
    assert_eq!(got.status, 206);
    let content_type = got.header("content-type").unwrap();
    assert!(content_type.starts_with("multipart/byteranges"), "{got:?}");
    let part = "content-type: application/x-report";
    assert_eq!(
        got.text().to_lowercase().matches(part).count(),
        2,
        "{got:?}"
    );
}

#[tokio::test]
async fn an_answer_that_names_nothing_is_left_alone_but_for_what_is_internal() {
    let site = site();
    let fields = &FIELDS[1..];
    let inside = Inside::says(503, fields, "busy");
    let got = inside.behind(&site.files(), "GET", "/x", &[]).await;
    assert_eq!((got.status, got.text()), (503, "busy"));
    leaks_nothing(&got);
    assert_eq!(got.headers.len(), fields.len() - 4);
    assert_eq!(got.header("etag"), Some("\"of the application\""));

    // Who did not ask for it has nothing to do with it.
    let inside = Inside::says(200, FIELDS, "sent");
    let got = inside.behind(&site.public.files(), "GET", "/x", &[]).await;
    assert_eq!(got.text(), "sent");
    assert!(got.headers.contains_key("x-accel-redirect"));
}

#[tokio::test]
async fn a_coding_that_lies_beside_the_file_is_sent() {
    let site = site();
    site.protected.write("style.css.gz", "gzipped");
    site.protected.write("style.css", "plain");
    let files = site
        .files()
        .precompressed([Coding::Gzip])
        .precompressed_older(true);
    let inside = names("/protected/style.css");
    let gzip = ("accept-encoding", "gzip");
    let got = inside.behind(&files, "GET", "/x", &[gzip]).await;
    assert_eq!(
        (got.text(), got.header("content-encoding")),
        ("gzipped", Some("gzip"))
    );
    assert_eq!(got.header("vary"), Some("accept-encoding"));
    let got = inside.behind(&files, "POST", "/x", &[gzip]).await;
    assert_eq!(got.text(), "gzipped");
    let got = inside.behind(&files, "GET", "/x", &[]).await;
    assert_eq!(
        (got.text(), got.header("vary")),
        ("plain", Some("accept-encoding"))
    );
}

#[tokio::test]
async fn rules_for_files_and_the_cache_are_not_about_them() {
    use tower_gateway::static_files::{CacheControl, Files};

    let site = site();
    let files = site
        .files()
        .cache(1 << 20)
        .untrusted(true)
        .header(Files::all(), "x-rule", "1")
        .cache_control(Files::all(), CacheControl::immutable());
    let inside = names("/protected/report.pdf");
    for content in [REPORT, "changed"] {
        write_settled(&site.protected, "report.pdf", content);
        let got = inside.behind(&files, "GET", "/x", &[]).await;
        assert_eq!(got.text(), content);
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        for name in ["x-rule", "cache-control", "content-disposition"] {
            assert_eq!(got.header(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_missing_file_has_the_page_of_its_error() {
    let site = site();
    site.public.write("404.html", "no such thing");
    let files = site
        .files()
        .error_page(http::StatusCode::NOT_FOUND, "404.html");
    let mut fields = FIELDS.to_vec();
    fields[0].1 = "/protected/missing";
    let got = Inside::says(200, &fields, "")
        .behind(&files, "GET", "/x", &[])
        .await;
    assert_eq!((got.status, got.text()), (404, "no such thing"));
    assert_eq!(values(&got, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(got.header("cache-control"), None);
    // Its own 404 is the application's.
    let got = Inside::says(404, &[], "mine")
        .behind(&files, "GET", "/x", &[])
        .await;
    assert_eq!(got.text(), "mine");
}

#[tokio::test]
async fn the_service_inside_is_told_what_it_may_name() {
    let site = site();
    let inside = Inside::new(|request| {
        let sends = SendsFiles::of(request.extensions());
        let told = [X_ACCEL_REDIRECT, X_SENDFILE].map(|name| sends.by(&name));
        Response::new(Body::from(format!("{told:?}")))
    });
    let root = site.protected.root();
    let plain = site.public.files().at("/static");
    let cases = [
        (plain.clone(), "[false, false]"),
        (
            plain.clone().accel_redirect("/protected", &root),
            "[true, false]",
        ),
        (plain.clone().sendfile(&root), "[false, true]"),
        (
            plain.accel_redirect("/protected", &root).sendfile(&root),
            "[true, true]",
        ),
    ];
    for (files, told) in cases {
        let got = inside.behind(&files, "GET", "/x", &[]).await;
        assert_eq!(got.text(), told);
    }
}
