//! The cookie that keeps a session on its server.

use std::{fmt::Write as _, str};

use http::{HeaderMap, HeaderValue};
use siphasher::sip::SipHasher24;

use super::{
    balancer::Candidate,
    cookies,
    layer::{SameSite, Sticky},
};

#[cfg(test)]
mod tests;

impl Sticky {
    /// The server that the request's session is on, if it is in the table and can be asked.
    ///
    /// Other than for [`Balancer::pick`](super::Balancer::pick), a server that is draining, or that
    /// is a backup, can be; and one at its limit of connections is worth
    /// waiting for, since elsewhere the session is not.
    pub(in crate::gateway_proxy) fn server<C: Candidate>(
        &self,
        headers: &HeaderMap,
        members: &[C],
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        cookies::values(headers, &self.name)
            .filter_map(parse)
            .filter_map(|token| {
                members
                    .iter()
                    .position(|member| self.token(member.id()) == token)
            })
            .find(|index| usable(*index))
    }

    /// The value of `Set-Cookie` that keeps the session on the server with this
    /// [`id`](Candidate::id). For an answer of that server, when [`server`](Sticky::server) found
    /// another or none. `https`: whether the client's request came by it.
    pub(in crate::gateway_proxy) fn set_cookie(&self, id: u64, https: bool) -> HeaderValue {
        let (token, path) = (self.token(id), self.sent_path());
        let mut cookie = format!("{}={token:016x}; Path={path}", self.name);
        if let Some(max_age) = self.max_age {
            write!(cookie, "; Max-Age={}", max_age.as_secs()).expect("a string takes all");
        }
        if self.is_secure(https) {
            cookie.push_str("; Secure");
        }
        if self.http_only {
            cookie.push_str("; HttpOnly");
        }
        cookie.push_str(match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        HeaderValue::try_from(cookie).expect("name and path were checked where they were said")
    }

    fn is_secure(&self, https: bool) -> bool {
        // draft-ietf-httpbis-rfc6265bis §5.7: without `Secure` a user agent drops a cookie with
        // one of these prefixes (in whatever case), and one with `SameSite=None`.
        self.same_site == SameSite::None
            || self.begins_with("__Secure-")
            || self.begins_with("__Host-")
            || self.secure.unwrap_or(https)
    }

    fn sent_path(&self) -> &str {
        // draft-ietf-httpbis-rfc6265bis §5.7: with this prefix, one with another path is dropped.
        match self.begins_with("__Host-") {
            true => "/",
            false => &self.path,
        }
    }

    fn begins_with(&self, prefix: &str) -> bool {
        let start = self.name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }

    /// What stands for a server in the cookie.
    fn token(&self, id: u64) -> u64 {
        SipHasher24::new_with_key(&self.secret.0).hash(&id.to_le_bytes())
    }
}

/// Sixteen hexadecimal digits, as they were written; anything else is not of this gateway.
fn parse(value: &[u8]) -> Option<u64> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if value.len() != 16 || !value.iter().all(is_digit) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(value).ok()?, 16).ok()
}
