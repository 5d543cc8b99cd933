#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn what_changes_is_seen_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    for folder in [
        "pkg/deep",
        ".git",
        "venv/lib",
        "__pycache__",
        "node_modules",
    ] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("venv/pyvenv.cfg"), "").unwrap();
    fs::write(at("app.py"), "1").unwrap();
    let paths = [directory.path().to_owned(), at("settings.toml")];
    let mut before = look(&paths);
    let mut changed = || {
        let now = look(&paths);
        let changed = before.difference(&now).map(Path::to_owned);
        before = now;
        changed
    };
    assert_eq!(changed(), None);

    for file in ["pkg/deep/new.py", "settings.toml"] {
        fs::write(at(file), "1").unwrap();
        assert_eq!(changed(), Some(at(file)));
    }
    fs::write(at("app.py"), "2 or more").unwrap();
    assert_eq!(changed(), Some(at("app.py")));
    fs::remove_file(at("app.py")).unwrap();
    assert_eq!(changed(), Some(at("app.py")));

    for file in [
        "pkg/data.txt",
        ".git/x.py",
        "venv/lib/x.py",
        "__pycache__/x.py",
        "node_modules/x.py",
    ] {
        fs::write(at(file), "1").unwrap();
        assert_eq!(changed(), None, "{file}");
    }
}

#[test]
fn without_a_word_it_is_where_modules_come_from() {
    let (here, there) = (Path::new("/here"), [PathBuf::from("/there")]);
    assert_eq!(paths(&[], here, &there), [here, &there[0]]);
    let said = [PathBuf::from("settings.toml")];
    assert_eq!(paths(&said, here, &there), said);
}
