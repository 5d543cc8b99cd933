//! Python applications and their workers. What is in `apps` and `supervision` needs `python3` (3.9 or newer), and
//! nothing else of Python.

mod application;
mod apps;
mod chaos;
mod interop;
mod pep3333;
mod requests;
mod seen;
mod supervision;
mod worker_protocol;
