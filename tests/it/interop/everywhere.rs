//! The same Flask and the same Django, whichever server runs them and whatever is spoken to it:
//! one story each, told of a URL.

use tower_gateway::GatewayProxy;

use super::{
    Gateway,
    applications::{Place, SERVERS, Speech},
};
use crate::support::{
    process::say,
    python::{self, Site},
    raw::{self, exchange},
    stories::{self, json},
};

async fn flask(upstream: &str) {
    let proxy = GatewayProxy::to(upstream).unwrap();
    let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;
    stories::flask(gateway.addr, upstream).await;
}

async fn django(upstream: &str, site: &Site) {
    let proxy = GatewayProxy::to(upstream).unwrap();
    let gateway = Gateway::start(&site.static_root(), proxy).await;
    let style = raw::get(gateway.addr, "/static/style.css").await;
    assert_eq!(style.status, 200, "{upstream}");

    stories::django(gateway.addr, upstream).await;
    no_client_can_lie(&gateway, upstream).await;
}

async fn no_client_can_lie(gateway: &Gateway, upstream: &str) {
    let request = "GET /whoami/?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: evil.example\r\nForwarded: for=203.0.113.9;proto=https\r\n\
                   X_Forwarded_For: 203.0.113.9\r\nRemote_Addr: 203.0.113.9\r\n\
                   SCRIPT_NAME: /admin\r\nPath_Info: /admin/\r\nProxy: evil.example\r\n\
                   X-Mine: kept\r\n\r\n";
    let told = json(&exchange(gateway.addr, request).await);
    let context = format!("{upstream} {told:#}");
    for (name, value) in [
        ("host", "localhost"),
        ("scheme", "http"),
        ("script_name", ""),
        ("path", "/whoami/"),
        ("query_string", "a=b"),
    ] {
        assert_eq!(told[name], value, "{name} {context}");
    }
    let headers = told["headers"].as_object().unwrap();
    for (name, value) in [
        ("HTTP_X_FORWARDED_FOR", "127.0.0.1"),
        ("HTTP_X_FORWARDED_PROTO", "http"),
        ("HTTP_X_FORWARDED_HOST", "localhost"),
        ("HTTP_X_MINE", "kept"),
    ] {
        assert_eq!(headers[name], value, "{name} {context}");
    }
    let forwarded = headers["HTTP_FORWARDED"].as_str().unwrap();
    assert!(forwarded.contains("for=127.0.0.1"), "{context}");
    assert!(!told.to_string().contains("203.0.113.9"), "{context}");
    for name in ["HTTP_PROXY", "HTTP_SCRIPT_NAME", "HTTP_PATH_INFO"] {
        assert!(!headers.contains_key(name), "{name} {context}");
    }
}

async fn everybody(speech: Speech, place: Place) {
    for server in SERVERS {
        let application = server.flask(speech, place);
        say(format_args!("Flask, {server:?}: {}", application.url));
        flask(&application.url).await;
        drop(application);

        let site = Site::new();
        let application = server.django(speech, place, &site);
        say(format_args!("Django, {server:?}: {}", application.url));
        django(&application.url, &site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_http() {
    everybody(Speech::Http, Place::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_http_on_a_unix_socket() {
    everybody(Speech::Http, Place::Unix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_uwsgi() {
    everybody(Speech::Uwsgi, Place::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_uwsgi_on_a_unix_socket() {
    everybody(Speech::Uwsgi, Place::Unix).await;
}
