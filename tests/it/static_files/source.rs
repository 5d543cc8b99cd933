//! A source that tells what it was asked, and does what a test wants.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use crate::support::raw::PATIENCE;
use tower_gateway::static_files::{Found, Source, SourceFile, StaticFiles, Wait};

/// Clones are the same source.
#[derive(Clone, Debug, Default)]
pub struct Scripted(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    files: Mutex<HashMap<String, (String, SystemTime)>>,
    /// Asked in a way that must not wait, and in one that may.
    asked: [AtomicUsize; 2],
    slow: AtomicBool,
    hangs: Mutex<Option<String>>,
    go_on: Condvar,
    fails: AtomicBool,
    panics: AtomicBool,
}

impl Scripted {
    pub fn of(files: &[(&str, &str)]) -> Self {
        let source = Self::default();
        for (name, content) in files {
            source.put(name, content);
        }
        source
    }

    pub fn files(&self) -> StaticFiles {
        StaticFiles::from_source(self.clone())
    }

    pub fn put(&self, name: &str, content: &str) {
        // So long ago that its tag is settled.
        let modified = SystemTime::now() - Duration::from_secs(3600);
        let file = (content.to_owned(), modified);
        self.0.files.lock().unwrap().insert(name.to_owned(), file);
    }

    pub fn remove(&self, name: &str) {
        self.0.files.lock().unwrap().remove(name);
    }

    /// How often it was asked in a way that must not wait, and in one that may.
    pub fn asked(&self) -> (usize, usize) {
        let [never, blocking] = &self.0.asked;
        (never.load(SeqCst), blocking.load(SeqCst))
    }

    /// Until somebody may wait for an answer, for so many in all.
    pub async fn until_asked(&self, blocking: usize) {
        while self.asked().1 < blocking {
            tokio::task::yield_now().await;
        }
    }

    /// Whether everything has to wait.
    pub fn slow(&self, slow: bool) {
        self.0.slow.store(slow, SeqCst);
    }

    /// Has all who may wait for this name wait until [`release`](Self::release).
    pub fn hang(&self, name: &str) {
        *self.0.hangs.lock().unwrap() = Some(name.to_owned());
    }

    pub fn release(&self) {
        *self.0.hangs.lock().unwrap() = None;
        self.0.go_on.notify_all();
    }

    pub fn fail(&self, fails: bool) {
        self.0.fails.store(fails, SeqCst);
    }

    pub fn panic(&self, panics: bool) {
        self.0.panics.store(panics, SeqCst);
    }
}

impl Source for Scripted {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        let name = name.to_str().unwrap();
        match wait {
            Wait::Never => {
                self.0.asked[0].fetch_add(1, SeqCst);
                if self.0.slow.load(SeqCst) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
            Wait::Blocking => {
                self.0.asked[1].fetch_add(1, SeqCst);
                let mut hangs = self.0.hangs.lock().unwrap();
                while hangs.as_deref() == Some(name) {
                    // A test that fails must end, too.
                    let (guard, waited) = self.0.go_on.wait_timeout(hangs, PATIENCE).unwrap();
                    hangs = guard;
                    if waited.timed_out() {
                        break;
                    }
                }
            }
        }
        assert!(!self.0.panics.load(SeqCst), "as the test wants");
        if self.0.fails.load(SeqCst) {
            return Err(io::Error::other("as the test wants"));
        }
        let files = self.0.files.lock().unwrap();
        let below = format!("{name}/");
        let is_directory = |file: &String| name.is_empty() || file.starts_with(&below);
        Ok(match files.get(name) {
            Some((content, modified)) => {
                Found::File(SourceFile::from_bytes(content.clone()).modified(*modified))
            }
            None if files.keys().any(is_directory) => Found::Directory,
            None => Found::Nothing,
        })
    }
}
