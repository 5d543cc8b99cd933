//! Basic, bearer, and digest authentication.

use super::Bin;
use crate::support::session::sha256;

pub async fn tell(bin: &Bin<'_>) {
    // user:passwd
    let basic = "Authorization: Basic dXNlcjpwYXNzd2Q=\r\n";
    for (target, refused) in [
        ("/basic-auth/user/passwd", 401),
        ("/hidden-basic-auth/user/passwd", 404),
    ] {
        let told = bin.told("GET", target, basic, "").await;
        assert_eq!(told["authenticated"], true, "{}", bin.who);
        let answer = bin.get(target).await;
        assert_eq!(answer.status, refused, "{} {target}", bin.who);
        let challenge = answer.header("www-authenticate").is_some();
        assert_eq!(challenge, refused == 401, "{} {target}", bin.who);
    }
    let told = bin
        .told("GET", "/bearer", "Authorization: Bearer abc\r\n", "")
        .await;
    assert_eq!(told["token"], "abc", "{}", bin.who);
    assert_eq!(bin.get("/bearer").await.status, 401, "{}", bin.who);
    digest(bin).await;
}

async fn digest(bin: &Bin<'_>) {
    let target = "/digest-auth/auth/user/passwd/SHA-256/never";
    let challenge = bin.get(target).await;
    assert_eq!(challenge.status, 401, "{}", bin.who);
    let fields = challenge.header("www-authenticate").unwrap();
    let field = |name: &str| {
        let (_, rest) = fields.split_once(&format!("{name}=")).unwrap();
        let rest = rest.trim_start_matches('"');
        rest[..rest.find(['"', ',']).unwrap_or(rest.len())].to_owned()
    };
    let (realm, nonce, opaque) = (field("realm"), field("nonce"), field("opaque"));
    let hash = |text: String| sha256(text.as_bytes());
    let who = hash(format!("user:{realm}:passwd"));
    let what = hash(format!("GET:{target}"));
    let response = hash(format!("{who}:{nonce}:00000001:cn:auth:{what}"));
    let cookies: Vec<_> = challenge
        .header_all("set-cookie")
        .iter()
        .map(|cookie| cookie.split(';').next().unwrap_or_default())
        .collect();
    let lines = format!(
        "Cookie: {}\r\nAuthorization: Digest username=\"user\", realm=\"{realm}\", \
         nonce=\"{nonce}\", uri=\"{target}\", response=\"{response}\", opaque=\"{opaque}\", \
         algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"cn\"\r\n",
        cookies.join("; ")
    );
    let told = bin.told("GET", target, &lines, "").await;
    assert_eq!(told["authenticated"], true, "{}", bin.who);
}
