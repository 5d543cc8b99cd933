//! What the table expects of this crate that it is still to learn.
//!
//! A probe or story that is named here must fail, in one of the two ways of passing requests on at
//! least: what comes counts from the moment on in which its line here is gone.

pub const AWAITED: &[&str] = &[];
