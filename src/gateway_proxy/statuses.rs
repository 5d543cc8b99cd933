//! A set of status codes, as configuration names them: `[502, 503]`, `200..=399`.

use std::fmt;

use http::StatusCode;

/// One bit for each code that a status can have: a look costs a shift, whatever the size.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Statuses {
    bits: [u64; 16],
}

impl Statuses {
    pub(super) const NONE: Self = Self { bits: [0; 16] };

    /// The set of these.
    ///
    /// # Errors
    ///
    /// The first that is none: RFC 9110 §15 has 100 to 599, and `http` takes up to 999.
    pub(super) fn new(codes: impl IntoIterator<Item = u16>) -> Result<Self, u16> {
        let mut set = Self::NONE;
        for code in codes {
            if !(100..1000).contains(&code) {
                return Err(code);
            }
            set.bits[usize::from(code / 64)] |= 1 << (code % 64);
        }
        Ok(set)
    }

    pub(super) fn contains(&self, status: StatusCode) -> bool {
        self.has(status.as_u16())
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    fn has(&self, code: u16) -> bool {
        let word = self.bits.get(usize::from(code / 64));
        word.is_some_and(|word| word & (1 << (code % 64)) != 0)
    }
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = (100..1000).filter(|code| self.has(*code));
        f.debug_set().entries(codes).finish()
    }
}
