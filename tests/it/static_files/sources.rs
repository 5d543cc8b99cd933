//! Whatever files come from, HTTP makes the same of them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tower_gateway::{
    StaticFiles,
    semantics::conditional::EntityTag,
    static_files::{DirEntry, Found, Listed, MemoryFiles, Source, SourceFile, Wait},
};

use super::tree::{Got, ask, get, get_with, request};

/// The same files for all: what `tests/it/static_files/site` has.
fn site() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/static_files/site")
}

/// All files of the site by their names.
fn contents() -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::new();
    let mut directories = vec![site()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(site()).unwrap().to_str().unwrap();
                contents.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    assert!(contents.len() > 5);
    contents
}

/// One of a user's own, which always has to wait.
#[derive(Debug)]
struct Own(BTreeMap<String, Vec<u8>>);

impl Source for Own {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        if wait == Wait::Never {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let name = name.to_str().unwrap_or("\0");
        if let Some(content) = self.0.get(name) {
            return Ok(Found::File(SourceFile::from_bytes(content.clone())));
        }
        let below = format!("{name}/");
        let is_directory = name.is_empty() || self.0.keys().any(|key| key.starts_with(&below));
        Ok(match is_directory {
            true => Found::Directory,
            false => Found::Nothing,
        })
    }
}

#[cfg(feature = "embed")]
mod embedded {
    use std::borrow::Cow;

    use rust_embed::{Embed, EmbeddedFile};

    /// As a debug build has it: on the disk.
    #[derive(Embed)]
    #[folder = "tests/it/static_files/site"]
    pub struct Site;

    /// As a release build has it: in the program.
    pub struct Carried;

    /// Opens more names than it lists, as rust-embed does on the disk, and has a prefix.
    pub struct Loose;

    impl Embed for Loose {
        fn get(_: &str) -> Option<EmbeddedFile> {
            Site::get("style.css")
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            ["/assets/listed.css", "/assets.css"]
                .map(Cow::Borrowed)
                .into_iter()
        }
    }

    impl Embed for Carried {
        fn get(name: &str) -> Option<EmbeddedFile> {
            let mut file = Site::get(name)?;
            file.data = Cow::Borrowed(Vec::leak(file.data.into_owned()));
            Some(file)
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            Site::iter()
        }
    }
}

fn sources() -> Vec<(&'static str, StaticFiles)> {
    vec![
        ("disk", StaticFiles::new(site())),
        (
            "memory",
            StaticFiles::from_source(MemoryFiles::from_iter(contents())),
        ),
        ("own", StaticFiles::from_source(Own(contents()))),
        #[cfg(feature = "embed")]
        (
            "embedded, on the disk",
            StaticFiles::from_source(
                tower_gateway::static_files::EmbeddedFiles::<embedded::Site>::new(),
            ),
        ),
        #[cfg(feature = "embed")]
        (
            "embedded",
            StaticFiles::from_source(tower_gateway::static_files::EmbeddedFiles::<
                embedded::Carried,
            >::new()),
        ),
    ]
}

#[tokio::test]
async fn every_source_answers_alike() {
    const HTML: &str = "text/html; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    const JSON: &str = "application/json";
    // Of a redirect, where it leads; else the file whose content is the body.
    let table: &[(&str, &str, u16, Option<&str>, &str)] = &[
        ("GET", "/", 200, Some(HTML), "index.html"),
        ("GET", "/index.html", 200, Some(HTML), "index.html"),
        ("GET", "/style.css", 200, Some(CSS), "style.css"),
        ("GET", "/data.json", 200, Some(JSON), "data.json"),
        ("GET", "/empty.txt", 200, Some(TEXT), "empty.txt"),
        ("GET", "/docs/", 200, Some(HTML), "docs/index.html"),
        (
            "GET",
            "/docs/guide/page.txt",
            200,
            Some(TEXT),
            "docs/guide/page.txt",
        ),
        (
            "GET",
            "/gr%C3%B6%C3%9Fe%20und%20form.txt",
            200,
            Some(TEXT),
            "größe und form.txt",
        ),
        (
            "GET",
            "/.well-known/security.txt",
            200,
            Some(TEXT),
            ".well-known/security.txt",
        ),
        ("GET", "/docs/./../style.css", 200, Some(CSS), "style.css"),
        ("GET", "//style.css", 200, Some(CSS), "style.css"),
        ("GET", "/docs", 308, None, "/docs/"),
        ("GET", "/docs?a=b", 308, None, "/docs/?a=b"),
        ("GET", "/docs/guide", 404, None, ""),
        ("GET", "/docs/guide/", 404, None, ""),
        ("GET", "/style.css/", 404, None, ""),
        ("GET", "/style.css/x", 404, None, ""),
        ("GET", "/STYLE.CSS", 404, None, ""),
        ("GET", "/none", 404, None, ""),
        ("GET", "/none/none", 404, None, ""),
        ("GET", "/doc", 404, None, ""),
        ("GET", "/.hidden", 404, None, ""),
        ("GET", "/%FF.txt", 404, None, ""),
        ("GET", "/docs%2Findex.html", 400, None, ""),
        ("GET", "/docs%5Cindex.html", 400, None, ""),
        ("GET", "/style.css%00", 400, None, ""),
        ("GET", "/../style.css", 200, Some(CSS), "style.css"),
        ("HEAD", "/style.css", 200, Some(CSS), ""),
        ("HEAD", "/none", 404, None, ""),
        ("POST", "/style.css", 405, None, ""),
        ("OPTIONS", "/style.css", 204, None, ""),
    ];
    let contents = contents();
    for (source, files) in sources() {
        for &(method, target, status, media_type, what) in table {
            let got = ask(files.clone(), request(method, target, &[])).await;
            let asked = format!("{source}: {method} {target}: {got:?}");
            assert_eq!(got.status, status, "{asked}");
            if let Some(media_type) = media_type {
                assert_eq!(got.header("content-type"), Some(media_type), "{asked}");
                assert_eq!(got.header("accept-ranges"), Some("bytes"), "{asked}");
                assert!(
                    got.header("etag").is_some_and(|tag| tag.starts_with('"')),
                    "{asked}"
                );
            }
            match (status, what) {
                (308, location) => assert_eq!(got.header("location"), Some(location), "{asked}"),
                (200, "") => assert!(got.body.is_empty(), "{asked}"),
                (200, name) => assert_eq!(got.body, contents[name], "{asked}"),
                _ => {}
            }
            assert!(got.error.is_none() || status == 400, "{asked}");
        }
    }
}

#[tokio::test]
async fn conditions_and_ranges_are_the_same_for_every_source() {
    for (source, files) in sources() {
        let whole = get(&files, "/style.css").await;
        let etag = whole.header("etag").unwrap().to_owned();
        let table: &[(&[(&str, &str)], u16, &str)] = &[
            (&[("if-none-match", &etag)], 304, ""),
            (&[("if-none-match", "*")], 304, ""),
            (
                &[("if-none-match", "\"another\"")],
                200,
                "body { color: teal }\n",
            ),
            (&[("if-match", &etag)], 200, "body { color: teal }\n"),
            (&[("if-match", "\"another\"")], 412, ""),
            (&[("range", "bytes=5-9")], 206, "{ col"),
            (&[("range", "bytes=-2")], 206, "\n"),
            (&[("range", "bytes=0-0"), ("if-range", &etag)], 206, "b"),
            (
                &[("range", "bytes=0-0"), ("if-range", "\"another\"")],
                200,
                "body { color: teal }\n",
            ),
            (&[("range", "bytes=1000-")], 416, ""),
        ];
        for &(fields, status, body) in table {
            let got = get_with(&files, "/style.css", fields).await;
            let asked = format!("{source}: {fields:?}: {got:?}");
            assert_eq!(got.status, status, "{asked}");
            if matches!(status, 200 | 206) {
                assert!(got.text().ends_with(body), "{asked}");
                assert_eq!(got.header("etag"), Some(etag.as_str()), "{asked}");
            }
        }
        let again = get(&files, "/style.css").await;
        assert_eq!(again.header("etag"), Some(etag.as_str()), "{source}");
        let other = get(&files, "/data.json").await;
        assert_ne!(other.header("etag"), Some(etag.as_str()), "{source}");
    }
}

#[tokio::test]
async fn a_tag_of_content_is_the_same_wherever_the_content_is() {
    let mut tags = BTreeMap::new();
    for (source, files) in sources() {
        let got = get(&files, "/style.css").await;
        tags.insert(source, got.header("etag").unwrap().to_owned());
    }
    // That on the disk is of size and time, unless told otherwise.
    let on_disk = tags.remove("disk").unwrap();
    let of_content = &tags["memory"];
    assert_ne!(&on_disk, of_content);
    assert!(tags.values().all(|tag| tag == of_content), "{tags:?}");
}

#[tokio::test]
async fn a_file_in_memory_is_modified_when_one_says() {
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let files = MemoryFiles::new().file("plain.txt", "plain").file_modified(
        "dated.txt",
        "dated",
        yesterday,
    );
    let files = StaticFiles::from_source(files);
    let got = get(&files, "/plain.txt").await;
    assert_eq!(got.header("last-modified"), None);
    let got = get(&files, "/dated.txt").await;
    let date = got.header("last-modified").unwrap().to_owned();
    let got = get_with(&files, "/dated.txt", &[("if-modified-since", &date)]).await;
    assert_eq!(got.status, 304);
}

#[tokio::test]
async fn the_bytes_in_memory_are_sent_and_not_a_copy() {
    let content = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let files = StaticFiles::from_source(MemoryFiles::new().file("big", content.clone()));
    let got = get(&files, "/big").await;
    assert_eq!(got.body.as_ptr(), content.as_ptr());
    let got = get_with(&files, "/big", &[("range", "bytes=1000-200000")]).await;
    assert_eq!(got.body.as_ptr(), content[1000..].as_ptr());
}

#[tokio::test]
async fn names_in_memory_are_taken_as_paths_have_them() {
    let files = MemoryFiles::new()
        .file("/slash.txt", "slash")
        .file("twice.txt", "first")
        .file("twice.txt", "second")
        .file("both", "file")
        .file("both/index.html", "directory")
        .file("a//b.txt", "empty segment")
        .file("c/../d.txt", "dots")
        .file("", "no name")
        .file("/", "no name either");
    let files = StaticFiles::from_source(files);
    for (target, status, body) in [
        ("/slash.txt", 200, "slash"),
        ("/twice.txt", 200, "second"),
        ("/both", 200, "file"),
        ("/both/", 200, "directory"),
        ("/a//b.txt", 404, ""),
        ("/a/b.txt", 404, ""),
        ("/c/../d.txt", 404, ""),
        ("/d.txt", 404, ""),
        ("/", 404, ""),
    ] {
        let got = get(&files, target).await;
        assert_eq!(got.status, status, "{target}");
        if status == 200 {
            assert_eq!(got.text(), body, "{target}");
        }
    }
}

#[tokio::test]
async fn nothing_in_memory_is_nothing_to_serve() {
    let files = StaticFiles::from_source(MemoryFiles::new());
    assert_eq!(get(&files, "/").await.status, 404);
    assert_eq!(get(&files, "/a").await.status, 404);
}

#[test]
fn what_is_put_into_a_clone_is_not_in_the_others() {
    let one = MemoryFiles::new().file("a", "a");
    let two = one.clone().file("b", "b");
    let has = |files: &MemoryFiles, name: &str| {
        matches!(files.open(name.as_ref(), Wait::Never), Ok(Found::File(_)))
    };
    assert!(has(&one, "a") && !has(&one, "b"));
    assert!(has(&two, "a") && has(&two, "b"));
}

/// What a source says that a directory has, in order.
fn listed(source: &impl Source, name: &str, limit: usize, dotfiles: bool) -> Option<Listed> {
    let mut listed = source.list(name.as_ref(), limit, dotfiles).unwrap()?;
    listed.entries.sort_by_key(|entry| format!("{entry:?}"));
    Some(listed)
}

fn lists_the_site(source: &impl Source) {
    let of = |mut entries: Vec<DirEntry>| {
        entries.sort_by_key(|entry| format!("{entry:?}"));
        let truncated = false;
        Some(Listed { entries, truncated })
    };
    let shown = vec![
        DirEntry::directory(".well-known", None),
        DirEntry::directory("docs", None),
        DirEntry::file("data.json", 15, None),
        DirEntry::file("empty.txt", 0, None),
        DirEntry::file("größe und form.txt", 46, None),
        DirEntry::file("index.html", 39, None),
        DirEntry::file("style.css", 21, None),
    ];
    let mut all = shown.clone();
    all.push(DirEntry::file(".hidden", 7, None));
    assert_eq!(listed(source, "", 100, false), of(shown), "{source:?}");
    assert_eq!(listed(source, "", 100, true), of(all), "{source:?}");
    let docs = vec![
        DirEntry::directory("guide", None),
        DirEntry::file("index.html", 35, None),
    ];
    assert_eq!(listed(source, "docs", 2, false), of(docs), "{source:?}");
    let guide = vec![DirEntry::file("page.txt", 7, None)];
    assert_eq!(
        listed(source, "docs/guide", 1, false),
        of(guide),
        "{source:?}"
    );
    for none in [
        "doc",
        "none",
        "style.css",
        "docs/index.html",
        "docs/guide/page.txt",
    ] {
        assert_eq!(listed(source, none, 100, true), None, "{source:?} {none}");
    }
    // Of too many, some.
    let some = listed(source, "", 3, true).unwrap();
    assert!(
        some.truncated && some.entries.len() == 3,
        "{source:?} {some:?}"
    );
    let exact = listed(source, "", 8, true).unwrap();
    assert!(
        !exact.truncated && exact.entries.len() == 8,
        "{source:?} {exact:?}"
    );
}

#[test]
fn directories_in_memory_list_what_names_imply() {
    lists_the_site(&MemoryFiles::from_iter(contents()));
    let empty = listed(&MemoryFiles::new(), "", 1, false);
    assert_eq!(empty, Some(Listed::default()));
}

#[cfg(feature = "embed")]
#[test]
fn directories_in_the_program_list_what_names_imply() {
    use tower_gateway::static_files::EmbeddedFiles;

    lists_the_site(&EmbeddedFiles::<embedded::Site>::new());
    lists_the_site(&EmbeddedFiles::<embedded::Carried>::new());
}

#[cfg(feature = "embed")]
#[tokio::test]
async fn only_what_is_listed_is_in_the_program() {
    use tower_gateway::static_files::EmbeddedFiles;

    let files = StaticFiles::from_source(EmbeddedFiles::<embedded::Loose>::new());
    for (target, status) in [
        ("/assets/listed.css", 200),
        ("/assets.css", 200),
        ("/assets/other.css", 404),
        ("/assets/listed.cs", 404),
        ("/assets/listed.css/", 404),
        ("/assets", 404),
        ("/assets/", 404),
        ("/listed.css", 404),
    ] {
        assert_eq!(get(&files, target).await.status, status, "{target}");
    }
}

#[cfg(feature = "embed")]
#[test]
fn what_the_program_carries_never_waits() {
    use tower_gateway::static_files::EmbeddedFiles;

    let carried = EmbeddedFiles::<embedded::Carried>::new();
    for (name, is_file) in [("style.css", true), ("docs", false), ("none", false)] {
        let found = carried.open(name.as_ref(), Wait::Never).unwrap();
        assert_eq!(matches!(found, Found::File(_)), is_file, "{name}");
    }
    let on_disk = EmbeddedFiles::<embedded::Site>::new();
    let error = on_disk.open("style.css".as_ref(), Wait::Never).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

/// Says whatever it is made to.
#[derive(Debug)]
struct Says(fn(&Path, Wait) -> io::Result<Found>);

impl Source for Says {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        (self.0)(name, wait)
    }
}

async fn asked(say: fn(&Path, Wait) -> io::Result<Found>) -> Got {
    get(&StaticFiles::from_source(Says(say)), "/dir/file.txt").await
}

#[tokio::test]
async fn a_source_may_fail_and_even_panic() {
    let got = asked(|_, _| Err(io::Error::other("broken"))).await;
    assert_eq!(got.status, 500);
    assert!(got.error.is_some());

    // In the pool, where it does not take the connection along.
    let got = asked(|_, wait| match wait {
        Wait::Never => Err(io::ErrorKind::WouldBlock.into()),
        Wait::Blocking => panic!("on purpose"),
    });
    let got = got.await;
    assert_eq!(got.status, 500);
    assert!(got.error.is_some());

    // That would wait for ever.
    let got = asked(|_, _| Err(io::ErrorKind::WouldBlock.into())).await;
    assert_eq!(got.status, 500);
}

#[tokio::test]
async fn a_source_is_asked_for_the_decoded_relative_name() {
    let got = asked(|name, _| {
        assert_eq!(name, Path::new("dir/file.txt"));
        let tag = EntityTag::strong("own").unwrap();
        Ok(Found::File(SourceFile::from_bytes("own").etag(tag)))
    });
    let got = got.await;
    assert_eq!(got.text(), "own");
    assert_eq!(got.header("etag"), Some("\"own\""));
}

#[tokio::test]
async fn a_file_of_the_systems_may_come_from_any_source() {
    let got = asked(|_, _| {
        let file = fs::File::open(site().join("data.json"))?;
        Ok(Found::File(SourceFile::from_file(file)?))
    });
    let got = got.await;
    assert_eq!(got.text(), "{\"answer\": 42}\n");
    assert!(got.header("last-modified").is_some());
}
