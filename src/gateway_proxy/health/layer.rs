//! What you can say about the health of servers.

mod check;
mod ejection;

pub(in crate::gateway_proxy) use self::check::Unwell;
pub(in crate::gateway_proxy::health) use self::ejection::Rate;
pub use self::{check::HealthCheck, ejection::Ejection};
