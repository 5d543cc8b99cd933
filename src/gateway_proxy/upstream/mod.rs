//! Where the application is, and how it is spoken to.

mod connection;
pub(super) mod http1;
#[cfg(feature = "http2")]
#[allow(dead_code, unused_imports)]
pub(super) mod http2;
mod stream;
#[cfg(feature = "tls")]
#[allow(dead_code)]
pub(super) mod tls;
mod upload;
pub(super) mod uwsgi;

use std::{
    error, fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use http::{HeaderValue, Uri, uri::Authority};

pub(super) use self::{
    connection::{Call, Connection, Outgoing, Patience},
    upload::Coding,
};

/// The address of an application server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) speech: Speech,
    pub(super) place: Place,
}

/// What is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP/1.1.
    Http1,
    /// The protocol of uWSGI. Its answers are HTTP/1.1, or nearly so.
    Uwsgi,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A host and port; the name is looked up for every connection.
    Tcp { authority: Authority, port: u16 },
    /// A Unix socket.
    Unix { path: PathBuf },
}

/// What a scheme stands for.
struct Scheme {
    name: &'static str,
    speech: Speech,
    is_unix: bool,
    /// `None`: it has to be said.
    port: Option<u16>,
}

const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "http",
        speech: Speech::Http1,
        is_unix: false,
        port: Some(80),
    },
    Scheme {
        name: "http+unix",
        speech: Speech::Http1,
        is_unix: true,
        port: None,
    },
    Scheme {
        name: "uwsgi",
        speech: Speech::Uwsgi,
        is_unix: false,
        port: None,
    },
    Scheme {
        name: "uwsgi+unix",
        speech: Speech::Uwsgi,
        is_unix: true,
        port: None,
    },
];

impl Address {
    /// What `Host` says under [`HostPolicy::Upstream`](super::HostPolicy::Upstream).
    pub(super) fn host(&self) -> HeaderValue {
        match &self.place {
            Place::Tcp { authority, .. } => HeaderValue::from_str(authority.as_str())
                .expect("an authority holds no byte that a header value may not"),
            Place::Unix { .. } => HeaderValue::from_static("localhost"),
        }
    }

    fn scheme(&self) -> &'static str {
        let is_unix = matches!(self.place, Place::Unix { .. });
        SCHEMES
            .iter()
            .find(|scheme| scheme.is_unix == is_unix && scheme.speech == self.speech)
            .map_or("", |scheme| scheme.name)
    }
}

impl FromStr for Address {
    type Err = InvalidUpstream;

    fn from_str(url: &str) -> Result<Self, InvalidUpstream> {
        let invalid = |reason| InvalidUpstream {
            url: url.to_owned(),
            reason,
        };
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(invalid("write it as http://host:port or http+unix:/path"));
        };
        let Some(scheme) = SCHEMES
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(scheme))
        else {
            return Err(invalid(
                "the scheme is none of http, http+unix, uwsgi and uwsgi+unix",
            ));
        };
        let place = match scheme.is_unix {
            true => unix(rest),
            false => tcp(rest, scheme.port),
        };
        Ok(Self {
            speech: scheme.speech,
            place: place.map_err(invalid)?,
        })
    }
}

fn tcp(rest: &str, default_port: Option<u16>) -> Result<Place, &'static str> {
    let rest = rest
        .strip_prefix("//")
        .ok_or("write it as scheme://host:port")?;
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
        None => default_port.ok_or("it has no port, and this scheme has none by nature")?,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or("the port is not a number from 1 to 65535")?,
    };
    Ok(Place::Tcp { authority, port })
}

fn unix(rest: &str) -> Result<Place, &'static str> {
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
    Ok(Place::Unix {
        path: Path::new(path).to_owned(),
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme();
        match &self.place {
            Place::Tcp { authority, .. } => write!(f, "{scheme}://{authority}"),
            Place::Unix { path } => write!(f, "{scheme}:{}", path.display()),
        }
    }
}

/// A text that is not the address of an upstream, or not one that can be used here.
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
