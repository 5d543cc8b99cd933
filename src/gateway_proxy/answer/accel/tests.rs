use http::HeaderValue;

use super::*;
use crate::semantics::accel::FIELDS;

fn fields() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in &FIELDS {
        headers.append(name.clone(), HeaderValue::from_static("No"));
        headers.append(name, HeaderValue::from_static("x"));
    }
    headers.insert("x-accel-redirect", HeaderValue::from_static("/p/x"));
    headers.insert("x-sendfile", HeaderValue::from_static("/srv/x"));
    headers.insert("x-other", HeaderValue::from_static("x"));
    headers
}

#[test]
fn what_speaks_to_nginx_is_read_and_taken_out() {
    let mut headers = fields();
    assert_eq!(take_fields(&mut headers, AccelFields::Take), Some(false));
    assert_eq!(headers.len(), 3);

    let mut headers = fields();
    assert_eq!(take_fields(&mut headers, AccelFields::Pass), Some(false));
    assert_eq!(headers, fields());

    for (value, expected) in [
        ("yes", Some(true)),
        ("YES", Some(true)),
        ("on", None),
        ("", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("x-accel-buffering", HeaderValue::from_static(value));
        assert_eq!(take_fields(&mut headers, AccelFields::Take), expected);
        assert!(headers.is_empty());
    }
    assert_eq!(take_fields(&mut HeaderMap::new(), AccelFields::Take), None);
}

#[test]
fn a_file_s_name_goes_to_who_sends_it_and_to_nobody_else() {
    let none = SendsFiles::new();
    let accel = none.accel_redirect();
    let both = accel.sendfile();
    let cases = [
        // (sends, files, x-accel-redirect is kept, x-sendfile is kept)
        (none, NamedFiles::ToLayer, false, false),
        (accel, NamedFiles::ToLayer, true, false),
        (none.sendfile(), NamedFiles::ToLayer, false, true),
        (both, NamedFiles::ToLayer, true, true),
        (none, NamedFiles::Pass, true, true),
        (both, NamedFiles::Take, false, false),
    ];
    for (sends, files, keeps_accel, keeps_sendfile) in cases {
        let mut headers = fields();
        take_named_files(&mut headers, sends, files);
        assert_eq!(headers.contains_key("x-accel-redirect"), keeps_accel);
        assert_eq!(headers.contains_key("x-sendfile"), keeps_sendfile);
        assert!(headers.contains_key("x-other"));
    }
}
