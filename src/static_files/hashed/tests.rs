//! A name that is wrongly found is a year of stale files: the second table is the one that counts.

use super::*;

/// As the tools wrote them; the commented ones are real outputs.
const HASHED: &[&str] = &[
    // Django 5.2 collectstatic
    "admin/js/vendor/select2/i18n/ru.934aa95f5b5f.js",
    "admin/js/vendor/select2/i18n/th.f38c20b0221b.js",
    "css/base.27e20196a850.css",
    "admin/img/icon-yes.d2f9f035226a.svg",
    "jquery.min.641dd14370106e99.js",
    // webpack, Create React App, Angular, Parcel
    "static/js/main.8f3b1c2d.js",
    "static/js/787.28cb0dcd.chunk.js",
    "static/js/787.28cb0dcd.chunk.js.map",
    "static/css/main.f855e6bc.css",
    "static/css/main.f855e6bc.css.map",
    "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
    "vendors~main.1a2b3c4d5e6f7a8b9c0d.bundle.js",
    "runtime.5f2e1a9c3b7d4e60.js",
    "app.9b0e41c2.min.css",
    "app.9b0e41c2.worker.min.mjs",
    "FiraSans-Regular-0fe48ade.woff2",
    // mdBook, Propshaft, Sprockets, Trunk
    "searcher-c2a407aa.js",
    "mark-09e88c2c.min.js",
    "application-6d58c9e6.css",
    "application-908e25f4bf641868d8683022a5b62f54e2f1a3d4b5c6978812f0e1d2c3b4a596.js",
    "site-7a3f1b2c9d8e4f50_bg-1a2b3c4d.wasm",
    // Vite
    "assets/bg-uG4MM64R.png",
    "assets/index-BG8BsC3m.js",
    "assets/index-legacy-Bk3xQ9aZ.js",
    "assets/index.Bk3xQ9aZ.css",
    "assets/vendor-B-x9_aQ2.js",
    "assets/vendor--x9BaQ2z.js",
    "assets/font-a1B2c3D4.woff2",
    // esbuild
    "chunk-4XK2D7QF.js",
    "main-Q3ZT5RWK.css",
    "main-Q3ZT5RWK.js.map",
];

const NOT_HASHED: &[&str] = &[
    "",
    "app.js",
    "app.min.js",
    "jquery-3.7.1.min.js",
    "jquery-migrate.js",
    "jquery-ui-1.13.2.custom.min.js",
    "bootstrap-datepicker.js",
    "bootstrap-datepicker.es.min.js",
    "app-jQueryUI.js",
    "angular-sanitize.js",
    "service-worker.js",
    "sw.js",
    "vendor.polyfill.js",
    "vendors~main.chunk.js",
    "logo-horizontal.svg",
    "photo-DSC01234.jpg",
    "photo-IMG_0001.jpg",
    "IMG-20240131-WA0012.jpg",
    "Screenshot-2024-01-31.png",
    // Dates and numbers
    "photo-20240131.jpg",
    "photo.20240131.jpg",
    "photo-20240131235959.jpg",
    "photo-1706745599.jpg",
    "photo-20feb2024.jpg",
    "photo-2024dec1.jpg",
    "photo-1dec2024.jpg",
    // Words of hexadecimal digits
    "building-facade.jpg",
    "building-facade01.jpg",
    "menu-cafe2024.png",
    "img-face0001.jpg",
    "img-a0000012.png",
    "img-decadence.png",
    "img-deadbeef.png",
    "img-defaced.png",
    "img-2004decade.png",
    // Words in camel case, with numbers
    "slide-Chapter1.png",
    "slide-Section2.svg",
    "slide-Q3Draft2.png",
    "convert-Mp3ToWav.js",
    "util-Md5ToHex.js",
    "util-Es6Utils.js",
    "util-Win32Api.js",
    "test-Base64Js.js",
    "cam-iPhone12.jpg",
    "cam-GalaxyS9.jpg",
    "report-May2024a.png",
    "report-V2Final2.png",
    "type.AtomicU8.js",
    "struct.Ipv4Addr.js",
    "codec-H264x265.js",
    // Words in capitals, with numbers
    "app-VERSION2.js",
    "app-Q2REPORT.js",
    "app-CHAPTER3.js",
    "cam-CANON5D2.jpg",
    "app-COVID234.js",
    "README-Makefile",
    // Capitals are no tool's hexadecimal
    "crc-A1B2C3D4.mp4",
    "snom-000413A1B2C3.css",
    // Too short, too long, not at its place
    "app.8f3b1c2.js",
    "app.8f3b1c.js",
    "app-908e25f4bf641868d8683022a5b62f54e2f1a3d4b5c6978812f0e1d2c3b4a5960.js",
    "8f3b1c2d.app.js",
    "app.8f3b1c2d.de.js",
    "8f3b1c2d/app.js",
    "assets.8f3b1c2d/app.js",
    "assets-BG8BsC3m/index.js",
    // A hash alone: uploads are named so, and objects in a store
    "8f3b1c2d.js",
    "d41d8cd98f00b204e9800998ecf8427e.png",
    "BG8BsC3m.js",
    ".8f3b1c2d.js",
    "-8f3b1c2d.js",
    "-BG8BsC3m.js",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479.png",
    "avatar-f47ac10b-58cc-4372-a567-0e02b2c3d479.png",
    "avatar.f47ac10b-58cc-4372-a567-0e02b2c3d479.png",
    // Pages, documents, data, and what has no extension
    "report.27e20196a850.pdf",
    "report.27e20196a850.html",
    "state-8f3b1c2d.json",
    "snom370-000413a1b2c3.htm",
    "phone-000413a1b2c3.cfg",
    "tower-1.2.3-8f3b1c2d.tar.gz",
    "main.8f3b1c2d.js.LICENSE.txt",
    "main.8f3b1c2d.JS",
    "libcore-120cbae4e86ec454",
    "libcore-120cbae4e86ec454.rlib",
];

#[test]
fn what_tools_write_is_found() {
    for name in HASHED {
        assert!(is_hashed(Path::new(name)), "{name}");
    }
}

#[test]
fn words_dates_and_numbers_are_no_hashes() {
    for name in NOT_HASHED {
        assert!(!is_hashed(Path::new(name)), "{name}");
    }
}

/// What the module's documentation says of each kind, with hashes from a small generator.
#[test]
fn as_many_are_found_as_the_documentation_says() {
    const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const HEX: &[u8] = b"0123456789abcdef";
    let mut state = 1_u64;
    let mut random = |below: usize| {
        // Knuth's MMIX generator; its upper bits are the good ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for (alphabet, length, at_least, at_most) in [
        (HEX, 8, 83, 87),
        (HEX, 12, 95, 98),
        (HEX, 20, 99, 100),
        (BASE64_URL, 8, 43, 50),
        (BASE32, 8, 33, 38),
    ] {
        let found = (0..10_000)
            .filter(|_| {
                let hash = (0..length).map(|_| char::from(alphabet[random(alphabet.len())]));
                is_hashed(Path::new(&format!("main-{}.js", hash.collect::<String>())))
            })
            .count();
        let percent = found / 100;
        assert!(
            (at_least..=at_most).contains(&percent),
            "{percent} of 100 with {length} of {}",
            alphabet.len()
        );
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_unicode_has_no_hash() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let name = OsStr::from_bytes(b"\xff.8f3b1c2d.js");
    assert!(!is_hashed(Path::new(name)));
    let in_directory = OsStr::from_bytes(b"\xff/app.8f3b1c2d.js");
    assert!(is_hashed(Path::new(in_directory)));
}

proptest::proptest! {
    #[test]
    fn no_name_is_too_strange(name in "\\PC{0,80}", file in "[a-z]{0,3}[.-][-_.A-Za-z0-9é]{0,40}[.]js") {
        let _ = is_hashed(Path::new(&name));
        let _ = is_hashed(Path::new(&file));
        let _ = has_token(&name);
        let _ = has_token(&file);
    }
}
