//! What tests expect of this crate that it is still to learn.
//!
//! A test of such a thing is asked as any other; what comes counts from the moment on in which its
//! line here says `true`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// RFC 9110 §5.6.7: the two digits of a year may lie ahead.
    OddDates,
}

impl Feature {
    pub const fn is_there(self) -> bool {
        match self {
            Self::OddDates => false,
        }
    }
}
