//! Every example, run as its header says, does what its header says.

use std::{env, net::SocketAddr, path::PathBuf};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    process::{Process, tethered},
    python::{self, Gunicorn, Site},
    raw::{exchange, get, read_answer},
    session::Session,
};

/// A running example.
struct Example {
    process: Process,
    addr: SocketAddr,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut process = spawn(name, arguments);
        let line = process.wait_for("listening on http://");
        let addr = line
            .strip_prefix("listening on http://")
            .unwrap()
            .parse()
            .unwrap();
        Self { process, addr }
    }
}

fn spawn(name: &str, arguments: &[&str]) -> Process {
    // Cargo puts examples beside the folder of the tests.
    let folder = env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples");
    let program: PathBuf = folder.join(name);
    assert!(
        program.exists(),
        "the example is not built; `cargo test` does it, and so does \
         `cargo build --all-features --examples`"
    );
    let mut command = tethered(program);
    command.args(arguments);
    Process::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_page() {
    let example = Example::start("01_static_page", &["127.0.0.1:0"]);
    let page = get(example.addr, "/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for (file, kind) in [
        ("style.css", "text/css; charset=utf-8"),
        ("mark.svg", "image/svg+xml"),
        ("clock.js", "text/javascript; charset=utf-8"),
    ] {
        assert!(page.text().contains(&format!("\"{file}\"")));
        let file = get(example.addr, &format!("/{file}")).await;
        assert_eq!(
            (file.status, file.header("content-type")),
            (200, Some(kind))
        );
        assert!(file.header("etag").is_some() && file.header("last-modified").is_some());
    }
    assert_eq!(get(example.addr, "/nothing").await.status, 404);
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(example.addr, post).await.status, 405);
    let range = "GET /style.css HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-9\r\n\r\n";
    let part = exchange(example.addr, range).await;
    assert_eq!((part.status, part.body.len()), (206, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_page() {
    let example = Example::start("02_dynamic_page", &["127.0.0.1:0"]);
    assert!(
        get(example.addr, "/")
            .await
            .text()
            .contains("reader number 1,")
    );
    let second = get(example.addr, "/a&b").await.text();
    assert!(
        second.contains("reader number 2, and asked for <code>/a&amp;b</code>"),
        "{second}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("questions.db");
    let arguments = ["127.0.0.1:0", database.to_str().unwrap()];
    let mut example = Example::start("03_web_server", &arguments);
    let mut browser = Session::new(example.addr);

    let before = browser.get("/").await.text();
    assert!(before.contains("<li>What is a static page?</li>"));
    assert!(before.contains(r#"href="/static/style.css""#));
    let style = browser.get("/static/style.css").await;
    assert!(style.status == 200 && style.text().contains("body"));

    let posted = browser
        .post_form("/questions", &[("text", "Is <b> bold?")])
        .await;
    assert_eq!((posted.status, posted.header("location")), (303, Some("/")));
    assert!(
        browser
            .get("/")
            .await
            .text()
            .contains("<li>Is &lt;b&gt; bold?</li>")
    );
    assert_eq!(browser.get("/static/style.css").await.body, style.body);
    assert_eq!(
        browser
            .post_form("/questions", &[("text", "  ")])
            .await
            .status,
        400
    );

    example.process.wait_for("POST /questions");
    assert!(
        !example.process.log().contains("style.css"),
        "{}",
        example.process.log()
    );
    drop(example);

    // What was posted is in the file.
    let example = Example::start("03_web_server", &arguments);
    assert!(
        get(example.addr, "/")
            .await
            .text()
            .contains("Is &lt;b&gt; bold?")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wsgi_server() {
    let site = Site::new();
    let mut gunicorn = site.gunicorn(&["--workers", "2"]);
    let root = site.static_root();
    let arguments = ["127.0.0.1:0", &gunicorn.url(), root.to_str().unwrap()];
    let example = Example::start("04_wsgi_server", &arguments);
    split(example.addr, &mut gunicorn).await;
}

/// The page is Django's, and its style sheet is not.
async fn split(addr: SocketAddr, gunicorn: &mut Gunicorn) {
    let style = get(addr, "/static/style.css").await;
    assert!(style.status == 200 && style.text().contains("rgb(244, 247, 241)"));
    let page = get(addr, "/").await;
    assert!(page.status == 200 && page.text().contains(r#"href="/static/style.css""#));
    gunicorn.process.wait_for("\"GET / HTTP/1.1\" 200");
    assert!(
        !gunicorn.process.log().contains("style.css"),
        "{}",
        gunicorn.process.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn quickstart() {
    let mut example = Example::start("quickstart", &["127.0.0.1:0"]);
    let mut browser = Session::new(example.addr);
    assert!(
        browser
            .get("/")
            .await
            .text()
            .contains("<li>What is the answer?</li>")
    );
    assert_eq!(browser.get("/static/style.css").await.status, 200);
    let posted = browser.post_form("/", &[("question", "Why <not>?")]).await;
    assert_eq!((posted.status, posted.header("location")), (303, Some("/")));
    assert!(
        browser
            .get("/")
            .await
            .text()
            .contains("<li>Why &lt;not>?</li>")
    );
    assert_eq!(browser.get("/nothing").await.status, 404);
    let long = "x".repeat(5000);
    assert_eq!(
        browser.post_form("/", &[("question", &long)]).await.status,
        413
    );
    example
        .process
        .wait_for("the application is asked: GET /nothing");
    let log = example.process.log();
    assert!(
        log.contains("Try, in a browser") && log.contains(": GET /\n"),
        "{log}"
    );
    assert!(!log.contains("asked: GET /static"), "{log}");
}

mod gateway {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn in_front_of_gunicorn() {
        let site = Site::new();
        let mut gunicorn = site.gunicorn(&["--workers", "2"]);
        let files = format!("/static={}", site.static_root().display());
        let proxy = format!("/={}", gunicorn.url());
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--static",
            &files,
            "--proxy",
            &proxy,
            "--limit",
            "8",
        ];
        let example = Example::start("gateway", &arguments);
        let first = example.process.log();
        let first = first.lines().find(|line| line.starts_with("listening"));
        assert_eq!(
            first,
            Some(&*format!("listening on http://{}", example.addr))
        );
        split(example.addr, &mut gunicorn).await;
    }

    /// The applications of two prefixes, and files in two folders, the first of which goes first.
    #[tokio::test(flavor = "multi_thread")]
    async fn with_several_of_each() {
        let one = python::tornado();
        let other = python::tornado();
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for (n, folder) in folders.iter().enumerate() {
            std::fs::write(folder.path().join("both.txt"), n.to_string()).unwrap();
            std::fs::write(folder.path().join(format!("only{n}.txt")), n.to_string()).unwrap();
        }
        let files = folders
            .each_ref()
            .map(|folder| format!("/={}", folder.path().display()));
        let proxies = [format!("/={}", one.url), format!("/echo={}", other.url)];
        let example = Example::start(
            "gateway",
            &[
                "--listen",
                "127.0.0.1:0",
                "--runtime-threads",
                "1",
                "--static",
                &files[0],
                "--static",
                &files[1],
                "--proxy",
                &proxies[0],
                "--proxy",
                &proxies[1],
            ],
        );
        assert_eq!(get(example.addr, "/both.txt").await.text(), "0");
        assert_eq!(get(example.addr, "/only1.txt").await.text(), "1");
        assert_eq!(get(example.addr, "/").await.text(), "hello from tornado\n");
        let echo: serde_json::Value =
            serde_json::from_slice(&get(example.addr, "/echo").await.body).unwrap();
        assert_eq!(echo["path"], "/echo");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn told_to_end_it_finishes_what_runs() {
        let site = Site::new();
        let gunicorn = site.gunicorn(&["--workers", "1"]);
        let proxy = format!("/={}", gunicorn.url());
        let mut example =
            Example::start("gateway", &["--listen", "127.0.0.1:0", "--proxy", &proxy]);
        assert_eq!(get(example.addr, "/whoami/").await.status, 200);

        let mut stream = TcpStream::connect(example.addr).await.unwrap();
        let request = "GET /slow/?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        example.process.terminate();
        example.process.wait_for("draining");
        let answer = read_answer(&mut stream, false).await;
        assert_eq!(answer.text(), "slept 1 seconds\n");
        assert_eq!(example.process.wait(), Some(0));
        TcpStream::connect(example.addr).await.unwrap_err();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn full_it_says_so_and_still_serves_files() {
        let site = Site::new();
        let gunicorn = site.gunicorn(&["--worker-class", "gthread", "--threads", "4"]);
        let proxy = format!("/={}", gunicorn.url());
        let files = format!("/static={}", site.static_root().display());
        let example = Example::start(
            "gateway",
            &[
                "--listen",
                "127.0.0.1:0",
                "--proxy",
                &proxy,
                "--static",
                &files,
                "--limit",
                "1",
                "--queue",
                "1",
                "--queue-timeout",
                "0.2",
            ],
        );
        let slow = |seconds: &str| {
            let target = format!("/slow/?seconds={seconds}");
            let addr = example.addr;
            tokio::spawn(async move { get(addr, &target).await })
        };
        let answers = futures_util::future::join_all([slow("2"), slow("2"), slow("2")]);
        let file = get(example.addr, "/static/style.css").await;
        assert_eq!(file.status, 200);
        let mut statuses: Vec<_> = answers
            .await
            .into_iter()
            .map(|answer| answer.unwrap().status)
            .collect();
        statuses.sort_unstable();
        // One ran, one found the queue full, one waited in vain.
        assert_eq!(statuses, [200, 503, 503]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_upstream_that_is_not_there_is_a_502() {
        let folder = tempfile::tempdir().unwrap();
        let proxy = format!("/=http+unix:{}", folder.path().join("none").display());
        let mut example =
            Example::start("gateway", &["--listen", "127.0.0.1:0", "--proxy", &proxy]);
        let answer = get(example.addr, "/").await;
        assert_eq!(
            (answer.status, answer.text()),
            (502, "Bad Gateway".to_owned())
        );
        example.process.wait_for("could not be reached");
        // And what nobody serves, a 404.
        drop(example);
        let example = Example::start("gateway", &["--listen", "127.0.0.1:0"]);
        assert_eq!(get(example.addr, "/").await.status, 404);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_switches_of_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("music")).unwrap();
        std::fs::write(folder.path().join("music/song.txt"), "la").unwrap();
        std::fs::write(folder.path().join("index.html"), "the page").unwrap();
        let files = format!("/={}", folder.path().display());
        let mut arguments = vec!["--listen", "127.0.0.1:0", "--static", &files];
        let plain = Example::start("gateway", &arguments);
        assert_eq!(get(plain.addr, "/music/").await.status, 404);

        arguments.extend(["--listing", "--cache", "--spa", "index.html"]);
        let example = Example::start("gateway", &arguments);
        // Twice: the second answer comes from memory.
        for _ in 0..2 {
            let list = get(example.addr, "/music/").await;
            assert!(list.text().contains("song.txt"), "{}", list.text());
            assert_eq!(get(example.addr, "/music/song.txt").await.text(), "la");
        }
        let target = "/users/7 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let person = format!("GET {target}Sec-Fetch-Mode: navigate\r\n\r\n");
        let page = exchange(example.addr, person).await;
        assert_eq!((page.status, page.text()), (200, "the page".to_owned()));
        let script = format!("GET {target}Sec-Fetch-Mode: cors\r\n\r\n");
        assert_eq!(exchange(example.addr, script).await.status, 404);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn on_a_unix_socket() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gateway.sock");
        let listen = format!("unix:{}", socket.display());
        let site = format!("/={}/examples/site", env!("CARGO_MANIFEST_DIR"));
        let mut process = spawn("gateway", &["--listen", &listen, "--static", &site]);
        process.wait_for("listening on unix:");
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        stream
            .write_all(b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(read_answer(&mut stream, false).await.status, 200);
        drop(stream);
        process.terminate();
        assert_eq!(process.wait(), Some(0));
        assert!(!socket.exists());
    }

    #[test]
    fn flags_that_cannot_be_meant_are_refused_with_a_reason() {
        const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];
        for (arguments, reason) in [
            (&[][..], "--listen ADDR is missing"),
            (
                &[LISTEN[0], LISTEN[1], "--static", "/static"],
                "not of the form PREFIX=VALUE",
            ),
            (
                &[LISTEN[0], LISTEN[1], "--static", "static=src"],
                "begins with a slash",
            ),
            (
                &[LISTEN[0], LISTEN[1], "--static", "/=Cargo.nothing"],
                "No such file",
            ),
            (
                &[LISTEN[0], LISTEN[1], "--static", "/=Cargo.toml"],
                "not a folder",
            ),
            (&[LISTEN[0], LISTEN[1], "--proxy", "/=ftp://x"], "ftp://x"),
            (
                &[LISTEN[0], LISTEN[1], "--proxy", "/=uwsgi://127.0.0.1:1"],
                "not supported yet",
            ),
            (
                &[LISTEN[0], LISTEN[1], "--proxy", "/=http://a,http://b"],
                "several upstreams",
            ),
            (
                &[LISTEN[0], LISTEN[1], "--static", "/=src", "--spa", "no"],
                "No such file",
            ),
            (&[LISTEN[0], LISTEN[1], "--limit", "0"], "--limit 0"),
            (&[LISTEN[0], LISTEN[1], "--queue", "1"], "need --limit"),
            (&[LISTEN[0], LISTEN[1], "--limit", "many"], "many"),
            (
                &[LISTEN[0], LISTEN[1], "--wsgi", "/=a:b"],
                "--wsgi is not there yet",
            ),
            (&[LISTEN[0], LISTEN[1], "--nonsense"], "--nonsense"),
            (&["--listen", "nowhere"], "gateway: "),
        ] {
            let mut process = spawn("gateway", arguments);
            assert_eq!(process.wait(), Some(2), "{arguments:?}");
            process.wait_for(reason);
        }
        let mut help = spawn("gateway", &["--help"]);
        assert_eq!(help.wait(), Some(0));
        help.wait_for("--proxy PREFIX=URL");
    }
}
