//! What is said of a file besides what it is: caching, and what a browser may do with it.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, header};

use super::{
    find::{Located, find_fixed},
    layer::{Config, PUBLIC},
    manifest::{MAX_LENGTH, Manifest},
    rules::{File, Rules},
    source::{Identity, SourceFile, Wait},
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
        if self.nosniff {
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

#[derive(Debug)]
struct State {
    since: Instant,
    /// Of the file it was read from.
    identity: Option<Identity>,
    manifest: Option<Arc<Manifest>>,
}

/// For how long a manifest is taken for what it was.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// As much is read and understood on a thread of the runtime.
const READ_AT_ONCE: u64 = 32 << 10;

impl Remembered {
    /// What the build says, if it was asked for and there is something to read.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if it is not to wait; else the source's.
    pub(super) fn get(&self, config: &Config, wait: Wait) -> io::Result<Option<Arc<Manifest>>> {
        let Some(name) = &config.policy.manifest else {
            return Ok(None);
        };
        let now = Instant::now();
        let known = match &*self.lock() {
            Some(state) if now.saturating_duration_since(state.since) < KNOWN_FOR => {
                return Ok(state.manifest.clone());
            }
            Some(state) => state
                .identity
                .map(|identity| (identity, state.manifest.clone())),
            None => None,
        };
        let found = find_fixed(config, PUBLIC, name.clone(), wait)?;
        let identity = found.as_ref().and_then(|located| located.file.identity);
        let manifest = match (known, found) {
            (Some((known, manifest)), Some(_)) if Some(known) == identity => manifest,
            (_, Some(located)) => read(config, &located.file, wait)?.map(Arc::new),
            // Between two deploys there may be none; a long absence is seen in what is sent.
            (_, None) => None,
        };
        *self.lock() = Some(State {
            since: now,
            identity,
            manifest: manifest.clone(),
        });
        Ok(manifest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<State>> {
        // Every state is whole, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(config: &Config, file: &SourceFile, wait: Wait) -> io::Result<Option<Manifest>> {
    if wait == Wait::Never && file.length > READ_AT_ONCE {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let name = config.policy.manifest.as_deref().unwrap_or("".as_ref());
    let length = usize::try_from(file.length).unwrap_or(usize::MAX);
    let read = match length <= MAX_LENGTH {
        true => {
            let text = file.content.read(0, length, wait)?;
            Manifest::read(name, &config.at, &text).map_err(|error| error.to_string())
        }
        false => Err(format!("it is longer than {MAX_LENGTH} bytes")),
    };
    match read {
        Ok(manifest) => {
            let files = manifest.len();
            tracing::debug!(manifest = %name.display(), files, "read which names have a hash");
            Ok(Some(manifest))
        }
        Err(error) => {
            tracing::warn!(manifest = %name.display(), %error, "no manifest of names with a hash");
            Ok(None)
        }
    }
}
