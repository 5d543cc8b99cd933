//! curl: downloads that go on where they stopped, and those that are not needed.

use std::{fs, path::Path};

use tower_gateway::{StaticFiles, semantics::negotiate::Coding};

use super::files::{Files, is_there, noise, run, write};

/// More than a chunk.
const LENGTH: usize = 700_001;

/// A file over a socket, and a directory to fetch it into.
struct Download {
    root: tempfile::TempDir,
    client: tempfile::TempDir,
    content: Vec<u8>,
    files: Files,
}

impl Download {
    /// `None`, and said so, where there is no curl.
    async fn new() -> Option<Self> {
        if !is_there("curl", "curl", "downloads that go on where they stopped") {
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let content = noise(LENGTH);
        write(&root.path().join("file.bin"), &content);
        Some(Self {
            client: tempfile::tempdir().unwrap(),
            content,
            files: Files::serve(StaticFiles::new(root.path()).precompressed([Coding::Gzip])).await,
            root,
        })
    }

    /// Fetches the file with these options; gives curl's exit code, and the status.
    async fn curl(&self, options: &[&str]) -> (i32, String) {
        let url = self.files.url("/file.bin");
        let mut arguments = vec!["-sS", "--noproxy", "*", "-w", "%{http_code}"];
        arguments.extend(options);
        arguments.push(&url);
        let (code, log) = run("curl", &arguments, self.client.path()).await;
        (code, log.trim().to_owned())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.client.path().join(name)
    }

    fn got(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn etag(&self) -> String {
        let seen = self.files.seen("/file.bin");
        let etag = &seen.last().unwrap().answered["etag"];
        etag.to_str().unwrap().to_owned()
    }

    /// Another file of the same length.
    fn change(&self) -> Vec<u8> {
        let other: Vec<u8> = self.content.iter().map(|byte| !byte).collect();
        write(&self.root.path().join("file.bin"), &other);
        other
    }
}

fn is(outcome: &(i32, String), status: &str) -> bool {
    outcome.0 == 0 && outcome.1 == status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_it_stopped() {
    let Some(download) = Download::new().await else {
        return;
    };
    for protocol in ["--http1.1", "--http2-prior-knowledge"] {
        fs::write(download.path("got"), &download.content[..300_000]).unwrap();
        let outcome = download.curl(&[protocol, "-C", "-", "-o", "got"]).await;
        assert!(is(&outcome, "206"), "{outcome:?}");
        assert!(download.got("got") == download.content);
        let seen = download.files.seen("/file.bin").pop().unwrap();
        assert_eq!(seen.range(), Some("bytes=300000-"));
        assert_eq!(seen.length(), LENGTH as u64 - 300_000);
    }
    // All of it is there: nothing is left to ask for, and curl knows what 416 means then.
    let outcome = download.curl(&["-C", "-", "-o", "got"]).await;
    assert_eq!(outcome, (0, "416".to_owned()));
    assert!(download.got("got") == download.content);
}

#[tokio::test(flavor = "multi_thread")]
async fn halves_of_two_files_are_never_joined() {
    let Some(download) = Download::new().await else {
        return;
    };
    let outcome = download.curl(&["-r", "0-299999", "-o", "got"]).await;
    assert!(is(&outcome, "206"), "{outcome:?}");
    let if_range = format!("If-Range: {}", download.etag());
    let go_on = ["-C", "-", "-o", "got", "-H", &if_range];
    let outcome = download.curl(&go_on).await;
    assert!(is(&outcome, "206"), "{outcome:?}");
    assert!(download.got("got") == download.content);

    fs::write(download.path("got"), &download.content[..300_000]).unwrap();
    download.change();
    let (code, _) = download.curl(&go_on).await;
    // CURLE_RANGE_ERROR: it was sent the whole, and cannot go on with that.
    assert_eq!(code, 33);
    assert!(download.got("got") == download.content[..300_000]);
    assert_eq!(download.files.seen("/file.bin").pop().unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_the_whole() {
    let Some(download) = Download::new().await else {
        return;
    };
    let mut joined = Vec::new();
    for (range, length) in [
        ("0-0", 1),
        ("1-131072", 131_072),
        ("131073-131073", 1),
        ("131074-399999", 268_926),
        ("400000-", 300_001),
    ] {
        let outcome = download.curl(&["-r", range, "-o", "piece"]).await;
        assert!(is(&outcome, "206"), "{range}: {outcome:?}");
        let piece = download.got("piece");
        assert_eq!(piece.len(), length, "{range}");
        joined.extend(piece);
    }
    assert!(joined == download.content);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_not_sent_again() {
    let Some(download) = Download::new().await else {
        return;
    };
    let by_tag = ["--etag-save", "tag", "--etag-compare", "tag", "-o", "got"];
    let outcome = download.curl(&by_tag).await;
    assert!(is(&outcome, "200"), "{outcome:?}");
    assert!(download.got("got") == download.content);
    let outcome = download.curl(&by_tag).await;
    assert!(is(&outcome, "304"), "{outcome:?}");

    // By the time of what was fetched.
    let outcome = download.curl(&["-R", "-o", "got"]).await;
    assert!(is(&outcome, "200"), "{outcome:?}");
    let outcome = download.curl(&["-z", "got", "-o", "again"]).await;
    assert!(is(&outcome, "304"), "{outcome:?}");
    assert!(!Path::exists(&download.path("again")));

    let other = download.change();
    let outcome = download.curl(&by_tag).await;
    assert!(is(&outcome, "200"), "{outcome:?}");
    assert!(download.got("got") == other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_is_undone() {
    let Some(download) = Download::new().await else {
        return;
    };
    let rules = "body { color: teal }\n".repeat(500);
    write(&download.root.path().join("file.bin"), rules.as_bytes());
    write(
        &download.root.path().join("file.bin.gz"),
        &super::files::gzip(&rules),
    );
    let outcome = download.curl(&["--compressed", "-o", "got"]).await;
    assert!(is(&outcome, "200"), "{outcome:?}");
    assert!(download.got("got") == rules.as_bytes());
    let seen = download.files.seen("/file.bin").pop().unwrap();
    assert_eq!(seen.answered["content-encoding"], "gzip");
}
