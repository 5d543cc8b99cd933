//! The whole way: a client over a socket, this crate, a real server, a real application.

mod accel;
mod applications;
mod browser;
mod collectstatic;
mod curl;
mod django;
mod everywhere;
mod files;
mod flask;
mod redbot;
mod rolling;
mod tornado;
mod uwsgi_protocol;
mod video;
mod websockets;
mod zsync;

use std::{net::SocketAddr, path::Path, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceBuilder;
use tower_gateway::{ConcurrencyLimit, GatewayProxy, SpoolRequests, StaticFiles, serve::serve};

/// Files, a limit, and an application behind them: what stands where nginx stood.
struct Gateway {
    addr: SocketAddr,
    limit: ConcurrencyLimit,
    server: JoinHandle<()>,
}

impl Gateway {
    async fn start(static_root: &Path, proxy: GatewayProxy) -> Self {
        Self::with(StaticFiles::new(static_root).at("/static"), proxy).await
    }

    async fn with(files: StaticFiles, proxy: GatewayProxy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let limit = ConcurrencyLimit::new(64)
            .queue(1024)
            .queue_timeout(Duration::from_secs(30));
        let app = ServiceBuilder::new()
            .layer(files)
            .layer(SpoolRequests::default())
            .layer(limit.clone())
            .service(proxy);
        let server = tokio::spawn(async { serve(listener, app).await.unwrap() });
        Self {
            addr,
            limit,
            server,
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}
