//! Real applications.

mod django;
mod flask;
mod git;
mod httpbin;
mod webdav;

use super::application::{Application, WAYS};
use crate::support::raw;

/// That nothing is complained of in the stories means something.
#[tokio::test(flavor = "multi_thread")]
async fn what_wsgiref_complains_of_is_heard() {
    let notes = tempfile::tempdir().unwrap();
    let application = Application::new("pep3333:application").env("PEP3333_NOTES", notes.path());
    let validated = WAYS.into_iter().find(|way| way.is_ours() && way.validated);
    let running = validated.unwrap().start(&application).await;
    assert_eq!(raw::get(running.addr, "/plain").await.status, 200);
    running.is_valid();
    assert_eq!(raw::get(running.addr, "/bytes").await.status, 500);
    let complaints = running.complaints();
    assert!(complaints.contains("AssertionError"), "{complaints:?}");
}
