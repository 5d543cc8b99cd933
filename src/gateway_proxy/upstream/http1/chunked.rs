//! The chunked coding, RFC 9112 §7.1, as a reader of bytes.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::{BadAnswer, head};

/// How many bytes of chunk extensions a body may have in all. They mean nothing here, and a body
/// of nothing else would never end.
const MAX_EXTENSIONS: usize = 16 << 10;

/// RFC 9112 §7.1: "chunked-body = *chunk last-chunk trailer-section CRLF".
#[derive(Debug)]
pub(in crate::gateway_proxy::upstream) struct Chunked {
    next: Next,
    extensions: usize,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// `chunk-size [ chunk-ext ] CRLF`.
    Size,
    /// This many bytes more of a chunk's data.
    Data(u64),
    /// The CRLF after a chunk's data.
    DataEnd,
    /// The trailer section, and the empty line that ends all.
    Trailers,
    Nothing,
}

/// What was found in the bytes.
#[derive(Debug)]
pub(in crate::gateway_proxy::upstream) enum Piece {
    Data(Bytes),
    /// The end, with what came after the last chunk.
    End(HeaderMap),
}

impl Chunked {
    pub(in crate::gateway_proxy::upstream) fn new() -> Self {
        Self {
            next: Next::Size,
            extensions: 0,
        }
    }

    /// Takes the next piece out of `buffer`; `None` if it has to be filled first.
    pub(in crate::gateway_proxy::upstream) fn next(
        &mut self,
        buffer: &mut BytesMut,
        max_trailers: usize,
    ) -> Result<Option<Piece>, BadAnswer> {
        loop {
            self.next = match self.next {
                Next::Size => {
                    let Some(line) = self.size_line(buffer)? else {
                        return Ok(None);
                    };
                    match line {
                        0 => Next::Trailers,
                        size => Next::Data(size),
                    }
                }
                Next::Data(_) if buffer.is_empty() => return Ok(None),
                Next::Data(left) => {
                    let here = usize::try_from(left).map_or(buffer.len(), |n| n.min(buffer.len()));
                    let data = buffer.split_to(here).freeze();
                    self.next = match left - here as u64 {
                        0 => Next::DataEnd,
                        left => Next::Data(left),
                    };
                    return Ok(Some(Piece::Data(data)));
                }
                Next::DataEnd => match buffer.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        Next::Size
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(BadAnswer("a chunk is longer than it says")),
                },
                Next::Trailers => {
                    let Some(trailers) = head::trailers(buffer, max_trailers)? else {
                        return Ok(None);
                    };
                    self.next = Next::Nothing;
                    return Ok(Some(Piece::End(trailers)));
                }
                Next::Nothing => return Ok(Some(Piece::End(HeaderMap::new()))),
            };
        }
    }

    fn size_line(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, BadAnswer> {
        let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
            // 16 digits, and the extensions. A line that comes whole may have more digits, if they
            // are zeros.
            return match buffer.len() > 16 + MAX_EXTENSIONS - self.extensions {
                true => Err(BadAnswer("a chunk's size is too long")),
                false => Ok(None),
            };
        };
        let line = buffer.split_to(end + 1);
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or(BadAnswer("a chunk's size ends in a bare LF"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let digits = digits.count();
        let (size, rest) = line.split_at(digits);
        // RFC 9112 §7.1.1: "A recipient MUST ignore unrecognized chunk extensions."
        let is_extension = match rest.trim_ascii_start() {
            [] => rest.is_empty(),
            [b';', ..] => true,
            _ => false,
        };
        let holds_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if !is_extension || rest.iter().any(holds_control) {
            return Err(BadAnswer("a chunk's size is not a hexadecimal number"));
        }
        self.extensions += rest.len();
        if self.extensions > MAX_EXTENSIONS {
            return Err(BadAnswer("its chunk extensions are too long"));
        }
        // RFC 9112 §7.1: "recipients MUST anticipate potentially large hexadecimal numerals and
        // prevent parsing errors due to integer conversion overflows".
        str::from_utf8(size)
            .ok()
            .and_then(|size| u64::from_str_radix(size, 16).ok())
            .map(Some)
            .ok_or(BadAnswer("a chunk's size is not a hexadecimal number"))
    }
}
