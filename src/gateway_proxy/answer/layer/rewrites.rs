//! References and cookies that lead past the gateway.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
    uri::Authority,
};

use crate::semantics::{mount::Prefix, rewrite};

/// What is changed in an answer that would lead the client past this gateway.
///
/// An application that is told where it stands (`Host`, `X-Forwarded-Prefix`, `SCRIPT_NAME`) makes
/// its references right itself. This is for those that are not told, or do not listen. By default
/// only absolute redirects to the upstream's own address are changed, which no client should see.
///
/// See [`semantics::rewrite`](crate::semantics::rewrite) for what is changed in which way; what is
/// not understood is left as it is.
///
/// ```
/// use axum::{Router, http::{HeaderMap, StatusCode}};
/// use http::Request;
/// use tower::ServiceExt;
/// use tower_gateway::{
///     Body, GatewayProxy,
///     gateway_proxy::{HostPolicy, Rewrites},
/// };
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// // An application that knows no name but its own.
/// let app = Router::new().fallback(async |headers: HeaderMap| {
///     let location = format!("http://{}/login", headers["host"].to_str().unwrap());
///     let fields = [("location", location), ("set-cookie", "id=1; Path=/app".to_owned())];
///     (StatusCode::FOUND, fields)
/// });
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let url = format!("http://{}", listener.local_addr()?);
/// tokio::spawn(async move { axum::serve(listener, app).await });
///
/// let proxy = GatewayProxy::to(&url)?
///     .host(HostPolicy::Upstream)
///     .rewrites(Rewrites::new().cookie_path("/app", "/shop"));
/// let request = Request::get("/").header("host", "example.org").body(Body::empty())?;
/// let response = proxy.oneshot(request).await?;
/// assert_eq!(response.headers()["location"], "/login");
/// assert_eq!(response.headers()["set-cookie"], "id=1; Path=/shop");
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Rewrites {
    redirects: bool,
    names: Vec<Authority>,
    prefix_redirects: bool,
    prefix_cookies: bool,
    cookie_paths: Vec<(Prefix, Prefix)>,
    cookie_domains: Vec<(String, Option<String>)>,
}

/// The fields that hold one reference.
const REFERENCES: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

impl Default for Rewrites {
    fn default() -> Self {
        Self::new()
    }
}

impl Rewrites {
    /// Absolute redirects to the upstream's own address are made relative; nothing else.
    pub const fn new() -> Self {
        Self {
            redirects: true,
            names: Vec::new(),
            prefix_redirects: false,
            prefix_cookies: false,
            cookie_paths: Vec::new(),
            cookie_domains: Vec::new(),
        }
    }

    /// Whether `Location`, `Content-Location` and `Refresh` that name the upstream's own address
    /// become paths of the host that the client has asked. Defaults to `true`.
    ///
    /// That address is what the upstream was sent as its `Host`, if that is not the client's own
    /// ([`HostPolicy::Upstream`], [`HostPolicy::Fixed`]); others are [named](Rewrites::upstream_name).
    /// (nginx: `proxy_redirect default`.)
    ///
    /// [`HostPolicy::Upstream`]: super::super::super::HostPolicy::Upstream
    /// [`HostPolicy::Fixed`]: super::super::super::HostPolicy::Fixed
    pub fn redirects(mut self, changed: bool) -> Self {
        self.redirects = changed;
        self
    }

    /// Another name of the upstream (`app.internal:8000`), to which redirects are made relative.
    /// May be given more than once. Defaults to none.
    ///
    /// # Panics
    ///
    /// If it is not a host, with or without a port.
    #[track_caller]
    pub fn upstream_name(mut self, authority: &str) -> Self {
        match authority.parse::<Authority>() {
            Ok(name) if !name.host().is_empty() && !authority.contains('@') => {
                self.names.push(name);
            }
            _ => panic!(
                "{authority:?} is no name of a server; Rewrites::upstream_name takes a host and \
                 a port, such as \"app.internal:8000\""
            ),
        }
        self
    }

    /// Whether the prefix that was stripped on the way to the upstream is put before the paths of
    /// `Location`, `Content-Location` and `Refresh`, unless it is there. Defaults to `false`.
    ///
    /// An application that reads `X-Forwarded-Prefix` does that itself. A path of its own that
    /// begins with the same segments (`/shop/shop`) cannot be told from one that it has prefixed.
    pub fn prefix_redirects(mut self, prefixed: bool) -> Self {
        self.prefix_redirects = prefixed;
        self
    }

    /// Whether that prefix is put before the `Path` of cookies, unless it is there. Defaults to
    /// `false`.
    ///
    /// So applications at several mounts do not see, or overwrite, each other's cookies. Cookies
    /// without a `Path`, and `__Host-` ones, are left alone.
    pub fn prefix_cookies(mut self, prefixed: bool) -> Self {
        self.prefix_cookies = prefixed;
        self
    }

    /// Moves the `Path` of cookies at or below `from` to `to`. May be given more than once; the
    /// first that changes a cookie counts. Defaults to none. (nginx: `proxy_cookie_path`, but on
    /// whole segments.)
    ///
    /// # Panics
    ///
    /// If either is not a canonical path that begins with a slash.
    #[track_caller]
    pub fn cookie_path(mut self, from: &str, to: &str) -> Self {
        let read = |path: &str| match path.parse::<Prefix>() {
            Ok(prefix) => Ok(prefix),
            Err(invalid) => Err(format!(
                "{invalid}; Rewrites::cookie_path takes paths, such as \"/app\""
            )),
        };
        match (read(from), read(to)) {
            (Ok(from), Ok(to)) => self.cookie_paths.push((from, to)),
            (Err(why), _) | (_, Err(why)) => panic!("{why}"),
        }
        self
    }

    /// Replaces the `Domain` `from` of cookies by `to`. May be given more than once; the first
    /// that changes a cookie counts. Defaults to none. (nginx: `proxy_cookie_domain`.)
    ///
    /// # Panics
    ///
    /// If either is empty or holds anything but letters, digits, `-`, `_` and `.`.
    #[track_caller]
    pub fn cookie_domain(mut self, from: &str, to: &str) -> Self {
        let domain = (domain(from), Some(domain(to)));
        self.cookie_domains.push(domain);
        self
    }

    /// Takes the `Domain` `from` out of cookies: they are then for the host that the client has
    /// asked.
    ///
    /// # Panics
    ///
    /// As [`cookie_domain`](Rewrites::cookie_domain).
    #[track_caller]
    pub fn remove_cookie_domain(mut self, from: &str) -> Self {
        let domain = (domain(from), None);
        self.cookie_domains.push(domain);
        self
    }

    /// Changes the fields of an answer. `host` is what the upstream was sent as its own `Host`,
    /// `None` if it was sent the client's; `prefix` is what was stripped on the way there.
    pub(in crate::gateway_proxy) fn apply(
        &self,
        headers: &mut HeaderMap,
        host: Option<&HeaderValue>,
        prefix: &str,
    ) {
        let host = host.and_then(|host| host.to_str().ok());
        let prefix_redirects = self.prefix_redirects && !prefix.is_empty();
        if self.redirects && (host.is_some() || !self.names.is_empty()) || prefix_redirects {
            let change = |reference: &[u8]| self.reference(reference, host, prefix);
            for name in REFERENCES {
                each(headers, name, |value| {
                    HeaderValue::from_bytes(&change(value.as_bytes())?).ok()
                });
            }
            each(headers, header::REFRESH, |value| {
                rewrite::refresh(value, change)
            });
        }
        let prefix_cookies = self.prefix_cookies && !prefix.is_empty();
        if prefix_cookies || !self.cookie_paths.is_empty() || !self.cookie_domains.is_empty() {
            let prefix = if prefix_cookies { prefix } else { "" };
            // Each line by itself: RFC 6265 §3 forbids to fold them into one.
            each(headers, header::SET_COOKIE, |value| {
                self.cookie(value, prefix)
            });
        }
    }

    fn reference(&self, reference: &[u8], host: Option<&str>, prefix: &str) -> Option<Vec<u8>> {
        let mut names = host
            .into_iter()
            .chain(self.names.iter().map(Authority::as_str));
        let local = match self.redirects {
            true => names.find_map(|name| rewrite::relative(reference, name)),
            false => None,
        };
        let prefixed = match self.prefix_redirects {
            true => rewrite::prefixed(local.as_deref().unwrap_or(reference), prefix),
            false => None,
        };
        prefixed.or(local)
    }

    fn cookie(&self, cookie: &HeaderValue, prefix: &str) -> Option<HeaderValue> {
        let moved = self
            .cookie_paths
            .iter()
            .find_map(|(from, to)| rewrite::cookie_path(cookie, from.as_str(), to.as_str()));
        let prefixed = match prefix {
            "" => None,
            prefix => rewrite::cookie_path(moved.as_ref().unwrap_or(cookie), "/", prefix),
        };
        let pathed = prefixed.or(moved);
        let domain = self.cookie_domains.iter().find_map(|(from, to)| {
            rewrite::cookie_domain(pathed.as_ref().unwrap_or(cookie), from, to.as_deref())
        });
        domain.or(pathed)
    }
}

/// Changes each line of a field by itself.
fn each(
    headers: &mut HeaderMap,
    name: HeaderName,
    change: impl Fn(&HeaderValue) -> Option<HeaderValue>,
) {
    if let Entry::Occupied(mut lines) = headers.entry(name) {
        for line in lines.iter_mut() {
            if let Some(changed) = change(line) {
                *line = changed;
            }
        }
    }
}

#[track_caller]
fn domain(text: &str) -> String {
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    assert!(
        !text.is_empty() && text.bytes().all(is_domain),
        "{text:?} is no domain; Rewrites::cookie_domain takes one such as \"example.org\""
    );
    text.to_owned()
}

#[cfg(test)]
mod tests;
