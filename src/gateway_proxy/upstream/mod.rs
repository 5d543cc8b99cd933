//! Where the application is.

pub(super) mod http;
#[cfg(feature = "http2")]
#[allow(dead_code, unused_imports)]
pub(super) mod http2;
mod socket;
#[cfg(feature = "tls")]
#[allow(dead_code)]
pub(super) mod tls;

use std::{
    error, fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use ::http::{HeaderValue, Uri, uri::Authority};

/// The address of an application server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Upstream {
    /// `http://host:port`; the name is looked up for every connection.
    Tcp { authority: Authority, port: u16 },
    /// `http+unix:/path`.
    Unix { path: PathBuf },
}

impl Upstream {
    /// What `Host` says under [`HostPolicy::Upstream`](super::HostPolicy::Upstream).
    pub(super) fn host(&self) -> HeaderValue {
        match self {
            Self::Tcp { authority, .. } => HeaderValue::from_str(authority.as_str())
                .expect("an authority holds no byte that a header value may not"),
            Self::Unix { .. } => HeaderValue::from_static("localhost"),
        }
    }
}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(url: &str) -> Result<Self, InvalidUpstream> {
        let invalid = |reason| InvalidUpstream {
            url: url.to_owned(),
            reason,
        };
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(invalid("write it as http://host:port or http+unix:/path"));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => tcp(rest).map_err(invalid),
            "http+unix" => unix(rest).map_err(invalid),
            "https" | "uwsgi" | "uwsgi+unix" => Err(invalid("this scheme is not supported yet")),
            _ => Err(invalid("the scheme is neither http nor http+unix")),
        }
    }
}

fn tcp(rest: &str) -> Result<Upstream, &'static str> {
    let rest = rest
        .strip_prefix("//")
        .ok_or("write it as http://host:port")?;
    if rest.contains('#') {
        return Err("an upstream has no fragment");
    }
    let uri: Uri = format!("http://{rest}")
        .parse()
        .map_err(|_invalid| "it is not a URL")?;
    if uri.query().is_some() {
        return Err("an upstream has no query");
    }
    if uri.path() != "/" {
        return Err(
            "an upstream has no path: the request's own is forwarded as it is; to strip a prefix, mount the proxy in a PathDispatch",
        );
    }
    let authority = uri.authority().ok_or("it names no host")?.clone();
    if authority.as_str().contains('@') {
        return Err("an upstream has no user name and password");
    }
    let host = authority.host();
    if host.is_empty() {
        return Err("it names no host");
    }
    let port = match authority.as_str()[host.len()..].strip_prefix(':') {
        None => 80,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or("the port is not a number from 1 to 65535")?,
    };
    Ok(Upstream::Tcp { authority, port })
}

fn unix(rest: &str) -> Result<Upstream, &'static str> {
    // "http+unix:/run/x.sock" and "http+unix:///run/x.sock" are the same URL.
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest,
        None => rest,
    };
    if !cfg!(unix) {
        return Err("this system has no Unix sockets");
    }
    if !path.starts_with('/') || path.ends_with('/') {
        return Err("write the absolute path of a socket, as in http+unix:/run/gunicorn.sock");
    }
    if path.contains(['?', '#', '\0']) {
        return Err("the path of a socket holds no query, fragment or NUL");
    }
    Ok(Upstream::Unix {
        path: Path::new(path).to_owned(),
    })
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { authority, .. } => write!(f, "http://{authority}"),
            Self::Unix { path } => write!(f, "http+unix:{}", path.display()),
        }
    }
}

/// A text that is not the address of an upstream, or not one that can be used yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUpstream {
    url: String,
    reason: &'static str,
}

impl fmt::Display for InvalidUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot be an upstream: {}", self.url, self.reason)
    }
}

impl error::Error for InvalidUpstream {}
