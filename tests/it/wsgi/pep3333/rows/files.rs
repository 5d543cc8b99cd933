//! `wsgi.file_wrapper`, or what PEP 3333 writes in its place where there is none.

use super::super::row::{Row, row};

const FILES: &str = "PEP 3333, Optional Platform-Specific File Handling";

pub fn rows() -> Vec<Row> {
    let mut rows = kinds();
    rows.extend(positions());
    rows.extend(uses());
    rows
}

fn content() -> Vec<u8> {
    b"0123456789".repeat(10_000)
}

fn kinds() -> Vec<Row> {
    let any = "Note that even if the object is not suitable for the platform API, the \
               wsgi.file_wrapper must still return an iterable that wraps read() and close()";
    let same = "the semantics of returning a file wrapper from the application should be the same \
                as if the application had returned iter(filelike.read, '')";
    vec![
        row(FILES, same, "a file is sent")
            .get("/file?kind=buffered")
            .body(content()),
        row(FILES, same, "an unbuffered file is sent")
            .get("/file?kind=unbuffered")
            .body(content()),
        row(FILES, same, "a file with a name is sent")
            .get("/file?kind=named")
            .body(content()),
        row(FILES, same, "an empty file is an empty body")
            .get("/file?kind=empty")
            .status(200)
            .body(""),
        row(FILES, any, "bytes in memory are sent")
            .get("/file?kind=memory")
            .body(content()),
        row(FILES, any, "a spooled file in memory is sent")
            .get("/file?kind=spooled")
            .body(content()),
        row(FILES, any, "a spooled file on disk is sent")
            .get("/file?kind=rolled")
            .body(content()),
        row(FILES, any, "what can only be read is sent")
            .get("/file?kind=read")
            .body(content()),
        row(FILES, any, "a pipe is sent")
            .get("/file?kind=pipe")
            .body(&content()[..1000]),
        row(FILES, any, "a compressed file is sent as it is read")
            .get("/file?kind=gzip")
            .body(content()),
        row(
            FILES,
            same,
            "what reads otherwise than its descriptor is read",
        )
        .get("/file?kind=overridden")
        .body(b"LOUD ".repeat(1000)),
        row(FILES, same, "and so is what is below a buffer")
            .get("/file?kind=buffered-overridden")
            .body(b"LOUD ".repeat(1000)),
    ]
}

fn positions() -> Vec<Row> {
    let position = "transmission should begin at the current position within the \"file\" at the \
                    time that transmission begins, and continue until the end is reached";
    let length = "or until Content-Length bytes have been written";
    vec![
        row(FILES, position, "a file is sent from where it is")
            .get("/file?kind=buffered&skip=10")
            .body(&content()[10..]),
        row(
            FILES,
            position,
            "an unbuffered file is sent from where it is",
        )
        .get("/file?kind=unbuffered&skip=99990")
        .body(&content()[99_990..]),
        row(FILES, position, "a file that was read to its end is empty")
            .get("/file?kind=buffered&skip=100000")
            .body(""),
        row(FILES, position, "where a file is counts when it is sent")
            .get("/file_moves")
            .body("0123456789"),
        row(FILES, position, "the end is where it is then")
            .get("/file_grows")
            .body("old and new"),
        row(FILES, length, "a file is sent up to its length")
            .get("/file?kind=buffered&skip=5&length=10")
            .fields("content-length", ["10"])
            .body("5678901234"),
        row(FILES, length, "what is no file is sent up to its length")
            .get("/file?kind=memory&skip=5&length=10")
            .fields("content-length", ["10"])
            .body("5678901234"),
        row(
            "PEP 3333, Handling the Content-Length Header",
            "if the application does not provide enough data to meet its stated Content-Length, \
             the server should close the connection",
            "a file that is too short is seen to be",
        )
        .get("/file?kind=buffered&skip=5&length=100000")
        .breaks(),
    ]
}

fn uses() -> Vec<Row> {
    vec![
        row(
            FILES,
            "the iterable returned by wsgi.file_wrapper must have a close() method that invokes \
             the original file-like object's close() method",
            "a file that was sent is closed",
        )
        .get("/file_closed")
        .body(content())
        .notes(["close"]),
        row(
            FILES,
            "It may have a close() method",
            "what cannot be closed is sent",
        )
        .get("/file_without_close")
        .body("open"),
        row(
            FILES,
            "The callable must return an iterable object",
            "a middleware can iterate over it",
        )
        .get("/file_iterated")
        .body("MIDDLE"),
        row(
            FILES,
            "and must not perform any data transmission until and unless the server/gateway \
             actually receives the iterable as a return value from the application",
            "a wrapped file that is not returned is not sent",
        )
        .get("/file_not_used")
        .body("but this"),
        row(
            FILES,
            "it must be a callable that accepts one required positional parameter, and one \
             optional positional parameter",
            "the block size may be left out",
        )
        .get("/file_one_argument")
        .body("one"),
        row(
            "PEP 3333, The write() Callable",
            "any bytestrings yielded by the iterable are transmitted after all bytestrings passed \
             to write()",
            "a file comes behind what is written",
        )
        .get("/file_after_write")
        .body("written, then filed"),
    ]
}
