//! Who looks at a path that the disk has to be asked for: one request, while the others wait.
//!
//! Those that wait hold no thread of the blocking pool. A disk that does not answer takes one
//! thread for a path, however many ask for it.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

/// For how long a request waits for another one's look.
const WAITS_UP_TO: Duration = Duration::from_secs(10);

/// The paths that are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    taken: Arc<Mutex<HashMap<String, watch::Receiver<()>>>>,
}

/// What a request may do about a path.
#[derive(Debug)]
pub(super) enum Turn {
    /// Look, and let nobody wait for it.
    Free,
    /// Look; the others wait until this is dropped.
    Mine(#[expect(dead_code, reason = "it is dropped")] Looking),
    /// Wait for the one who looks, and see what came of it.
    Others(Wakeup),
}

impl Turns {
    pub(super) fn take(&self, path: &str) -> Turn {
        let mut taken = self.lock();
        if let Some(looks) = taken.get(path) {
            return Turn::Others(Wakeup::after(looks.clone()));
        }
        let (ends, looks) = watch::channel(());
        taken.insert(path.to_owned(), looks);
        Turn::Mine(Looking {
            path: path.to_owned(),
            turns: self.clone(),
            _ends: ends,
        })
    }

    /// Whether somebody looks at a path now.
    pub(super) fn is_taken(&self, path: &str) -> bool {
        self.lock().contains_key(path)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<()>>> {
        // Every state is whole, whoever panicked.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at a path. Dropped, also by a panic, it wakes all who wait for it.
#[derive(Debug)]
pub(super) struct Looking {
    path: String,
    turns: Turns,
    /// Nothing is sent: those who wait learn of its end.
    _ends: watch::Sender<()>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        // Who comes from now on looks at what was found, or begins anew.
        self.turns.lock().remove(&self.path);
    }
}

/// `true` when the look is over; `false` if that takes too long.
pub(super) struct Wakeup(Pin<Box<dyn Future<Output = bool> + Send + Sync>>);

impl Wakeup {
    fn after(mut looks: watch::Receiver<()>) -> Self {
        Self(Box::pin(async move {
            // It fails when the other side is gone, which is what is waited for.
            timeout(WAITS_UP_TO, looks.changed()).await.is_ok()
        }))
    }
}

impl Future for Wakeup {
    type Output = bool;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeup").finish_non_exhaustive()
    }
}
