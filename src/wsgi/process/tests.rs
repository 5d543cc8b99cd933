#![allow(clippy::unwrap_used)]

use super::*;
use crate::wsgi::WsgiContainer;

const APP: &str = "import sys\n\
    assert sys.argv == ['tower-gateway'], sys.argv\n\
    def create(secret):\n    \
    return lambda environ, start_response: None\n";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_is_listed_by_what_it_is_and_without_what_its_application_is_made_of() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("app.py"), APP).unwrap();
    for (preload, expected) in [
        (false, "tower-gateway\0worker\x001\0app:create(...)\0"),
        (true, "tower-gateway\0template\0app:create(...)\0"),
    ] {
        let builder = WsgiContainer::new("app:create('swordfish')").directory(directory.path());
        let container = builder.workers(1).preload(preload).spawn().await.unwrap();
        let pid = container.handle().status().workers[0].pid;
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        let (_, arguments) = line.split_once("\0-c\0").unwrap();
        let (text, arguments) = arguments.split_once('\0').unwrap();
        assert_eq!(arguments, expected);
        assert!(text.len() < 40, "{text}");
        container.handle().shutdown().await;
    }
}

#[tokio::test]
async fn a_python_that_is_too_old_says_so() {
    let old = "import sys;sys.version_info=(2,7,18);sys.version='2.7.18 (default)';";
    let mut child = Command::new("python3")
        .args(["-c", &format!("{old}{FIRST}")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It ends before it has read all of it.
    stdin.write_all(&boot("{}")).await.ok();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.trim_end(),
        "tower-gateway needs CPython 3.9 or later; this is Python 2.7.18"
    );
}
