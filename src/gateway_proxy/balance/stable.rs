//! Hashes that are the same in every process, on every machine, and in every version.
//!
//! Several gateways in front of the same servers must agree, and a new version must not move
//! every key and every session: nothing here may change.

use std::net::IpAddr;

use http::HeaderMap;
use siphasher::sip::SipHasher24;

use super::{
    cookies,
    layer::{HashKey, Source},
};

const SERVERS: &[u8; 16] = b"tower-gateway id";
const KEYS: &[u8; 16] = b"tower-gateway ky";

/// What a server is called in hashes: of the text of its address, as the user wrote it.
pub(in crate::gateway_proxy) fn server_id(address: &str) -> u64 {
    SipHasher24::new_with_key(SERVERS).hash(address.as_bytes())
}

/// The key of a request, if it has one.
pub(in crate::gateway_proxy) fn key_of(
    key: &HashKey,
    headers: &HeaderMap,
    client: Option<IpAddr>,
) -> Option<u64> {
    match &key.source {
        Source::Header(name) => {
            let value = headers.get(name)?.as_bytes();
            (!value.is_empty()).then(|| hash(value))
        }
        Source::Cookie(name) => cookies::values(headers, name)
            .find(|value| !value.is_empty())
            .map(hash),
        // An IPv4 client is the same client on a socket of either family.
        Source::ClientAddr => client.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        }),
    }
}

fn hash(value: &[u8]) -> u64 {
    SipHasher24::new_with_key(KEYS).hash(value)
}

/// One number of a key and a server, each of them a hash already: every bit of the result depends
/// on every bit of both. (The finalizer of SplitMix64.)
pub(super) fn mix(key: u64, server: u64) -> u64 {
    let mut bits = key ^ server;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
