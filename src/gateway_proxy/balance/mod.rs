//! Which server of a table gets a request.
//!
//! Pure: nothing here waits or does I/O, and the time is an argument. Who may be asked at all
//! (healthy, not draining, not tried yet, with a connection to spare) is the caller's to say; of
//! those, [`Balancer::pick`] chooses one by the [`Balance`] policy.
//!
//! - [`load`]: what a server is doing, and how soon it answers. One [`Load`] a server, for as
//!   long as the server is known.
//! - [`balancer`]: one [`Balancer`] a table of servers. Backup servers form a group of their own,
//!   which is asked when nobody of the first group can be.
//! - [`turns`], [`choices`], [`rendezvous`]: the policies.
//! - [`sticky`], [`cookies`]: sessions that stay where they are.
//! - [`stable`]: hashes that mean the same in every process and every version.
//!
//! # Weights
//!
//! A weight is a share: of two servers with weights 2 and 1 the first gets two requests of three.
//! Nobody can say weight 0: it is what a server that drains has, which gets no request but those of
//! sticky sessions.
//!
//! # Slow start
//!
//! A server that was added, or came back, begins with a tenth of its weight, which grows evenly
//! to the whole of it. A share is compared with others: servers that start together share as if
//! none did.

mod balancer;
mod choices;
mod cookies;
mod layer;
mod load;
mod rendezvous;
mod stable;
mod sticky;
#[cfg(test)]
mod tests;
mod turns;

pub use self::layer::{Balance, HashKey, SameSite, Sticky};
pub(in crate::gateway_proxy) use self::{
    balancer::{Balancer, Candidate},
    load::{InFlight, Load},
    stable::{key_of, server_id},
};
