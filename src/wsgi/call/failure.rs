//! What goes wrong with a worker.

use std::{error, fmt};

use crate::{
    Error, ErrorKind,
    wsgi::{
        frame::{BadFrame, Kind},
        response::BadHead,
    },
};

/// Why a body ends before its end, though the worker is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    Short,
    Failed,
}

/// Why there is no answer, or not all of it.
#[derive(Debug)]
pub(in crate::wsgi) struct Failure {
    pub(in crate::wsgi) error: Error,
    pub(in crate::wsgi) reached: Reached,
}

/// How much of the request the worker can have seen. If it was not all of it, another may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wsgi) enum Reached {
    /// Its connection was closed already.
    Nothing,
    NotAll,
    MaybeAll,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            reached: Reached::MaybeAll,
        }
    }
}

impl From<Break> for Failure {
    fn from(broken: Break) -> Self {
        let reason = match broken {
            Break::Short => "its body is shorter than its Content-Length says",
            Break::Failed => "it did so behind the beginning of its answer",
        };
        Error::new(ErrorKind::Application)
            .with_source(reason)
            .into()
    }
}

/// What a worker may not say.
#[derive(Debug)]
pub(super) enum Nonsense {
    Frame(BadFrame),
    /// A frame of this kind is not for this moment.
    Moment(Kind),
    Head(BadHead),
    /// There is something where nothing was asked for.
    Unasked,
    /// It is idle, though the body is not over.
    Endless,
    /// What says where in a file a body is does not say so.
    Numbers,
    /// A file was to come, and there is none.
    NoDescriptor,
    /// What came is no file that has the body in it.
    NoFile,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(bad) => bad.fmt(f),
            Self::Moment(kind) => write!(f, "a frame of kind {kind:?} is not for this moment"),
            Self::Head(bad) => write!(f, "the head of the answer: {bad}"),
            Self::Unasked => f.write_str("the worker said something that it was not asked for"),
            Self::Endless => f.write_str("the worker is idle, and the body is not over"),
            Self::Numbers => f.write_str("where in its file the body is was not said"),
            Self::NoDescriptor => f.write_str("the body is in a file that did not come"),
            Self::NoFile => f.write_str("the body is not in the file that came for it"),
        }
    }
}

impl error::Error for Nonsense {}
