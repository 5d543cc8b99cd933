//! StaticFiles from outside, over raw sockets, beside nginx and tower-http's `ServeDir`: the same
//! requests, and what RFC 9110, 9112, and 3986 let a server answer.
//!
//! Every answer is right, or not, by its status, its fields, and its bytes; it keeps what holds of
//! all answers; and the connection takes another request. The others are asked so that the table
//! is known to be fair: what it expects is what others do as well, most of the time.

mod always;
mod codings;
mod conditionals;
mod dates;
mod deeds;
mod if_range;
mod kinds;
mod methods;
mod multipart;
mod paths;
mod probe;
mod ranges;
mod servers;
mod site;
mod stories;
mod wire;

use self::{deeds::try_probe, probe::Probe, servers::Server};
use crate::support::{awaited::Feature, process::say};

/// All on one thread, so that what a peer prints when it panics is kept by the test harness.
#[tokio::test]
async fn what_the_rfcs_ask_for_is_answered() {
    let table = table();
    assert!(table.len() >= 120, "{} probes", table.len());
    let matrix = conditionals::matrix();

    let ours = [
        Score::of(&Server::ours().await, &table, &matrix).await,
        Score::of(&Server::ours_cached().await, &table, &matrix).await,
    ];
    let mut scores = Vec::new();
    let serve_dir = Server::serve_dir().await;
    scores.push(Score::of(&serve_dir, &table, &matrix).await);
    // It waits for a writer, and the runtime for it.
    serve_dir.site.release_fifo();
    if let Some(nginx) = Server::nginx().await {
        scores.push(Score::of(&nginx, &table, &matrix).await);
    }

    for score in scores.iter().chain(&ours) {
        score.print();
        score.was_asked();
    }
    for score in &ours {
        assert!(score.wrong.is_empty(), "{}: {:#?}", score.name, score.wrong);
    }
}

fn table() -> Vec<Probe> {
    let groups = [
        methods::probes(),
        conditionals::probes(),
        ranges::probes(),
        if_range::probes(),
        multipart::probes(),
        codings::probes(),
        paths::probes(),
        kinds::probes(),
    ];
    groups.into_iter().flatten().collect()
}

/// How a server did.
struct Score {
    name: &'static str,
    right: Vec<String>,
    wrong: Vec<String>,
    /// Wrong, of what is not there yet; only of this crate.
    awaited: Vec<String>,
    /// How many combinations of preconditions it answers wrongly, and an example.
    of_matrix: (usize, usize, Option<String>),
}

impl Score {
    async fn of(server: &Server, table: &[Probe], matrix: &[Probe]) -> Self {
        let mut score = Self {
            name: server.name,
            right: Vec::new(),
            wrong: Vec::new(),
            awaited: Vec::new(),
            of_matrix: (0, matrix.len(), None),
        };
        for probe in table {
            let outcome = try_probe(server, probe).await;
            score.add(server, probe.rule, &probe.name, probe.needs, outcome);
        }
        for story in stories::tell(server).await {
            score.add(server, story.rule, story.name, None, story.outcome);
        }
        for probe in matrix {
            if let Err(reason) = try_probe(server, probe).await {
                let line = format!("{}: {}: {reason}", probe.rule, probe.name);
                score.of_matrix.0 += 1;
                score.of_matrix.2.get_or_insert(line.clone());
                if server.is_ours() {
                    score.wrong.push(line);
                }
            }
        }
        score
    }

    fn add(
        &mut self,
        server: &Server,
        rule: &str,
        name: &str,
        needs: Option<Feature>,
        outcome: Result<(), String>,
    ) {
        let is_awaited = server.is_ours() && needs.is_some_and(|feature| !feature.is_there());
        match outcome {
            Ok(()) => self.right.push(name.to_owned()),
            Err(reason) => {
                let line = format!("{rule}: {name}: {reason}");
                match is_awaited {
                    true => self.awaited.push(line),
                    false => self.wrong.push(line),
                }
            }
        }
    }

    fn print(&self) {
        let (wrong, all, example) = &self.of_matrix;
        let count = self.right.len() + self.wrong.len() + self.awaited.len();
        say(format_args!(
            "{}: {} of {count} as the RFCs ask for; {} of {all} combinations of preconditions",
            self.name,
            self.right.len(),
            all - wrong,
        ));
        for line in self.wrong.iter().chain(example) {
            say(format_args!("  {line}"));
        }
        if !self.awaited.is_empty() {
            let features = "what this crate is still to learn";
            say(format_args!(
                "  NOT TESTED: {} of {features}",
                self.awaited.len()
            ));
        }
    }

    /// A server that answers nothing would make the comparison worthless.
    fn was_asked(&self) {
        let plain = ["GET", "HEAD", "GET of nothing", "the beginning"];
        for name in plain {
            let is_right = self.right.iter().any(|right| right == name);
            assert!(is_right, "{} was not asked: {:#?}", self.name, self.wrong);
        }
    }
}
