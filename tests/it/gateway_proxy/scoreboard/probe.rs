//! One question, the rule, and what has to hold at both ends.

use std::sync::{Arc, Mutex};

use super::{
    always,
    sides::{Side, script},
};
use crate::support::{raw::Answer, wire::find};

/// What an upstream says where it does not matter.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What is asked after each probe on the same connection.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";

/// One line of the table.
pub struct Probe {
    /// The section that says what is right.
    pub rule: &'static str,
    pub name: &'static str,
    sends: Vec<u8>,
    /// How many answers there are before the next request is sent.
    answers: usize,
    upstream: Vec<u8>,
    right: Vec<Right>,
}

/// One of the ways to be right.
struct Right {
    /// If not passed on: one of these statuses, and the upstream has heard nothing.
    refused: Option<&'static [u16]>,
    checks: Vec<Check>,
}

enum Check {
    /// How many requests the upstream has got.
    Requests(usize),
    /// Something of the first request that the upstream has got.
    Request(&'static str, fn(&Recorded) -> bool),
    Field(&'static str, Vec<&'static str>),
    Body(&'static str),
    Target(&'static str),
    Trailer(&'static str),
    /// Something of the first answer.
    Status(u16),
    Answer(&'static str, fn(&Answer) -> bool),
    AnswerField(&'static str, Vec<&'static str>),
    AnswerBody(&'static str),
    /// The client's connection ends with the answer.
    Closes,
    /// It takes another request.
    Goes,
}

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub raw: String,
}

/// What was seen at both ends.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: Vec<Recorded>,
    pub answers: Vec<Answer>,
    /// The connection took the next request, and its answer is that request's.
    pub goes: bool,
}

pub fn probe(rule: &'static str, name: &'static str, sends: impl Into<Vec<u8>>) -> Probe {
    Probe {
        rule,
        name,
        sends: sends.into(),
        answers: 1,
        upstream: OK.into(),
        right: Vec::new(),
    }
}

impl Probe {
    /// What the upstream says to each request.
    pub fn upstream(mut self, says: impl Into<Vec<u8>>) -> Self {
        self.upstream = says.into();
        self
    }

    pub fn answers(mut self, count: usize) -> Self {
        self.answers = count;
        self
    }

    /// Right is to refuse it, with one of these.
    pub fn refused(mut self, statuses: &'static [u16]) -> Self {
        self.right.push(Right {
            refused: Some(statuses),
            checks: Vec::new(),
        });
        self
    }

    /// Right is to pass it on, and what follows holds.
    pub fn passes(mut self) -> Self {
        let answers = self.answers;
        self.right.push(Right {
            refused: None,
            checks: vec![Check::Requests(answers)],
        });
        self
    }

    /// Right is to answer it here, with this status.
    pub fn answered(mut self, status: u16) -> Self {
        self.right.push(Right {
            refused: None,
            checks: vec![Check::Requests(0), Check::Status(status)],
        });
        self
    }

    fn and(mut self, check: Check) -> Self {
        let last = self.right.last_mut().expect("first which way is right");
        last.checks.push(check);
        self
    }

    /// All the lines of this field that the upstream gets.
    pub fn field<const N: usize>(self, name: &'static str, lines: [&'static str; N]) -> Self {
        self.and(Check::Field(name, lines.to_vec()))
    }

    pub fn lacks(self, name: &'static str) -> Self {
        self.field(name, [])
    }

    pub fn request(self, what: &'static str, holds: fn(&Recorded) -> bool) -> Self {
        self.and(Check::Request(what, holds))
    }

    pub fn body(self, body: &'static str) -> Self {
        self.and(Check::Body(body))
    }

    pub fn target(self, target: &'static str) -> Self {
        self.and(Check::Target(target))
    }

    /// A line of the trailers.
    pub fn trailer(self, line: &'static str) -> Self {
        self.and(Check::Trailer(line))
    }

    pub fn answer(self, what: &'static str, holds: fn(&Answer) -> bool) -> Self {
        self.and(Check::Answer(what, holds))
    }

    pub fn answer_field<const N: usize>(
        self,
        name: &'static str,
        lines: [&'static str; N],
    ) -> Self {
        self.and(Check::AnswerField(name, lines.to_vec()))
    }

    pub fn answer_lacks(self, name: &'static str) -> Self {
        self.answer_field(name, [])
    }

    pub fn answer_body(self, body: &'static str) -> Self {
        self.and(Check::AnswerBody(body))
    }

    pub fn closes(self) -> Self {
        self.and(Check::Closes)
    }

    pub fn goes(self) -> Self {
        self.and(Check::Goes)
    }

    pub async fn try_at(&self, side: &Side) -> Result<(), String> {
        let seen = self.see(side).await?;
        always::check(side, &seen)?;
        let mut reasons = Vec::new();
        for right in &self.right {
            match right.holds(&seen) {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; or "))
    }

    async fn see(&self, side: &Side) -> Result<Seen, String> {
        let record: Arc<Mutex<Vec<Recorded>>> = Arc::default();
        let says = self.upstream.clone();
        let recording = Arc::clone(&record);
        let stage = side.stage(script(move |mut conn| {
            let says = says.clone();
            let recording = Arc::clone(&recording);
            async move {
                while let Some(raw) = conn.request().await {
                    let request = Recorded { raw };
                    if request.target() == "/next" {
                        conn.answer("next").await;
                        continue;
                    }
                    recording.lock().unwrap().push(request);
                    conn.write(&says).await;
                    if says.starts_with(b"HTTP/1.0") {
                        return;
                    }
                }
            }
        }));
        let stage = stage.await;
        let mut seen = Seen::default();
        let mut client = stage.client().await;
        // It may be refused before it is sent to its end.
        client.send(&self.sends).await.ok();
        let to_head = self.sends.starts_with(b"HEAD ");
        while seen.answers.len() < self.answers {
            match client.answer(to_head).await? {
                Some(answer) => seen.answers.push(answer),
                None => break,
            }
        }
        if client.send(NEXT).await.is_ok()
            && let Some(next) = client.answer(false).await?
        {
            if next.text() != "next" {
                return Err(format!("the next request is answered {next:?}"));
            }
            seen.goes = true;
        }
        seen.requests = std::mem::take(&mut record.lock().unwrap());
        Ok(seen)
    }
}

impl Right {
    fn holds(&self, seen: &Seen) -> Result<(), String> {
        if let Some(statuses) = self.refused {
            let answer = seen.answers.first();
            if !seen.requests.is_empty() {
                return Err(format!("passed on: {:?}", seen.requests[0].raw));
            }
            // Cut off without a word is a refusal as well.
            return match answer {
                Some(answer) if !statuses.contains(&answer.status) => {
                    Err(format!("status {}, not {statuses:?}", answer.status))
                }
                _ => Ok(()),
            };
        }
        self.checks.iter().try_for_each(|check| check.holds(seen))
    }
}

impl Check {
    fn holds(&self, seen: &Seen) -> Result<(), String> {
        let request = || seen.requests.first().ok_or("the upstream got no request");
        let answer = || seen.answers.first().ok_or("there is no answer");
        let same = |given: Vec<String>, lines: &[&str], name: &str| match given == lines {
            true => Ok(()),
            false => Err(format!("{name} is {given:?}, not {lines:?}")),
        };
        match self {
            Self::Requests(count) if seen.requests.len() != *count => {
                let status = seen.answers.first().map(|answer| answer.status);
                Err(format!(
                    "the upstream got {} requests, not {count} (status {status:?})",
                    seen.requests.len()
                ))
            }
            Self::Requests(_) => Ok(()),
            Self::Request(what, holds) => match holds(request()?) {
                true => Ok(()),
                false => Err(format!("not: {what}: {:?}", request()?.raw)),
            },
            Self::Field(name, lines) => same(request()?.lines(name), lines, name),
            Self::Body(body) => {
                let given = request()?.body();
                same(vec![given.unwrap_or("no body".to_owned())], &[body], "body")
            }
            Self::Target(target) => same(vec![request()?.target()], &[target], "target"),
            Self::Trailer(line) => match request()?.trailers().contains(&(*line).to_owned()) {
                true => Ok(()),
                false => Err(format!("no trailer {line:?}: {:?}", request()?.raw)),
            },
            Self::Status(status) if answer()?.status != *status => {
                Err(format!("status {}, not {status}", answer()?.status))
            }
            Self::Status(_) => Ok(()),
            Self::Answer(what, holds) => match holds(answer()?) {
                true => Ok(()),
                false => Err(format!("not: {what}: {:?}", answer()?)),
            },
            Self::AnswerField(name, lines) => {
                let given = answer()?.header_all(name);
                same(given.into_iter().map(str::to_owned).collect(), lines, name)
            }
            Self::AnswerBody(body) => same(vec![answer()?.text()], &[body], "body"),
            Self::Closes if seen.goes => Err("the connection takes another request".to_owned()),
            Self::Goes if !seen.goes => Err("the connection ended".to_owned()),
            Self::Closes | Self::Goes => Ok(()),
        }
    }
}

impl Recorded {
    pub fn head(&self) -> &str {
        self.raw.split_once("\r\n\r\n").map_or("", |(head, _)| head)
    }

    pub fn target(&self) -> String {
        self.raw.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// The lines of a field; `name` in lower case.
    pub fn lines(&self, name: &str) -> Vec<String> {
        self.fields()
            .filter(|(given, _)| given == name)
            .map(|(_, value)| value)
            .collect()
    }

    pub fn fields(&self) -> impl Iterator<Item = (String, String)> {
        self.head().split("\r\n").skip(1).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
    }

    fn is_chunked(&self) -> bool {
        self.lines("transfer-encoding") == ["chunked"]
    }

    /// Without its chunks; `None` if they are none.
    pub fn body(&self) -> Option<String> {
        let (_, mut rest) = self.raw.split_once("\r\n\r\n")?;
        if !self.is_chunked() {
            return Some(rest.to_owned());
        }
        let mut body = String::new();
        loop {
            let (size, data) = rest.split_once("\r\n")?;
            let size = usize::from_str_radix(size, 16).ok()?;
            if size == 0 {
                return Some(body);
            }
            body.push_str(data.get(..size)?);
            rest = data.get(size..)?.strip_prefix("\r\n")?;
        }
    }

    /// Lines in lower case.
    fn trailers(&self) -> Vec<String> {
        let raw = self.raw.as_bytes();
        let Some(at) = find(raw, b"\r\n0\r\n").filter(|_| self.is_chunked()) else {
            return Vec::new();
        };
        let lines = self.raw[at + 5..].split("\r\n");
        lines.map(str::to_ascii_lowercase).collect()
    }
}
