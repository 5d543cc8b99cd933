//! Why an application does not run.

use std::{error, fmt, io, path::Path, sync::Arc, time::Duration};

/// Why a container could not be started, or a new generation of its workers.
///
/// `Display` (and `Debug`, which is what a `main` that returns it prints) is meant to be read by whoever
/// has to mend it: a sentence, and below it the traceback, or the last lines that the worker wrote. Match on
/// [`kind`](Self::kind); the wording is not part of the stable interface. It is cheap to clone.
#[derive(Clone)]
pub struct SpawnError(Arc<Inner>);

struct Inner {
    kind: SpawnErrorKind,
    /// What is wrong, without a full stop.
    sentence: String,
    traceback: Option<String>,
    output: Vec<String>,
    source: Option<io::Error>,
}

/// Why an application does not run, for code to match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// What is to be run is not written as `module:callable`.
    ImportPath,
    /// An option of the [`Builder`](crate::wsgi::Builder) has a value that it cannot have.
    Option,
    /// There is no Python interpreter where one was looked for, or it cannot be started.
    Interpreter,
    /// The application could not be imported, or is not callable: see the
    /// [traceback](SpawnError::traceback).
    Application,
    /// A worker ended while it was booting.
    Exited,
    /// A worker was not ready within the
    /// [startup timeout](crate::wsgi::Builder::startup_timeout).
    Timeout,
    /// The socket for the workers, or the application's directory could not be had, or no worker forked.
    Io,
    /// The container was shut down meanwhile.
    ShutDown,
}

impl SpawnError {
    /// What went wrong, for code to match on.
    #[must_use]
    pub fn kind(&self) -> SpawnErrorKind {
        self.0.kind
    }

    /// The Python traceback, if the application could not be loaded.
    #[must_use]
    pub fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }

    /// The last lines that the worker wrote to its standard output and standard error: at most 40, and
    /// 8 KiB of each.
    #[must_use]
    pub fn output(&self) -> &[String] {
        &self.0.output
    }

    pub(super) fn import_path(application: &str, why: &str) -> Self {
        let sentence = format!("the application {application:?} cannot be meant: {why}");
        Inner::new(SpawnErrorKind::ImportPath, sentence).into()
    }

    /// `said` is shown: nothing that may be a secret.
    pub(super) fn option(option: &str, said: impl fmt::Debug, why: &str) -> Self {
        let sentence = format!("the option `{option}` cannot be meant ({said:?}): {why}");
        Inner::new(SpawnErrorKind::Option, sentence).into()
    }

    pub(super) fn interpreter(python: &Path, source: io::Error) -> Self {
        let sentence = format!(
            "the Python interpreter {} could not be started",
            python.display()
        );
        Inner {
            source: Some(source),
            ..Inner::new(SpawnErrorKind::Interpreter, sentence)
        }
        .into()
    }

    pub(super) fn application(application: &str, traceback: String, output: Vec<String>) -> Self {
        let sentence = format!("the application {application:?} could not be loaded");
        Inner {
            traceback: Some(traceback),
            output,
            ..Inner::new(SpawnErrorKind::Application, sentence)
        }
        .into()
    }

    pub(super) fn exited(application: &str, how: &str, output: Vec<String>) -> Self {
        let sentence =
            format!("a worker for the application {application:?} {how} while it was booting");
        Inner {
            output,
            ..Inner::new(SpawnErrorKind::Exited, sentence)
        }
        .into()
    }

    pub(super) fn timeout(application: &str, after: Duration, output: Vec<String>) -> Self {
        let sentence =
            format!("a worker for the application {application:?} was not ready within {after:?}");
        Inner {
            output,
            ..Inner::new(SpawnErrorKind::Timeout, sentence)
        }
        .into()
    }

    pub(super) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Inner {
            source: Some(source),
            ..Inner::new(SpawnErrorKind::Io, what)
        }
        .into()
    }

    pub(super) fn shut_down() -> Self {
        Inner::new(SpawnErrorKind::ShutDown, "the container was shut down").into()
    }
}

impl Inner {
    fn new(kind: SpawnErrorKind, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            sentence: sentence.into(),
            traceback: None,
            output: Vec::new(),
            source: None,
        }
    }
}

impl From<Inner> for SpawnError {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(&inner.sentence)?;
        if let Some(traceback) = &inner.traceback {
            return write!(f, ":\n{}", traceback.trim_end());
        }
        if !inner.output.is_empty() {
            f.write_str("; the last it wrote was:")?;
            for line in &inner.output {
                write!(f, "\n{line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SpawnError {
    /// As `Display`, and the cause: it is what a program prints that returns it from `main`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests;
