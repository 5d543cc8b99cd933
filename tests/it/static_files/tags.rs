//! What entity tags and dates are made of, and how far they are to be trusted.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use tower_gateway::{
    StaticFiles,
    semantics::{conditional::EntityTag, negotiate::Coding},
    static_files::{EntityTags, Found, MemoryFiles, Source, SourceFile, Wait},
};

use super::tree::{Got, Tree, get, get_with, touch, until};

fn tag(got: &Got) -> &str {
    got.header("etag").expect("a tag")
}

fn is_weak(got: &Got) -> bool {
    tag(got).starts_with("W/")
}

/// Unlike that of the next one.
fn seconds_ago(seconds: u64) -> SystemTime {
    SystemTime::now() - Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_tag_of_the_content_is_the_same_wherever_and_whenever() {
    let content = "the same everywhere".repeat(10_000);
    let (one, other) = (Tree::new(), Tree::new());
    one.write_aged("a.txt", &content, 100);
    other.write_aged("a.txt", &content, 200);
    let memory = MemoryFiles::new().file("a.txt", content.clone());
    let mut tags = Vec::new();
    for files in [
        one.files().entity_tags(EntityTags::Content),
        other.files().entity_tags(EntityTags::Content),
        other
            .files()
            .entity_tags(EntityTags::Content)
            .cache(1 << 20),
        StaticFiles::from_source(memory),
    ] {
        for _ in 0..2 {
            let got = get(&files, "/a.txt").await;
            assert_eq!(got.text(), content);
            tags.push(tag(&got).to_owned());
        }
    }
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    assert!(tags[0].starts_with('"'));

    // Another content, with the time of before.
    other.write_aged("a.txt", content.replace('m', "n"), 200);
    let files = other.files().entity_tags(EntityTags::Content);
    assert_ne!(tag(&get(&files, "/a.txt").await), tags[0]);
}

#[tokio::test]
async fn states_of_one_length_within_a_tick_never_share_a_tag_of_content() {
    // Time and length are the same, and so is, often, the moment of the change (but not where the
    // kernel tells a finer one of a file that was looked at, as Linux does since 6.13).
    let tree = Tree::new();
    let files = tree.files().entity_tags(EntityTags::Content);
    let time = seconds_ago(100);
    let mut previous = String::new();
    for round in 0..200 {
        let content = format!("{round:04}");
        touch(&tree.write("a.txt", &content), time);
        let got = get(&files, "/a.txt").await;
        assert_eq!(got.text(), content);
        assert_ne!(tag(&got), previous, "round {round}");
        previous = tag(&got).to_owned();
    }
}

#[tokio::test]
async fn what_is_too_long_to_hash_has_a_tag_of_its_time() {
    let tree = Tree::new();
    let path = tree.write("long.bin", "");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let files = tree.files().entity_tags(EntityTags::Content);
    let part = [("range", "bytes=0-0")];
    touch(&path, seconds_ago(100));
    let got = get_with(&files, "/long.bin", &part).await;
    assert_eq!(got.status, 206);
    let first = tag(&got).to_owned();
    touch(&path, seconds_ago(99));
    let got = get_with(&files, "/long.bin", &part).await;
    assert_ne!(tag(&got), first);
    // And none, if the time says nothing either.
    touch(&path, SystemTime::UNIX_EPOCH);
    let got = get_with(&files, "/long.bin", &part).await;
    assert_eq!((got.status, got.header("etag")), (206, None));
    assert_eq!(got.header("last-modified"), None);
}

#[tokio::test]
async fn a_tag_beside_the_file_counts_if_it_is_one() {
    let tree = Tree::new();
    tree.write_aged("a.txt", "content", 100);
    let plain = get(&tree.files(), "/a.txt").await;
    let files = tree.files().entity_tags(EntityTags::Sidecar);
    assert_eq!(tag(&get(&files, "/a.txt").await), tag(&plain));
    let long = "x".repeat(300);
    for (sidecar, expected) in [
        ("\"v1\"\n", Some("\"v1\"")),
        ("v2", Some("\"v2\"")),
        ("  v3\r\n", Some("\"v3\"")),
        ("W/\"v4\"", Some("W/\"v4\"")),
        ("", None),
        ("\"", None),
        ("\"a\"b\"", None),
        ("two words", None),
        ("line\nbreak", None),
        ("nul\0", None),
        (long.as_str(), None),
    ] {
        tree.write("a.txt.etag", sidecar);
        let got = get(&files, "/a.txt").await;
        assert_eq!(tag(&got), expected.unwrap_or(tag(&plain)), "{sidecar:?}");
        // A weak tag guards no part.
        let part = [("range", "bytes=0-1"), ("if-range", tag(&got))];
        let status = if is_weak(&got) { 200 } else { 206 };
        assert_eq!(get_with(&files, "/a.txt", &part).await.status, status);
        let known = [("if-none-match", tag(&got))];
        assert_eq!(get_with(&files, "/a.txt", &known).await.status, 304);
    }
    fs::remove_file(tree.root().join("a.txt.etag")).unwrap();
    fs::create_dir(tree.root().join("a.txt.etag")).unwrap();
    assert_eq!(tag(&get(&files, "/a.txt").await), tag(&plain));
}

#[tokio::test]
async fn a_tag_beside_the_file_that_is_written_late_is_seen_by_the_cache() {
    let tree = Tree::new();
    tree.write_aged("a.txt", "content", 100);
    tree.write("a.txt.etag", "v1");
    let files = tree
        .files()
        .entity_tags(EntityTags::Sidecar)
        .cache(1 << 20)
        .cache_fresh_for(Duration::ZERO);
    // Until it is kept, and not read again, since nothing changes any more.
    let mut previous = get(&files, "/a.txt").await;
    loop {
        let got = get(&files, "/a.txt").await;
        assert_eq!(tag(&got), "\"v1\"");
        if got.body.as_ptr() == previous.body.as_ptr() {
            break;
        }
        previous = got;
    }
    tree.write("a.txt.etag", "v2");
    until(|| get(&files, "/a.txt"), |got| tag(got) == "\"v2\"").await;
}

#[tokio::test]
async fn every_kind_of_tag_names_the_coding() {
    let tree = Tree::new();
    // As alike as can be.
    let time = seconds_ago(100);
    for name in ["a.txt", "a.txt.gz"] {
        touch(&tree.write(name, "content"), time);
    }
    tree.write("a.txt.etag", "W/\"v1\"");
    let of_build = MemoryFiles::new()
        .file("a.txt", "content")
        .file("a.txt.gz", "content");
    let mut all: Vec<_> = [
        EntityTags::Modified,
        EntityTags::Content,
        EntityTags::Sidecar,
    ]
    .map(|tags| tree.files().entity_tags(tags))
    .into();
    all.push(StaticFiles::from_source(of_build));
    for files in all {
        let files = files.precompressed([Coding::Gzip]);
        let plain = get(&files, "/a.txt").await;
        let gzip = get_with(&files, "/a.txt", &[("accept-encoding", "gzip")]).await;
        assert_eq!(gzip.header("content-encoding"), Some("gzip"));
        assert_eq!(
            tag(&gzip),
            format!("{}-gzip\"", tag(&plain).strip_suffix('"').unwrap())
        );
    }
    let files = tree.files().entity_tags(EntityTags::Off);
    let files = files.precompressed([Coding::Gzip]);
    for accepted in ["gzip", "identity"] {
        let got = get_with(&files, "/a.txt", &[("accept-encoding", accepted)]).await;
        assert_eq!(got.header("etag"), None);
        assert!(got.header("last-modified").is_some());
    }
}

#[tokio::test]
async fn a_young_file_has_a_weak_tag_and_another_one_when_it_is_settled() {
    let tree = Tree::new();
    // What a file system with whole seconds says of a file that was written this moment.
    let path = tree.write("a.txt", "draft");
    for cache in [false, true] {
        let second = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        touch(&path, SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        let files = match cache {
            false => tree.files(),
            true => tree.files().cache(1 << 20),
        };
        let young = get(&files, "/a.txt").await;
        assert!(is_weak(&young), "{young:?}");
        assert!(young.header("last-modified").is_some());
        // Neither guards a part.
        let date = young.header("last-modified").unwrap().to_owned();
        for validator in [tag(&young), date.as_str()] {
            let part = [("range", "bytes=0-1"), ("if-range", validator)];
            assert_eq!(get_with(&files, "/a.txt", &part).await.status, 200);
        }
        let known = [("if-none-match", tag(&young))];
        assert_eq!(get_with(&files, "/a.txt", &known).await.status, 304);

        let settled = until(|| get(&files, "/a.txt"), |got| !is_weak(got)).await;
        let text = tag(&young).trim_start_matches("W/");
        assert_ne!(tag(&settled), text, "no draft is taken for the final one");
        let known = [("if-none-match", tag(&young))];
        assert_eq!(get_with(&files, "/a.txt", &known).await.status, 200);
        let part = |validator| [("range", "bytes=0-1"), ("if-range", validator)];
        let by_tag = get_with(&files, "/a.txt", &part(tag(&settled))).await;
        assert_eq!(by_tag.status, 206);
        let by_date = get_with(&files, "/a.txt", &part(&date)).await;
        assert_eq!(by_date.status, 206);
    }
}

#[tokio::test]
async fn a_file_with_fractions_in_its_time_settles_in_a_moment() {
    let tree = Tree::new();
    let path = tree.write("a.txt", "draft");
    let files = tree.files();
    let half_a_second_ago = SystemTime::now() - Duration::from_millis(500);
    let nanos = half_a_second_ago
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    // Whatever the file system does with it, it has a fraction.
    let nanos = nanos + Duration::from_nanos(u64::from(nanos.subsec_micros() == 0) * 1000);
    touch(&path, SystemTime::UNIX_EPOCH + nanos);
    assert!(!is_weak(&get(&files, "/a.txt").await));

    tree.write("a.txt", "final");
    until(|| get(&files, "/a.txt"), |got| !is_weak(got)).await;
}

#[tokio::test]
async fn a_tag_knows_no_inode() {
    let tree = Tree::new();
    let path = tree.write_aged("a.txt", "content", 100);
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let first = get(&tree.files(), "/a.txt").await;
    fs::rename(&path, tree.root().join("old.txt")).unwrap();
    touch(&tree.write("a.txt", "content"), time);
    let second = get(&tree.files(), "/a.txt").await;
    assert_eq!(tag(&first), tag(&second));
    let shown = format!("{:x}", {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&path).unwrap().ino()
    });
    assert!(!tag(&second).contains(&format!("{shown}-")));
}

/// Gives each file the tag of the build.
#[derive(Debug)]
struct Build(MemoryFiles, &'static str);

impl Source for Build {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        Ok(match self.0.open(name, wait)? {
            Found::File(file) => {
                let tag = EntityTag::strong(self.1).unwrap();
                Found::File(file.etag(tag).modified(seconds_ago(100)))
            }
            other => other,
        })
    }
}

#[tokio::test]
async fn a_tag_of_the_source_counts_before_all_others() {
    for tags in [
        EntityTags::Modified,
        EntityTags::Content,
        EntityTags::Sidecar,
    ] {
        let memory = MemoryFiles::new()
            .file("a.txt", "a")
            .file("a.txt.etag", "beside")
            .file("a.txt.br", "b")
            .file("c.txt", "c");
        let files = StaticFiles::from_source(Build(memory, "build-7"))
            .entity_tags(tags)
            .precompressed([Coding::Brotli]);
        assert_eq!(tag(&get(&files, "/a.txt").await), "\"build-7\"");
        assert_eq!(tag(&get(&files, "/c.txt").await), "\"build-7\"");
        let coded = get_with(&files, "/a.txt", &[("accept-encoding", "br")]).await;
        assert_eq!(tag(&coded), "\"build-7-br\"");
    }
}

#[tokio::test]
async fn a_file_in_memory_without_a_tag_has_that_of_its_content() {
    #[derive(Debug)]
    struct Plain(Option<SystemTime>);

    impl Source for Plain {
        fn open(&self, _: &Path, _: Wait) -> io::Result<Found> {
            let file = SourceFile::from_bytes("x".repeat(200_000));
            Ok(Found::File(match self.0 {
                Some(time) => file.modified(time),
                None => file,
            }))
        }
    }

    let of_content = MemoryFiles::new().file("a", "x".repeat(200_000));
    let of_content = get(&StaticFiles::from_source(of_content), "/a").await;
    let got = get(&StaticFiles::from_source(Plain(None)), "/a").await;
    assert_eq!(tag(&got), tag(&of_content));
    assert_eq!(got.header("last-modified"), None);
    let got = get(&StaticFiles::from_source(Plain(Some(seconds_ago(9)))), "/a").await;
    assert_ne!(tag(&got), tag(&of_content));
    assert!(got.header("last-modified").is_some());
}
