use super::*;

#[test]
fn five_percent_less_is_worth_it() {
    for (length, most) in [(0, 0), (1, 0), (20, 19), (21, 19), (100, 95), (1000, 950)] {
        assert_eq!(at_most(length), most, "{length}");
    }
}

#[test]
fn types_that_tend_to_shrink_are_compressed() {
    for media_type in [
        "text/html",
        "text/html; charset=utf-8",
        "TEXT/CSS ;charset=x",
        "text/javascript",
        "application/json",
        "application/manifest+json",
        "application/ld+json; profile=x",
        "application/atom+xml",
        "application/wasm",
        "image/svg+xml",
        "image/x-icon",
        "image/bmp",
        "font/ttf",
        "font/otf",
    ] {
        assert!(is_compressible(media_type, 512), "{media_type}");
        assert!(!is_compressible(media_type, 511), "{media_type}");
    }
    for media_type in [
        "",
        ";",
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/avif",
        "audio/mpeg",
        "video/mp4",
        "video/mp2t",
        "application/zip",
        "application/gzip",
        "application/pdf",
        "application/epub+zip",
        "application/octet-stream",
        "font/woff",
        "font/woff2",
        "application/json-not",
        "nottext/html",
    ] {
        assert!(!is_compressible(media_type, 1 << 20), "{media_type}");
    }
}

#[test]
fn a_file_that_was_just_changed_is_in_flux() {
    let now = SystemTime::now();
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds));
    assert!(is_in_flux(ago(0), now));
    assert!(is_in_flux(ago(9), now));
    assert!(!is_in_flux(ago(10), now));
    assert!(!is_in_flux(None, now));
    assert!(!is_in_flux(Some(now + Duration::from_secs(5)), now));
}
