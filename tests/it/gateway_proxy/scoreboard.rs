//! What passes the gateway, byte for byte, at both ends: a client over a socket, `serve`,
//! [`GatewayProxy`](tower_gateway::GatewayProxy), and an upstream that writes down what it gets.
//!
//! Each row has the best that any gateway does. nginx is asked the same, so that the table is known
//! to be fair.

mod always;
mod awaited;
mod expect;
mod framing;
mod heads;
mod probe;
mod rows;
mod sides;
mod stories;
mod trace;

use std::collections::BTreeMap;

use self::{awaited::AWAITED, probe::Probe, sides::Side};
use crate::support::process::say;

#[tokio::test]
async fn no_cell_is_worse_than_the_best_of_the_others() {
    let table = table();
    assert!(table.len() >= 120, "{} probes", table.len());
    let ours = [
        Column::of(&Side::ours(), &table).await,
        Column::of(&Side::ours_streaming(), &table).await,
    ];
    let nginx = match Side::nginx().await {
        Some(nginx) => Some(Column::of(&nginx, &table).await),
        None => None,
    };
    for column in ours.iter().chain(&nginx) {
        column.print();
    }
    let [spooling, streaming] = &ours;
    for name in spooling.cells.keys().chain(streaming.cells.keys()) {
        let cell = |column: &Column| match column.cells.get(name) {
            None => "-",
            Some(Ok(())) => "yes",
            Some(Err(_)) => "NO",
        };
        let others = nginx.as_ref().map_or("-", cell);
        println!(
            "{:>9} {:>9} {others:>6}  {name}",
            cell(spooling),
            cell(streaming)
        );
    }

    let mut wrong: Vec<_> = ours.iter().flat_map(Column::wrong).collect();
    wrong.retain(|(_, name, _)| !AWAITED.contains(name));
    assert!(wrong.is_empty(), "{wrong:#?}");
    for name in AWAITED {
        let fails = |column: &Column| column.cells.get(name).is_some_and(Result::is_err);
        assert!(
            ours.iter().any(fails),
            "{name:?} is there, or is no probe: its line in AWAITED goes"
        );
    }
}

fn table() -> Vec<Probe> {
    let groups = [
        rows::probes(),
        framing::probes(),
        heads::probes(),
        trace::probes(),
    ];
    groups.into_iter().flatten().collect()
}

/// How a gateway did.
struct Column {
    name: &'static str,
    cells: BTreeMap<&'static str, Result<(), String>>,
}

impl Column {
    async fn of(side: &Side, table: &[Probe]) -> Self {
        let mut cells = BTreeMap::new();
        let mut add = |rule: &str, name, outcome: Result<(), String>| {
            let outcome = outcome.map_err(|reason| format!("{rule}: {reason}"));
            let before = cells.insert(name, outcome);
            assert!(before.is_none(), "two probes are named {name:?}");
        };
        for probe in table {
            add(probe.rule, probe.name, probe.try_at(side).await);
        }
        for story in stories::tell(side).await {
            add(story.rule, story.name, story.outcome);
        }
        Self {
            name: side.name,
            cells,
        }
    }

    fn wrong(&self) -> impl Iterator<Item = (&'static str, &'static str, &String)> {
        self.cells
            .iter()
            .filter_map(|(name, cell)| Some((self.name, *name, cell.as_ref().err()?)))
    }

    fn print(&self) {
        let (all, wrong) = (self.cells.len(), self.wrong().count());
        say(format_args!("{}: {} of {all}", self.name, all - wrong));
        for (_, name, reason) in self.wrong() {
            let reason: String = reason.chars().take(300).collect();
            println!("{}: {name}: {reason}", self.name);
        }
    }
}
