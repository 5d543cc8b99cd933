//! What builds write: Django's `collectstatic` with hashed names, and a build of Vite's; each with
//! a manifest that says which names will never stand for another content.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::json;
use tower_gateway::StaticFiles;

use super::files::{Files, write};
use crate::support::{
    process::Process,
    python,
    raw::{self, Answer},
};

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What `ManifestStaticFilesStorage` writes.
#[derive(Deserialize)]
struct Manifest {
    /// The name in templates, and the name with the hash.
    paths: BTreeMap<String, String>,
}

/// Whether an answer has the policy of a name that never changes, or that of one that does.
fn stays(answer: &Answer, expected: bool) {
    let policy = answer.header("cache-control");
    match expected {
        true => assert_eq!(policy, Some(FOR_EVER)),
        false => assert!(
            !policy.unwrap_or_default().contains("immutable"),
            "{answer:?}"
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn django_s_hashed_names_stay_and_the_others_do_not() {
    let (directory, root) = tokio::task::spawn_blocking(collect).await.unwrap();
    let manifest = fs::read(root.join("staticfiles.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    assert!(manifest.paths.len() > 50, "{} names", manifest.paths.len());
    let files = Files::serve(
        StaticFiles::new(&root)
            .at("/static")
            .immutable_in("staticfiles.json"),
    )
    .await;
    let get = async |name: &str| raw::get(files.addr, &format!("/static/{name}")).await;

    for (plain, hashed) in &manifest.paths {
        assert_ne!(plain, hashed);
        for (name, never_changes) in [(plain, false), (hashed, true)] {
            let answer = get(name).await;
            assert_eq!(answer.status, 200, "{name}");
            assert!(answer.body == fs::read(root.join(name)).unwrap(), "{name}");
            stays(&answer, never_changes);
        }
    }
    stays(&get("staticfiles.json").await, false);

    // The style sheets name each other, and pictures, by what stays.
    let base = get(&manifest.paths["admin/css/base.css"]).await.text();
    let named: Vec<_> = urls(&base).collect();
    assert!(named.len() > 3, "{named:?}");
    for name in named {
        let answer = get(&resolve("admin/css", name)).await;
        assert_eq!(answer.status, 200, "{name}");
        stays(&answer, true);
    }

    // A hash that no file has is a miss, and the miss is not for ever.
    let wrong = manifest.paths["style.css"].replace("style.", "style.0");
    let answer = get(&wrong).await;
    assert_eq!(answer.status, 404);
    stays(&answer, false);
    drop(directory);
}

/// The places that a style sheet names by `url(…)`.
fn urls(sheet: &str) -> impl Iterator<Item = &str> {
    sheet.split("url(").skip(1).filter_map(|rest| {
        let (place, _) = rest.split_once(')')?;
        let place = place.trim_matches(['"', '\'']);
        (!place.starts_with("data:")).then_some(place)
    })
}

/// The name of what is `place`, seen from a directory.
fn resolve(directory: &str, place: &str) -> String {
    let mut segments: Vec<_> = directory.split('/').collect();
    for segment in place.split('/') {
        match segment {
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    segments.join("/")
}

/// `examples/mysite` as it is deployed with hashed names: `collectstatic`, into a directory that
/// lasts as long as the first of what is given.
fn collect() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("static");
    let settings = "from config.settings import *\n\
        STORAGES = {\n\
        \x20   'default': {'BACKEND': 'django.core.files.storage.FileSystemStorage'},\n\
        \x20   'staticfiles': {\n\
        \x20       'BACKEND': 'django.contrib.staticfiles.storage.ManifestStaticFilesStorage',\n\
        \x20   },\n\
        }\n";
    fs::write(directory.path().join("hashed_settings.py"), settings).unwrap();
    let mut command = python::command("python", &python::mysite());
    command
        .args(["manage.py", "collectstatic", "--noinput", "-v", "0"])
        .args(["--settings", "hashed_settings"])
        .env("PYTHONPATH", directory.path())
        .env("MYSITE_STATIC_ROOT", &root)
        .env("MYSITE_DATABASE", directory.path().join("db.sqlite3"));
    let mut process = Process::start(command);
    assert_eq!(process.wait(), Some(0), "{}", process.log());
    (directory, root)
}

#[tokio::test(flavor = "multi_thread")]
async fn vite_s_hashed_names_stay_and_the_page_does_not() {
    let root = tempfile::tempdir().unwrap();
    build(root.path());
    let files = StaticFiles::new(root.path()).immutable_in(".vite/manifest.json");
    let files = Files::serve(files).await;
    for (path, never_changes) in [
        ("/assets/index-BRBmoGS9.js", true),
        ("/assets/index-5UjPuW-k.css", true),
        ("/assets/shared-ChJ_j-JJ.js", true),
        ("/assets/logo-BuPIHtcm.svg", true),
        ("/", false),
        ("/index.html", false),
        // Copied from `public`: of no hash, and in no manifest.
        ("/favicon.ico", false),
        ("/assets/copied-as-it-is.js", false),
    ] {
        let answer = raw::get(files.addr, path).await;
        assert_eq!(answer.status, 200, "{path}");
        stays(&answer, never_changes);
    }
    // The manifest is for the server to read.
    let manifest = raw::get(files.addr, "/.vite/manifest.json").await;
    assert_eq!(manifest.status, 404);
    let old = raw::get(files.addr, "/assets/index-OLDoldOL.js").await;
    assert_eq!(old.status, 404);
    stays(&old, false);
}

/// What `vite build` leaves, with `build.manifest` on.
fn build(root: &Path) {
    let manifest = json!({
        "_shared-ChJ_j-JJ.js": {
            "file": "assets/shared-ChJ_j-JJ.js",
            "name": "shared",
        },
        "index.html": {
            "file": "assets/index-BRBmoGS9.js",
            "name": "index",
            "src": "index.html",
            "isEntry": true,
            "imports": ["_shared-ChJ_j-JJ.js"],
            "css": ["assets/index-5UjPuW-k.css"],
            "assets": ["assets/logo-BuPIHtcm.svg"],
        },
        "src/logo.svg": {
            "file": "assets/logo-BuPIHtcm.svg",
            "src": "src/logo.svg",
        },
    });
    let manifest = serde_json::to_string_pretty(&manifest).unwrap();
    for (name, content) in [
        (".vite/manifest.json", &manifest[..]),
        (
            "index.html",
            "<!doctype html><script type=module src=/assets/index-BRBmoGS9.js></script>",
        ),
        ("assets/index-BRBmoGS9.js", "import './shared-ChJ_j-JJ.js'"),
        ("assets/shared-ChJ_j-JJ.js", "export {}"),
        ("assets/index-5UjPuW-k.css", "body { color: teal }"),
        (
            "assets/logo-BuPIHtcm.svg",
            "<svg xmlns='http://www.w3.org/2000/svg'/>",
        ),
        ("assets/copied-as-it-is.js", "export {}"),
        ("favicon.ico", "icon"),
    ] {
        write(&root.join(name), content.as_bytes());
    }
}
