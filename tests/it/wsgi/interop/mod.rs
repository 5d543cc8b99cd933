//! Real applications.

mod django;
mod flask;
mod git;
mod httpbin;
mod webdav;
