//! What an answer means where it is not plain HTTP.
//!
//! uWSGI and Gunicorn begin theirs with a status line. A CGI program behind them may not, and
//! begins with its fields, one of which may be `Status` (RFC 3875 §6). SCGI and FastCGI servers
//! answer in the same ways.

use std::{error, fmt};

use http::{HeaderMap, StatusCode, header};

use crate::semantics::hop;

/// What an answer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Opening {
    /// It cannot be told before more bytes are there.
    Partial,
    /// A status line. The fields begin after `length` bytes.
    StatusLine { status: StatusCode, length: usize },
    /// A field: an answer of CGI. Its status is what [`cgi_status`] says.
    Fields,
}

/// An answer that is neither of HTTP nor of CGI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum InvalidAnswer {
    /// It begins as HTTP, and does not go on so.
    StatusLine,
    /// `Status` is there twice, or is none.
    StatusField,
    /// There is neither a status line nor a field.
    NoHead,
}

/// Looks at the first bytes of an answer.
///
/// The version is not looked at: uWSGI writes the one of the request, which may be `HTTP/2.0`.
pub(in crate::gateway_proxy) fn opening(bytes: &[u8]) -> Result<Opening, InvalidAnswer> {
    const HTTP: &[u8] = b"HTTP/";
    let Some(rest) = bytes.strip_prefix(HTTP) else {
        let is_beginning = HTTP.starts_with(bytes);
        return Ok(if is_beginning {
            Opening::Partial
        } else {
            Opening::Fields
        });
    };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return Ok(Opening::Partial);
    };
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    let status = status_line(line).ok_or(InvalidAnswer::StatusLine)?;
    Ok(Opening::StatusLine {
        status,
        length: HTTP.len() + end + 1,
    })
}

/// `1*digit [ "." 1*digit ] SP status-code [ SP reason-phrase ]`: RFC 9112 §4, with any version.
fn status_line(line: &[u8]) -> Option<StatusCode> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let is_version = line[..space]
        .splitn(2, |byte| *byte == b'.')
        .all(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
    is_version.then(|| status(&line[space + 1..])).flatten()
}

/// `status-code [ SP reason-phrase ]`. The phrase is of no meaning, but it is no place for
/// control characters either.
fn status(text: &[u8]) -> Option<StatusCode> {
    let (code, rest) = text.split_at_checked(3)?;
    let is_phrase = match rest {
        [] => true,
        [b' ', phrase @ ..] => phrase
            .iter()
            .all(|byte| *byte == b'\t' || !byte.is_ascii_control()),
        _ => false,
    };
    is_phrase.then(|| StatusCode::from_bytes(code).ok())?
}

/// The status of an answer without a status line. `Status`, which is for the gateway, is taken out.
///
/// A `Location` on this host is sent to the client like any other: nginx does the same, and no
/// WSGI application expects the request to be made anew (RFC 3875 §6.2.2).
pub(in crate::gateway_proxy) fn cgi_status(
    headers: &mut HeaderMap,
) -> Result<StatusCode, InvalidAnswer> {
    const STATUS: &str = "status";
    // RFC 3875 §6.2: "generic-response = 1*header-field NL [ response-body ]".
    if headers.is_empty() {
        return Err(InvalidAnswer::NoHead);
    }
    // RFC 3875 §6.3: "each CGI field MUST NOT appear more than once in the response"; "A NULL
    // field value is equivalent to a field not being sent."
    if headers.get_all(STATUS).iter().count() > 1 {
        return Err(InvalidAnswer::StatusField);
    }
    if let Some(value) = headers.remove(STATUS).filter(|value| !value.is_empty()) {
        return status(value.as_bytes().trim_ascii())
            // There is one head, and it is the last.
            .filter(|status| {
                !status.is_informational() || *status == StatusCode::SWITCHING_PROTOCOLS
            })
            .ok_or(InvalidAnswer::StatusField);
    }
    // RFC 3875 §6.2.3: "For an HTTP client request, the server MUST generate a 302 'Found' HTTP
    // response message." §6.3.3: "Status code 200 'OK' indicates success, and is the default".
    let is_redirect = headers
        .get(header::LOCATION)
        .is_some_and(|location| !location.is_empty());
    Ok(if is_redirect {
        StatusCode::FOUND
    } else {
        StatusCode::OK
    })
}

/// Whether the connection takes another request behind this answer. To be asked before the fields
/// of the connection are removed.
///
/// The protocol knows no such thing: uWSGI closes behind each answer and does not say so. Only a
/// server that says `keep-alive` does otherwise, which Gunicorn's threaded workers do.
/// `is_delimited` says that the answer has an end without the connection's: a length, chunks,
/// or no body at all.
pub(in crate::gateway_proxy) fn keeps_connection(headers: &HeaderMap, is_delimited: bool) -> bool {
    let says = |option| hop::lists(headers, &header::CONNECTION, option);
    is_delimited && says("keep-alive") && !says("close")
}

impl InvalidAnswer {
    pub(in crate::gateway_proxy) fn reason(self) -> &'static str {
        match self {
            Self::StatusLine => "the status line is malformed",
            Self::StatusField => "the Status field is malformed",
            Self::NoHead => "there is neither a status line nor a field",
        }
    }
}

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl error::Error for InvalidAnswer {}

#[cfg(test)]
mod tests;
