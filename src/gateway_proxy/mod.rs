//! (docs)

mod activity;
mod exchange;
mod layer;
mod pool;
mod request;
mod response;
mod service;
mod upgrade;
mod upstream;

pub use self::{
    layer::{ForwardedHeaders, GatewayProxy, HostPolicy, InvalidNetwork},
    service::{GatewayProxyService, ProxyFuture, ResponseFuture},
    upstream::InvalidUpstream,
};
