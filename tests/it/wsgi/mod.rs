//! Python applications, run by this crate and by others.

mod pep3333;
