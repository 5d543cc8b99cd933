//! The compressors.
//!
//! Each file is compressed once and sent often, so the levels are the highest that still take a
//! time of the usual order. Of jQuery (290 KB of JavaScript), time in units of gzip's level 6:
//!
//! | | size | time |
//! |---|---|---|
//! | gzip 6 | 29.5 % | 1 |
//! | gzip 9 | 29.4 % | 1.7 |
//! | brotli 5 | 27.9 % | 0.8 |
//! | brotli 7 | 27.1 % | 1.1 |
//! | **brotli 9** | 26.8 % | 3 |
//! | brotli 10 | 24.8 % | 14 |
//! | brotli 11 | 24.4 % | 31 |
//!
//! Of 16 MB of source code: gzip 6 16.5 % in 1, gzip 9 16.2 % in 2.5, brotli 9 12.4 % in 3.1 (some
//! 13 MB a second where these were taken). What the last level of brotli saves is for a site's
//! build to have, in siblings.

use std::io::Write;

use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::semantics::negotiate::Coding;

/// How much is compressed between two questions whether to go on: up to 40 ms of work, which the
/// brotli compressor does by the megabyte.
const CHUNK: usize = 64 << 10;

/// The level of both.
const LEVEL: u8 = 9;

/// What came of it.
#[derive(Debug)]
pub(super) enum Encoded {
    Bytes(Bytes),
    /// More than it may be.
    TooLong,
    Cancelled,
}

/// Compresses `content` to no more than `at_most` bytes, as long as nobody says that it is over.
///
/// The same bytes come out each time: neither format has the time in it.
pub(super) fn encode(
    content: &[u8],
    coding: Coding,
    at_most: usize,
    is_over: impl Fn() -> bool,
) -> Encoded {
    let Some(mut encoder) = Encoder::new(coding, content.len()) else {
        return Encoded::TooLong;
    };
    for chunk in content.chunks(CHUNK) {
        if is_over() {
            return Encoded::Cancelled;
        }
        encoder.write(chunk);
        if encoder.written() > at_most {
            return Encoded::TooLong;
        }
    }
    let encoded = encoder.finish();
    if encoded.len() > at_most {
        return Encoded::TooLong;
    }
    // Neither more nor less memory than the budget counts.
    Encoded::Bytes(Bytes::from(encoded.into_boxed_slice()))
}

enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// `None` if this process has no compressor for this coding.
    fn new(coding: Coding, length: usize) -> Option<Self> {
        Some(match coding {
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: LEVEL.into(),
                    size_hint: length,
                    ..BrotliEncoderParams::default()
                };
                let encoder = CompressorWriter::with_params(Vec::new(), CHUNK, &params);
                Self::Brotli(Box::new(encoder))
            }
            Coding::Gzip => {
                let level = Compression::new(LEVEL.into());
                Self::Gzip(GzEncoder::new(Vec::new(), level))
            }
            Coding::Zstd => return None,
        })
    }

    fn write(&mut self, chunk: &[u8]) {
        let written = match self {
            Self::Brotli(encoder) => encoder.write_all(chunk),
            Self::Gzip(encoder) => encoder.write_all(chunk),
        };
        written.expect("a compressor writes into memory");
    }

    fn written(&self) -> usize {
        match self {
            Self::Brotli(encoder) => encoder.get_ref().len(),
            Self::Gzip(encoder) => encoder.get_ref().len(),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Gzip(encoder) => encoder.finish().expect("a compressor writes into memory"),
        }
    }
}
