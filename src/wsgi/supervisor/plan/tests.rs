#![allow(clippy::unwrap_used)]

use super::*;
use crate::wsgi::builder::Builder;

#[test]
fn a_worker_is_told_what_it_reads() {
    let directory = tempfile::tempdir().unwrap();
    let builder = Builder::new("app:create(\"ü\")".to_owned())
        .directory(directory.path())
        .pythonpath("relative")
        .threads(3);
    let environ = [("name".to_owned(), "value".to_owned())];
    let plan = Plan::new(&builder.processes, &environ, Path::new("/socket")).unwrap();
    let config: Value = serde_json::from_str(&plan.launch(7, true).config).unwrap();
    let here = std::env::current_dir().unwrap();
    let expected = serde_json::json!({
        "application": "app:create(\"ü\")",
        "directory": directory.path().to_str().unwrap(),
        "path": [here.join("relative").to_str().unwrap()],
        "socket": "/socket",
        "worker": 7,
        "threads": 3,
        "environ": {"name": "value"},
        "server_software": concat!("tower-gateway/", env!("CARGO_PKG_VERSION")),
        "template": true,
        "switch_interval": null,
        "tether": true,
    });
    assert_eq!(config, expected);
}

#[test]
fn a_file_is_no_directory() {
    let builder = Builder::new("app".to_owned()).directory("Cargo.toml");
    let error = Plan::new(&builder.processes, &[], Path::new("/socket")).unwrap_err();
    assert!(error.to_string().contains("Cargo.toml"), "{error}");
}
