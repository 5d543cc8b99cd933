use super::*;

/// `name: value` lines, separated by `|`.
fn ask(method: &Method, path: &str, lines: &str) -> bool {
    let mut headers = HeaderMap::new();
    for line in lines.split('|').filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a field line");
        headers.append(
            name.parse::<HeaderName>().expect("a name"),
            value.parse().expect("a value"),
        );
    }
    is_navigation(method, &headers, path)
}

const CHROME: &str = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
    image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
const ADDRESS_BAR: &str = "sec-fetch-mode: navigate|sec-fetch-dest: document|accept: text/html";

#[test]
fn what_the_browser_says_of_the_request_decides() {
    for (lines, expected) in [
        ("sec-fetch-mode: navigate|sec-fetch-dest: document", true),
        ("sec-fetch-mode: navigate|sec-fetch-dest: iframe", true),
        ("sec-fetch-mode: navigate|sec-fetch-dest: frame", true),
        ("sec-fetch-mode: navigate|sec-fetch-dest: fencedframe", true),
        // A service worker hands the navigation on.
        ("sec-fetch-mode: navigate|sec-fetch-dest: empty", true),
        ("sec-fetch-mode: navigate", true),
        ("sec-fetch-mode: navigate|sec-fetch-dest: object", false),
        ("sec-fetch-mode: navigate|sec-fetch-dest: embed", false),
        ("sec-fetch-mode: cors|sec-fetch-dest: empty", false),
        ("sec-fetch-mode: cors|sec-fetch-dest: script", false),
        ("sec-fetch-mode: no-cors|sec-fetch-dest: script", false),
        ("sec-fetch-mode: no-cors|sec-fetch-dest: style", false),
        ("sec-fetch-mode: no-cors|sec-fetch-dest: image", false),
        ("sec-fetch-mode: no-cors", false),
        ("sec-fetch-mode: same-origin|sec-fetch-dest: empty", false),
        ("sec-fetch-mode: websocket|sec-fetch-dest: websocket", false),
        ("sec-fetch-dest: document", true),
        ("sec-fetch-dest: iframe", true),
        ("sec-fetch-dest: empty", false),
        ("sec-fetch-dest: embed", false),
        ("sec-fetch-dest: serviceworker", false),
        ("sec-fetch-dest: something-new", false),
        // With a parameter it is the same item.
        ("sec-fetch-dest: document;x=1", true),
    ] {
        assert_eq!(ask(&Method::GET, "/users/7", lines), expected, "{lines}");
        // `fetch()` of a page names HTML in `Accept`, and does not navigate.
        let with_accept = format!("{lines}|{CHROME}");
        assert_eq!(
            ask(&Method::GET, "/users/7", &with_accept),
            expected,
            "{lines}"
        );
        assert_eq!(ask(&Method::HEAD, "/users/7", lines), expected, "{lines}");
        assert!(!ask(&Method::POST, "/users/7", lines), "{lines}");
        assert!(!ask(&Method::OPTIONS, "/users/7", lines), "{lines}");
    }
}

#[test]
fn without_it_accept_has_to_name_html() {
    for (lines, expected) in [
        ("", false),
        ("accept: */*", false),
        ("accept: text/*", false),
        ("accept: text/html", true),
        ("accept: TEXT/HTML", true),
        ("accept: application/xhtml+xml", true),
        (CHROME, true),
        // Safari and Firefox, and the `Accept` of their images, styles, and scripts
        (
            "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            true,
        ),
        (
            "accept: image/webp,image/avif,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
            false,
        ),
        ("accept: text/css,*/*;q=0.1", false),
        ("accept: application/json, text/plain, */*", false),
        ("accept: text/html;q=0", false),
        ("accept: text/html;q=0.000, */*", false),
        ("accept: text/html ; Q=0 , */*", false),
        ("accept: text/html;charset=utf-8;q=0.4", true),
        ("accept: text/html;level=1", false),
        ("accept: text/htmlx, x-text/html", false),
        ("accept: image/png|accept: text/html", true),
        // What cannot be one token says nothing.
        ("sec-fetch-dest: |accept: text/html", true),
        ("sec-fetch-dest: \"script\"|accept: text/html", true),
        (
            "sec-fetch-dest: script|sec-fetch-dest: image|accept: text/html",
            true,
        ),
    ] {
        assert_eq!(ask(&Method::GET, "/users/7", lines), expected, "{lines}");
    }
}

#[test]
fn a_missing_asset_stays_missing_whoever_asks() {
    for path in [
        "/app.js",
        "/assets/index-BG8BsC3m.js",
        "/assets/index-BG8BsC3m.js.map",
        "/style.CSS",
        "/logo.svg",
        "/fonts/a.woff2",
        "/report.pdf",
        "/data.json",
        "/site.webmanifest",
        "/feed.xml",
        "/robots.txt",
        "/wp-login.php",
        "/jane.doe/avatar.png",
        "/.env",
        "/.git/config",
        "/.well-known/change-password",
        "/.well-known/acme-challenge/x",
    ] {
        for lines in [ADDRESS_BAR, "sec-fetch-dest: document", CHROME] {
            assert!(!ask(&Method::GET, path, lines), "{path} {lines}");
        }
    }
}

#[test]
fn a_dot_in_a_path_is_no_extension_to_a_browser_that_navigates() {
    for path in [
        "/users/jane.doe",
        "/users/jane@x.me",
        "/sites/example.com",
        "/sites/example.com.au",
        "/releases/v1.2",
        "/releases/1.2.3",
        "/ends.",
    ] {
        assert!(ask(&Method::GET, path, ADDRESS_BAR), "{path}");
        // By `Accept` alone it might be any file.
        assert!(!ask(&Method::GET, path, CHROME), "{path}");
        assert!(ask(&Method::GET, &format!("{path}/"), CHROME), "{path}");
    }
    for path in [
        "/",
        "/users",
        "/users/",
        "/about.html",
        "/old.HTM",
        "/a.b/c",
    ] {
        assert!(ask(&Method::GET, path, ADDRESS_BAR), "{path}");
        assert!(ask(&Method::GET, path, CHROME), "{path}");
    }
}

#[test]
fn the_answer_varies_with_all_that_decides() {
    let names: Vec<HeaderName> = VARY
        .split(", ")
        .map(|name| name.parse().expect("a name"))
        .collect();
    assert_eq!(
        names,
        [http::header::ACCEPT, SEC_FETCH_DEST, SEC_FETCH_MODE]
    );
}
