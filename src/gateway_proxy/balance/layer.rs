//! What you can say about which server gets a request.

use std::{fmt, time::Duration};

use http::HeaderName;
use siphasher::sip128::SipHasher24;

/// Which of several servers gets a request.
///
/// Every policy keeps to the weights, asks only servers that can be asked (healthy, not draining,
/// not tried yet for this request, below their limit of connections), and asks backup servers
/// only when no other can be. With one server there is nothing to choose, and nothing to pay.
///
/// | policy | cost of a choice among `n` |
/// |---|---|
/// | `PeakEwma`, `Random` | the same for any `n`, while most servers can be asked |
/// | `LeastConnections`, `Hash` | a look at each |
/// | `RoundRobin` | a look at each, one at a time |
///
/// ```
/// use axum::Router;
/// use http::Request;
/// use http_body_util::BodyExt;
/// use tower::ServiceExt;
/// use tower_gateway::{Body, gateway_proxy::{Balance, GatewayProxy, Upstream}};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let mut upstreams = Vec::new();
/// for (name, weight) in [("a", 2), ("b", 1)] {
///     let app = Router::new().fallback(async move || name);
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
///     let url = format!("http://{}", listener.local_addr()?);
///     upstreams.push(Upstream::new(&url)?.weight(weight));
///     tokio::spawn(async move { axum::serve(listener, app).await });
/// }
/// let proxy = GatewayProxy::to_upstreams(upstreams).balance(Balance::RoundRobin);
///
/// let mut names = String::new();
/// for _ in 0..6 {
///     let request = Request::get("/").header("host", "localhost").body(Body::empty())?;
///     let body = proxy.clone().oneshot(request).await?.into_body().collect().await?;
///     names += std::str::from_utf8(&body.to_bytes())?;
/// }
/// assert_eq!(names, "abaaba");
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Balance {
    /// Of two servers drawn by their weights, the one that promises to answer sooner. The
    /// default.
    ///
    /// What a server promises is its time to the head of an answer, times the requests it would
    /// then have. The time is that of its slowest answer, where an answer counts for less the
    /// older it is (a third after 10 seconds); below a millisecond there is no difference. A
    /// server that fails, or says 429 or 503, promises nothing good for a while. A server that
    /// nobody knows yet gets one request, and more after its first answer.
    ///
    /// It needs no tuning and no agreement among several gateways: two draws are what keeps them
    /// from all running to the server that looks best.
    #[default]
    PeakEwma,
    /// Each in its turn, spread evenly: weights 5, 1, 1 give `a a b a c a a`, as nginx does.
    RoundRobin,
    /// The one with the fewest requests for its weight; equals in turn.
    ///
    /// A request counts until the body of its answer is over, or its tunnel is closed. Right
    /// for long requests; a server that fails fast looks idle, so have an eye on its health.
    LeastConnections,
    /// Any, as likely as its weight.
    Random,
    /// The same server for the same key, as far as its load allows; for caches in the servers.
    ///
    /// When a server is added or removed, only its own share of keys moves. A request without the
    /// key is sent as [`PeakEwma`](Balance::PeakEwma) says.
    Hash(HashKey),
}

/// What tells requests apart that should reach different servers: see [`Balance::Hash`].
///
/// The key is the client's to choose, and so is the server; [`bound`](HashKey::bound) keeps one
/// key from being too much for one server.
///
/// ```
/// use tower_gateway::gateway_proxy::{Balance, HashKey};
///
/// let by_tenant = Balance::Hash(HashKey::header(http::HeaderName::from_static("x-tenant")));
/// let by_client = Balance::Hash(HashKey::client_addr().bound(2.0));
/// assert_ne!(by_tenant, by_client);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct HashKey {
    pub(super) source: Source,
    pub(super) bound: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Header(HeaderName),
    Cookie(String),
    ClientAddr,
}

impl HashKey {
    /// The value of a field; of several, the first. An empty one is none.
    pub fn header(name: HeaderName) -> Self {
        Self::of(Source::Header(name))
    }

    /// The value of a cookie; of several, the first. An empty one is none.
    ///
    /// # Panics
    ///
    /// If `name` is not the name of a cookie (a token, RFC 9110 §5.6.2).
    #[track_caller]
    pub fn cookie(name: impl Into<String>) -> Self {
        let name = name.into();
        assert_token(&name);
        Self::of(Source::Cookie(name))
    }

    /// The client's address, without its port, as far as trusted proxies tell.
    ///
    /// Clients behind one address share a server; a client whose address changes moves.
    pub fn client_addr() -> Self {
        Self::of(Source::ClientAddr)
    }

    fn of(source: Source) -> Self {
        let bound = 1.25;
        Self { source, bound }
    }

    /// How much more than its share of all running requests a server may get before keys of it go
    /// to their next server: 1.25 by default, which is a quarter more.
    ///
    /// What it gets is rounded up: with fewer requests running than there are servers, a server
    /// that has one has its share, and a second goes elsewhere. A higher bound keeps more keys at
    /// their place in quiet times.
    ///
    /// At 1 load is spread as evenly as it can be, and keys move often; `f64::INFINITY` moves a
    /// key only when its server cannot be asked. Less than 1, and no number, is 1.
    pub fn bound(mut self, factor: f64) -> Self {
        self.bound = factor.max(1.0);
        self
    }
}

/// Sessions that stay on the server of their first request, by a cookie of the gateway.
///
/// For applications that keep sessions in the memory of a server. The first answer sets the
/// cookie. While its server can be asked, requests with the cookie go there, also when it is
/// [draining](crate::gateway_proxy::Handle::drain) or a backup; else another is chosen, and the cookie set anew.
///
/// The cookie's value stands for the server without naming it: a keyed hash of the address. It
/// says nothing about the client, and proves nothing: who copies it reaches the same server.
/// An answer that sets it should not be kept by shared caches; that is the application's
/// `Cache-Control` to say.
///
/// ```
/// use std::time::Duration;
/// use tower_gateway::gateway_proxy::{SameSite, Sticky};
///
/// let sticky = Sticky::new()
///     .name("shop_server")
///     .path("/shop")
///     .same_site(SameSite::Strict)
///     .max_age(Duration::from_secs(3600))
///     .secret("kept out of the repository");
/// assert!(!format!("{sticky:?}").contains("repository"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Sticky {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) secure: Option<bool>,
    pub(super) http_only: bool,
    pub(super) same_site: SameSite,
    pub(super) max_age: Option<Duration>,
    pub(super) secret: Secret,
}

/// When a browser sends a cookie along with requests that other sites cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// With links that are followed, not with what another site embeds or posts. The default.
    #[default]
    Lax,
    /// Never.
    Strict,
    /// Always. Browsers demand `Secure` with it, so it is always set.
    None,
}

impl Default for Sticky {
    fn default() -> Self {
        Self::new()
    }
}

impl Sticky {
    /// A cookie `tower_gateway_server` for every path, until the browser is closed; not for
    /// scripts.
    pub fn new() -> Self {
        Self {
            name: "tower_gateway_server".to_owned(),
            path: "/".to_owned(),
            secure: None,
            http_only: true,
            same_site: SameSite::Lax,
            max_age: None,
            secret: Secret::derived_from(b""),
        }
    }

    /// The name of the cookie: `tower_gateway_server` by default. Two gateways on one site, one
    /// behind the other or with overlapping paths, need two names.
    ///
    /// # Panics
    ///
    /// If `name` is not the name of a cookie (a token, RFC 9110 §5.6.2).
    #[track_caller]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        assert_token(&self.name);
        self
    }

    /// Below which path the browser sends the cookie: `/` by default. As the browser sees it,
    /// with what outer layers strip.
    ///
    /// It always is `/` with a name that begins with `__Host-`: browsers take it no other way.
    ///
    /// # Panics
    ///
    /// If `path` does not begin with a slash, or has a semicolon, a space, or what is not ASCII.
    #[track_caller]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b';';
        assert!(
            self.path.starts_with('/') && self.path.bytes().all(fits),
            "the path of a cookie begins with a slash, in ASCII without space or semicolon: \
             {:?} does not; percent-encode it",
            self.path
        );
        self
    }

    /// Whether the cookie is for HTTPS alone (`Secure`). By default it is when the client's
    /// request came by HTTPS.
    ///
    /// It always is with [`SameSite::None`], and with a name that begins with `__Secure-` or
    /// `__Host-`: browsers take it no other way.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = Some(secure);
        self
    }

    /// Whether scripts of the page cannot read the cookie (`HttpOnly`): they cannot by default.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// When the cookie comes along with requests that other sites cause: [`SameSite::Lax`] by
    /// default.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// How long a session stays, in whole seconds from its first request. By default until the
    /// browser is closed.
    ///
    /// # Panics
    ///
    /// If it is less than a second: a browser would drop the cookie at once.
    #[track_caller]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        assert!(
            max_age >= Duration::from_secs(1),
            "a cookie that is kept for {max_age:?} is not kept; give it a second or more"
        );
        self.max_age = Some(max_age);
        self
    }

    /// What servers are hashed with. By default a constant of this crate, so that a cookie means
    /// the same to every gateway and after every restart, and anybody can test a guess at a
    /// server's address against it. With a secret, which all gateways of a site share, nobody
    /// can. Sessions move when it changes.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Secret::derived_from(secret.as_ref());
        self
    }
}

/// A key for the hash of servers, which no log shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret(pub(super) [u8; 16]);

impl Secret {
    fn derived_from(secret: &[u8]) -> Self {
        // Part of what cookies mean: a change moves every session once.
        Self(
            SipHasher24::new_with_key(b"tower-gateway ck")
                .hash(secret)
                .as_bytes(),
        )
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

#[track_caller]
fn assert_token(name: &str) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(
        !name.is_empty() && name.bytes().all(is_token),
        "{name:?} cannot be the name of a cookie: use letters, digits, `-` and `_`"
    );
}
