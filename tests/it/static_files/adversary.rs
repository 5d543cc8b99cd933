//! Files that are replaced while they are served, and a process that can open no more.

use std::{
    collections::HashMap,
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tower::Layer;
use tower_gateway::{
    StaticFiles,
    semantics::negotiate::Coding,
    static_files::{EntityTags, Found, Listing, Source, SourceFile, Wait},
};

use super::{
    inside::Inside,
    tree::{Tree, ask, get, request},
};
use crate::support::process::tethered;

const LENGTH: usize = 40_000;

/// Of which state an answer is: each has one letter. `None` if it has several.
fn state(body: &[u8], media_type: &str) -> Option<u8> {
    let text = String::from_utf8_lossy(body);
    let content: String = match media_type.starts_with("multipart/") {
        true => text
            .split("\r\n\r\n")
            .skip(1)
            .filter_map(|part| part.split("\r\n").next())
            .collect(),
        false => text.into_owned(),
    };
    let first = *content.as_bytes().first()?;
    content
        .bytes()
        .all(|letter| letter == first)
        .then_some(first)
}

/// RFC 9110 §8.8.1: "A strong validator is unique across all versions of all representations
/// associated with a particular resource over time."
async fn one_strong_tag_is_of_one_state(
    name: &str,
    files: StaticFiles,
    tree: &Tree,
    siblings: bool,
) {
    let root = tree.root();
    let files = files.accel_redirect("/p", &root);
    let replace = move |version: usize| {
        let content = vec![b'a' + u8::try_from(version % 26).unwrap(); LENGTH];
        let mut names = vec!["a.css"];
        if siblings {
            names.push("a.css.gz");
        }
        // In either order.
        if version % 2 == 1 {
            names.reverse();
        }
        for name in names {
            fs::write(root.join(".new"), &content).unwrap();
            fs::rename(root.join(".new"), root.join(name)).unwrap();
        }
    };
    replace(0);
    let tags: Arc<Mutex<HashMap<String, u8>>> = Arc::default();
    let writer = thread::spawn(move || {
        for version in 1..40 {
            replace(version);
            // Some become old enough for a strong tag, and some do not.
            thread::park_timeout(Duration::from_millis([0, 1, 25, 40][version % 4]));
        }
    });
    let named = Inside::says(200, &[("x-accel-redirect", "/p/a.css")], "");
    let service = files.layer(named);
    let mut asked = 0;
    while !writer.is_finished() || asked == 0 {
        for target in ["/a.css", "/internal"] {
            for coding in ["", "gzip"] {
                for range in ["x=1", "bytes=100-39000", "bytes=0-10,20000-30000,-5"] {
                    let fields = [("accept-encoding", coding), ("range", range)];
                    let got = ask(service.clone(), request("GET", target, &fields)).await;
                    assert!(matches!(got.status, 200 | 206), "{name}: {got:?}");
                    asked += 1;
                    let tag = got.header("etag").unwrap().to_owned();
                    let is_made_here = got.header("content-encoding").is_some() && !siblings;
                    if tag.starts_with("W/") || is_made_here {
                        continue;
                    }
                    let state = state(&got.body, got.header("content-type").unwrap());
                    let state = state.expect("one state, not two");
                    let known = *tags.lock().unwrap().entry(tag).or_insert(state);
                    assert_eq!(known, state, "{name}: two states of one tag");
                }
            }
        }
    }
    writer.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strong_tag_never_names_two_states_of_a_file_that_is_replaced() {
    let soon = Duration::from_millis(5);
    let tree = Tree::new;
    let it = tree();
    one_strong_tag_is_of_one_state("plain", it.files(), &it, false).await;
    let it = tree();
    let files = it.files().cache(1 << 20).cache_fresh_for(soon);
    one_strong_tag_is_of_one_state("cached", files, &it, false).await;
    let it = tree();
    let files = it.files().precompressed([Coding::Gzip]);
    one_strong_tag_is_of_one_state("siblings", files, &it, true).await;
    let it = tree();
    let files = it.files().precompressed([Coding::Gzip]);
    let files = files.cache(1 << 20).cache_fresh_for(soon);
    one_strong_tag_is_of_one_state("cached siblings", files, &it, true).await;
    let it = tree();
    let files = it.files().entity_tags(EntityTags::Content);
    one_strong_tag_is_of_one_state("hashed", files, &it, false).await;
    #[cfg(feature = "compression")]
    {
        let it = tree();
        let files = it.files().compress(1 << 20);
        one_strong_tag_is_of_one_state("compressed", files, &it, false).await;
    }
}

/// Set in the process of its own.
const ALONE: &str = "TOWER_GATEWAY_TEST_WITHOUT_DESCRIPTORS";

/// The limit is the whole process's, so it is one of its own.
#[test]
fn without_a_descriptor_left_it_is_a_500_and_files_again_afterwards() {
    if std::env::var_os(ALONE).is_some() {
        return run_out_of_descriptors();
    }
    let name =
        "static_files::adversary::without_a_descriptor_left_it_is_a_500_and_files_again_afterwards";
    let mut alone = tethered(std::env::current_exe().unwrap());
    alone.args(["--exact", name]).env(ALONE, "1");
    // It ends with the test.
    let (stdin, tether) = io::pipe().unwrap();
    alone.stdin(stdin);
    let output = alone.output().unwrap();
    drop(tether);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
}

fn run_out_of_descriptors() {
    let tree = Tree::of(&[("a.txt", "hello"), ("dir/b", "b")]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(200);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    runtime.block_on(async {
        for spare in 0..3 {
            let cached = tree.files().cache(1 << 20);
            for files in [tree.files(), tree.files().listing(Listing::new()), cached] {
                let known = files.clone().layer(Inside::says(404, &[], ""));
                let mut held = Vec::new();
                while let Ok(file) = fs::File::open("/dev/null") {
                    held.push(file);
                }
                held.truncate(held.len() - spare);
                for target in ["/a.txt", "/dir/"] {
                    let got = ask(known.clone(), request("GET", target, &[])).await;
                    assert!(matches!(got.status, 200 | 404 | 500), "{got:?}");
                    let is_failure = got.status == 500;
                    assert_eq!(is_failure, got.error.is_some(), "{got:?}");
                    assert!(spare > 0 || is_failure, "{target}: {got:?}");
                }
                drop(held);
                let got = ask(known.clone(), request("GET", "/a.txt", &[])).await;
                assert_eq!((got.status, got.text()), (200, "hello"));
                assert_eq!(get(&files, "/a.txt").await.status, 200);
            }
        }
    });
}

/// Empties a file after it was opened, as `> file` does it, so many times.
#[derive(Debug)]
struct Emptied {
    root: std::path::PathBuf,
    times: std::sync::atomic::AtomicUsize,
}

impl Source for Emptied {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        use std::sync::atomic::Ordering::SeqCst;

        if wait == Wait::Never {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let path = self.root.join(name);
        let file = SourceFile::from_file(fs::File::open(&path)?)?;
        let left = self.times.load(SeqCst);
        if left > 0 {
            self.times.store(left - 1, SeqCst);
            fs::write(&path, "new")?;
        }
        Ok(Found::File(file))
    }
}

#[tokio::test]
async fn a_file_that_is_emptied_before_it_is_read_is_opened_again() {
    for (times, expected) in [
        (0, (200, "old content")),
        (1, (200, "new")),
        (2, (200, "new")),
    ] {
        let tree = Tree::new();
        tree.write("a.txt", "old content");
        let files = StaticFiles::from_source(Emptied {
            root: tree.root().to_owned(),
            times: times.into(),
        });
        let got = get(&files, "/a.txt").await;
        assert_eq!((got.status, got.text()), expected, "emptied {times} times");
    }
}
