//! What a process writes to its standard output and standard error, line by line to the log.
//!
//! Both at `info`: Python's logging writes everything to standard error, the harmless most of all.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// A longer line is cut into several.
const LINE: usize = 8 << 10;
/// So many lines are kept, to be told if it fails.
const KEPT: usize = 40;

/// The last lines that a process wrote.
#[derive(Debug, Default)]
pub(in crate::wsgi) struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    /// The lines, the oldest first.
    pub(in crate::wsgi) fn lines(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn push(&self, line: &str) {
        let mut lines = self.lock();
        let mut oldest = match lines.len() < KEPT {
            true => String::new(),
            false => lines.pop_front().unwrap_or_default(),
        };
        oldest.clear();
        oldest.push_str(line);
        lines.push_back(oldest);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        // Lines are whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) worker: u32,
    pub(super) pid: u32,
    pub(super) stream: &'static str,
}

/// Reads until the end: until nobody has the stream open any more.
pub(super) async fn follow(
    mut stream: impl AsyncRead + Unpin,
    source: Source,
    tail: std::sync::Arc<Tail>,
) {
    let mut lines = Lines::default();
    let say = |line: &str| {
        tail.push(line);
        let Source {
            worker,
            pid,
            stream,
        } = source;
        tracing::info!(target: "tower_gateway::wsgi::worker", worker, pid, stream, "{line}");
    };
    loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(read) => lines.push(&piece[..read], say),
        }
    }
    lines.end(say);
}

/// Bytes that become lines.
#[derive(Debug, Default)]
struct Lines {
    /// What has come of the line that is not over.
    begun: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8], mut say: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.append(&bytes[..end], &mut say);
            let line = mem::take(&mut self.begun);
            say(&text(line.strip_suffix(b"\r").unwrap_or(&line)));
            bytes = &bytes[end + 1..];
        }
        self.append(bytes, &mut say);
    }

    fn end(&mut self, mut say: impl FnMut(&str)) {
        if !self.begun.is_empty() {
            say(&text(&mem::take(&mut self.begun)));
        }
    }

    fn append(&mut self, bytes: &[u8], say: &mut impl FnMut(&str)) {
        self.begun.extend(bytes);
        while self.begun.len() > LINE {
            let rest = self.begun.split_off(boundary(&self.begun, LINE));
            say(&text(&mem::replace(&mut self.begun, rest)));
        }
    }
}

/// Where to cut, at most at `most`, so that no character is.
fn boundary(bytes: &[u8], most: usize) -> usize {
    // A character of UTF-8 has at most four bytes, of which all but the first look like 10xxxxxx.
    let is_first = |at: &usize| bytes[*at] & 0xc0 != 0x80;
    (most - 3..=most).rev().find(is_first).unwrap_or(most)
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests;
