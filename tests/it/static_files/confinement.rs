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
};

use tokio::{task::JoinSet, time::timeout};
use tower_gateway::{ErrorKind, StaticFiles};

use super::tree::{SECRET, Tree, ask, get, request};
use crate::support::raw::PATIENCE;

pub fn fifo(path: &std::path::Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// One of everything that must not get out, and a little that may.
pub fn hostile() -> Tree {
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
