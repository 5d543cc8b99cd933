//! The files that every server is given.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

/// What must never be served.
pub const SECRET: &str = "SECRET";

/// The content of `ten.txt`.
pub const TEN: &str = "0123456789";

/// When almost every file was modified, in the three forms of a date, and half a second.
pub const MODIFIED: &str = "Thu, 04 Mar 2021 05:06:07 GMT";
pub const MODIFIED_RFC850: &str = "Thursday, 04-Mar-21 05:06:07 GMT";
pub const MODIFIED_ASCTIME: &str = "Thu Mar  4 05:06:07 2021";
pub const EARLIER: &str = "Thu, 04 Mar 2021 05:06:06 GMT";
pub const LATER: &str = "Thu, 04 Mar 2021 05:06:08 GMT";

pub fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_614_834_367, 500_000_000)
}

/// The content of `big.bin`.
pub fn big() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i % 251) as u8).collect()
}

/// Files whose type is asked for, and what it is.
pub const TYPES: &[(&str, &str)] = &[
    ("html", "text/html"),
    ("css", "text/css"),
    ("js", "text/javascript"),
    ("mjs", "text/javascript"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("woff2", "font/woff2"),
    ("wasm", "application/wasm"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("PNG", "image/png"),
];

/// Names that are hard to spell.
pub const NAMES: &[&[u8]] = &[
    b"sp ace.txt",
    "caf\u{e9}.txt".as_bytes(),
    b"lat\xe9.txt",
    b"q?.txt",
    b"hash#.txt",
    b"a+b.txt",
    b"semi;v=1.txt",
    b"per%cent.txt",
    b"quote\".txt",
    b"new\nline.txt",
];

pub struct Site(TempDir);

impl Site {
    pub fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.root()).unwrap();
        fs::create_dir(site.beside()).unwrap();
        fs::write(site.beside().join("secret.txt"), SECRET).unwrap();
        fs::write(site.beside().join("elsewhere.txt"), "elsewhere").unwrap();
        site.write_plain();
        site.write_names();
        site.write_codings();
        site.write_times();
        site.make_special();
        site
    }

    pub fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    /// A directory that is not below the root.
    pub fn beside(&self) -> PathBuf {
        self.0.path().join("beside")
    }

    /// Writes a file of the usual time.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        self.write_at(name, content, modified());
    }

    /// Writes another file in its place, with this time.
    pub fn write_at(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>, time: SystemTime) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As a deploy does it: another file, renamed.
        let new = self.beside().join("new");
        fs::write(&new, content).unwrap();
        let file = File::options().write(true).open(&new).unwrap();
        file.set_modified(time).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Lets whoever waits for the other end of the FIFO go.
    pub fn release_fifo(&self) {
        let fifo = self.root().join("fifo");
        File::options().read(true).write(true).open(fifo).unwrap();
    }

    fn write_plain(&self) {
        self.write("ten.txt", TEN);
        self.write("big.bin", big());
        self.write("empty.txt", "");
        self.write("index.html", "home");
        for directory in ["dir", "dir with space", "dir?q", "evil.example"] {
            self.write(Path::new(directory).join("index.html"), "in a directory");
        }
        self.write("bare/one.txt", "one");
        for (extension, _) in TYPES {
            self.write(format!("type.{extension}"), "typed");
        }
        self.write("type.unheard-of", "typed");
        self.write("untyped", "untyped");
    }

    fn write_names(&self) {
        for name in NAMES {
            self.write(OsStr::from_bytes(name), "named");
        }
        self.write("x".repeat(255), "long");
        self.write(".env", "hidden");
        self.write(".git/config", "hidden");
        self.write(".well-known/security.txt", "Contact:");
        self.write("back\\slash.txt", "named");
    }

    /// The content of a sibling only has to be told from the original's.
    fn write_codings(&self) {
        for extension in ["", ".br", ".zst", ".gz"] {
            self.write(format!("coded.css{extension}"), coded(extension));
        }
        self.write("only-gz.css", coded(""));
        self.write("only-gz.css.gz", coded(".gz"));
        self.write("orphan.css.gz", coded(".gz"));
        let long_ago = modified() - Duration::from_secs(3600);
        self.write("stale.css", coded(""));
        for extension in [".br", ".zst", ".gz"] {
            self.write_at(format!("stale.css{extension}"), coded(extension), long_ago);
        }
    }

    fn write_times(&self) {
        let epoch = SystemTime::UNIX_EPOCH;
        let second = Duration::from_secs(1);
        self.write_at("time-0.txt", "timed", epoch);
        self.write_at("time-1.txt", "timed", epoch + second);
        self.write_at("time-before-1970.txt", "timed", epoch - second * 1_000_000);
        let future = SystemTime::now() + second * 1_000_000;
        self.write_at("time-future.txt", "timed", future);
    }

    fn make_special(&self) {
        let root = self.root();
        mknodat(
            CWD,
            root.join("fifo"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        // The name stays when nobody listens any more.
        drop(UnixListener::bind(root.join("socket")).unwrap());
        self.write("unreadable.txt", SECRET);
        fs::set_permissions(root.join("unreadable.txt"), Permissions::from_mode(0o000)).unwrap();
        symlink("ten.txt", root.join("link-in.txt")).unwrap();
        symlink("../beside/elsewhere.txt", root.join("link-out.txt")).unwrap();
        symlink("../beside", root.join("link-out")).unwrap();
        symlink("nothing", root.join("link-dangling.txt")).unwrap();
        symlink("link-loop.txt", root.join("link-loop.txt")).unwrap();
        symlink("/dev/zero", root.join("link-zero.bin")).unwrap();
    }
}

/// What is in the original (""), or in a sibling of this extension.
pub fn coded(extension: &str) -> String {
    match extension {
        "" => "body { color: teal } /* not coded */".to_owned(),
        _ => format!("stands for {extension}"),
    }
}
