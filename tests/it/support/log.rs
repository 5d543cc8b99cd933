//! What was written to the log, for tests of it.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
};

use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

/// Sees to it that what one thread's subscriber wants is not decided by another thread.
///
/// While there is one subscriber in the process, `tracing` asks that of the thread which comes by
/// an event first, whether it wants it: a thread without any says no, for all.
pub fn ask_everybody() {
    static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| {
        let deaf = tracing_subscriber::fmt().with_max_level(LevelFilter::OFF);
        tracing::Dispatch::new(deaf.finish())
    });
}

/// The log of this thread, down to debug, until the guard is dropped.
pub fn capture() -> (Log, tracing::subscriber::DefaultGuard) {
    ask_everybody();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// In how many lines these words are.
    pub fn count(&self, words: &str) -> usize {
        self.text()
            .lines()
            .filter(|line| line.contains(words))
            .count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
