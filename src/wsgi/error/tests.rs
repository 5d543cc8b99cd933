#![allow(clippy::unwrap_used)]

use std::error::Error;

use super::*;

#[test]
fn a_traceback_is_below_the_sentence() {
    let traceback = "Traceback …\nNameError: name 'x' is not defined\n".to_owned();
    let error = SpawnError::application("app:application", traceback, vec!["noise".into()]);
    assert_eq!(
        error.to_string(),
        "the application \"app:application\" could not be loaded:\n\
         Traceback …\nNameError: name 'x' is not defined"
    );
    assert_eq!(error.kind(), SpawnErrorKind::Application);
    assert_eq!(error.output(), ["noise"]);
}

#[test]
fn the_last_lines_are_below_the_sentence() {
    let lines = vec!["one".to_owned(), "  two".to_owned()];
    let error = SpawnError::exited("app", "was ended by SIGKILL", lines);
    assert_eq!(
        error.to_string(),
        "a worker for the application \"app\" was ended by SIGKILL while it was booting; \
         the last it wrote was:\none\n  two"
    );
}

#[test]
fn the_cause_is_told_once() {
    let error = SpawnError::interpreter(Path::new("/no/python"), io::Error::other("gone"));
    assert_eq!(
        error.to_string(),
        "the Python interpreter /no/python could not be started"
    );
    assert_eq!(error.source().unwrap().to_string(), "gone");
    assert_eq!(
        format!("{error:?}"),
        "the Python interpreter /no/python could not be started: gone"
    );
}
