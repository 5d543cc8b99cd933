//! How the page looks, and the policy that lets it look so and do nothing else.

use std::sync::LazyLock;

use http::HeaderValue;
use sha2::{Digest, Sha256};

/// The system's colours follow the reader's choice of light or dark by themselves.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;max-width:64rem;padding:1rem;\
background:Canvas;color:CanvasText}\
h1{font-size:1.25rem;overflow-wrap:anywhere}\
nav ol{display:flex;flex-wrap:wrap;gap:.25rem;list-style:none;margin:0;padding:0}\
nav li+li::before{content:\"/\";margin-inline-end:.25rem}\
nav ul{display:flex;flex-wrap:wrap;gap:1rem;list-style:none;margin:1rem 0;padding:0}\
nav ul li+li::before{content:none}\
table{border-collapse:collapse;width:100%}\
caption{text-align:start;padding-block:.25rem}\
th,td{padding:.25rem .5rem;text-align:start;font-weight:normal}\
thead th{font-weight:bold;white-space:nowrap}\
tbody tr{border-block-start:1px solid color-mix(in srgb,currentColor 20%,transparent)}\
tbody tr:hover{background:color-mix(in srgb,currentColor 8%,transparent)}\
tbody th{overflow-wrap:anywhere}\
td{white-space:nowrap;font-variant-numeric:tabular-nums}\
th+td,th:nth-child(2){text-align:end}\
[aria-sort=ascending] a::after{content:\" \\2191\"}\
[aria-sort=descending] a::after{content:\" \\2193\"}\
@media (max-width:40rem){th:nth-child(3),td:nth-child(3){display:none}}";

/// `form-action` and `base-uri` do not fall back to `default-src` (CSP3 §6.1.3).
pub(super) static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64(&Sha256::digest(STYLE.as_bytes()));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    ))
    .expect("base64 is ASCII")
});

/// RFC 4648 §4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | usize::from(group.get(at).copied().unwrap_or_default())
        });
        for at in 0..4 {
            // One byte fills two characters, two fill three.
            text.push(match at <= group.len() {
                true => char::from(ALPHABET[bits >> (18 - 6 * at) & 63]),
                false => '=',
            });
        }
    }
    text
}
