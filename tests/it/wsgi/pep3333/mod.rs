//! PEP 3333, sentence by sentence: what comes of a small application, over a socket, from this
//! crate and from other servers, so that the table is known to be fair.
//!
//! The applications are in `tests/python/pep3333.py`.

mod row;
mod rows;
mod sides;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use tokio::time::timeout;

use self::{row::Row, sides::Side};
use super::application::{Application, WAYS};
use crate::support::{process::say, raw, stories::json};

#[tokio::test(flavor = "multi_thread")]
async fn no_sentence_of_pep_3333_is_broken() {
    let table = rows::table();
    let names: BTreeSet<_> = table.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), table.len(), "two rows have one name");

    let (ours, streaming, gunicorn, granian) = tokio::join!(
        Side::ours(false),
        Side::ours(true),
        Side::gunicorn(),
        Side::granian()
    );
    let sides = [ours, streaming, gunicorn, granian];
    let columns = join_all(sides.iter().map(|side| column(side, &table))).await;

    for (side, column) in sides.iter().zip(&columns) {
        for (row, cell) in table.iter().zip(column) {
            if let Cell::Wrong(reason) = cell {
                let reason: String = reason.chars().take(300).collect();
                println!("{}: {}: {reason}", side.name, row.name);
            }
        }
    }
    let heads: Vec<_> = sides.iter().map(|side| side.name).collect();
    println!("{}", heads.join(" "));
    for (number, row) in table.iter().enumerate() {
        let cells = sides.iter().zip(&columns).map(|(side, column)| {
            let cell = match column[number] {
                Cell::NotAsked => "-",
                Cell::Right => "yes",
                Cell::Wrong(_) => "NO",
            };
            format!("{cell:>width$}", width = side.name.len())
        });
        let cells: Vec<_> = cells.collect();
        println!("{}  {}: {:?}", cells.join(" "), row.source, row.name);
    }
    let totals = sides.iter().zip(&columns).map(|(side, column)| {
        let asked = column.iter().filter(|cell| !matches!(cell, Cell::NotAsked));
        let right = column.iter().filter(|cell| matches!(cell, Cell::Right));
        format!("{} {}/{}", side.name, right.count(), asked.count())
    });
    let totals: Vec<_> = totals.collect();
    say(format_args!("PEP 3333: {}", totals.join(", ")));

    let mut wrong = Vec::new();
    for (side, column) in sides.iter().zip(&columns) {
        for (row, cell) in table.iter().zip(column) {
            if let Cell::Wrong(reason) = cell {
                assert!(!reason.is_empty(), "{} {}", side.name, row.name);
                if side.is_ours {
                    wrong.push((side.name, row.source, row.sentence, row.name, reason));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// PEP 3333: `wsgi.multithread` "should evaluate true if the application object may be simultaneously
/// invoked by another thread in the same process". The table is asked of one thread in each of two.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_told_of_its_threads() {
    let notes = tempfile::tempdir().unwrap();
    let application = Application::new("pep3333:application")
        .env("PEP3333_NOTES", notes.path())
        .threads(2);
    let ours = WAYS.into_iter().find(|way| way.is_ours()).unwrap();
    let running = ours.start(&application).await;
    let told = json(&raw::get(running.addr, "/wsgi").await);
    assert_eq!(told["multithread"], true, "{told}");
    assert_eq!(told["run_once"], false, "{told}");
}

enum Cell {
    NotAsked,
    Right,
    Wrong(String),
}

/// One row after the other, so that none disturbs another.
async fn column(side: &Side, table: &[Row]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for row in table {
        let asked = match (side.is_ours, side.streams) {
            (_, false) => !row.streams,
            (true, true) => !row.spools,
            (false, true) => true,
        };
        if !asked {
            cells.push(Cell::NotAsked);
            continue;
        }
        let stage = side.stage(row.name);
        let told = match timeout(side.limit(), row.play(&stage)).await {
            Ok(told) => told,
            Err(_) => Err(format!("it takes longer than {:?}", side.limit())),
        };
        // Whoever waits still, waits for nobody.
        stage.go_all();
        let told = match told {
            Ok(()) => stage.is_well().await,
            wrong => wrong,
        };
        cells.push(match told {
            Ok(()) => Cell::Right,
            Err(reason) => Cell::Wrong(reason),
        });
    }
    // Not once more, either.
    for (row, cell) in table.iter().zip(&mut cells) {
        if let (Cell::Right, Some(right)) = (&cell, &row.notes)
            && let Err(reason) = side.stage(row.name).noted(right).await
        {
            *cell = Cell::Wrong(format!("later: {reason}"));
        }
    }
    cells
}
