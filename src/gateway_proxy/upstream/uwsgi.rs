//! The uwsgi protocol, as uWSGI and Gunicorn (`--protocol uwsgi`) speak it.
//!
//! ```text
//! ┌───────────┬──────────┬───────────┬─────────────────────────────────┬──────┐
//! │ modifier1 │ size     │ modifier2 │ size bytes of variables         │ body │
//! │ u8        │ u16 LE   │ u8        │ u16 LE length, name, u16 LE     │      │
//! │           │          │           │ length, value, and so on        │      │
//! └───────────┴──────────┴───────────┴─────────────────────────────────┴──────┘
//! ```
//!
//! The body has exactly `CONTENT_LENGTH` bytes, and none without it: there is no other framing.
//! The answer is one of HTTP/1, or nearly so: see [`answer`].
//!
//! Which variables there are is said by [`semantics::cgi`](crate::semantics::cgi). Only the
//! container is made here, as it would be by an encoder of SCGI or FastCGI beside this one.

pub(in crate::gateway_proxy) mod answer;
pub(in crate::gateway_proxy) mod reading;

use std::{error, fmt};

use bytes::{BufMut, BytesMut};

use crate::semantics::cgi::{self, Meta};

/// The modifiers of a request to a WSGI application.
pub(in crate::gateway_proxy) const WSGI: (u8, u8) = (0, 0);

/// No block of variables is longer: its size has two bytes.
pub(in crate::gateway_proxy) const MAX_BLOCK: usize = u16::MAX as usize;

const HEADER: usize = 4;

/// How large a block of variables is, without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) struct Block {
    pub(in crate::gateway_proxy) length: usize,
    pub(in crate::gateway_proxy) variables: usize,
}

/// A block of variables that is longer than the protocol, or the server, allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) struct TooLarge {
    /// The bytes that it would have.
    pub(in crate::gateway_proxy) length: usize,
    /// The bytes that it may have.
    pub(in crate::gateway_proxy) limit: usize,
}

/// Writes the header and the variables of a request behind what is in `out`.
///
/// `max_block` is how many bytes the server takes, at most [`MAX_BLOCK`].
///
/// # Errors
///
/// If it is more; then `out` is as it was.
pub(in crate::gateway_proxy) fn encode(
    meta: &Meta<'_>,
    (modifier1, modifier2): (u8, u8),
    max_block: usize,
    out: &mut BytesMut,
) -> Result<Block, TooLarge> {
    let limit = max_block.min(MAX_BLOCK);
    let start = out.len();
    // The size is not known yet.
    out.put_slice(&[modifier1, 0, 0, modifier2]);
    let mut block = Block {
        length: 0,
        variables: 0,
    };
    cgi::variables(meta, &mut |name, value| {
        block.length += 2 + name.len() + 2 + value.len();
        block.variables += 1;
        // Beyond the limit it is only measured.
        if block.length <= limit {
            put_sized(out, name);
            put_sized(out, value);
        }
    });
    let Some(size) = size(block.length).filter(|_| block.length <= limit) else {
        out.truncate(start);
        return Err(TooLarge {
            length: block.length,
            limit,
        });
    };
    out[start + 1..start + HEADER - 1].copy_from_slice(&size.to_le_bytes());
    Ok(block)
}

fn size(length: usize) -> Option<u16> {
    u16::try_from(length).ok()
}

fn put_sized(out: &mut BytesMut, bytes: &[u8]) {
    let size = size(bytes.len()).expect("a part of a block is no longer than the block");
    out.put_u16_le(size);
    out.put_slice(bytes);
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the variables of the request have {} bytes, and the upstream takes {}",
            self.length, self.limit
        )
    }
}

impl error::Error for TooLarge {}

/// A server that went without a word, from a request that may have been too much for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) struct Unanswered {
    block: Block,
}

impl Block {
    /// Why the server may have closed the connection without an answer, if the size of the
    /// request can be the reason: uWSGI says it to its own log only.
    pub(in crate::gateway_proxy) fn unanswered(self) -> Option<Unanswered> {
        let is_much = self.length > UWSGI_BUFFER_SIZE || self.variables > UWSGI_VARIABLES;
        is_much.then_some(Unanswered { block: self })
    }
}

/// What uWSGI takes unless its option `buffer-size` says otherwise.
const UWSGI_BUFFER_SIZE: usize = 4096;

/// What uWSGI takes unless its option `max-vars` (64, and it counts in pairs) says otherwise.
const UWSGI_VARIABLES: usize = 128;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Block { length, variables } = self.block;
        write!(
            f,
            "the upstream closed the connection on {variables} variables of {length} bytes; \
             uWSGI takes {UWSGI_BUFFER_SIZE} bytes unless its buffer-size is larger, and \
             {UWSGI_VARIABLES} variables unless its max-vars is"
        )
    }
}

impl error::Error for Unanswered {}

#[cfg(test)]
mod tests;
