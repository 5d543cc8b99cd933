//! A request as what a worker makes an `environ` of.
//!
//! Names and values go apart: a client sends the same fields each time, so that a connection
//! learns a set of names once, and a request is its values, which Python zips with them.
//! PEP 3333 asks for "native strings" that hold bytes as latin-1: bytes is what is written here.

use std::{error, fmt};

use crate::semantics::cgi::{self, Meta};

#[cfg(test)]
mod tests;

/// A value has a NUL in it, by which values are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HasNul;

/// Writes the names of a request's variables to one buffer and the values to another, behind what is
/// there, joined by NUL.
pub(super) fn write(
    meta: &Meta<'_>,
    names: &mut Vec<u8>,
    values: &mut Vec<u8>,
) -> Result<(), HasNul> {
    let start = values.len();
    // The first one has nothing before it.
    names.extend_from_slice(b"wsgi.url_scheme");
    values.extend_from_slice(meta.scheme.as_bytes());
    let mut separators = 0;
    cgi::variables(meta, &mut |name, value| {
        separators += 1;
        names.push(0);
        names.extend_from_slice(name);
        values.push(0);
        values.extend_from_slice(value);
    });
    // One look at all of it. No name has one: they are of letters, digits and underscores.
    let nuls = values[start..].iter().filter(|byte| **byte == 0).count();
    if nuls == separators {
        Ok(())
    } else {
        Err(HasNul)
    }
}

/// The sets of names that a connection knows, by their numbers.
///
/// Bounded on both sides: a client may make up names as it likes.
#[derive(Debug, Default)]
pub(super) struct KeySets {
    /// The one that was used last is first.
    sets: Vec<KeySet>,
    /// The last one that was too long to be kept beside others.
    long: Box<[u8]>,
}

#[derive(Debug)]
struct KeySet {
    id: u16,
    names: Box<[u8]>,
}

/// How many there are, with the long one.
const SETS: u16 = 32;

/// What is longer is forgotten when the next such set comes.
const LONG: usize = 4 << 10;

impl KeySets {
    /// The number of the set with these names, and whether the worker is to be told of it first.
    pub(super) fn find(&mut self, names: &[u8]) -> (u16, bool) {
        if names.len() > LONG {
            let is_new = *self.long != *names;
            if is_new {
                self.long = names.into();
            }
            return (SETS - 1, is_new);
        }
        let place = self.sets.iter().position(|set| *set.names == *names);
        if let Some(place) = place {
            self.sets[..=place].rotate_right(1);
            return (self.sets[0].id, false);
        }
        let known = self.sets.len() as u16;
        let id = if known < SETS - 1 {
            known
        } else {
            self.sets.pop().map_or(0, |oldest| oldest.id)
        };
        let names = names.into();
        self.sets.insert(0, KeySet { id, names });
        (id, true)
    }
}

impl fmt::Display for HasNul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that the application is to be told has a NUL in it")
    }
}

impl error::Error for HasNul {}
