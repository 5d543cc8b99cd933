//! What goes wrong in an application.

use super::super::row::{Row, row};

const ERRORS: &str = "PEP 3333, Error Handling";

pub fn rows() -> Vec<Row> {
    let trap = "Servers should trap and log any exception that aborts an application or the \
                iteration of its return value.";
    let abort =
        "The server or gateway can then trap this (fatal) exception and abort the response.";
    vec![
        row(ERRORS, trap, "an exception is an error of the server")
            .get("/raises")
            .status(500),
        row(
            "PEP 3333, The start_response() Callable",
            "This delaying of response header transmission is to ensure that buffered and \
             asynchronous applications can replace their originally intended output with error \
             output, up until the last possible moment.",
            "an exception before the body is an error of the server",
        )
        .get("/raises_after_start")
        .status(500)
        .lacks("x-old"),
        row(
            "PEP 3333, The start_response() Callable",
            "up until the last possible moment",
            "an exception before the first byte is an error of the server",
        )
        .get("/raises_in_first")
        .status(500)
        .lacks("x-old")
        .notes(["close"]),
        row(ERRORS, abort, "an exception in the body breaks it")
            .get("/raises_in_body")
            .breaks()
            .notes(["close"]),
        row(
            ERRORS,
            abort,
            "an exception in a body of a length breaks it",
        )
        .get("/raises_in_body_of_length")
        .breaks()
        .notes(["close"]),
        row(
            ERRORS,
            abort,
            "an exception after what was written breaks it",
        )
        .get("/raises_after_write")
        .breaks(),
        row(ERRORS, trap, "an exception in close() spoils no body")
            .get("/raises_in_close")
            .body("hello")
            .notes(["close"]),
        row(ERRORS, trap, "an exception that cannot be printed is one")
            .get("/raises_the_unprintable")
            .status(500),
        row(ERRORS, trap, "sys.exit() ends no server")
            .get("/exits")
            .status(500),
        row(ERRORS, trap, "KeyboardInterrupt ends no server")
            .get("/interrupted")
            .status(500),
        row(ERRORS, trap, "a recursion that is too deep ends no server")
            .get("/deep")
            .status(500),
    ]
}
