//! A row: a sentence, what is asked, and what is right.

use std::{future::Future, pin::Pin};

use serde_json::Value;

use super::sides::Stage;
use crate::support::{raw::Answer, session::sha256, wire::find};

/// What is asked after each row: whatever it was, the next request is answered as if it had not been.
pub const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

type Check = Box<dyn Fn(&Given) -> Result<(), String> + Send + Sync>;
type Outcome<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
type Story = for<'a> fn(&'a Stage) -> Outcome<'a>;

pub struct Row {
    /// Where the sentence is.
    pub source: &'static str,
    pub sentence: &'static str,
    pub name: &'static str,
    /// Only for those who hand on a request before it is whole.
    pub streams: bool,
    /// Not for this crate where it hands on a request before it is whole.
    pub spools: bool,
    asks: Vec<u8>,
    checks: Vec<Check>,
    /// Instead of an answer, or a broken one.
    breaks: bool,
    closes: bool,
    pub notes: Option<Vec<&'static str>>,
    story: Option<Story>,
}

/// An answer, with its head byte for byte.
pub struct Given {
    pub answer: Answer,
    pub head: Vec<u8>,
}

pub fn row(source: &'static str, sentence: &'static str, name: &'static str) -> Row {
    Row {
        source,
        sentence,
        name,
        streams: false,
        spools: false,
        asks: Vec::new(),
        checks: Vec::new(),
        breaks: false,
        closes: false,
        notes: None,
        story: None,
    }
}

/// What is asked.
impl Row {
    pub fn get(self, target: &str) -> Self {
        self.asks(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    pub fn head(self, target: &str) -> Self {
        self.asks(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    pub fn post(self, target: &str, body: impl AsRef<[u8]>) -> Self {
        self.asks(post(target, body))
    }

    /// `body` in chunks of so many bytes.
    pub fn post_chunks(self, target: &str, body: impl AsRef<[u8]>, size: usize) -> Self {
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut request = head.into_bytes();
        for chunk in body.as_ref().chunks(size) {
            request.extend(format!("{:x}\r\n", chunk.len()).bytes());
            request.extend(chunk);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
        self.asks(request)
    }

    /// As it is, but for the name of the row behind the first line.
    pub fn asks(mut self, request: impl AsRef<[u8]>) -> Self {
        self.asks = named(self.name, request);
        self
    }

    /// A way of its own through it.
    pub fn story(mut self, story: Story) -> Self {
        self.story = Some(story);
        self
    }

    pub fn streams(mut self) -> Self {
        self.streams = true;
        self
    }

    pub fn spools(mut self) -> Self {
        self.spools = true;
        self
    }
}

pub fn post(target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}

/// A request that says for which row it is.
pub fn named(row: &str, request: impl AsRef<[u8]>) -> Vec<u8> {
    let request = request.as_ref();
    let line = find(request, b"\r\n").expect("a request line") + 2;
    let field = format!("X-Row: {}\r\n", file_name(row));
    [&request[..line], field.as_bytes(), &request[line..]].concat()
}

/// Where a row's notes are.
pub fn file_name(row: &str) -> String {
    row.replace('/', "-")
}

/// What is right.
impl Row {
    fn check(
        mut self,
        check: impl Fn(&Given) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    pub fn status(self, status: u16) -> Self {
        self.check(move |given| match given.answer.status == status {
            true => Ok(()),
            false => Err(format!("status {}, not {status}", given.answer.status)),
        })
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.check(move |Given { answer, .. }| {
            let show = |bytes: &[u8]| {
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
                format!("{start:?} ({} bytes)", bytes.len())
            };
            match (answer.complete, answer.body == body) {
                (true, true) => Ok(()),
                (false, _) => Err(format!("a broken body: {}", show(&answer.body))),
                (true, false) => Err(format!("{}, not {}", show(&answer.body), show(&body))),
            }
        })
    }

    /// These fields of this name, in this order.
    pub fn fields<const N: usize>(self, name: &'static str, values: [&'static str; N]) -> Self {
        self.check(
            move |Given { answer, .. }| match answer.header_all(name) == values {
                true => Ok(()),
                false => Err(format!("{name}: {:?}, not {values:?}", {
                    answer.header_all(name)
                })),
            },
        )
    }

    pub fn lacks(self, name: &'static str) -> Self {
        self.fields(name, [])
    }

    pub fn one(self, name: &'static str) -> Self {
        self.check(
            move |Given { answer, .. }| match answer.header_all(name).len() {
                1 => Ok(()),
                number => Err(format!("{number} fields {name}")),
            },
        )
    }

    /// If there is a length, it is not zero: nobody knows whether it were.
    pub fn no_zero_length(self) -> Self {
        self.check(
            |Given { answer, .. }| match answer.header("content-length") {
                Some("0") => Err("a length of zero".to_owned()),
                _ => Ok(()),
            },
        )
    }

    /// The body is that of which this field has the SHA-256.
    pub fn digest(self, name: &'static str) -> Self {
        self.check(move |Given { answer, .. }| {
            match answer.header(name) == Some(&sha256(&answer.body)) {
                true => Ok(()),
                false => Err(format!("another body: {}", shown(answer))),
            }
        })
    }

    /// Whether these bytes are in the head.
    pub fn wire(self, bytes: &'static [u8]) -> Self {
        self.check(move |given| match find(&given.head, bytes) {
            Some(_) => Ok(()),
            None => Err(format!("no {bytes:?} in {}", lossy(&given.head))),
        })
    }

    /// Whether nothing that is evil came through.
    pub fn no_evil(self) -> Self {
        self.check(
            move |given| match given.head.windows(4).any(|word| word == b"evil") {
                false => Ok(()),
                true => Err(lossy(&given.head)),
            },
        )
    }

    /// What the application told as JSON.
    pub fn told(self, right: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.check(move |Given { answer, .. }| {
            let told = json(answer)?;
            match right(&told) {
                true => Ok(()),
                false => Err(format!("told {}", short(&told))),
            }
        })
    }

    /// As [`told`](Self::told), or the application was not asked.
    pub fn told_or_refused(self, right: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.check(move |Given { answer, .. }| {
            if answer.status >= 400 || answer.body.is_empty() {
                return Ok(());
            }
            let told = json(answer)?;
            match right(&told) {
                true => Ok(()),
                false => Err(format!("told {}", short(&told))),
            }
        })
    }

    /// As [`told`](Self::told): exactly this.
    pub fn tells(self, right: Value) -> Self {
        self.check(move |Given { answer, .. }| {
            let told = json(answer)?;
            match told == right {
                true => Ok(()),
                false => Err(format!("told {}, not {}", short(&told), short(&right))),
            }
        })
    }

    /// What it told of one variable: `None` if it is not there.
    pub fn variable(self, name: &'static str, value: Option<&'static str>) -> Self {
        self.check(move |Given { answer, .. }| {
            let told = json(answer)?;
            let told = told.get(name).map(|value| value.as_str().unwrap_or("?"));
            match told == value {
                true => Ok(()),
                false => Err(format!("{name} is {told:?}, not {value:?}")),
            }
        })
    }

    /// An error, or an answer that everybody sees is not whole.
    pub fn breaks(mut self) -> Self {
        self.breaks = true;
        self
    }

    /// The connection ends behind the answer.
    pub fn closes(mut self) -> Self {
        self.closes = true;
        self
    }

    /// In the end, the application has noted exactly this.
    pub fn notes<const N: usize>(mut self, notes: [&'static str; N]) -> Self {
        self.notes = Some(notes.to_vec());
        self
    }
}

impl Row {
    pub async fn play(&self, stage: &Stage) -> Result<(), String> {
        match self.story {
            Some(story) => story(stage).await?,
            None => self.ask(stage).await?,
        }
        match &self.notes {
            Some(notes) => stage.noted(notes).await,
            None => Ok(()),
        }
    }

    async fn ask(&self, stage: &Stage) -> Result<(), String> {
        let mut client = stage.client().await;
        // Who answers early may close early.
        let sent = client.send(&self.asks).await;
        let answer = client.answer(self.asks.starts_with(b"HEAD ")).await;
        if self.breaks {
            return match answer {
                Ok(None) => Ok(()),
                Ok(Some(answer)) if answer.status >= 500 || !answer.complete => Ok(()),
                Err(reason) if reason.starts_with("the connection ended") => Ok(()),
                Err(reason) => Err(reason),
                Ok(Some(answer)) => Err(format!("it looks whole: {}", shown(&answer))),
            };
        }
        let answer = answer?.ok_or_else(|| match sent {
            Ok(()) => "no answer: the connection ended".to_owned(),
            Err(error) => error,
        })?;
        let given = Given {
            answer,
            head: client.head.clone(),
        };
        for check in &self.checks {
            check(&given)?;
        }
        client.send(NEXT).await.ok();
        match client.answer(false).await {
            Ok(None) => Ok(()),
            Ok(Some(next)) if !self.closes && is_next(&next) => Ok(()),
            Ok(Some(next)) => Err(format!("behind the answer comes {}", shown(&next))),
            Err(reason) => Err(format!("behind the answer: {reason}")),
        }
    }
}

pub fn is_next(answer: &Answer) -> bool {
    answer.status == 200 && answer.complete && answer.body == b"next"
}

pub fn json(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|_bad| format!("no JSON: {}", shown(answer)))
}

pub fn shown(answer: &Answer) -> String {
    let mut body = answer.text();
    if let Some((end, _)) = body.char_indices().nth(100) {
        body.truncate(end);
        body.push('…');
    }
    let broken = if answer.complete { "" } else { ", broken" };
    format!("{} {body:?}{broken}", answer.status)
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
