//! `X-Accel-Redirect`: which file a path names, and which are out of reach.

use http::HeaderValue;
use tower_gateway::StaticFiles;

use super::{
    inside::Inside,
    tree::{Got, SECRET, Tree, get_with},
};

const REPORT: &str = "the report";

struct Site {
    public: Tree,
    protected: Tree,
}

fn site() -> Site {
    Site {
        public: Tree::of(&[("a.txt", "public")]),
        protected: Tree::of(&[("report.pdf", REPORT)]),
    }
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

fn leaks_nothing(got: &Got) {
    assert_eq!(got.header("x-accel-redirect"), None);
    assert!(!got.text().contains("of the application"), "{got:?}");
}

#[tokio::test]
async fn a_name_is_written_as_in_a_url() {
    let site = site();
    let files = &site.files();
    for (name, paths) in [
        (
            "plain.txt",
            &[
                "plain.txt",
                "%70lain.txt",
                "plain.txt?query=/..",
                "/plain.txt",
            ][..],
        ),
        ("a b.txt", &["a b.txt", "a%20b.txt"]),
        ("100%.txt", &["100%.txt", "100%25.txt"]),
        ("%41.txt", &["%2541.txt"]),
        ("why?.txt", &["why%3F.txt", "why%3f.txt"]),
        ("#1+2&3.txt", &["#1+2&3.txt", "%231%2B2%263.txt"]),
        ("täst.txt", &["täst.txt", "t%C3%A4st.txt"]),
        ("..a/...", &["..a/...", "..a//...", "..a%2F..."]),
        (".hidden/.file", &[".hidden/.file"]),
        ("back\\slash", &["back\\slash"]),
        ("*", &["*"]),
    ] {
        site.protected.write(name, name);
        for path in paths {
            let path = format!("/protected/{path}");
            let got = names(&path).behind(files, "GET", "/x", &[]).await;
            assert_eq!((got.status, got.text()), (200, name), "{path}");
            leaks_nothing(&got);
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt;

    let site = site();
    let name = std::ffi::OsStr::from_bytes(b"\xe4.txt");
    site.protected.write(name, "latin");
    for path in [&b"/protected/\xe4.txt"[..], b"/protected/%E4.txt"] {
        let path = HeaderValue::from_bytes(path).unwrap();
        let inside = Inside::new(move |_| {
            let mut response = http::Response::default();
            let headers = response.headers_mut();
            headers.insert("x-accel-redirect", path.clone());
            response
        });
        let got = inside.behind(&site.files(), "GET", "/x", &[]).await;
        assert_eq!((got.status, got.text()), (200, "latin"));
    }
}

#[tokio::test]
async fn what_leads_nowhere_is_a_404_that_tells_nothing() {
    let site = site();
    site.protected.write("dir/index.html", "index");
    std::os::unix::fs::symlink(
        site.protected.outside().join("secret.txt"),
        site.protected.root().join("link"),
    )
    .unwrap();
    for path in [
        "",
        "/",
        "protected/report.pdf",
        "report.pdf",
        "/report.pdf",
        "/protected",
        "/protected/",
        "/protected//",
        "/protected?/report.pdf",
        "/protectedx/report.pdf",
        "/Protected/report.pdf",
        "//protected/report.pdf",
        "/x/../protected/report.pdf",
        "/protected/./report.pdf",
        "/protected/report.pdf/",
        "/protected/report.pdf/x",
        "/protected/report.pdf%00",
        "/protected/%00",
        "/protected/missing",
        "/protected/dir",
        "/protected/dir/",
        "/protected/link",
        "/protected/../outside/secret.txt",
        "/protected/%2e%2e/outside/secret.txt",
        "/protected/..%2foutside/secret.txt",
        "/protected/dir/../../outside/secret.txt",
        "/protected/dir/%2E%2E/report.pdf",
        "/etc/passwd",
        "/static/a.txt",
        "http://localhost/protected/report.pdf",
        "@protected",
    ] {
        let fields = [
            ("x-accel-redirect", path),
            ("x-accel-expires", "60"),
            ("cache-control", "max-age=60"),
            ("content-type", "application/pdf"),
            ("content-disposition", "attachment"),
            ("etag", "\"1\""),
            ("set-cookie", "a=1"),
            ("vary", "Cookie"),
        ];
        let inside = Inside::says(200, &fields, "of the application");
        let got = inside.behind(&site.files(), "GET", "/x", &[]).await;
        assert_eq!((got.status, got.text()), (404, "Not Found"), "{path}");
        assert_eq!(
            got.names(),
            ["content-type", "set-cookie", "vary"],
            "{path}"
        );
        assert!(!got.text().contains(SECRET));
    }
}

#[tokio::test]
async fn the_longest_prefix_counts_and_ends_with_a_segment() {
    let [all, one, escaped] = ["all", "one", "escaped"].map(|text| Tree::of(&[("f", text)]));
    all.write("a/b", "b of all");
    let files = all
        .files()
        .at("/static")
        .accel_redirect("/p/one", one.root())
        .accel_redirect("/p", all.root())
        .accel_redirect("/p/a/c", one.root())
        .accel_redirect("/with%20space", escaped.root());
    for (path, text) in [
        ("/p/f", "all"),
        ("/p/one/f", "one"),
        ("/p/a/b", "b of all"),
        ("/p/a/c/f", "one"),
        ("/p/oneself", "Not Found"),
        ("/p/one/a/b", "Not Found"),
        ("/with space/f", "escaped"),
        ("/with%20space/f", "escaped"),
    ] {
        let got = names(path).behind(&files, "GET", "/x", &[]).await;
        assert_eq!(got.text(), text, "{path}");
    }
    let files = all.files().at("/static").accel_redirect("/", all.root());
    let got = names("/a/b").behind(&files, "GET", "/x", &[]).await;
    assert_eq!(got.text(), "b of all");
}

#[tokio::test]
async fn no_request_reaches_the_internal_root() {
    let site = site();
    let inside = Inside::says(404, &[], "missing");
    for at in ["/", "/static", "/protected"] {
        let files = site.files().at(at);
        for target in [
            "/protected/report.pdf",
            "/static/protected/report.pdf",
            "/protected/protected/report.pdf",
            "/report.pdf",
            "/static/report.pdf",
        ] {
            // A client may well send the field, too.
            let fields = [("x-accel-redirect", "/protected/report.pdf")];
            let got = inside.behind(&files, "GET", target, &fields).await;
            assert_eq!((got.status, got.text()), (404, "missing"), "{at} {target}");
            assert_eq!(get_with(&files, target, &fields).await.status, 404);
        }
    }
}

#[tokio::test]
async fn of_several_names_the_first_counts_and_none_leaks() {
    let site = site();
    let fields = [
        ("x-accel-redirect", "/protected/report.pdf"),
        ("x-accel-redirect", "/protected/other"),
    ];
    let inside = Inside::says(200, &fields, "x");
    let got = inside.behind(&site.files(), "GET", "/x", &[]).await;
    assert_eq!(got.text(), REPORT);
    leaks_nothing(&got);
}
