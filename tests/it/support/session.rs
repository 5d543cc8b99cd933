//! A browser without a screen: keeps cookies, sends forms.

use std::{collections::BTreeMap, net::SocketAddr};

use super::raw::{Answer, exchange};

pub struct Session {
    addr: SocketAddr,
    cookies: BTreeMap<String, String>,
}

impl Session {
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            cookies: BTreeMap::new(),
        }
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.get_with(target, "").await
    }

    /// `headers` are whole lines.
    pub async fn get_with(&mut self, target: &str, headers: &str) -> Answer {
        self.send("GET", target, headers, Vec::new()).await
    }

    /// `application/x-www-form-urlencoded`, with the token that Django left in a cookie.
    pub async fn post_form(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let mut form: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        if let Some(token) = self.cookies.get("csrftoken") {
            form.push(format!("csrfmiddlewaretoken={token}"));
        }
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.send("POST", target, headers, form.join("&").into_bytes())
            .await
    }

    /// `multipart/form-data` with one file.
    pub async fn post_file(&mut self, target: &str, name: &str, content: &[u8]) -> Answer {
        const BOUNDARY: &str = "--------------boundary-of-these-tests";
        let mut body = Vec::with_capacity(content.len() + 1024);
        if let Some(token) = self.cookies.get("csrftoken") {
            body.extend(
                format!(
                    "--{BOUNDARY}\r\n\
                     Content-Disposition: form-data; name=\"csrfmiddlewaretoken\"\r\n\r\n\
                     {token}\r\n"
                )
                .bytes(),
            );
        }
        body.extend(
            format!(
                "--{BOUNDARY}\r\n\
                 Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            )
            .bytes(),
        );
        body.extend_from_slice(content);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        let headers = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
        self.send("POST", target, &headers, body).await
    }

    /// What it knows by now, as a line of a head; empty if that is nothing.
    pub fn cookies(&self) -> String {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match cookies.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", cookies.join("; ")),
        }
    }

    /// With the cookies it knows; `headers` are whole lines.
    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: Vec<u8>,
    ) -> Answer {
        let addr = self.addr;
        let cookies = self.cookies();
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
             Content-Length: {}\r\n{cookies}{headers}\r\n",
            body.len()
        )
        .into_bytes();
        request.extend(body);
        let answer = exchange(addr, request).await;
        for cookie in answer.header_all("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// SHA-256, as the applications write it.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
