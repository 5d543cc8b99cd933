//! How a server reads `PATH_INFO`.
//!
//! In the uwsgi protocol the path is sent decoded. Gunicorn (27.0.1) decodes it once more, and
//! spoils what is not ASCII in it: `/%2570rivate` would be `/private` there and nowhere else, and
//! `/é` would not be found. So Gunicorn is sent the path with its escapes, which it then reads
//! as everybody does. As long as it is not known who is there, the path is sent decoded, and
//! refused if it would then be another one at Gunicorn (`/%2570rivate`); that `/é` is not found
//! there harms nobody. The first answer tells, be it that of a health check.

use std::{error, fmt};

use http::{HeaderMap, header};

use crate::semantics::cgi::{self, PathInfo};

/// What is known of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Reading {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It takes `PATH_INFO` as it is.
    AsItIs,
    /// It decodes `PATH_INFO`.
    Decodes,
}

/// A path of which two servers have two readings: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) struct AmbiguousPath;

impl Reading {
    /// What an answer says of the server.
    ///
    /// Gunicorn signs with `Server`, and says in every answer what becomes of the connection;
    /// uWSGI says neither. To be asked before the fields of the connection are removed.
    pub(in crate::gateway_proxy) fn of(answer: &HeaderMap) -> Self {
        let server = answer.get(header::SERVER);
        let is_gunicorn = server
            .and_then(|server| server.as_bytes().get(..8))
            .is_some_and(|name| name.eq_ignore_ascii_case(b"gunicorn"));
        if is_gunicorn {
            Self::Decodes
        } else if server.is_none() && !answer.contains_key(header::CONNECTION) {
            Self::AsItIs
        } else {
            Self::Unknown
        }
    }

    /// What is known when another answer has come: the last word counts, and silence is none.
    #[must_use]
    pub(in crate::gateway_proxy) fn learn(self, answer: &HeaderMap) -> Self {
        match Self::of(answer) {
            Self::Unknown => self,
            told => told,
        }
    }

    /// How this path (canonical, with its escapes) is to be sent.
    pub(in crate::gateway_proxy) fn path_info(self, path: &str) -> Result<PathInfo, AmbiguousPath> {
        match self {
            Self::Decodes => Ok(PathInfo::Encoded),
            Self::Unknown if cgi::can_be_decoded_again(path) => Err(AmbiguousPath),
            Self::Unknown | Self::AsItIs => Ok(PathInfo::Decoded),
        }
    }
}

impl fmt::Display for AmbiguousPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path may mean another one to a server that decodes it once more")
    }
}

impl error::Error for AmbiguousPath {}

#[cfg(test)]
mod tests;
