//! Short texts on the stack.

use std::fmt::{self, Write as _};

use http::HeaderName;

/// A number or an address, written out.
pub(super) struct Text {
    /// The longest is an IPv6 address that ends like an IPv4 one: 45 bytes.
    bytes: [u8; 48],
    length: usize,
}

impl Text {
    pub(super) fn of(value: impl fmt::Display) -> Self {
        let mut text = Self {
            bytes: [0; 48],
            length: 0,
        };
        write!(text, "{value}").expect("a number or an address has at most 45 bytes");
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

const PREFIX: &[u8] = b"HTTP_";

/// Where the names of variables are made, one after another.
pub(super) struct FieldName {
    short: [u8; 64],
    /// For names that hardly anybody uses.
    long: Vec<u8>,
}

impl Default for FieldName {
    fn default() -> Self {
        Self {
            short: [0; 64],
            long: Vec::new(),
        }
    }
}

impl FieldName {
    /// RFC 3875 §4.1.18: "The HTTP header field name is converted to upper case, has all
    /// occurrences of "-" replaced with "_" and has "HTTP_" prepended to give the meta-variable
    /// name."
    pub(super) fn of(&mut self, name: &HeaderName) -> &[u8] {
        let name = name.as_str().as_bytes();
        let length = PREFIX.len() + name.len();
        let buffer = if length <= self.short.len() {
            &mut self.short[..length]
        } else {
            self.long.resize(length, 0);
            &mut self.long[..length]
        };
        let (prefix, rest) = buffer.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        for (to, from) in rest.iter_mut().zip(name) {
            *to = match from {
                b'-' => b'_',
                other => other.to_ascii_uppercase(),
            };
        }
        buffer
    }
}
