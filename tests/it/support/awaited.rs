//! What tests expect of this crate that it is still to learn.
//!
//! A test of such a thing is asked as any other; what comes counts from the moment on in which its
//! line here says `true`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// RFC 9110 §5.6.7: the two digits of a year may lie ahead.
    OddDates,
    /// RFC 9112 §3.2: `serve` refuses a request that does not name its host once.
    HostRefused,
}

impl Feature {
    pub const fn is_there(self) -> bool {
        match self {
            Self::OddDates => false,
            Self::HostRefused => true,
        }
    }
}
