//! REDbot, which is lint for HTTP: it asks in several ways, and notes what is not as it should be.

use std::{fs, path::Path, time::SystemTime};

use serde::Deserialize;
use serde_json::json;
use tower_gateway::{StaticFiles, semantics::negotiate::Coding};

use super::files::{self, Files};
use crate::support::{process::Process, python, raw};

#[derive(Deserialize)]
struct Checked {
    url: String,
    status: u16,
    complete: bool,
    notes: Vec<Note>,
}

#[derive(Deserialize)]
struct Note {
    /// The request whose answer it is about: the one that was asked for, or one of REDbot's own.
    request: String,
    level: String,
    name: String,
    summary: String,
}

/// What it does not like, and why it is so.
const EXPLAINED: &[(&str, &str)] = &[(
    "FRESHNESS_HEURISTIC",
    "nobody said how long these files stay as they are, and a layer cannot know; caches then take \
     a part of the time since they were modified (RFC 9111 §4.2.2)",
)];

#[tokio::test(flavor = "multi_thread")]
async fn redbot_finds_nothing_to_say_against_any_kind_of_resource() {
    let root = tempfile::tempdir().unwrap();
    write(root.path());
    let files = Files::serve(StaticFiles::new(root.path()).precompressed([Coding::Gzip])).await;
    let etag = raw::get(files.addr, "/plain.css").await;
    let etag = etag.header("etag").unwrap();

    let kinds = [
        ("/plain.css", json!({}), 200),
        ("/coded.css", json!({}), 200),
        ("/coded.css", json!({ "Accept-Encoding": "gzip" }), 200),
        ("/", json!({}), 200),
        ("/picture.png", json!({}), 200),
        ("/drawing.svg", json!({}), 200),
        ("/script.js", json!({}), 200),
        ("/data.json", json!({}), 200),
        ("/big.bin", json!({}), 200),
        ("/empty.txt", json!({}), 200),
        ("/time-0.txt", json!({}), 200),
        ("/big.bin", json!({ "Range": "bytes=1000-1999" }), 206),
        ("/big.bin", json!({ "Range": "bytes=9999999-" }), 416),
        ("/plain.css", json!({ "If-None-Match": etag }), 304),
        ("/plain.css", json!({ "If-Match": "\"other\"" }), 412),
        ("/directory", json!({}), 308),
        ("/nothing", json!({}), 404),
    ];
    let asked: Vec<_> = kinds
        .iter()
        .map(|(path, fields, _)| json!([files.url(path), fields]))
        .collect();
    let checked = check(json!(asked)).await;

    let mut against = Vec::new();
    for (checked, (path, fields, status)) in checked.iter().zip(&kinds) {
        assert_eq!(checked.status, *status, "{}", checked.url);
        assert!(checked.complete, "{}", checked.url);
        for note in &checked.notes {
            let is_explained = EXPLAINED.iter().any(|(name, _)| *name == note.name);
            if matches!(note.level.as_str(), "bad" | "warning") && !is_explained {
                against.push(format!(
                    "{path} {fields}: {} of {}: {}",
                    note.name, note.request, note.summary
                ));
            }
        }
    }
    assert!(against.is_empty(), "{against:#?}");
    for (name, reason) in EXPLAINED {
        let mut notes = checked.iter().flat_map(|checked| &checked.notes);
        assert!(
            notes.any(|note| note.name == *name),
            "{name} is not noted any more: {reason}"
        );
    }

    // It did look.
    let has = |index: usize, name: &str| {
        let notes = &checked[index].notes;
        assert!(
            notes.iter().any(|note| note.name == name),
            "{name} of {index}"
        );
    };
    for name in [
        "DATE_CORRECT",
        "CL_CORRECT",
        "INM_304",
        "IMS_304",
        "RANGE_CORRECT",
    ] {
        has(0, name);
    }
    has(1, "CONNEG_GZIP_GOOD");
}

async fn check(asked: serde_json::Value) -> Vec<Checked> {
    let mut command = python::command("python", &python::applications());
    command.arg("redbot_notes.py").arg(asked.to_string());
    let told = move || {
        let mut process = Process::start(command);
        let lines = asked.as_array().unwrap().iter();
        let lines = lines.map(|_| process.wait_for("{\"url\""));
        lines
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    };
    tokio::task::spawn_blocking(told).await.unwrap()
}

fn write(root: &Path) {
    let rules: String = (0..500)
        .map(|n| format!(".of-{n} {{ order: {n} }}\n"))
        .collect();
    // Longer than the part that REDbot asks for.
    let page = "<!doctype html><title>Page</title><p>Hello!".to_owned() + &" Hello!".repeat(50);
    let drawing = "<svg xmlns='http://www.w3.org/2000/svg'><!--".to_owned() + &rules + "--></svg>";
    let script = "export default 1\n".repeat(10);
    let data = format!("{{ \"rules\": {rules:?} }}");
    let text: &[(&str, &str)] = &[
        ("plain.css", &rules),
        ("coded.css", &rules),
        ("index.html", &page),
        ("directory/index.html", &page),
        ("drawing.svg", &drawing),
        ("script.js", &script),
        ("data.json", &data),
        ("empty.txt", ""),
        ("time-0.txt", &rules),
    ];
    let write = |name: &str, content: &[u8]| files::write(&root.join(name), content);
    for (name, content) in text {
        write(name, content.as_bytes());
    }
    write("coded.css.gz", &files::gzip(&rules));
    let picture = [b"\x89PNG\r\n\x1a\n", rules.as_bytes()].concat();
    write("picture.png", &picture);
    write("big.bin", &files::noise(2_000_000));
    let time_0 = fs::File::options()
        .write(true)
        .open(root.join("time-0.txt"));
    time_0
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
}
