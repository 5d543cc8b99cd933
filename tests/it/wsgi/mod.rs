//! Python applications and their workers. They need `python3` (3.9 or newer), and nothing else of Python.

mod apps;
mod chaos;
mod requests;
mod supervision;
