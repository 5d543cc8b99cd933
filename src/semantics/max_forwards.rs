//! How much further `OPTIONS` and `TRACE` go: RFC 9110 §7.6.2 and §9.3.8.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Method, header};
//! use tower_gateway::semantics::max_forwards::{self, Turn};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(header::MAX_FORWARDS, HeaderValue::from_static("1"));
//! assert_eq!(max_forwards::turn(&Method::OPTIONS, &mut headers), Turn::Forward);
//! assert_eq!(headers[header::MAX_FORWARDS], "0");
//!
//! // Whoever gets it now is whom it is meant for.
//! assert_eq!(max_forwards::turn(&Method::OPTIONS, &mut headers), Turn::Answer);
//! // To other methods the field says nothing.
//! assert_eq!(max_forwards::turn(&Method::GET, &mut headers), Turn::Forward);
//! ```

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turn {
    /// It goes on; `Max-Forwards`, if there is one, says one less.
    Forward,
    /// It stops here. RFC 9110 §7.6.2: "If the received value is zero (0), the intermediary MUST
    /// NOT forward the request; instead, the intermediary MUST respond as the final recipient."
    ///
    /// For `OPTIONS` that is a 200 with `Allow` and without content; for `TRACE` a 405.
    Answer,
    /// `Max-Forwards` is no number, or there is more than one, so it cannot be obeyed: 400.
    Malformed,
}

/// The `Allow` of a gateway that answers `OPTIONS` in place of the application, or refuses
/// `TRACE`: what it would pass on of the methods that RFC 9110 and RFC 5789 define.
pub const ALLOW: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Fields that a `TRACE` is not to carry, since its answer repeats them: RFC 9110 §9.3.8.
const CREDENTIALS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-auth-token"),
    HeaderName::from_static("x-csrf-token"),
];

/// Whose turn it is with a request, whose `Max-Forwards` is counted down.
///
/// RFC 9110 §7.6.2: "Each intermediary that receives a TRACE or OPTIONS request containing a
/// Max-Forwards header field MUST check and update its value prior to forwarding the request." With
/// any other method it "MAY ignore" the field, and this does: it is left as it is.
#[must_use = "a request whose last turn this was is not to be forwarded"]
pub fn turn(method: &Method, headers: &mut HeaderMap) -> Turn {
    if *method != Method::OPTIONS && *method != Method::TRACE {
        return Turn::Forward;
    }
    let mut lines = headers.get_all(header::MAX_FORWARDS).iter();
    let (value, more) = (lines.next(), lines.next());
    let Some(value) = value else {
        return Turn::Forward;
    };
    match (number(value), more) {
        (Some(0), None) => Turn::Answer,
        (Some(left), None) => {
            headers.insert(header::MAX_FORWARDS, HeaderValue::from(left - 1));
            Turn::Forward
        }
        _ => Turn::Malformed,
    }
}

/// `Max-Forwards = 1*DIGIT`. What is too large is the largest: RFC 9110 §7.6.2 sends on "the lesser of
/// a) the received value decremented by one (1) or b) the recipient's maximum supported value".
fn number(value: &HeaderValue) -> Option<u32> {
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number: u32, digit| {
        let digit = u32::from(digit - b'0');
        number.saturating_mul(10).saturating_add(digit)
    }))
}

/// Takes out of a `TRACE` that is to be forwarded what its answer must not show to a script.
///
/// RFC 9110 §9.3.8: "A client MUST NOT generate fields in a TRACE request containing sensitive data
/// that might be disclosed by the response", and to the upstream this side is the client. Only
/// fields that are known to hold credentials are known here: an application with others of its own
/// is better off without `TRACE`.
pub fn strip_credentials(headers: &mut HeaderMap) {
    for name in CREDENTIALS {
        headers.remove(name);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
