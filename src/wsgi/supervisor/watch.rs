//! Files that make a reload when they change.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use super::super::process;

/// How long it takes until a change is seen, at most.
const INTERVAL: Duration = Duration::from_millis(500);
/// So many files are watched, and so many directories entered, at most.
const MOST: usize = 10_000;

/// What is to be watched: what was said, or where modules come from.
pub(super) fn paths(said: &[PathBuf], directory: &Path, path: &[PathBuf]) -> Vec<PathBuf> {
    match said {
        [] => [directory.to_owned()]
            .into_iter()
            .chain(path.iter().cloned())
            .collect(),
        said => said.to_vec(),
    }
}

/// Tells of each change, until it is dropped.
pub(super) async fn watch(paths: Vec<PathBuf>, changes: mpsc::Sender<&'static str>) {
    let mut paths = paths;
    let mut seen: Option<Seen> = None;
    let mut has_warned = false;
    loop {
        let looked = spawn_blocking(move || {
            let seen = look(&paths);
            (paths, seen)
        });
        let Ok((same, now)) = looked.await else {
            return;
        };
        paths = same;
        if seen.is_none() {
            now.tell_what_is_missing();
        }
        if now.is_cut && !has_warned {
            has_warned = true;
            tracing::warn!(
                most = MOST,
                "there are more files than are watched for changes"
            );
        }
        if let Some(before) = &seen
            && let Some(path) = before.difference(&now)
        {
            tracing::info!(path = %path.display(), "a file has changed");
            changes.try_send("a changed file").ok();
        }
        seen = Some(now);
        sleep(INTERVAL).await;
    }
}

/// The files that there are.
#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<PathBuf, (Option<SystemTime>, u64)>,
    /// Whether there are more.
    is_cut: bool,
    /// What was said and cannot be looked at.
    missing: Vec<(PathBuf, io::Error)>,
}

impl Seen {
    /// A file that is new, gone, or another.
    fn difference<'a>(&'a self, other: &'a Self) -> Option<&'a Path> {
        let differs = |a: &'a Self, b: &'a Self| {
            let mut files = a.files.iter();
            files.find(|(path, stamp)| b.files.get(*path) != Some(*stamp))
        };
        let found = differs(other, self).or_else(|| differs(self, other));
        found.map(|(path, _)| &**path)
    }

    /// It may come, and it may be a slip of the pen.
    fn tell_what_is_missing(&self) {
        for (path, error) in &self.missing {
            let path = process::absolute(path).unwrap_or_else(|_| path.clone());
            let path = path.display();
            tracing::warn!(%path, %error, "what is to be watched for changes is not there yet");
        }
    }

    fn add(&mut self, path: PathBuf, metadata: &Metadata) {
        if self.files.len() >= MOST {
            self.is_cut = true;
            return;
        }
        let stamp = (metadata.modified().ok(), metadata.len());
        self.files.insert(path, stamp);
    }
}

fn look(paths: &[PathBuf]) -> Seen {
    let mut seen = Seen::default();
    let mut directories = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => directories.push(path.clone()),
            Ok(metadata) => seen.add(path.clone(), &metadata),
            Err(error) => seen.missing.push((path.clone(), error)),
        }
    }
    let mut entered = 0;
    while let Some(directory) = directories.pop() {
        entered += 1;
        if entered > MOST {
            seen.is_cut = true;
            break;
        }
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            // Not what a link points to: that may be anywhere, or above.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                if !is_left_out(&path) {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "py")
                && let Ok(metadata) = fs::metadata(&path)
            {
                seen.add(path, &metadata);
            }
        }
    }
    seen
}

/// Whether what is in a directory is not the application's own.
fn is_left_out(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.')
        || name == "__pycache__"
        || name == "node_modules"
        || directory.join("pyvenv.cfg").exists()
}

#[cfg(test)]
mod tests;
