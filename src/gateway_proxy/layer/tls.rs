//! What you can say about TLS to an upstream.

use std::{error, fmt, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
};

/// How an upstream at an `https://` or `h2://` URL is spoken to.
///
/// TLS 1.3 and 1.2. The upstream's certificate is verified, always: by the platform (its roots,
/// and on macOS and Windows its rules), or against [roots of your own](Tls::roots_pem). There is no
/// way to switch that off. An upstream with a self-signed certificate, or one of a private
/// authority, is reached by naming that certificate, or the authority's, in `roots_pem`: as little
/// work, and nobody else can pretend to be the upstream.
///
/// A self-signed certificate must not say that it is an authority's: webpki refuses one that does
/// where a server shows it. That of `openssl req -x509` says so unless it is made with
/// `-addext basicConstraints=critical,CA:FALSE`.
///
/// Sessions are resumed, so that a further connection costs less than the first.
///
/// ```
/// use tower_gateway::gateway_proxy::Tls;
///
/// // The platform's roots, and the name in the URL.
/// let public = Tls::new();
///
/// let internal = Tls::new().server_name("app.internal")?;
///
/// let error = Tls::new().roots_pem(b"not a certificate").unwrap_err();
/// assert_eq!(error.to_string(), "the roots hold no certificate in PEM");
/// # Ok::<(), tower_gateway::gateway_proxy::InvalidTls>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Tls {
    pub(in crate::gateway_proxy) roots: Roots,
    pub(in crate::gateway_proxy) identity: Option<Arc<CertifiedKey>>,
    pub(in crate::gateway_proxy) server_name: Option<ServerName<'static>>,
}

/// Whose word on a certificate is taken.
#[derive(Clone)]
pub(in crate::gateway_proxy) enum Roots {
    Platform,
    Own(Arc<RootCertStore>),
}

impl Tls {
    /// The platform's roots, the host of the URL as the name, and no client certificate.
    ///
    /// The roots of the platform are read when the first connection is made, once for each
    /// upstream. A container without any (no `ca-certificates`) is told so then, in the log of
    /// the request that fails.
    pub fn new() -> Self {
        Self {
            roots: Roots::Platform,
            identity: None,
            server_name: None,
        }
    }

    /// Believes certificates that one of these has signed, or that are one of these (and
    /// [no authority's](Tls)), instead of those that the platform believes. May be given more than
    /// once; they add up.
    ///
    /// `pem` holds one or more `CERTIFICATE` sections; others are ignored.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one that cannot be a root.
    pub fn roots_pem(mut self, pem: &[u8]) -> Result<Self, InvalidTls> {
        let certificates = certificates(pem, "the roots are not PEM")?;
        if certificates.is_empty() {
            return Err(InvalidTls::new("the roots hold no certificate in PEM"));
        }
        let mut store = match self.roots {
            Roots::Platform => RootCertStore::empty(),
            Roots::Own(store) => Arc::unwrap_or_clone(store),
        };
        for certificate in certificates {
            store
                .add(certificate)
                .map_err(|error| InvalidTls::because("a root is not a certificate", error))?;
        }
        self.roots = Roots::Own(Arc::new(store));
        Ok(self)
    }

    /// Shows this certificate to an upstream that asks for one. None is shown by default.
    ///
    /// `chain` holds the certificate first and what signed it after it, `key` its private key
    /// (PKCS#8, PKCS#1 or SEC1), each in PEM; they may be the same bytes. An upstream that
    /// does not accept it, or misses one, may say so only when the first answer is read.
    ///
    /// # Errors
    ///
    /// If one of them is missing, cannot be used, or they do not belong together.
    pub fn client_certificate_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self, InvalidTls> {
        let chain = certificates(chain, "the client's certificate is not PEM")?;
        if chain.is_empty() {
            return Err(InvalidTls::new(
                "the client's chain holds no certificate in PEM",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            InvalidTls::because("the client's key is not a private key in PEM", error)
        })?;
        let identity =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
                InvalidTls::because(
                    "the client's certificate and key cannot be used together",
                    error,
                )
            })?;
        self.identity = Some(Arc::new(identity));
        Ok(self)
    }

    /// The name that the upstream is asked for (SNI), and that its certificate must be valid
    /// for. Defaults to the host of the URL.
    ///
    /// An IP address is verified as one, and not sent: RFC 6066 §3, "Literal IPv4 and IPv6
    /// addresses are not permitted in "HostName"".
    ///
    /// # Errors
    ///
    /// If it is neither a DNS name nor an IP address.
    pub fn server_name(mut self, name: &str) -> Result<Self, InvalidTls> {
        self.server_name = Some(parse_name(name)?);
        Ok(self)
    }
}

/// The host of a URL, or what stands for it, as TLS has it.
pub(in crate::gateway_proxy) fn parse_name(host: &str) -> Result<ServerName<'static>, InvalidTls> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    // RFC 6066 §3: "The hostname is represented as a byte string using ASCII encoding without a
    // trailing dot."
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    ServerName::try_from(bare.to_owned()).map_err(|error| {
        InvalidTls::because(
            "a server's name is neither a DNS name nor an IP address",
            error,
        )
    })
}

fn certificates(
    pem: &[u8],
    malformed: &'static str,
) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| InvalidTls::because(malformed, error))
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tls {
    /// Not a byte of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roots: &dyn fmt::Debug = match &self.roots {
            Roots::Platform => &"platform",
            Roots::Own(store) => &store.len(),
        };
        f.debug_struct("Tls")
            .field("roots", roots)
            .field("has_client_certificate", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// Certificates, keys or names that TLS cannot use.
#[derive(Clone, Debug)]
pub struct InvalidTls {
    what: &'static str,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl InvalidTls {
    fn new(what: &'static str) -> Self {
        Self { what, source: None }
    }

    pub(in crate::gateway_proxy) fn because(
        what: &'static str,
        source: impl error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            what,
            source: Some(Arc::new(source)),
        }
    }
}

impl fmt::Display for InvalidTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl error::Error for InvalidTls {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn error::Error + 'static))
    }
}
