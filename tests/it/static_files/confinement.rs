//! Nothing but regular files below the root, by whatever name.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::StatusCode;
use proptest::prelude::*;
use tokio::{task::JoinSet, time::timeout};
use tower_gateway::{
    ErrorKind, StaticFiles,
    semantics::{
        negotiate::Coding,
        path::{EncodedSlash, PathPolicy},
    },
    static_files::{CacheControl, EntityTags, Files, Listing},
};

use super::tree::{SECRET, Tree, ask, get, request};
use crate::support::raw::PATIENCE;

fn fifo(path: &std::path::Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// One of everything that must not get out, and a little that may.
fn hostile() -> Tree {
    let tree = Tree::of(&[
        ("a.txt", "public"),
        ("dir/index.html", "public"),
        ("dir/sub/b.txt", "public"),
        (".env", SECRET),
        (".git/config", SECRET),
        ("dir/.htpasswd", SECRET),
        ("..data", SECRET),
        (".well-known/security.txt", "public"),
        (".well-known/.hidden", SECRET),
    ]);
    let root = tree.root();
    symlink("a.txt", root.join("link.txt")).unwrap();
    symlink("../a.txt", root.join("dir/up.txt")).unwrap();
    symlink(root.join("a.txt"), root.join("absolute.txt")).unwrap();
    symlink("dir", root.join("linked-dir")).unwrap();
    symlink("../outside/secret.txt", root.join("out.txt")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink(
        tree.outside().join("secret.txt"),
        root.join("out-absolute.txt"),
    )
    .unwrap();
    symlink(tree.outside(), root.join("out-absolute")).unwrap();
    symlink("../root/../outside/secret.txt", root.join("out-and-in.txt")).unwrap();
    symlink("/etc/passwd", root.join("passwd")).unwrap();
    symlink("/dev/zero", root.join("zero")).unwrap();
    symlink("/proc/self/environ", root.join("environ")).unwrap();
    symlink("/proc/self/cwd", root.join("cwd")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("no-such-file", root.join("dangling")).unwrap();
    fifo(&root.join("fifo"));
    tree
}

#[tokio::test]
async fn links_within_the_root_are_followed() {
    let tree = hostile();
    for target in [
        "/link.txt",
        "/dir/up.txt",
        "/absolute.txt",
        "/linked-dir/",
        "/linked-dir/sub/b.txt",
        "/linked-dir/up.txt",
    ] {
        let got = get(&tree.files(), target).await;
        assert_eq!((got.status, got.text()), (200, "public"), "{target}");
    }
}

#[tokio::test]
async fn links_out_of_the_root_are_misses() {
    let tree = hostile();
    for target in [
        "/out.txt",
        "/out",
        "/out/",
        "/out/secret.txt",
        "/out-absolute.txt",
        "/out-absolute/secret.txt",
        "/out-and-in.txt",
        "/linked-dir/../out.txt",
        "/passwd",
        "/zero",
        "/environ",
        "/cwd/Cargo.toml",
        "/loop",
        "/loop/x",
        "/dangling",
    ] {
        let got = get(&tree.files(), target).await;
        assert_eq!(got.status, 404, "{target}");
    }
}

#[tokio::test]
async fn a_root_that_is_a_link_itself_is_followed() {
    let tree = hostile();
    let link = tree.outside().join("root");
    symlink(tree.root(), &link).unwrap();
    let files = StaticFiles::new(&link);
    assert_eq!(get(&files, "/a.txt").await.text(), "public");
    assert_eq!(get(&files, "/absolute.txt").await.text(), "public");
    assert_eq!(get(&files, "/out.txt").await.status, 404);
}

#[tokio::test]
async fn dotfiles_are_hidden_unless_one_asks_for_them() {
    let tree = hostile();
    for target in [
        "/.env",
        "/%2Eenv",
        "/%2eenv",
        "/.git/config",
        "/dir/.htpasswd",
        "/..data",
        "/.well-known/.hidden",
        "/.well-known/../.env",
    ] {
        assert_eq!(get(&tree.files(), target).await.status, 404, "{target}");
    }
    let got = get(&tree.files(), "/.well-known/security.txt").await;
    assert_eq!(got.text(), "public");
    assert_eq!(
        get(&tree.files().dotfiles(true), "/.env").await.text(),
        SECRET
    );
}

#[tokio::test]
async fn a_link_may_lead_over_a_hidden_name() {
    // As a volume of Kubernetes is made.
    let tree = Tree::of(&[("..2026_01/app.js", "x")]);
    symlink("..2026_01", tree.root().join("..data")).unwrap();
    symlink("..data/app.js", tree.root().join("app.js")).unwrap();
    assert_eq!(get(&tree.files(), "/app.js").await.text(), "x");
}

#[tokio::test]
async fn what_is_no_regular_file_is_a_miss_and_never_waited_for() {
    let tree = hostile();
    let _listener = UnixListener::bind(tree.root().join("socket")).unwrap();
    let files = tree.files();
    for target in ["/fifo", "/fifo/", "/socket", "/fifo/x"] {
        let got = timeout(PATIENCE, get(&files, target)).await;
        assert_eq!(got.expect("it hangs").status, 404, "{target}");
    }

    // More at once than the blocking pool has threads.
    let mut waiting = JoinSet::new();
    for _ in 0..600 {
        waiting.spawn(ask(files.clone(), request("GET", "/fifo", &[])));
    }
    let got = timeout(PATIENCE, get(&files, "/a.txt")).await;
    assert_eq!(got.expect("files wait for FIFOs").text(), "public");
    let statuses = timeout(PATIENCE, waiting.join_all()).await.unwrap();
    assert!(statuses.iter().all(|got| got.status == 404));
}

#[tokio::test]
async fn a_slash_behind_a_file_is_a_miss() {
    let tree = hostile();
    for target in ["/a.txt/", "/a.txt/index.html", "/a.txt/x", "/link.txt/"] {
        assert_eq!(get(&tree.files(), target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn a_name_that_no_file_can_have_is_a_miss() {
    let tree = hostile();
    for target in [
        format!("/{}", "x".repeat(256)),
        format!("/{}", "%F0%9F%92%A9".repeat(100)),
        format!("/{}", "x/".repeat(5000)),
        format!("/{}", "x/".repeat(5000).trim_end_matches('/')),
        format!("/dir/{}/a", "y".repeat(5000)),
        "/a.txt%0A".to_owned(),
        "/%FF".to_owned(),
        "/a.txt%20".to_owned(),
        "/a.txt.".to_owned(),
        "/a.txt::$DATA".to_owned(),
        "/A.TXT".to_owned(),
        "/*".to_owned(),
        "/a.txt;x".to_owned(),
        "/a.txt%3Fx".to_owned(),
    ] {
        let got = get(&tree.files(), &target).await;
        assert_eq!(got.status, 404, "{target}");
    }
    assert_eq!(get(&tree.files(), "/a.txt%00.html").await.status, 400);
}

#[tokio::test]
async fn names_need_not_be_utf_8_nor_plain() {
    for (name, target) in [
        (&b"caf\xe9.txt"[..], "/caf%E9.txt"),
        ("caf\u{e9}.txt".as_bytes(), "/caf%C3%A9.txt"),
        (b"a b.txt", "/a%20b.txt"),
        (b"a?b#c.txt", "/a%3Fb%23c.txt"),
        (b"100%.txt", "/100%25.txt"),
        (b"%41.txt", "/%2541.txt"),
        (b"a+b.txt", "/a+b.txt"),
        (b"a+b.txt", "/a%2Bb.txt"),
        (b"line\nbreak.txt", "/line%0Abreak.txt"),
        (b"-rf.txt", "/-rf.txt"),
    ] {
        let tree = Tree::new();
        tree.write(OsStr::from_bytes(name), "x");
        let got = get(&tree.files(), target).await;
        assert_eq!((got.status, got.text()), (200, "x"), "{target}");
        assert_eq!(
            got.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_a_miss() {
    let tree = hostile();
    let locked = tree.write("locked.txt", "x");
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    let expected = match fs::read(&locked) {
        Ok(_) => 200, // The superuser may.
        Err(_) => 404,
    };
    assert_eq!(get(&tree.files(), "/locked.txt").await.status, expected);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_to_its_length_is_our_fault() {
    // It says it has a page, and has a line.
    if fs::metadata("/sys/kernel/uevent_seqnum").is_ok_and(|file| file.len() == 4096) {
        let got = get(&StaticFiles::new("/sys/kernel"), "/uevent_seqnum").await;
        assert_eq!(got.status, 500);
        assert_eq!(got.error.unwrap().kind(), ErrorKind::Io);
    }
}

#[tokio::test]
async fn the_five_spellings_name_one_file_or_none() {
    let tree = Tree::of(&[("private/x", "x")]);
    for (target, status) in [
        ("//private/x", 200),
        ("/./private/x", 200),
        ("/%70rivate/x", 200),
        ("/private%2Fx", 400),
        ("/x/..%2fprivate/x", 400),
    ] {
        assert_eq!(get(&tree.files(), target).await.status, status, "{target}");
    }
    for attack in [
        "/../outside/secret.txt",
        "/..%2foutside/secret.txt",
        "/%2e%2e/outside/secret.txt",
        "/.%2e/%2e./outside/secret.txt",
        "/%252e%252e/outside/secret.txt",
        "/..;/outside/secret.txt",
        "/...//outside/secret.txt",
        "/..%5coutside%5csecret.txt",
        "/%c0%ae%c0%ae/outside/secret.txt",
        "/%c0%af../outside/secret.txt",
        "/private/../../outside/secret.txt",
        "//etc/passwd",
        "///etc/passwd",
        "/etc/passwd",
        "/~root/.profile",
        "/private/x%00.png",
        "/private/x/..",
        "http://host/../outside/secret.txt",
    ] {
        let got = get(&tree.files(), attack).await;
        assert!(matches!(got.status, 400 | 404), "{attack}: {got:?}");
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_becomes_a_link_outwards_lets_nothing_out() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let tree = Tree::of(&[("swap/secret.txt", "public"), ("way/up.txt", "public")]);
    let (inside, link) = (tree.root().join("swap"), tree.root().join("link"));
    symlink(tree.outside(), &link).unwrap();
    symlink("../swap/secret.txt", tree.root().join("way/through.txt")).unwrap();
    let files = tree.files();
    let stop = AtomicBool::new(false);
    let mut seen = 0;
    std::thread::scope(|scope| {
        // Also when an assertion fails.
        let stopping = StopOnDrop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &inside, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            for round in 0..4000 {
                let target = ["/swap/secret.txt", "/way/through.txt"][round % 2];
                let got = handle.block_on(get(&files, target));
                assert!(matches!(got.status, 200 | 404), "{got:?}");
                assert_ne!(got.text(), SECRET);
                seen += usize::from(got.status == 200);
            }
        });
        drop(stopping);
    });
    assert!(seen > 0, "the directory was never there");
}

/// With everything on that looks for more than the path itself.
fn all_options(tree: &Tree, keeps: bool) -> StaticFiles {
    let files = tree
        .files()
        .root(tree.root().join("dir"))
        .clean_urls()
        .index(["index.html", "sub", "out.txt"])
        .listing(Listing::new())
        .precompressed([Coding::Brotli, Coding::Zstd, Coding::Gzip])
        .entity_tags(EntityTags::Sidecar)
        .immutable_in("manifest.json")
        .cache_control(Files::hashed(), CacheControl::immutable())
        .spa("dir/index.html")
        .error_page(StatusCode::NOT_FOUND, "a.txt")
        .untrusted(true);
    match keeps {
        true => files.cache(1 << 20).cache_fresh_for(Duration::ZERO),
        false => files,
    }
}

/// Pieces of which attacks are made.
fn spelling() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "/", "//", "/./", "/../", "..", ".", "%2e", "%2E", "%2e%2e", "%2f", "%2F", "%5c", "\\",
            "%00", "%", "%zz", "%25", "%252e", ";", "?", "#", "*", ":", "~", "%c0%ae", "%ff", "%20",
        ]),
        4 => prop::sample::select(vec![
            "a.txt", "dir", "sub", "b.txt", "index.html", "out", "out.txt", "outside", "secret.txt",
            "root", "linked-dir", "passwd", "loop", "fifo", "cwd", "environ", ".env", ".git",
            "config", "..data", "out-absolute", "out-absolute.txt", "out-and-in.txt", "dangling",
        ]),
        1 => Just("%70"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

#[test]
fn no_spelling_gets_anything_out_nor_breaks_anything() {
    let tree = hostile();
    no_spelling_breaks(4000, |_| tree.files());
}

#[test]
fn nor_does_one_with_everything_on() {
    let tree = hostile();
    let root = tree.root();
    // Beside a file, what is no coding of it, no tag, and no manifest.
    for (name, to) in [
        ("a.txt.br", "../outside/secret.txt"),
        ("a.txt.etag", "../outside/secret.txt"),
        ("dir/index.html.gz", "../../outside/secret.txt"),
        ("dir/index.html.etag", "/dev/zero"),
        ("about.html", "../outside/secret.txt"),
        ("manifest.json", "../outside/secret.txt"),
    ] {
        symlink(to, root.join(name)).unwrap();
    }
    fifo(&root.join("a.txt.gz"));
    fifo(&root.join("a.txt.zst"));
    let (kept, not_kept) = (all_options(&tree, true), all_options(&tree, false));
    no_spelling_breaks(spellings(), |keeps| match keeps {
        true => kept.clone(),
        false => not_kept.clone(),
    });
}

/// As many as one has time for: `PROPTEST_CASES=100000` takes a minute or two.
fn spellings() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(6000)
}

fn no_spelling_breaks(cases: u32, files: impl Fn(bool) -> StaticFiles) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases,
        ..ProptestConfig::default()
    };
    let accepted = prop::sample::select(vec![
        ("accept-encoding", "br, zstd, gzip"),
        ("accept", "text/html"),
        ("accept", "application/json"),
        ("range", "bytes=0-1,3-4,-1"),
        ("if-none-match", "*"),
    ]);
    let asked = (
        spelling(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        accepted,
    );
    proptest!(config, |((target, keep, decode, keeps, field) in asked)| {
        let Ok(uri) = target.parse::<http::Uri>() else {
            return Ok(());
        };
        let slash = match (keep, decode) {
            (true, _) => EncodedSlash::Keep,
            (_, true) => EncodedSlash::Decode,
            _ => EncodedSlash::Reject,
        };
        let files = files(keeps).paths(PathPolicy::new().encoded_slash(slash));
        let mut request = request("GET", "/", &[field]);
        *request.uri_mut() = uri;
        let got = runtime.block_on(ask(files, request));
        prop_assert!(got.status < 500, "{}: {:?}", target, got);
        // Hidden names hold it as well as what is outside.
        let body = String::from_utf8_lossy(&got.body);
        prop_assert!(!body.contains(SECRET) && !body.contains("root:"), "{}: {}", target, body);
        let is_list = got.header("vary") == Some("accept");
        if got.status == 200 && !is_list {
            prop_assert_eq!(&*body, "public", "{}", target);
        }
        if is_list {
            for hidden in [".env", ".git", "..data", "secret", "passwd", "fifo", "out.txt"] {
                // The name of the directory itself is in it, as it was asked for.
                let names = body.matches(hidden).count();
                prop_assert!(names == 0 || target.contains("%") || target.contains(hidden), "{}: {}", target, body);
            }
        }
        if let Some(location) = got.header("location") {
            prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{}", location);
        }
    });
}
