//! As much of WebSocket as it takes to say goodbye: RFC 6455 §5.2.

/// Which of the two ends a frame is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Upstream,
}

/// RFC 6455 §7.4.1: "1001 indicates that an endpoint is "going away", such as a server going down".
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// A final frame, of opcode 8.
const CLOSE: u8 = 0x88;

/// A Close frame that says that this server goes away.
///
/// RFC 6455 §5.1: "a client MUST mask all frames that it sends to the server", and to the upstream
/// this side is the client. The key hides nothing here, since all that it masks is known.
pub(super) fn close(to: Side) -> Vec<u8> {
    let [high, low] = GOING_AWAY;
    match to {
        Side::Client => vec![CLOSE, 2, high, low],
        Side::Upstream => {
            let key = fastrand::u32(..).to_be_bytes();
            let [a, b, c, d] = key;
            vec![CLOSE, 0x80 | 2, a, b, c, d, high ^ a, low ^ b]
        }
    }
}

/// Where in the frames of one direction the bytes are. Whatever the extensions, frames have these
/// boundaries.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; 14],
    /// How much of the head is there.
    known: usize,
    /// How much of the payload is to come, once the head is whole.
    left: u64,
    has_closed: bool,
}

impl Frames {
    /// Whether the next byte begins a frame.
    pub(super) fn is_between(&self) -> bool {
        self.known == 0 && self.left == 0
    }

    /// Whether a whole Close frame went by.
    ///
    /// RFC 6455 §5.5.1: "The application MUST NOT send any more data frames after sending a Close
    /// frame."
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Follows all of these bytes.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.one(bytes)..];
        }
    }

    /// Follows the bytes to the end of the frame that they begin with or go on with; how many those
    /// are.
    pub(super) fn one(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.left == 0 {
            let Some(byte) = bytes.get(at) else {
                return at;
            };
            self.head[self.known] = *byte;
            self.known += 1;
            at += 1;
            if self.known == self.head_length() {
                self.left = self.payload_length();
                if self.left == 0 {
                    self.end();
                    return at;
                }
            }
        }
        let rest = bytes.len() - at;
        let taken = usize::try_from(self.left).unwrap_or(rest).min(rest);
        self.left -= taken as u64;
        if self.left == 0 {
            self.end();
        }
        at + taken
    }

    fn end(&mut self) {
        self.has_closed |= self.head[0] & 0x0f == CLOSE & 0x0f;
        self.known = 0;
    }

    /// As far as is known by now.
    fn head_length(&self) -> usize {
        if self.known < 2 {
            return 2;
        }
        let key = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + key
    }

    fn payload_length(&self) -> u64 {
        let long = match self.head[1] & 0x7f {
            126 => &self.head[2..4],
            127 => &self.head[2..10],
            length => return u64::from(length),
        };
        long.iter()
            .fold(0, |length, byte| (length << 8) | u64::from(*byte))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
