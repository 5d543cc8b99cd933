//! From the client's request to what a worker is told of it.

use http::{HeaderMap, Method, Uri, Version, header, request};

use super::builder::Requests;
use crate::{
    BoxError, Error, ErrorKind,
    semantics::{
        cgi::Meta,
        client::{Client, ForwardedHeaders},
        hop, host,
    },
};

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    client: Client,
    /// How long the body is, if there is one and it was counted.
    length: Option<u64>,
    /// Whether the client has said a length, be it of nothing.
    had_length: bool,
}

impl Head {
    /// Reads the head of a request, and takes out of it what the application is not to see.
    pub(super) fn prepare(config: &Requests, parts: request::Parts) -> Result<Self, Error> {
        let request::Parts {
            method,
            uri,
            version,
            mut headers,
            extensions,
            ..
        } = parts;
        // RFC 9110 §9.3.6: CONNECT is for proxies that a client chose; §9.3.8: TRACE shows the
        // client's own fields to whoever made it ask.
        if method == Method::CONNECT {
            return Err(ErrorKind::UnsupportedMethod.into());
        }
        if method == Method::TRACE {
            return Err(ErrorKind::MethodNotAllowed.into());
        }
        // RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does
        // not understand SHOULD respond with 501 (Not Implemented)."
        if !hop::is_plain_or_chunked(&headers) {
            return Err(ErrorKind::UnknownTransferCoding.into());
        }
        if !host::is_target_of(&method, &uri) {
            return Err(bad_request(
                "its target has not the form that goes with its method",
            ));
        }
        let host = host::of(version, &uri, &headers).map_err(bad_request)?;
        if config.introduction.forwarded != ForwardedHeaders::Neither {
            // At once, for what is added below.
            headers.try_reserve(8).map_err(bad_request)?;
        }
        hop::strip_request(&mut headers).map_err(bad_request)?;
        let client = config
            .introduction
            .of(&mut headers, &extensions, &uri, host.as_ref());
        if let Some(host) = client.host.clone().or(host) {
            headers.insert(header::HOST, host);
        }
        let had_length = headers.contains_key(header::CONTENT_LENGTH);
        Ok(Self {
            method,
            uri,
            version,
            headers,
            client,
            length: None,
            had_length,
        })
    }

    /// Whether it does no harm if it is worked on and nobody has the answer (RFC 9110 §9.2.1).
    pub(super) fn is_safe(&self) -> bool {
        self.method.is_safe()
    }

    /// There is a body, of this length if that is known.
    pub(super) fn has_body(&mut self, length: Option<u64>) {
        self.length = length;
    }

    /// There is none.
    ///
    /// RFC 9110 §8.6: "a user agent normally sends Content-Length in a POST request even when the
    /// value is 0 (indicating empty content)", and an application may ask for it.
    pub(super) fn has_no_body(&mut self) {
        let expects = [Method::POST, Method::PUT, Method::PATCH].contains(&self.method);
        self.length = (self.had_length || expects).then_some(0);
    }

    /// What a worker is told.
    pub(super) fn meta<'a>(&'a self, config: &'a Requests) -> Meta<'a> {
        let mut meta = Meta::new(&self.method, self.uri.path(), &self.headers);
        meta.protocol = self.version;
        meta.query = self.uri.query().unwrap_or_default();
        meta.script_name = &self.client.prefix;
        meta.scheme = self.client.scheme.to_str().unwrap_or("http");
        meta.content_length = self.length;
        meta.remote_addr = self.client.addr;
        meta.remote_port = self.client.port;
        meta.server_name = config.server_name.as_deref();
        meta.server_port = config.server_port;
        meta
    }
}

pub(super) fn bad_request(source: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::BadRequest).with_source(source)
}
