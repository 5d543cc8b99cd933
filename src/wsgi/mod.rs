//! Python applications: this process starts, feeds, and supervises the workers that run them.

// Until all rooms are there.
#![allow(dead_code, unused_imports)]

mod dispatch;
mod frame;
mod slot;
mod worker;
