//! `tests/python/flask_app.py`. Its story is told of other ways to it, too.

use super::super::application::{Application, WAYS};
use crate::support::stories;

#[tokio::test(flavor = "multi_thread")]
async fn flask_is_told_what_was_asked_and_answers() {
    let application = Application::new("flask_app:app");
    // Gunicorn, asked without anybody between, tells of chunks. See `interop::everywhere`.
    for way in WAYS.into_iter().filter(|way| way.is_ours()) {
        let running = way.start(&application).await;
        stories::flask(running.addr, &running.who).await;
        running.is_valid();
    }
}
