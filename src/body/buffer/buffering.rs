//! How much of an answer is read ahead.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderMap, header};

/// How far answers are read ahead of a slow client, so that the worker that made them is free.
///
/// Reading ahead never delays: a byte that is there is sent at once. What is there as a whole is read
/// at once; of the rest, only a client is read ahead of that has bytes to take for 10 milliseconds
/// and takes less than 256 KiB of them. What the upstream breaks off is broken off for the client in
/// the same place.
///
/// Answers that go on for ever (`text/event-stream`) and those of gRPC, which has a flow control
/// of its own, are not read ahead, and neither are those with `X-Accel-Buffering: no`.
///
/// Worst-case memory of an answer is [`memory`](Buffering::memory) and two frames (of 128 KiB at
/// most); while it has a file, a piece of 64 KiB and one more frame on their way there, and a
/// piece of 128 KiB on its way back as well. Worst-case disk is
/// [`file`](Buffering::file). What all answers take together is bounded by how many requests are
/// let in, which is for `ConcurrencyLimit` or the server to say.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::get};
/// use http::Request;
/// use http_body_util::BodyExt;
/// use tower::ServiceExt;
/// use tower_gateway::{Body, GatewayProxy, gateway_proxy::Buffering};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let app = Router::new().route("/", get(async || vec![0; 8 << 20]));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let url = format!("http://{}", listener.local_addr()?);
/// tokio::spawn(async move { axum::serve(listener, app).await });
///
/// let proxy = GatewayProxy::to(&url)?.buffering(Buffering::new().memory(256 << 10));
/// let request = Request::get("/").header("host", "localhost").body(Body::empty())?;
/// let mut body = proxy.clone().oneshot(request).await?.into_body();
/// let first = body.frame().await.unwrap()?;
///
/// // The client takes no more for now. The upstream is done all the same, and the rest is here.
/// while proxy.handle().upstreams()[0].in_use > 0 {
///     tokio::time::sleep(Duration::from_millis(10)).await;
/// }
/// let rest = body.collect().await?.to_bytes();
/// assert_eq!(first.into_data().unwrap().len() + rest.len(), 8 << 20);
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Buffering {
    on: bool,
    pub(super) memory: usize,
    pub(super) file: u64,
    pub(super) directory: Option<Arc<Path>>,
}

impl Default for Buffering {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffering {
    /// 64 KiB in memory, 1 GiB in a file.
    pub fn new() -> Self {
        Self {
            on: true,
            memory: 64 << 10,
            file: 1 << 30,
            directory: None,
        }
    }

    /// Nothing is read ahead, but for what says `X-Accel-Buffering: yes`: the upstream goes as
    /// slowly as the client.
    pub fn off() -> Self {
        Self {
            on: false,
            ..Self::new()
        }
    }

    /// How many bytes of an answer are held in memory. Defaults to 64 KiB: most pages stay below.
    /// (nginx: `proxy_buffers`, 8 of 4 or 8 KiB.)
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// How many bytes of an answer may go to a temporary file when memory is full, from where the
    /// upstream has to wait. Defaults to 1 GiB, as nginx's `proxy_max_temp_file_size`; zero is no
    /// file.
    ///
    /// A file is made only for a client that is slower than its upstream by more than
    /// [`memory`](Buffering::memory). It has no name, and the system removes it even if this
    /// process is killed. A disk that is full is a `warn` event, and the upstream waits.
    pub fn file(mut self, bytes: u64) -> Self {
        self.file = bytes;
        self
    }

    /// Where temporary files are made. Defaults to [`std::env::temp_dir`], which on some systems
    /// is memory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(Arc::from(directory.into()));
        self
    }

    /// Whether the answer with these fields is read ahead; `said` is what the upstream said.
    pub(crate) fn is_for(&self, headers: &HeaderMap, said: Option<bool>) -> bool {
        said.unwrap_or(self.on) && !is_stream(headers)
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let starts_with = |name: &[u8]| {
        let front = media_type.as_bytes().get(..name.len());
        front.is_some_and(|front| front.eq_ignore_ascii_case(name))
    };
    starts_with(b"text/event-stream") || starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests;
