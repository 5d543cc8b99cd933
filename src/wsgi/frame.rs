#![doc = include_str!("frames.md")]

use std::{error, fmt};

#[cfg(test)]
mod tests;

/// How long a frame is before its parts.
pub(super) const HEADER: usize = 12;

/// No part is longer.
pub(super) const MAX_PART: usize = 16 << 20;

/// A request's body comes with it.
pub(super) const INLINE: u8 = 1;
/// A request's body is to be asked for.
pub(super) const AWAY: u8 = 2;

/// The worker is idle.
pub(super) const FREE: u8 = 1;
/// The body is over.
pub(super) const OVER: u8 = 2;
/// The body ended before its `Content-Length`.
pub(super) const SHORT: u8 = 4;
/// The application raised an exception after the head.
pub(super) const FAILED: u8 = 8;
/// The application made more than `Content-Length` said, which was cut.
pub(super) const LONG: u8 = 16;

macro_rules! kinds {
    ($($name:ident = $letter:literal, $text:literal;)*) => {
        /// What a frame is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Kind {
            $(#[doc = $text] $name = $letter,)*
        }

        impl Kind {
            fn of(letter: u8) -> Option<Self> {
                match letter {
                    $($letter => Some(Self::$name),)*
                    _ => None,
                }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    Hello = b'H', "The connection is a slot.";
    Bye = b'B', "The worker was told to end.";
    No = b'N', "The application could not be loaded.";
    Template = b'T', "The connection is that of a template.";
    Keys = b'K', "The names of variables.";
    Request = b'Q', "The values of variables, and maybe the body.";
    Data = b'D', "More of the request's body.";
    File = b'F', "The request's body, in a file.";
    Stop = b'Z', "The thread, or the template, is to end.";
    Read = b'R', "More of the request's body is wanted.";
    One = b'O', "A whole answer.";
    Start = b'S', "The beginning of an answer.";
    Chunk = b'C', "More of an answer's body.";
    Pass = b'P', "An answer whose body is in a file.";
    Exception = b'X', "There is no answer.";
    End = b'E', "The answer is over, or the worker is idle.";
    Go = b'G', "Fork.";
    Signal = b'J', "Send a signal.";
    Forked = b'V', "A worker was forked.";
    Exited = b'W', "A worker that was forked has exited.";
}

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) number: u16,
    /// The length of the first part.
    pub(super) first: usize,
    /// The length of the second part.
    pub(super) second: usize,
}

/// What is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadFrame {
    /// There is no frame of this kind.
    Kind(u8),
    /// A part is said to be longer than [`MAX_PART`].
    Length(u32),
}

impl Header {
    /// A frame without flags and number.
    pub(super) fn new(kind: Kind, first: usize, second: usize) -> Self {
        Self {
            kind,
            flags: 0,
            number: 0,
            first,
            second,
        }
    }

    pub(super) fn encode(&self) -> [u8; HEADER] {
        debug_assert!(self.first <= MAX_PART && self.second <= MAX_PART);
        let mut bytes = [0; HEADER];
        bytes[0] = self.kind as u8;
        bytes[1] = self.flags;
        bytes[2..4].copy_from_slice(&self.number.to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.first as u32).to_le_bytes());
        bytes[8..].copy_from_slice(&(self.second as u32).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER]) -> Result<Self, BadFrame> {
        let [kind, flags, number @ .., a, b, c, d, e, f, g, h] = *bytes;
        Ok(Self {
            kind: Kind::of(kind).ok_or(BadFrame::Kind(kind))?,
            flags,
            number: u16::from_le_bytes(number),
            first: length([a, b, c, d])?,
            second: length([e, f, g, h])?,
        })
    }
}

fn length(bytes: [u8; 4]) -> Result<usize, BadFrame> {
    let length = u32::from_le_bytes(bytes);
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_PART)
        .ok_or(BadFrame::Length(length))
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "there is no frame of kind {:?}", char::from(*kind)),
            Self::Length(length) => write!(
                f,
                "a part of a frame has {length} bytes, and may have {MAX_PART}"
            ),
        }
    }
}

impl error::Error for BadFrame {}
