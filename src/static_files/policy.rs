//! What is said of a file besides what it is: caching, and what a browser may do with it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderValue, header};

use super::{
    codings::Key,
    find::{Located, find_fixed},
    layer::{Config, PUBLIC},
    manifest::{MAX_LENGTH, Manifest, ManifestError},
    rules::{File, Rules},
    source::{SourceFile, Wait},
};

/// What one can say about that.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) rules: Rules,
    /// Where a build says which files have a hash in their names.
    pub(super) manifest: Option<PathBuf>,
    pub(super) nosniff: bool,
    pub(super) untrusted: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            manifest: None,
            nosniff: true,
            untrusted: false,
        }
    }
}

impl Policy {
    /// Adds what is to be said of a file to the fields of a 200.
    pub(super) fn apply(
        &self,
        located: &Located<'_>,
        media_type: &str,
        manifest: Option<&Manifest>,
        headers: &mut HeaderMap,
    ) {
        if self.nosniff || self.untrusted {
            let nosniff = HeaderValue::from_static("nosniff");
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        }
        // What the service inside hands out is none of a rule's: it may be for one person only.
        if located.shelf != PUBLIC {
            return;
        }
        if self.untrusted {
            let attachment = HeaderValue::from_static("attachment");
            headers.insert(header::CONTENT_DISPOSITION, attachment);
            // Where it is shown all the same: no script, no form, and an origin of its own.
            let sandbox = HeaderValue::from_static("default-src 'none'; sandbox");
            headers.insert(header::CONTENT_SECURITY_POLICY, sandbox);
        }
        let file = File {
            name: &located.name,
            media_type,
            manifest,
        };
        self.rules.apply(&file, headers);
    }
}

/// The manifest, as it was a moment ago.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    state: Mutex<Option<State>>,
}

#[derive(Clone, Debug)]
struct State {
    since: Instant,
    read_from: ReadFrom,
    manifest: Option<Arc<Manifest>>,
}

/// The file that a manifest was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ReadFrom {
    Nothing,
    This(Key),
    /// Nothing tells it from the next.
    Unknown,
}

/// For how long a manifest is taken for what it was.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// As much is read and understood on a thread of the runtime.
const READ_AT_ONCE: u64 = 32 << 10;

impl Remembered {
    /// What the build says, if it was asked for and there is something to read. That there is not
    /// is an event, and no failure of the files.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if it is not to wait.
    pub(super) fn get(&self, config: &Config, wait: Wait) -> io::Result<Option<Arc<Manifest>>> {
        let Some(name) = &config.policy.manifest else {
            return Ok(None);
        };
        let now = Instant::now();
        let known = match &*self.lock() {
            Some(state) if now.saturating_duration_since(state.since) < KNOWN_FOR => {
                return Ok(state.manifest.clone());
            }
            known => known.clone(),
        };
        let (read_from, manifest) = match look(config, name, known.as_ref(), wait) {
            Ok(looked) => looked,
            Err(error) if wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock => {
                return Err(error);
            }
            Err(error) => {
                complain(name, &error);
                // It may be read the next time, and is most likely what it was.
                (ReadFrom::Unknown, known.and_then(|known| known.manifest))
            }
        };
        *self.lock() = Some(State {
            since: now,
            read_from,
            manifest: manifest.clone(),
        });
        Ok(manifest)
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        // Every state is whole, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the manifest, if it is another than the one that is known.
fn look(
    config: &Config,
    name: &Path,
    known: Option<&State>,
    wait: Wait,
) -> io::Result<(ReadFrom, Option<Arc<Manifest>>)> {
    let Some(located) = find_fixed(config, PUBLIC, name.to_owned(), wait)? else {
        if known.is_none_or(|known| known.read_from != ReadFrom::Nothing) {
            complain(name, &"there is no such file");
        }
        return Ok((ReadFrom::Nothing, None));
    };
    let read_from = match Key::of(&located) {
        Some(key) if !located.file.is_young(SystemTime::now()) => ReadFrom::This(key),
        _ => ReadFrom::Unknown,
    };
    match known {
        Some(known) if known.read_from == read_from && read_from != ReadFrom::Unknown => {
            Ok((read_from, known.manifest.clone()))
        }
        _ => {
            let manifest = read(config, name, &located.file, wait)?;
            Ok((read_from, manifest.map(Arc::new)))
        }
    }
}

fn read(
    config: &Config,
    name: &Path,
    file: &SourceFile,
    wait: Wait,
) -> io::Result<Option<Manifest>> {
    if wait == Wait::Never && file.length > READ_AT_ONCE {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let length = usize::try_from(file.length).unwrap_or(usize::MAX);
    let read = match length <= MAX_LENGTH {
        true => {
            let text = file.content.read(0, length, wait)?;
            Manifest::read(name, &config.at, &text)
        }
        false => Err(ManifestError::TooLong(length)),
    };
    match read {
        Ok(manifest) => {
            let files = manifest.len();
            tracing::debug!(manifest = %name.display(), files, "read which names have a hash");
            Ok(Some(manifest))
        }
        Err(error) => {
            complain(name, &error);
            Ok(None)
        }
    }
}

fn complain(name: &Path, why: &dyn fmt::Display) {
    tracing::warn!(manifest = %name.display(), error = %why, "no manifest of names with a hash");
}
