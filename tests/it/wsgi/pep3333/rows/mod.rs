//! All rows. A sentence is quoted as it stands, with its heading.

mod body;
mod closing;
mod environ;
mod errors;
mod files;
mod input;
mod no_body;
mod requests;
mod start;
mod strings;

use super::row::Row;

pub fn table() -> Vec<Row> {
    let groups = [
        environ::rows(),
        requests::rows(),
        strings::rows(),
        input::rows(),
        start::rows(),
        body::rows(),
        no_body::rows(),
        errors::rows(),
        closing::rows(),
        files::rows(),
    ];
    groups.into_iter().flatten().collect()
}
