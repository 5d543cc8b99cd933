//! Certificates made here, handshakes in memory.
#![allow(clippy::unwrap_used)]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server};

use super::*;
#[cfg(unix)]
use crate::gateway_proxy::upstream::{
    stream::Stream,
    upload::{Coding, Upload},
};

type Issuer = CertifiedIssuer<'static, KeyPair>;
type Accepted = io::Result<server::TlsStream<DuplexStream>>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let key = KeyPair::generate().unwrap();
    // Its own: a certificate names its issuer, and is verified with the key of that name.
    let name = format!("{:?}", key.public_key_raw());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key).unwrap()
}

/// A certificate, its chain in PEM, and its key.
fn certificate(issuer: &Issuer, params: &CertificateParams) -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.pem(), key)
}

fn named(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// What the server is like.
struct Server {
    issuer: Issuer,
    params: CertificateParams,
    version: Option<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    asks_for_client_certificate: bool,
}

impl Server {
    fn named(names: &[&str]) -> Self {
        Self {
            issuer: issuer(),
            params: named(names),
            version: None,
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            asks_for_client_certificate: false,
        }
    }

    /// Who believes it.
    fn tls(&self) -> Tls {
        Tls::new().roots_pem(self.issuer.pem().as_bytes()).unwrap()
    }

    fn acceptor(&self) -> TlsAcceptor {
        let (pem, key) = certificate(&self.issuer, &self.params);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.version.map_or(vec![&TLS12, &TLS13], |only| vec![only]))
            .unwrap();
        let builder = if self.asks_for_client_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .unwrap(),
            )
        } else {
            builder.with_no_client_auth()
        };
        let chain = rustls::pki_types::pem::PemObject::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = self.alpn.clone();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A stream to somebody who accepts it.
fn accepted(acceptor: &TlsAcceptor) -> (DuplexStream, JoinHandle<Accepted>) {
    let (ours, theirs) = duplex(1 << 16);
    let accept = acceptor.accept(theirs);
    (ours, tokio::spawn(accept))
}

async fn connect(server: &Server, tls: Tls, host: &str) -> io::Result<TlsStream<DuplexStream>> {
    connect_as(server, tls, host, Alpn::Http1).await.0
}

async fn connect_as(
    server: &Server,
    tls: Tls,
    host: &str,
    alpn: Alpn,
) -> (io::Result<TlsStream<DuplexStream>>, Accepted) {
    let (stream, accepted) = accepted(&server.acceptor());
    let connected = Connector::new(tls).connect(stream, host, alpn).await;
    (connected, accepted.await.unwrap())
}

#[tokio::test]
async fn a_good_certificate_and_what_is_spoken_inside() {
    let server = Server::named(&["app.internal"]);
    for (alpn, id) in [(Alpn::Http1, &b"http/1.1"[..]), (Alpn::Http2, b"h2")] {
        let (client, server) = connect_as(&server, server.tls(), "app.internal", alpn).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        assert_eq!(server.get_ref().1.alpn_protocol(), Some(id));
        assert_eq!(server.get_ref().1.server_name(), Some("app.internal"));

        client.write_all(b"ping").await.unwrap();
        client.flush().await.unwrap();
        let mut word = [0; 4];
        server.read_exact(&mut word).await.unwrap();
        server.write_all(b"pong").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
    }
}

#[tokio::test]
async fn a_certificate_that_is_no_good_is_refused_and_the_reason_is_named() {
    let mut expired = Server::named(&["localhost"]);
    expired.params.not_before = date_time_ymd(2000, 1, 1);
    expired.params.not_after = date_time_ymd(2001, 1, 1);
    let mut early = Server::named(&["localhost"]);
    early.params.not_before = date_time_ymd(4000, 1, 1);
    early.params.not_after = date_time_ymd(4001, 1, 1);
    let mut client_only = Server::named(&["localhost"]);
    client_only.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];

    for (server, reason) in [
        (Server::named(&["elsewhere"]), "not valid for name"),
        (expired, "expired"),
        (early, "not valid yet"),
        (client_only, "key usage"),
    ] {
        let error = connect(&server, server.tls(), "localhost")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn own_roots_are_believed_instead_of_those_of_the_platform() {
    let server = Server::named(&["localhost"]);
    for tls in [
        Tls::new().roots_pem(issuer().pem().as_bytes()).unwrap(),
        // The platform's, if it has any.
        Tls::new(),
    ] {
        let error = connect(&server, tls, "localhost").await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("UnknownIssuer") || text.contains("the roots of the platform"),
            "{text}"
        );
    }
    // Several add up.
    let both = server.issuer.pem() + &issuer().pem();
    for tls in [
        Tls::new().roots_pem(both.as_bytes()).unwrap(),
        server.tls().roots_pem(issuer().pem().as_bytes()).unwrap(),
    ] {
        connect(&server, tls, "localhost").await.unwrap();
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_its_own_root() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let (stream, _server) = accepted(&TlsAcceptor::from(Arc::new(config)));
    let tls = Tls::new().roots_pem(own.cert.pem().as_bytes()).unwrap();
    let connected = Connector::new(tls)
        .connect(stream, "localhost", Alpn::Http1)
        .await;
    connected.unwrap();
}

#[tokio::test]
async fn an_address_is_verified_as_one_and_not_sent() {
    let server = Server::named(&["127.0.0.1", "::1"]);
    for host in ["127.0.0.1", "[::1]"] {
        let (client, server) = connect_as(&server, server.tls(), host, Alpn::Http1).await;
        client.unwrap();
        assert_eq!(server.unwrap().get_ref().1.server_name(), None, "{host}");
    }
    let error = connect(&server, server.tls(), "127.0.0.2")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    // An address in the place of a name is none.
    let name = Server::named(&["localhost"]);
    connect(&name, name.tls(), "127.0.0.1").await.unwrap_err();
}

#[tokio::test]
async fn another_name_is_asked_for_and_verified() {
    let server = Server::named(&["app.internal"]);
    for (name, sent) in [
        ("app.internal", "app.internal"),
        ("APP.internal.", "app.internal"),
    ] {
        let tls = server.tls().server_name(name).unwrap();
        let (client, server) = connect_as(&server, tls, "10.0.0.1", Alpn::Http1).await;
        client.unwrap();
        let server = server.unwrap();
        let asked = server.get_ref().1.server_name().unwrap();
        assert!(asked.eq_ignore_ascii_case(sent), "{asked}");
    }
    connect(&server, server.tls(), "localhost")
        .await
        .unwrap_err();
}

#[tokio::test]
async fn tls_1_2_will_do() {
    let server = Server {
        version: Some(&TLS12),
        ..Server::named(&["localhost"])
    };
    for alpn in [Alpn::Http1, Alpn::Http2] {
        let (client, _) = connect_as(&server, server.tls(), "localhost", alpn).await;
        let client = client.unwrap();
        let version = client.0.get_ref().1.protocol_version();
        assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_2));
    }
}

#[tokio::test]
async fn http2_must_be_chosen_and_http1_need_not_be() {
    for alpn in [vec![], vec![b"http/1.1".to_vec()]] {
        let server = Server {
            alpn,
            ..Server::named(&["localhost"])
        };
        connect(&server, server.tls(), "localhost").await.unwrap();
        let (client, _) = connect_as(&server, server.tls(), "localhost", Alpn::Http2).await;
        let error = client.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let text = error.to_string();
        assert!(
            text.contains("ALPN") || text.contains("NoApplicationProtocol"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks_for_it() {
    for version in [&TLS12, &TLS13] {
        let server = Server {
            asks_for_client_certificate: true,
            version: Some(version),
            ..Server::named(&["localhost"])
        };
        let mut params = named(&["gateway"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (chain, key) = certificate(&server.issuer, &params);
        let key = key.serialize_pem();
        let given = server.tls();
        let given = given.client_certificate_pem(chain.as_bytes(), key.as_bytes());
        let (client, accepted) =
            connect_as(&server, given.unwrap(), "localhost", Alpn::Http1).await;
        client.unwrap();
        let accepted = accepted.unwrap();
        assert_eq!(accepted.get_ref().1.peer_certificates().unwrap().len(), 1);

        // Not given, or of somebody whom the upstream does not know. TLS 1.3 tells it with the
        // first read.
        let (chain, key) = certificate(&issuer(), &params);
        let foreign = server.tls();
        let foreign =
            foreign.client_certificate_pem(chain.as_bytes(), key.serialize_pem().as_bytes());
        for (tls, reason) in [
            (server.tls(), "CertificateRequired"),
            (foreign.unwrap(), "alert"),
        ] {
            let (client, accepted) = connect_as(&server, tls, "localhost", Alpn::Http1).await;
            accepted.unwrap_err();
            let error = match client {
                Err(error) => error,
                Ok(mut client) => client.read_u8().await.unwrap_err(),
            };
            let text = error.to_string();
            let is_named = text.contains(reason) || *version == TLS12 && text.contains("alert");
            assert!(is_named, "{text}");
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_the_next_connection() {
    for version in [&TLS12, &TLS13] {
        let server = Server {
            version: Some(version),
            ..Server::named(&["localhost"])
        };
        let acceptor = server.acceptor();
        let connector = Connector::new(server.tls());
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (stream, server) = accepted(&acceptor);
            let connected = connector.connect(stream, "localhost", Alpn::Http1).await;
            let mut client = connected.unwrap();
            let mut server = server.await.unwrap().unwrap();
            kinds.push(client.0.get_ref().1.handshake_kind().unwrap());
            // The tickets of TLS 1.3 come with what is read first.
            server.write_all(b"!").await.unwrap();
            server.flush().await.unwrap();
            client.read_u8().await.unwrap();
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    }
}

#[tokio::test]
async fn session_tickets_do_not_break_the_silence() {
    let server = Server::named(&["localhost"]);
    let (client, accepted) = connect_as(&server, server.tls(), "localhost", Alpn::Http1).await;
    let (mut client, mut accepted) = (client.unwrap(), accepted.unwrap());
    accepted.flush().await.unwrap();
    assert!(client.is_silent());

    accepted.write_all(b"!").await.unwrap();
    accepted.flush().await.unwrap();
    assert!(!client.is_silent());

    let (client, accepted) = connect_as(&server, server.tls(), "localhost", Alpn::Http1).await;
    let mut client = client.unwrap();
    drop(accepted.unwrap());
    assert!(!client.is_silent());
}

#[tokio::test]
async fn an_end_without_farewell_is_an_error() {
    let server = Server::named(&["localhost"]);
    let (client, accepted) = connect_as(&server, server.tls(), "localhost", Alpn::Http1).await;
    let (mut client, mut accepted) = (client.unwrap(), accepted.unwrap());
    accepted.write_all(b"half an ans").await.unwrap();
    accepted.flush().await.unwrap();
    drop(accepted);
    let error = client.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_is_not_tls_is_an_error() {
    let server = Server::named(&["localhost"]);
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let (ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(answer.as_bytes()).await.unwrap();
        theirs.shutdown().await.unwrap();
        let connected = Connector::new(server.tls())
            .connect(ours, "localhost", Alpn::Http1)
            .await;
        connected.unwrap_err();
    }
}

#[tokio::test]
async fn dropped_in_the_middle_of_a_handshake_the_stream_is_closed() {
    let server = Server::named(&["localhost"]);
    let (ours, mut theirs) = duplex(1 << 16);
    let connector = Connector::new(server.tls());
    let mut connecting = Box::pin(connector.connect(ours, "localhost", Alpn::Http1));
    let polled = std::future::poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx).is_pending()));
    assert!(polled.await);
    drop(connecting);
    let mut hello = Vec::new();
    theirs.read_to_end(&mut hello).await.unwrap();
    // A handshake record.
    assert_eq!(hello[0], 22);
}

#[test]
fn what_tls_cannot_use_is_refused_where_it_is_written() {
    let (chain, key) = certificate(&issuer(), &named(&["gateway"]));
    let (chain, key) = (chain.as_bytes(), key.serialize_pem());
    let key = key.as_bytes();
    let (_, other) = certificate(&issuer(), &named(&["gateway"]));
    let other = other.serialize_pem();
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &chain[..chain.len() / 2];

    for (refused, text) in [
        (
            Tls::new().roots_pem(b""),
            "the roots hold no certificate in PEM",
        ),
        (
            Tls::new().roots_pem(key),
            "the roots hold no certificate in PEM",
        ),
        (Tls::new().roots_pem(broken), "a root is not a certificate"),
        (Tls::new().roots_pem(cut), "the roots are not PEM"),
        (
            Tls::new().client_certificate_pem(key, key),
            "the client's chain holds no certificate in PEM",
        ),
        (
            Tls::new().client_certificate_pem(chain, chain),
            "the client's key is not a private key in PEM",
        ),
        (
            Tls::new().client_certificate_pem(chain, other.as_bytes()),
            "the client's certificate and key cannot be used together",
        ),
        (
            Tls::new().client_certificate_pem(broken, key),
            "the client's certificate and key cannot be used together",
        ),
        (
            Tls::new().server_name("not a name"),
            "a server's name is neither a DNS name nor an IP address",
        ),
        (
            Tls::new().server_name(""),
            "a server's name is neither a DNS name nor an IP address",
        ),
    ] {
        assert_eq!(refused.unwrap_err().to_string(), text);
    }
    let both = [chain, key].concat();
    assert!(Tls::new().client_certificate_pem(&both, &both).is_ok());
}

#[test]
fn the_key_is_in_no_log() {
    let (chain, key) = certificate(&issuer(), &named(&["gateway"]));
    let key = key.serialize_pem();
    let tls = Tls::new().client_certificate_pem(chain.as_bytes(), key.as_bytes());
    let tls = tls.unwrap().server_name("10.0.0.1").unwrap();
    let text = format!("{tls:?} {:?}", Connector::new(tls.clone()));
    assert!(text.contains("has_client_certificate: true"), "{text}");
    assert!(text.len() < 400, "{text}");
}

/// Over a socket, so that there is a kernel to be asked.
#[cfg(unix)]
async fn over_a_socket() -> (Stream, server::TlsStream<UnixStream>) {
    let server = Server::named(&["app.internal"]);
    let (near, far) = UnixStream::pair().unwrap();
    let connector = Connector::new(server.tls());
    let connecting = connector.connect(Stream::Unix(near), "app.internal", Alpn::Http1);
    let (near, far) = tokio::join!(connecting, server.acceptor().accept(far));
    (Stream::Tls(Box::new(near.unwrap())), far.unwrap())
}

#[cfg(unix)]
#[tokio::test]
async fn an_end_that_the_runtime_has_not_seen_is_one() {
    let (mut near, mut far) = over_a_socket().await;
    // With the session tickets before it.
    far.write_all(b"x").await.unwrap();
    near.read_exact(&mut [0]).await.unwrap();
    assert!(near.is_silent());
    drop(far);
    assert!(!near.is_silent());
}

/// An error may be that of a later record.
#[cfg(unix)]
#[tokio::test]
async fn what_was_written_to_an_error_may_have_got_out_in_part() {
    let (mut near, far) = over_a_socket().await;
    drop(far);
    let head = bytes::BytesMut::from("GET / HTTP/1.1\r\n\r\n");
    let mut upload = Upload::new(head, crate::Body::empty(), Coding::Length(0), false);
    let mut cx = Context::from_waker(Waker::noop());
    upload.poll(&mut near, &mut cx).unwrap();
    assert!(upload.was_taken());
}
