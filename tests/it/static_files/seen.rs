//! What an operator sees: events, and metrics.

use futures_util::FutureExt;
use http::{Response, StatusCode};
use metrics::with_local_recorder;
use tower::{Layer, service_fn};
use tower_gateway::{Body, StaticFiles, static_files::MemoryFiles};

use super::{
    source::Scripted,
    tree::{Got, ask, get, request},
};
use crate::support::{counted::Counted, log};

fn requests(counted: &Counted, outcome: &str) -> f64 {
    counted.of(&format!("tower_gateway_static_requests_total {outcome}"))
}

fn memory() -> MemoryFiles {
    MemoryFiles::new()
        .file("a.txt", "hello")
        .file("dir/index.html", "index")
        .file("bare/file", "x")
}

/// No test here has anything to wait for.
fn now(files: &StaticFiles, method: &str, target: &str, fields: &[(&str, &str)]) -> Got {
    let answer = ask(files.clone(), request(method, target, fields));
    answer.now_or_never().expect("an answer at once")
}

#[test]
fn each_outcome_is_counted() {
    let counted = Counted::default();
    with_local_recorder(&counted, || {
        let files = StaticFiles::from_source(memory()).at("/s").cache(1 << 20);
        let table = [
            ("GET", "/s/a.txt", "", 200, "disk"),
            ("GET", "/s/a.txt", "", 200, "memory"),
            ("HEAD", "/s/a.txt", "", 200, "memory"),
            ("GET", "/s/a.txt", "bytes=0-1", 206, "memory"),
            ("GET", "/s/a.txt", "bytes=9-", 416, "refused"),
            ("GET", "/s/dir", "", 308, "redirect"),
            ("GET", "/s/dir/", "", 200, "disk"),
            ("GET", "/s/none", "", 404, "missing"),
            ("POST", "/s/a.txt", "", 405, "missing"),
            ("GET", "/s/%zz", "", 400, "refused"),
        ];
        for (method, target, range, status, outcome) in table {
            let before = requests(&counted, outcome);
            let fields: &[_] = if range.is_empty() {
                &[]
            } else {
                &[("range", range)]
            };
            let got = now(&files, method, target, fields);
            assert_eq!(got.status, status, "{method} {target}");
            assert_eq!(
                requests(&counted, outcome),
                before + 1.0,
                "{method} {target}"
            );
        }
        let got = now(&files, "GET", "/s/a.txt", &[("if-none-match", "*")]);
        assert_eq!(got.status, 304);
        assert_eq!(requests(&counted, "not_modified"), 1.0);

        let before = counted.all();
        now(&files, "GET", "/elsewhere", &[]);
        assert_eq!(counted.all(), before, "it is not this layer's path");

        let ending = StaticFiles::from_source(memory()).fall_through([]);
        assert_eq!(now(&ending, "GET", "/none", &[]).status, 404);
        assert_eq!(requests(&counted, "missing"), 3.0);
    });
}

#[test]
fn the_bytes_that_were_promised_are_counted() {
    let counted = Counted::default();
    with_local_recorder(&counted, || {
        let files = StaticFiles::from_source(memory());
        now(&files, "GET", "/a.txt", &[]);
        now(&files, "GET", "/a.txt", &[("range", "bytes=0-1")]);
        now(&files, "HEAD", "/a.txt", &[]);
        now(&files, "GET", "/a.txt", &[("if-none-match", "*")]);
    });
    assert_eq!(counted.of("tower_gateway_static_bytes_total"), 7.0);
}

#[test]
fn the_gauges_are_what_all_caches_keep() {
    let counted = Counted::default();
    with_local_recorder(&counted, || {
        let entries = || counted.of("tower_gateway_static_cache_entries");
        let bytes = || counted.of("tower_gateway_static_cache_bytes");
        let one = StaticFiles::from_source(memory()).cache(1 << 20);
        let other = StaticFiles::from_source(memory()).cache(1 << 20);
        now(&one, "GET", "/a.txt", &[]);
        assert_eq!(entries(), 1.0);
        let of_one = bytes();
        assert!((5.0..4096.0).contains(&of_one), "{of_one}");
        now(&one, "GET", "/a.txt", &[]);
        assert_eq!((entries(), bytes()), (1.0, of_one));
        now(&other, "GET", "/a.txt", &[]);
        assert_eq!((entries(), bytes()), (2.0, of_one * 2.0));
        for i in 0..100_000 {
            now(&other, "GET", &format!("/{i}"), &[]);
        }
        assert!(bytes() <= of_one + f64::from(1 << 20), "{}", bytes());
        drop(other);
        assert_eq!((entries(), bytes()), (1.0, of_one));
        drop(one);
        assert_eq!((entries(), bytes()), (0.0, 0.0));
    });
}

#[tokio::test]
async fn each_outcome_is_an_event() {
    let (log, _guard) = log::capture();
    let source = Scripted::of(&[
        ("a.txt", "hello"),
        ("page.html", "page"),
        ("d/index.html", "d"),
    ]);
    let files = source
        .files()
        .cache(1 << 20)
        .spa("page.html")
        .fall_through([StatusCode::NOT_FOUND]);
    let inner = service_fn(async |_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, std::convert::Infallible>(response)
    });
    let service = files.layer(inner);
    let html = [("accept", "text/html")];
    for (method, target, fields, words) in [
        (
            "GET",
            "/a.txt",
            &[][..],
            r#"outcome="disk" path="/a.txt" status=200 bytes=5"#,
        ),
        (
            "HEAD",
            "/a.txt",
            &[],
            r#"outcome="memory" path="/a.txt" status=200 bytes=0"#,
        ),
        (
            "GET",
            "/d",
            &[],
            r#"outcome="redirect" path="/d" status=308"#,
        ),
        (
            "GET",
            "/none.js",
            &[],
            r#"outcome="passed" path="/none.js""#,
        ),
        (
            "GET",
            "/page",
            &html,
            r#"outcome="instead" path="/page" status=200 bytes=4"#,
        ),
        (
            "PUT",
            "/a.txt",
            &[],
            r#"outcome="missing" path="/a.txt" status=405"#,
        ),
        (
            "GET",
            "/%zz",
            &[],
            r#"outcome="refused" path="/%zz" status=400"#,
        ),
    ] {
        assert_eq!(log.count(words), 0, "{words}");
        ask(service.clone(), request(method, target, fields)).await;
        assert_eq!(log.count(words), 1, "{words} in {}", log.text());
    }
    source.fail(true);
    get(&files, "/new").await;
    assert_eq!(log.count(r#"outcome="failed" path="/new" status=500"#), 1);
    assert_eq!(log.count("WARN"), 1, "{}", log.text());
}
