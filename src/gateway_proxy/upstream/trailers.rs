//! What may pass of trailers. RFC 9110 §6.5.1: "A sender MUST NOT generate a trailer field unless
//! the sender knows the corresponding header field name's definition permits"; those that frame,
//! route, or identify are known not to.

use http::{HeaderMap, HeaderName};

use crate::semantics::hop;

/// `None`: nothing is left.
pub(in crate::gateway_proxy) fn of_request(trailers: HeaderMap) -> Option<HeaderMap> {
    only(trailers, hop::is_forwardable_trailer)
}

/// Nobody takes them for the variables of CGI, and in the metadata of gRPC a name may have `_` and
/// `.`.
pub(super) fn of_answer(trailers: HeaderMap) -> Option<HeaderMap> {
    only(trailers, |name| {
        !(hop::is_hop_by_hop(name) || hop::is_protected(name))
    })
}

fn only(mut trailers: HeaderMap, may_pass: impl Fn(&HeaderName) -> bool) -> Option<HeaderMap> {
    let condemned: Vec<_> = trailers
        .keys()
        .filter(|name| !may_pass(name))
        .cloned()
        .collect();
    for name in condemned {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}
