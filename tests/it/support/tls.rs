//! Certificates that a test makes for itself, and servers that show them.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};
use tower::Service;
use tower_gateway::BoxError;

/// Who signs certificates.
pub struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl Issuer {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and its key, in PEM.
    pub fn certificate(&self, names: &[&str]) -> (String, String) {
        let (certificate, key) = self.sign(names);
        (certificate.pem(), key.serialize_pem())
    }

    /// Shows a certificate for these names, and chooses among these protocols.
    pub fn acceptor(&self, names: &[&str], alpn: &[&str]) -> TlsAcceptor {
        self.accept(names, alpn, false)
    }

    /// The same, for clients with a certificate of this issuer.
    pub fn acceptor_of_certified(&self, names: &[&str], alpn: &[&str]) -> TlsAcceptor {
        self.accept(names, alpn, true)
    }

    fn accept(&self, names: &[&str], alpn: &[&str], certified: bool) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if certified {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).unwrap();
            let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(clients.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = self.sign(names);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn sign(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

/// Accepts TLS connections for as long as it lives.
pub struct TlsUpstream {
    pub addr: SocketAddr,
    accepted: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl TlsUpstream {
    /// Runs the script on each connection whose handshake succeeds.
    pub async fn spawn<F, Fut>(acceptor: TlsAcceptor, script: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, accepted) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                sender.send_modify(|accepted| *accepted += 1);
                let (acceptor, script) = (acceptor.clone(), script.clone());
                connections.spawn(async move {
                    // A handshake that fails is the client's to tell.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        script(stream).await;
                    }
                });
            }
        });
        Self {
            addr,
            accepted,
            _tasks: tasks,
        }
    }

    /// hyper in front of a service, HTTP/1.1 and HTTP/2.
    pub async fn serve<S, B>(acceptor: TlsAcceptor, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::spawn(acceptor, move |stream| {
            let service = TowerToHyperService::new(service.clone());
            async move {
                let server = auto::Builder::new(TokioExecutor::new());
                // A connection that a test breaks off is not this helper's error.
                let connection = server.serve_connection(TokioIo::new(stream), service);
                connection.await.ok();
            }
        })
        .await
    }

    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }
}
