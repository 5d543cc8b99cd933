//! The task that reads an answer while its client does not.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
};

use tokio::time::sleep;

use super::{Answer, Driver, LOOK, PACE, Shared, Step, lock};

/// Runs until the upstream's body is over. Dropped before that, it leaves an error where the body
/// ends.
pub(super) async fn run<B: Answer>(shared: Arc<Mutex<Shared<B>>>) {
    let shared = Reading(shared);
    while shared.watch().await.is_some() && shared.read().await.is_some() {}
}

struct Reading<B: Answer>(Arc<Mutex<Shared<B>>>);

impl<B: Answer> Reading<B> {
    /// ## Client => Task, when the client is the slower one. `None` if it is over.
    async fn watch(&self) -> Option<()> {
        loop {
            let before = self.until_served().await?;
            sleep(LOOK).await;
            let mut shared = lock(&self.0);
            if !shared.has_waited && shared.taken - before < PACE {
                shared.driver = Driver::Task;
                return Some(());
            }
        }
    }

    /// Waits while the client waits for the upstream; how much it has taken by then.
    async fn until_served(&self) -> Option<u64> {
        poll_fn(|cx| {
            let mut shared = lock(&self.0);
            if shared.source.inner.is_none() {
                return Poll::Ready(None);
            }
            if shared.is_waiting {
                shared.task = Some(cx.waker().clone());
                return Poll::Pending;
            }
            shared.has_waited = false;
            Poll::Ready(Some(shared.taken))
        })
        .await
    }

    /// Reads until the client has caught up. `None` if it is over.
    async fn read(&self) -> Option<()> {
        loop {
            match poll_fn(|cx| lock(&self.0).poll_task(cx)).await {
                Step::HandedBack => return Some(()),
                Step::Over => return None,
                Step::Write(write) => {
                    let written = write.run().await;
                    lock(&self.0).written(written);
                }
            }
        }
    }
}

impl<B: Answer> Drop for Reading<B> {
    fn drop(&mut self) {
        lock(&self.0).break_off();
    }
}
