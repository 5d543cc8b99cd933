//! Python applications, run by this crate and by others.

mod application;
mod interop;
mod pep3333;
mod worker_protocol;
