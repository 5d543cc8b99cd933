//! Every example, run as its header says, does what its header says.

use std::{env, net::SocketAddr, path::PathBuf, process::Command};

use rustix::process::Signal;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    process::{Process, tethered},
    python::{self, Gunicorn, Site},
    raw::{Answer, exchange, get, read_answer},
    session::{Session, sha256},
};

/// A running example.
struct Example {
    process: Process,
    addr: SocketAddr,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::of(command(name, arguments))
    }

    fn of(command: Command) -> Self {
        let mut process = Process::start(command);
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
    Process::start(command(name, arguments))
}

fn command(name: &str, arguments: &[&str]) -> Command {
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
    command
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
async fn a_wsgi_container() {
    let site = Site::new();
    let root = site.static_root();
    let arguments = ["127.0.0.1:0", "production", root.to_str().unwrap()];
    let mut example = Example::of(site.container(command("05_wsgi_container", &arguments)));
    let mut browser = Session::new(example.addr);

    let page = browser.get("/").await;
    assert!(page.status == 200 && page.text().contains(r#"href="/static/style.css""#));
    let style = browser.get("/static/style.css").await;
    assert!(style.status == 200 && style.text().contains("rgb(244, 247, 241)"));
    let asked = browser.post_form("/", &[("text", "Who runs you?")]).await;
    assert_eq!(asked.status, 302, "{asked:?}");
    assert!(browser.get("/").await.text().contains("Who runs you?"));

    let workers = async || get(example.addr, "/workers").await.text();
    let before = workers().await;
    assert_eq!(before.matches(" is Ready: ").count(), 2, "{before}");
    let pids = |table: &str| -> Vec<u32> {
        let pids = table.split("(pid ").skip(1);
        pids.map(|rest| rest.split(')').next().unwrap().parse().unwrap())
            .collect()
    };
    // New ones take over, and nobody notices.
    example.process.signal(Signal::HUP);
    let old = pids(&before);
    while workers().await.matches(" is Ready: ").count() != 2
        || pids(&workers().await).iter().any(|pid| old.contains(pid))
    {
        assert_eq!(browser.get("/").await.status, 200);
    }
    let new = pids(&workers().await);
    example.process.terminate();
    assert_eq!(example.process.wait(), Some(0));
    for pid in old.into_iter().chain(new) {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    let mut wrong = Process::start(command("05_wsgi_container", &["127.0.0.1:0", "maybe"]));
    wrong.wait_for("neither");
    assert_eq!(wrong.wait(), Some(1));
}

/// uWSGI with a site, at a socket in a folder of its own.
struct Uwsgi {
    url: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Uwsgi {
    fn start(mut command: Command, application: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        command
            .args([
                "--master",
                "--processes",
                "2",
                "--die-on-term",
                "--need-app",
            ])
            .args(["--module", application, "--socket"])
            .arg(&socket);
        let mut process = Process::start(command);
        process.wait_for("spawned uWSGI worker 2");
        Self {
            url: format!("uwsgi+unix:{}", socket.display()),
            _process: process,
            _folder: folder,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_server() {
    let site = Site::new();
    let gunicorn = site.gunicorn(&["--workers", "2"]);
    let uwsgi = Uwsgi::start(site.command("uwsgi"), "config.wsgi");
    let root = site.static_root();
    let arguments = [
        "127.0.0.1:0",
        &gunicorn.url(),
        &uwsgi.url,
        root.to_str().unwrap(),
    ];
    let example = Example::start("06_application_server", &arguments);
    let mut browser = Session::new(example.addr);

    // One site with one database, at two places.
    browser.get("/").await;
    let asked = browser.post_form("/", &[("text", "Which of you?")]).await;
    assert_eq!(asked.status, 302, "{asked:?}");
    for (prefix, signs) in [("", true), ("/uwsgi", false)] {
        let page = browser.get(&format!("{prefix}/")).await;
        assert!(page.text().contains("Which of you?"), "{prefix}");
        // Only one of the two says who it is.
        assert_eq!(page.header("server").is_some(), signs, "{prefix}");
        for link in ["/static/style.css", "/upload/", "/questions/"] {
            let link = format!("=\"{prefix}{link}");
            assert!(page.text().contains(&link), "{link}: {}", page.text());
        }
        let style = browser.get(&format!("{prefix}/static/style.css")).await;
        assert!(style.status == 200 && style.text().contains("rgb(244, 247, 241)"));
        let told = browser.get(&format!("{prefix}/whoami/")).await;
        let told: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(told["script_name"], prefix, "{told:#}");
    }
    assert!(!gunicorn.process.log().contains("/uwsgi"));
    assert!(!gunicorn.process.log().contains("style.css"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers() {
    let example = Example::start("07_several_servers", &["127.0.0.1:0"]);
    let page = async || get(example.addr, "/").await.text();
    let status = async || get(example.addr, "/status").await.text();

    // By their weights, and the backup not at all.
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(page().await);
    }
    let of = |name: &str| answers.iter().filter(|text| text.starts_with(name)).count();
    assert_eq!((of("one"), of("two"), of("three")), (4, 2, 0));

    // A session counts its visits at one server.
    let mut browser = Session::new(example.addr);
    let first = browser.get("/").await.text();
    let (name, visits) = first.trim().split_once(", visit ").unwrap();
    let visits: u32 = visits.parse().unwrap();
    for visit in visits + 1..visits + 4 {
        assert_eq!(
            browser.get("/").await.text(),
            format!("{name}, visit {visit}\n")
        );
    }

    // One that is not well is told by its checks, and nobody else notices.
    let broken = async |browser: &mut Session| {
        assert_eq!(browser.post_form("/break", &[]).await.status, 200);
        let before = status().await.matches(" is Down").count();
        while status().await.matches(" is Down").count() == before {
            assert_eq!(browser.get("/").await.status, 200);
        }
    };
    broken(&mut browser).await;
    let moved = browser.get("/").await.text();
    assert!(!moved.starts_with(name), "{moved}");
    broken(&mut browser).await;
    assert!(page().await.starts_with("three, visit "));
    let table = status().await;
    assert_eq!(table.lines().count(), 3, "{table}");
    assert_eq!(table.matches(" is Up").count(), 1, "{table}");

    // When nobody is well, somebody is asked all the same.
    assert_eq!(browser.post_form("/break", &[]).await.status, 200);
    assert_eq!(browser.get("/").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_moves() {
    let site = Site::new();
    let mut gunicorn = site.gunicorn(&["--workers", "2"]);
    let url = gunicorn.url();
    let [before, after] =
        ["before", "after"].map(|day| Example::start("08_strangler", &["127.0.0.1:0", &url, day]));
    let upload = |target: &str, framing: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}")
    };
    let sized = "Content-Length: 6\r\n\r\na body";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\na \r\n4\r\nbody\r\n0\r\n\r\n";
    let json = |answer: &Answer| -> serde_json::Value {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        serde_json::from_slice(&answer.body).unwrap()
    };

    // First what Django is not asked for any more, under every spelling of its path.
    let mut answers = Vec::new();
    for target in ["/upload/raw/", "//upload/./raw/", "/%75pload/raw/"] {
        for framing in [sized, chunked] {
            answers.push(json(&exchange(after.addr, upload(target, framing)).await));
        }
    }
    let get_it = get(after.addr, "/upload/raw/").await;
    assert_eq!(get_it.status, 405);
    split(after.addr, &mut gunicorn).await;
    assert!(!gunicorn.process.log().contains("upload"));

    // And it is as it was.
    for framing in [sized, chunked] {
        answers.push(json(
            &exchange(before.addr, upload("/upload/raw/", framing)).await,
        ));
    }
    assert_eq!(get(before.addr, "/upload/raw/").await.status, 405);
    gunicorn
        .process
        .wait_for("\"GET /upload/raw/ HTTP/1.1\" 405");
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_eq!(answers[0]["sha256"], sha256(b"a body"));
    let form = get(after.addr, "/upload/").await;
    assert!(form.status == 200 && form.text().contains("<form"));

    let mut wrong = spawn("08_strangler", &["127.0.0.1:0", &url, "tomorrow"]);
    wrong.wait_for("neither");
    assert_eq!(wrong.wait(), Some(1));
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
            .contains("<li>Why &lt;not&gt;?</li>")
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
        log.contains("Try, in a browser") && log.contains("asked: GET / "),
        "{log}"
    );
    assert!(!log.contains("asked: GET /static"), "{log}");
}

mod gateway {
    use tower_gateway::Body;

    use super::*;
    use crate::support::tls::{Issuer, TlsUpstream};

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

    /// One of them is not there: nobody notices.
    #[tokio::test(flavor = "multi_thread")]
    async fn with_several_upstreams_for_one_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let applications = [python::tornado(), python::tornado()];
        let proxy = format!(
            "/=http+unix:{},{},{}",
            folder.path().join("none").display(),
            applications[0].url,
            applications[1].url
        );
        let mut command = command("gateway", &["--listen", "127.0.0.1:0", "--proxy", &proxy]);
        command.env("RUST_LOG", "debug");
        let mut example = Example::of(command);
        for _ in 0..20 {
            let answer = get(example.addr, "/").await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, "hello from tornado\n".to_owned())
            );
        }
        // It was asked all the same.
        example.process.wait_for("trying again");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn in_front_of_uwsgi() {
        let site = Site::new();
        let uwsgi = Uwsgi::start(site.command("uwsgi"), "config.wsgi");
        let proxy = format!("/={}", uwsgi.url);
        let example = Example::start("gateway", &["--listen", "127.0.0.1:0", "--proxy", &proxy]);
        let mut browser = Session::new(example.addr);
        browser.get("/").await;
        let asked = browser.post_form("/", &[("text", "By uwsgi?")]).await;
        assert_eq!(asked.status, 302, "{asked:?}");
        assert!(browser.get("/").await.text().contains("By uwsgi?"));
    }

    /// Two applications at two prefixes: one is Django's site, one has nothing but Python.
    #[tokio::test(flavor = "multi_thread")]
    async fn with_applications_of_its_own() {
        let site = Site::new();
        let folder = python::mysite();
        let board = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/board");
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--wsgi",
            "/=config.wsgi:application",
            "--wsgi",
            "/board=board:application",
            "--wsgi-dir",
            folder.to_str().unwrap(),
            "--workers",
            "1",
            "--threads",
            "2",
            "--timeout",
            "20",
        ];
        let database = tempfile::tempdir().unwrap();
        let mut command = site.container(command("gateway", &arguments));
        command
            .env("PYTHONPATH", board)
            .env("BOARD_DATABASE", database.path().join("board.sqlite3"));
        let mut example = Example::of(command);
        let mut browser = Session::new(example.addr);
        browser.get("/").await;
        let asked = browser.post_form("/", &[("text", "By WSGI?")]).await;
        assert_eq!(asked.status, 302, "{asked:?}");
        assert!(browser.get("/").await.text().contains("By WSGI?"));
        let board = browser.get("/board/").await.text();
        assert!(board.contains("What is the answer?"), "{board}");
        example.process.terminate();
        assert_eq!(example.process.wait(), Some(0));
    }

    /// Another gateway is the upstream; and one that shows a certificate.
    #[tokio::test(flavor = "multi_thread")]
    async fn in_front_of_http2_and_tls() {
        let site = format!("/={}/examples/site", env!("CARGO_MANIFEST_DIR"));
        let inner = Example::start("gateway", &["--listen", "127.0.0.1:0", "--static", &site]);
        let issuer = Issuer::new();
        let hello = tower::service_fn(async |request: http::Request<hyper::body::Incoming>| {
            let said = format!("{:?}", request.version());
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(said)))
        });
        let upstreams = [
            TlsUpstream::serve(issuer.acceptor(&["localhost"], &["http/1.1"]), hello).await,
            TlsUpstream::serve(issuer.acceptor(&["localhost"], &["h2"]), hello).await,
        ];
        let folder = tempfile::tempdir().unwrap();
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, issuer.pem()).unwrap();
        let [https, h2] = upstreams.each_ref().map(|upstream| upstream.addr.port());
        let mut command = command(
            "gateway",
            &[
                "--listen",
                "127.0.0.1:0",
                "--proxy",
                &format!("/=h2c://{}", inner.addr),
                "--proxy",
                &format!("/https=https://localhost:{https}"),
                "--proxy",
                &format!("/h2=h2://localhost:{h2}"),
            ],
        );
        // The system's roots are where this says.
        command.env("SSL_CERT_FILE", &roots);
        let outer = Example::of(command);
        let style = get(outer.addr, "/style.css").await;
        assert_eq!(style.status, 200);
        assert_eq!(style.body, get(inner.addr, "/style.css").await.body);
        assert_eq!(get(outer.addr, "/https").await.text(), "HTTP/1.1");
        assert_eq!(get(outer.addr, "/h2").await.text(), "HTTP/2.0");
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
                &[LISTEN[0], LISTEN[1], "--proxy", "/=uwsgi://127.0.0.1"],
                "it has no port",
            ),
            (
                &[LISTEN[0], LISTEN[1], "--proxy", "/=http://a,ftp://b"],
                "ftp://b",
            ),
            (
                &[LISTEN[0], LISTEN[1], "--static", "/=src", "--spa", "no"],
                "No such file",
            ),
            (&[LISTEN[0], LISTEN[1], "--limit", "0"], "--limit 0"),
            (&[LISTEN[0], LISTEN[1], "--queue", "1"], "need --limit"),
            (&[LISTEN[0], LISTEN[1], "--limit", "many"], "many"),
            (
                &[LISTEN[0], LISTEN[1], "--wsgi", "/=no_such_module:b"],
                "no_such_module",
            ),
            (
                &[
                    LISTEN[0],
                    LISTEN[1],
                    "--wsgi",
                    "/=json:dumps",
                    "--python",
                    "no_such_python",
                ],
                "no_such_python",
            ),
            (&[LISTEN[0], LISTEN[1], "--workers", "0"], "--workers 0"),
            (&[LISTEN[0], LISTEN[1], "--threads", "0"], "--threads 0"),
            (&[LISTEN[0], LISTEN[1], "--timeout", "0"], "--timeout 0"),
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
