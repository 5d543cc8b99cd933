//! What a reader relies on, and no compiler checks: who may know whom, how long a file is, and
//! words that mean unfinished.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Which rooms of the crate a room may use. Layers meet only in a user's stack.
const ARROWS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("semantics", &["semantics"]),
    ("body", &["body", "error", "semantics"]),
    ("call", &[]),
    (
        "static_files",
        &["static_files", "body", "error", "semantics"],
    ),
    (
        "path_dispatch",
        &["path_dispatch", "body", "call", "error", "semantics"],
    ),
    (
        "gateway_proxy",
        &["gateway_proxy", "body", "error", "semantics"],
    ),
    (
        "spool_requests",
        &["spool_requests", "body", "error", "semantics"],
    ),
    (
        "concurrency_limit",
        &["concurrency_limit", "body", "call", "error", "semantics"],
    ),
    ("serve", &["serve", "body", "error", "semantics"]),
    ("wsgi", &["wsgi", "body", "error", "semantics"]),
];

/// What `lib.rs` calls by a shorter name, and the room in which it is.
const RE_EXPORTS: &[(&str, &str)] = &[
    ("Body", "body"),
    ("BoxError", "error"),
    ("Error", "error"),
    ("ErrorKind", "error"),
    ("Fault", "error"),
    ("ClientAddr", "semantics"),
    ("MountPoint", "semantics"),
    ("PathPolicy", "semantics"),
    ("PeerAddr", "semantics"),
    ("SpoolRequests", "spool_requests"),
    ("StaticFiles", "static_files"),
    ("PathDispatch", "path_dispatch"),
    ("GatewayProxy", "gateway_proxy"),
    ("ConcurrencyLimit", "concurrency_limit"),
];

#[test]
fn rooms_know_only_whom_they_may_know() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let room = room_of(&file);
        if room == "lib" {
            continue;
        }
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{room} is a room that this test does not know"));
        for used in used_rooms(&code(&file)) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn semantics_is_pure() {
    for file in rust_files("src/semantics") {
        let code = code(&file);
        for impure in [
            "async ",
            "tokio::",
            "tower",
            "std::fs",
            "std::io",
            "SystemTime::now",
        ] {
            assert!(!code.contains(impure), "{} has {impure:?}", file.display());
        }
    }
}

#[test]
fn only_the_room_that_opens_files_touches_the_disk() {
    for file in rust_files("src/static_files") {
        if file.file_name().is_some_and(|name| name == "open.rs")
            || file.components().any(|part| part.as_os_str() == "open")
        {
            continue;
        }
        let code = code(&file);
        for touch in ["fs::", "File::open", "rustix::"] {
            // What the disk said may be passed on; asking it is for `open`.
            let asks = code.lines().any(|line| {
                let names = ["use ", "fs::File,", "fs::{File, Metadata}"];
                line.contains(touch)
                    && !names.iter().any(|name| line.trim_start().starts_with(name))
            });
            assert!(!asks, "{} has {touch:?}", file.display());
        }
    }
}

#[test]
fn a_file_is_not_a_book() {
    for file in rust_files("src") {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(
            lines <= 450 || file.ends_with("tests.rs"),
            "{} has {lines} lines: it wants to be two",
            file.display()
        );
    }
}

#[test]
fn nothing_is_left_for_later() {
    for folder in ["src", "examples", "tests", "benches"] {
        for file in rust_files(folder) {
            if file.ends_with("tests/it/tidy.rs") {
                continue;
            }
            let code = code(&file);
            for word in [
                "todo!",
                "unimplemented!",
                "dbg!",
                "#[ignore",
                "FIXME",
                "XXX",
            ] {
                assert!(!code.contains(word), "{} has {word:?}", file.display());
            }
        }
    }
}

#[test]
fn no_panic_hides_in_the_library() {
    for file in rust_files("src") {
        let is_test = |part: std::path::Component<'_>| {
            part.as_os_str() == "tests" || part.as_os_str() == "tests.rs"
        };
        if file.components().any(is_test) {
            continue;
        }
        for (line, text) in code(&file).lines().enumerate() {
            for word in [".unwrap()", "panic!(", "unreachable!("] {
                // Configuration that cannot be meant is refused where it is written.
                if word == "panic!(" && is_configuration(&file) {
                    continue;
                }
                assert!(
                    !text.contains(word),
                    "{}:{} has {word:?}",
                    file.display(),
                    line + 1
                );
            }
        }
    }
}

/// Whether a file is what a user says, before the first request.
fn is_configuration(file: &Path) -> bool {
    file.ends_with("layer.rs")
        || file
            .parent()
            .is_some_and(|folder| folder.ends_with("layer"))
        || ["static_files/cache_control.rs", "static_files/rules.rs"]
            .iter()
            .any(|name| file.ends_with(name))
}

#[test]
fn no_test_sleeps_for_luck() {
    for file in rust_files("tests") {
        let text = fs::read_to_string(&file).unwrap();
        if file.ends_with("tests/it/tidy.rs") {
            continue;
        }
        assert!(!text.contains("thread::sleep"), "{} sleeps", file.display());
        let paused = text.contains("start_paused = true") || text.contains("time::pause()");
        let sleeps = text.contains("time::sleep(") || text.contains(" sleep(");
        assert!(
            paused || !sleeps,
            "{} sleeps, and does not pause the clock",
            file.display()
        );
    }
}

/// The rooms that `crate::` paths in `code` name.
fn used_rooms(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + path.len()..];
        for name in first_names(rest) {
            let room = RE_EXPORTS.iter().find(|(short, _)| *short == name);
            used.insert(room.map_or(name, |(_, room)| (*room).to_owned()));
        }
    }
    used
}

/// The first names of a path or of a braced group of paths.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn this_test_reads_paths_as_the_compiler_does() {
    let code = "use crate::{\n    Body, body::{answer, file::X},\n    semantics::path,\n};\n\
                fn f() { crate::error::g(); $crate::h(); my_crate::i() }";
    let used: Vec<_> = used_rooms(code).into_iter().collect();
    assert_eq!(used, ["body", "error", "semantics"]);
}

/// The text of a file without its comments (which may name anything).
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .map(|line| match line.trim_start().starts_with("//") {
            true => "",
            false => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}

fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix(Path::new(ROOT).join("src")).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
