//! How long an answer may be kept, and by whom: the value of `Cache-Control`.

use std::{fmt, time::Duration};

use http::HeaderValue;

/// RFC 9111 §1.2.2: a cache that cannot represent a number of seconds "MUST consider the value to
/// be 2147483648 (2^31)", so more than that says nothing.
const LONGEST: u64 = 1 << 31;

const YEAR: u64 = 365 * 24 * 60 * 60;

/// The value of a `Cache-Control` field.
///
/// One of four constructors says when the answer may be used again; what else is said is added.
/// Durations are sent in whole seconds (what is less is cut off), of at most 2³¹.
///
/// ```
/// use std::time::Duration;
/// use tower_gateway::static_files::CacheControl;
///
/// let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
///
/// assert_eq!(CacheControl::no_cache().to_string(), "no-cache");
/// assert_eq!(
///     CacheControl::immutable().to_string(),
///     "public, max-age=31536000, immutable",
/// );
/// assert_eq!(
///     CacheControl::max_age(minutes(5)).stale_while_revalidate(minutes(60)).to_string(),
///     "max-age=300, stale-while-revalidate=3600",
/// );
/// ```
///
/// # Panics
///
/// What contradicts itself is refused where it is written:
///
/// * `public` and `private`;
/// * `private` and `s-maxage`, which only shared caches read;
/// * more than `private` and `no-transform` behind `no-store`;
/// * `no-cache` with a number of seconds;
/// * `must-revalidate` and one of the two `stale-` directives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CacheControl {
    reuse: Reuse,
    audience: Option<Audience>,
    s_maxage: Option<u64>,
    must_revalidate: bool,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
    no_transform: bool,
}

/// When a stored answer may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reuse {
    Never,
    Validated,
    For(u64),
    Immutable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Public,
    Private,
}

impl CacheControl {
    /// `no-cache`: kept, and used again only after this server was asked whether it is still the
    /// same (304). Right for HTML, and for all that keeps its name when it changes.
    ///
    /// RFC 9111 §5.2.2.4: it "MUST NOT be used to satisfy any other request without forwarding it
    /// for validation and receiving a successful response".
    pub fn no_cache() -> Self {
        Self::new(Reuse::Validated)
    }

    /// `no-store`: never kept. RFC 9111 §5.2.2.5.
    pub fn no_store() -> Self {
        Self::new(Reuse::Never)
    }

    /// `max-age`: used again without asking for this long. RFC 9111 §5.2.2.1.
    ///
    /// Nothing can take it back: who has the answer does not ask before that time is over.
    pub fn max_age(duration: Duration) -> Self {
        Self::new(Reuse::For(seconds(duration)))
    }

    /// `public, max-age=31536000, immutable`: used again for a year, and not asked for even when
    /// a user reloads the page. Only for names that change with the content.
    ///
    /// RFC 8246 §2: "the origin server will not update the representation of that resource during
    /// the freshness lifetime of the response". A cache that does not know it sees a `max-age` of
    /// a year.
    pub fn immutable() -> Self {
        Self::new(Reuse::Immutable)
    }

    /// `public`: shared caches may keep it too, even the answer to a request with
    /// `Authorization`. RFC 9111 §5.2.2.9. Part of [`immutable`](Self::immutable).
    #[track_caller]
    pub fn public(self) -> Self {
        self.with_audience(Audience::Public)
    }

    /// `private`: for one user's cache only. RFC 9111 §5.2.2.7. Takes the place of the `public`
    /// of [`immutable`](Self::immutable).
    #[track_caller]
    pub fn private(self) -> Self {
        self.with_audience(Audience::Private)
    }

    /// `s-maxage`: what `max-age` is for shared caches. RFC 9111 §5.2.2.10.
    ///
    /// To the letter, a shared cache then ignores the two `stale-` directives, too; those of CDNs
    /// mostly do not.
    #[track_caller]
    pub fn s_maxage(mut self, duration: Duration) -> Self {
        self.s_maxage = Some(seconds(duration));
        self.consistent()
    }

    /// `must-revalidate`: when its time is over, it is not used again without asking, not even
    /// when this server cannot be reached. RFC 9111 §5.2.2.2.
    #[track_caller]
    pub fn must_revalidate(mut self) -> Self {
        self.must_revalidate = true;
        self.consistent()
    }

    /// `stale-while-revalidate`: for this long after its time is over, it may be used once more
    /// while a new one is fetched. RFC 5861 §3.
    #[track_caller]
    pub fn stale_while_revalidate(mut self, duration: Duration) -> Self {
        self.stale_while_revalidate = Some(seconds(duration));
        self.consistent()
    }

    /// `stale-if-error`: for this long after its time is over, it may be used when this server
    /// cannot be reached or fails. RFC 5861 §4.
    #[track_caller]
    pub fn stale_if_error(mut self, duration: Duration) -> Self {
        self.stale_if_error = Some(seconds(duration));
        self.consistent()
    }

    /// `no-transform`: intermediaries must leave the content as it is. RFC 9111 §5.2.2.6.
    pub fn no_transform(mut self) -> Self {
        self.no_transform = true;
        self
    }

    /// The same as a field value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("directives are visible ASCII")
    }

    fn new(reuse: Reuse) -> Self {
        Self {
            reuse,
            audience: None,
            s_maxage: None,
            must_revalidate: false,
            stale_while_revalidate: None,
            stale_if_error: None,
            no_transform: false,
        }
    }

    #[track_caller]
    fn with_audience(mut self, audience: Audience) -> Self {
        assert!(
            self.audience.is_none_or(|other| other == audience),
            "a Cache-Control that is public and private; say one of them"
        );
        self.audience = Some(audience);
        self.consistent()
    }

    #[track_caller]
    fn consistent(self) -> Self {
        if let Some(why) = self.contradiction() {
            panic!("the Cache-Control \"{self}\" contradicts itself: {why}");
        }
        self
    }

    fn contradiction(&self) -> Option<&'static str> {
        // RFC 9111 §4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an
        // explicit in-protocol directive (e.g., by a no-cache response directive, a
        // must-revalidate response directive, …)".
        let may_be_stale = self.stale_while_revalidate.is_some() || self.stale_if_error.is_some();
        let is_timed = may_be_stale || self.s_maxage.is_some();
        match self.reuse {
            Reuse::Never
                if is_timed || self.must_revalidate || self.audience == Some(Audience::Public) =>
            {
                Some("what is not stored is never used again; leave no_store or the rest out")
            }
            Reuse::Validated if is_timed => Some(
                "no-cache asks each time, whatever the seconds; begin with CacheControl::max_age",
            ),
            _ if self.must_revalidate && may_be_stale => {
                Some("must-revalidate forbids stale answers; leave it or the stale- directive out")
            }
            _ if self.s_maxage.is_some() && self.audience == Some(Audience::Private) => {
                Some("s-maxage is for shared caches, which private keeps out; leave one out")
            }
            _ => None,
        }
    }
}

/// The field's value.
impl fmt::Display for CacheControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let audience = match (self.audience, self.reuse) {
            (Some(Audience::Private), _) => "private, ",
            (Some(Audience::Public), _) | (None, Reuse::Immutable) => "public, ",
            (None, _) => "",
        };
        f.write_str(audience)?;
        match self.reuse {
            Reuse::Never => f.write_str("no-store")?,
            Reuse::Validated => f.write_str("no-cache")?,
            Reuse::For(seconds) => write!(f, "max-age={seconds}")?,
            Reuse::Immutable => write!(f, "max-age={YEAR}")?,
        }
        for (name, seconds) in [
            ("s-maxage", self.s_maxage),
            ("stale-while-revalidate", self.stale_while_revalidate),
            ("stale-if-error", self.stale_if_error),
        ] {
            if let Some(seconds) = seconds {
                write!(f, ", {name}={seconds}")?;
            }
        }
        for (name, is_said) in [
            ("must-revalidate", self.must_revalidate),
            ("no-transform", self.no_transform),
            ("immutable", self.reuse == Reuse::Immutable),
        ] {
            if is_said {
                write!(f, ", {name}")?;
            }
        }
        Ok(())
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs().min(LONGEST)
}
