//! Where the application is, and how it is spoken to.

mod call;
mod connection;
mod dialer;
pub(super) mod http1;
#[cfg(feature = "http2")]
pub(super) mod http2;
mod stream;
#[cfg(feature = "tls")]
pub(super) mod tls;
pub(super) mod trailers;
mod upload;
pub(super) mod uwsgi;

use std::{
    error, fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use http::{HeaderValue, Uri, uri::Authority};

pub(super) use self::{
    call::{Call, Outgoing, Patience},
    connection::Connection,
    dialer::Dialer,
    upload::Coding,
};

/// The address of an application server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) speech: Speech,
    /// Whether it is spoken inside TLS.
    pub(super) is_tls: bool,
    pub(super) place: Place,
}

/// What is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP/1.1.
    Http1,
    /// The protocol of uWSGI. Its answers are HTTP/1.1, or nearly so.
    Uwsgi,
    /// HTTP/2, from the first byte on.
    #[cfg(feature = "http2")]
    Http2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A host and port. Unless it is known `at` which address, the name is looked up for every
    /// connection.
    Tcp {
        authority: Authority,
        port: u16,
        at: Option<SocketAddr>,
    },
    /// A Unix socket.
    Unix { path: PathBuf },
}

/// What a scheme stands for.
struct Scheme {
    name: &'static str,
    speech: Speech,
    is_tls: bool,
    is_unix: bool,
    /// `None`: it has to be said.
    port: Option<u16>,
}

const fn scheme(name: &'static str, speech: Speech) -> Scheme {
    Scheme {
        name,
        speech,
        is_tls: false,
        is_unix: false,
        port: None,
    }
}

impl Scheme {
    const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    const fn unix(mut self) -> Self {
        self.is_unix = true;
        self
    }

    #[cfg(feature = "tls")]
    const fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }
}

const SCHEMES: &[Scheme] = &[
    scheme("http", Speech::Http1).port(80),
    scheme("http+unix", Speech::Http1).unix(),
    scheme("uwsgi", Speech::Uwsgi),
    scheme("uwsgi+unix", Speech::Uwsgi).unix(),
    #[cfg(feature = "tls")]
    scheme("https", Speech::Http1).tls().port(443),
    #[cfg(feature = "http2")]
    scheme("h2c", Speech::Http2).port(80),
    #[cfg(feature = "http2")]
    scheme("h2c+unix", Speech::Http2).unix(),
    #[cfg(all(feature = "http2", feature = "tls"))]
    scheme("h2", Speech::Http2).tls().port(443),
];

impl Address {
    pub(super) fn speaks_http2(&self) -> bool {
        #[cfg(feature = "http2")]
        return self.speech == Speech::Http2;
        #[cfg(not(feature = "http2"))]
        false
    }

    /// What `Host` says under [`HostPolicy::Upstream`](super::HostPolicy::Upstream).
    pub(super) fn host(&self) -> HeaderValue {
        match &self.place {
            Place::Tcp { authority, .. } => HeaderValue::from_str(authority.as_str())
                .expect("an authority holds no byte that a header value may not"),
            Place::Unix { .. } => HeaderValue::from_static("localhost"),
        }
    }

    /// The host and port, if the host is a name that can be looked up.
    pub(super) fn name(&self) -> Option<String> {
        match &self.place {
            Place::Tcp {
                authority, port, ..
            } => {
                let host = authority.host();
                let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
                (!is_address).then(|| format!("{host}:{port}"))
            }
            Place::Unix { .. } => None,
        }
    }

    /// The same upstream, at one of the addresses of its name.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        let mut this = self.clone();
        if let Place::Tcp { at, .. } = &mut this.place {
            *at = Some(address);
        }
        this
    }

    /// Whether it is this one, or one of the addresses of this name.
    pub(super) fn is_said_as(&self, said: &Self) -> bool {
        let mut this = self.clone();
        if let Place::Tcp { at, .. } = &mut this.place {
            *at = None;
        }
        this == *said
    }

    /// The same server at another port.
    pub(super) fn with_port(&self, port: u16) -> Self {
        let mut this = self.clone();
        if let Place::Tcp { port: old, at, .. } = &mut this.place {
            *old = port;
            if let Some(at) = at {
                at.set_port(port);
            }
        }
        this
    }

    fn scheme(&self) -> &'static str {
        let is_unix = matches!(self.place, Place::Unix { .. });
        SCHEMES
            .iter()
            .find(|scheme| {
                scheme.is_unix == is_unix
                    && scheme.speech == self.speech
                    && scheme.is_tls == self.is_tls
            })
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
            return Err(invalid(unknown_scheme(scheme)));
        };
        let place = match scheme.is_unix {
            true => unix(rest),
            false => tcp(rest, scheme.port),
        };
        Ok(Self {
            speech: scheme.speech,
            is_tls: scheme.is_tls,
            place: place.map_err(invalid)?,
        })
    }
}

fn unknown_scheme(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "https" => "this scheme needs the feature `tls`",
        "h2c" | "h2c+unix" => "this scheme needs the feature `http2`",
        "h2" => "this scheme needs the features `http2` and `tls`",
        _ => {
            "the scheme is none of http, http+unix, https, h2, h2c, h2c+unix, uwsgi and uwsgi+unix"
        }
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
    Ok(Place::Tcp {
        authority,
        port,
        at: None,
    })
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
            Place::Tcp {
                authority,
                at: None,
                ..
            } => write!(f, "{scheme}://{authority}"),
            Place::Tcp {
                authority,
                at: Some(at),
                ..
            } => write!(f, "{scheme}://{authority} at {at}"),
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
