#![allow(clippy::unwrap_used)]

use std::process::Command;

use super::*;

#[test]
fn an_end_is_seen_though_nobody_has_waited_for_it() {
    let mut child = Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let watch = Watch::new(child.id());
    assert!(!watch.has_ended());
    child.wait().unwrap();
    assert!(watch.has_ended());
}
