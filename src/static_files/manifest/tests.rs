use super::*;

fn read(location: &str, mount: &str, text: &str) -> Result<Manifest, ManifestError> {
    let mount = mount.parse().expect("a prefix");
    Manifest::read(Path::new(location), &mount, text.as_bytes())
}

#[track_caller]
fn names(location: &str, mount: &str, text: &str) -> Vec<String> {
    let manifest = read(location, mount, text).expect("a manifest");
    let mut names: Vec<String> = manifest.hashed.iter().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(manifest.len(), names.len());
    assert!(names.iter().all(|name| manifest.contains(Path::new(name))));
    names
}

/// As Django 5.2 writes it.
#[test]
fn the_stored_names_of_django_are_hashed() {
    let text = r#"{"paths": {
        "css/base.css": "css/base.27e20196a850.css",
        "docs/a.pdf": "docs/a.d41d8cd98f00.pdf",
        "all-letters.js": "all-letters.abcdefabcdef.js",
        "as-it-is.js": "as-it-is.js",
        "no-text.js": 7,
        "out.js": "../out.27e20196a850.js",
        "out2.js": "a/../../out.27e20196a850.js"
    }, "version": "1.1", "hash": "369a04a1de24"}"#;
    let expected = [
        "all-letters.abcdefabcdef.js",
        "css/base.27e20196a850.css",
        "docs/a.d41d8cd98f00.pdf",
    ];
    assert_eq!(names("staticfiles.json", "/static", text), expected);
    let below = names("build/static/staticfiles.json", "/", text);
    assert_eq!(below, expected.map(|name| format!("build/static/{name}")));
}

/// As Vite 7 writes it.
#[test]
fn what_vite_built_is_hashed() {
    let text = r#"{
      "index.html": {
        "file": "assets/index-BG8BsC3m.js", "name": "index", "src": "index.html", "isEntry": true,
        "dynamicImports": ["src/views.js"],
        "css": ["assets/index-DpprsC9T.css"],
        "assets": ["assets/logo-BphgE7OZ.png", "assets/bg-uG4MM64R.png"]
      },
      "src/bg.png": { "file": "assets/bg-uG4MM64R.png", "src": "src/bg.png" },
      "src/logo.png": { "file": "assets/logo-BphgE7OZ.png", "src": "src/logo.png" },
      "src/views.js": {
        "file": "assets/views-DXtofwWy.js", "name": "views", "src": "src/views.js",
        "isDynamicEntry": true
      },
      "_shared-CPdiUi_T.js": { "file": "assets/shared-CPdiUi_T.js", "name": "shared" }
    }"#;
    let expected = [
        "assets/bg-uG4MM64R.png",
        "assets/index-BG8BsC3m.js",
        "assets/index-DpprsC9T.css",
        "assets/logo-BphgE7OZ.png",
        "assets/shared-CPdiUi_T.js",
        "assets/views-DXtofwWy.js",
    ];
    assert_eq!(names(".vite/manifest.json", "/", text), expected);
    // Vite 4 and before, and Laravel
    assert_eq!(names("manifest.json", "/static", text), expected);
    assert_eq!(
        names("build/.vite/manifest.json", "/", text),
        expected.map(|name| format!("build/{name}"))
    );
}

#[test]
fn vite_may_be_told_to_leave_the_hash_out() {
    let text = r#"{
      "src/main.ts": { "file": "assets/main.js", "name": "main", "src": "src/main.ts",
                       "css": "assets/main.b82dbe22.css",
                       "assets": ["assets/Chapter1.png", "assets/photo-20240131.jpg", "assets/x.png"] },
      "src/app-jQueryUI.ts": { "file": "app-jQueryUI.js", "name": "app-jQueryUI",
                               "src": "src/app-jQueryUI.ts" },
      "_index-Mp3ToWav.js": { "file": "index-Mp3ToWav.js", "name": "index-Mp3ToWav" },
      "img/Chapter1.png": { "file": "assets/Chapter1.png", "src": "img/Chapter1.png" },
      "img/photo-20240131.jpg": { "file": "assets/photo-20240131.jpg",
                                  "src": "img/photo-20240131.jpg" }
    }"#;
    assert_eq!(
        names(".vite/manifest.json", "/", text),
        ["assets/main.b82dbe22.css"]
    );
}

/// As `react-scripts build` writes it.
#[test]
fn the_files_of_create_react_app_are_hashed() {
    let text = r#"{
      "files": {
        "main.css": "/static/css/main.f855e6bc.css",
        "main.js": "/static/js/main.8f3b1c2d.js",
        "static/js/787.28cb0dcd.chunk.js": "/static/js/787.28cb0dcd.chunk.js",
        "static/media/logo.svg": "/static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
        "index.html": "/index.html",
        "main.f855e6bc.css.map": "/static/css/main.f855e6bc.css.map"
      },
      "entrypoints": ["static/css/main.f855e6bc.css", "static/js/main.8f3b1c2d.js"]
    }"#;
    let expected = [
        "static/css/main.f855e6bc.css",
        "static/css/main.f855e6bc.css.map",
        "static/js/787.28cb0dcd.chunk.js",
        "static/js/main.8f3b1c2d.js",
        "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
    ];
    assert_eq!(names("asset-manifest.json", "/", text), expected);
    // `build/static` alone, at the path that the URLs name
    assert_eq!(
        names("asset-manifest.json", "/static", text),
        expected.map(|name| name.strip_prefix("static/").expect("a name"))
    );
    // "homepage": "."
    let relative = text.replace("\"/", "\"./");
    assert_eq!(
        names("build/asset-manifest.json", "/", &relative),
        expected.map(|name| format!("build/{name}"))
    );
}

#[test]
fn a_flat_manifest_is_read_with_care() {
    for (stored, expected) in [
        (
            "mods/alpha.1234567890.js",
            Some("dist/mods/alpha.1234567890.js"),
        ),
        ("alpha.abcdefab.js", None),
        (
            "8f3b1c2d9e8f7a6b5c4d.js",
            Some("dist/8f3b1c2d9e8f7a6b5c4d.js"),
        ),
        ("/static/alpha.8f3b1c2d.js", Some("alpha.8f3b1c2d.js")),
        ("/static/alpha.8f3b1c2d.js?v=1#x", Some("alpha.8f3b1c2d.js")),
        (
            "https://cdn.example/static/alpha.8f3b1c2d.js",
            Some("alpha.8f3b1c2d.js"),
        ),
        (
            "//cdn.example/static/alpha.8f3b1c2d.js",
            Some("alpha.8f3b1c2d.js"),
        ),
        ("https://cdn.example", None),
        ("/statics/alpha.8f3b1c2d.js", None),
        ("/alpha.8f3b1c2d.js", None),
        ("alpha.js?8f3b1c2d", None),
        ("alpha.js", None),
        ("bundle.js", None),
        ("alpha.chunk.js", None),
        ("alpha.polyfill.js", None),
        ("vendors~alpha.chunk.js", None),
        ("", None),
        (".", None),
        ("..", None),
        ("a//b.8f3b1c2d.js", None),
        ("./a.8f3b1c2d.js", Some("dist/a.8f3b1c2d.js")),
        ("../a.8f3b1c2d.js", None),
        ("x/../a.8f3b1c2d.js", None),
        ("a\\b.8f3b1c2d.js", None),
        ("a\u{0}b.8f3b1c2d.js", None),
        ("/static/../a.8f3b1c2d.js", None),
        ("/static", None),
        ("/static/", None),
    ] {
        let text = serde_json::json!({ "mods/alpha.js": stored, "entrypoints": {"main": []} });
        let found = names("dist/manifest.json", "/static", &text.to_string());
        assert_eq!(found, Vec::from_iter(expected), "{stored}");
    }
}

#[test]
fn the_manifest_of_a_web_application_lists_nothing() {
    let text = r##"{"name": "Notes 12345678", "short_name": "Notes", "start_url": "/?v=12345678",
        "display": "standalone", "theme_color": "#aabbcc12", "icons": [{"src": "a.png"}]}"##;
    assert!(names("manifest.json", "/", text).is_empty());
    assert!(names("manifest.json", "/", "{}").is_empty());
}

#[test]
fn what_is_no_manifest_is_refused_with_the_reason() {
    for (text, says) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "none of"),
        ("7", "none of"),
        (r#"{"a.js": ["a.8f3b1c2d.js"]}"#, "none of"),
        (
            r#"{"inputs": {"a.js": {"bytes": 1}}, "outputs": {"a-4XK2D7QF.js": {"bytes": 1}}}"#,
            "none of",
        ),
        (r#"{"paths": {}}"#, "not known: without one"),
        (r#"{"paths": {}, "version": "2.0"}"#, "not known: 2.0"),
        (r#"{"files": {"a": 1}}"#, "none of"),
    ] {
        let error = read("manifest.json", "/", text).expect_err(text);
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    assert!(matches!(
        read("m.json", "/", &deep),
        Err(ManifestError::NotJson(_))
    ));
    let long = format!("{{{}}}", " ".repeat(MAX_LENGTH));
    assert!(matches!(
        read("m.json", "/", &long),
        Err(ManifestError::TooLong(_))
    ));
    for location in ["../m.json", "/etc/m.json", ""] {
        let error = read(location, "/", "{}").expect_err(location);
        assert!(matches!(error, ManifestError::Location), "{location}");
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_unicode_is_in_no_manifest() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let manifest = read("m.json", "/", r#"{"a.js": "a.8f3b1c2d.js"}"#).expect("a manifest");
    assert!(manifest.contains(Path::new("a.8f3b1c2d.js")));
    assert!(!manifest.contains(Path::new("a.js")));
    assert!(!manifest.contains(Path::new(OsStr::from_bytes(b"\xff.8f3b1c2d.js"))));
}

proptest::proptest! {
    /// Names come from a file that others may have written.
    #[test]
    fn no_name_leads_out_of_the_root(
        stored in "(https?://|//|/|[.]/)?([a-z.]{0,3}/){0,3}[a-z./\\\\]{0,6}8f3b1c2d[.]js",
        mount in "(/[a-z]{1,2}){0,2}",
    ) {
        let text = serde_json::json!({ "x.js": stored, "y": {} }).to_string();
        let manifest = read("d/manifest.json", &mount, &text).expect("a manifest");
        for name in &manifest.hashed {
            let mut components = Path::new(&**name).components();
            proptest::prop_assert!(components.all(|part| matches!(part, Component::Normal(_))));
            proptest::prop_assert!(manifest.contains(Path::new(&**name)));
        }
    }
}
