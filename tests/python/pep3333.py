"""Small applications, each for a sentence of PEP 3333 that a server obeys or does not.

    PEP3333_NOTES=/tmp/notes gunicorn pep3333:application

The first segment of the path is the name of a function below. What a function
finds out after the answer has gone, it notes in a file of PEP3333_NOTES that is
named by the request's X-Row. Where it waits, it waits for a file of that name
with `.go` behind it. The sentences, and what is right, are in
tests/it/wsgi/pep3333.
"""

import gc
import gzip
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import time
import weakref
from urllib.parse import parse_qsl
from wsgiref.util import request_uri
from wsgiref.validate import validator

NOTES = os.environ["PEP3333_NOTES"]
PATIENCE = 5  # seconds: whoever plays a story has gone

TEXT = [("Content-Type", "text/plain")]


class Book:
    """Where a row leaves notes, and waits."""

    def __init__(self, row):
        self.path = os.path.join(NOTES, row or "nobody")

    def note(self, text):
        with open(self.path, "a") as file:
            file.write(text + "\n")

    def wait(self, step="go"):
        end = time.monotonic() + PATIENCE
        while not os.path.exists(f"{self.path}.{step}"):
            if time.monotonic() > end:
                raise TimeoutError("nobody says go")
            time.sleep(0.002)


def application(environ, start_response):
    name = environ.get("PATH_INFO", "").lstrip("/").partition("/")[0]
    row = globals().get(f"row_{name or 'root'}", row_unknown)
    return row(environ, start_response, Book(environ.get("HTTP_X_ROW")))


def query(environ):
    return dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))


def tell(start_response, value):
    body = json.dumps(value).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def row_unknown(environ, start_response, book):
    start_response("404 Not Found", TEXT)
    return [b"no such row"]


def row_next(environ, start_response, book):
    """What is asked after each row: nothing is left of it."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"next"]


class Noted:
    """An iterable that notes what is asked of it."""

    def __init__(self, blocks, book, pieces=False):
        self.blocks, self.book, self.pieces = iter(blocks), book, pieces

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self.blocks)
        if self.pieces:
            self.book.note("asked")
        if isinstance(block, Exception):
            raise block
        return block

    def close(self):
        self.book.note("close")


# environ


def row_environ(environ, start_response, book):
    """The variables; what is no string is told as its repr."""
    return tell(start_response, {key: value if type(value) is str else repr(value) for key, value in environ.items()})


def row_asterisk(environ, start_response, book):
    return row_environ(environ, start_response, book)


row_root = row_asterisk


def row_kinds(environ, start_response, book):
    variables = {key: value for key, value in environ.items() if "." not in key}
    told = {
        "is a dict": type(environ) is dict,
        "odd keys": [repr(key) for key in environ if type(key) is not str],
        "no strings": [key for key, value in variables.items() if type(value) is not str],
        "beyond latin-1": [key for key, value in variables.items() if not is_latin1(key + str(value))],
        "odd names": [
            key
            for key in environ
            if key not in os.environ and not re.fullmatch(r"[A-Z][A-Z0-9_]*|[a-z0-9_]+\.[a-z0-9_.]+", key)
        ],
    }
    return tell(start_response, told)


def is_latin1(text):
    return all(ord(character) < 256 for character in text)


def row_changes_environ(environ, start_response, book):
    found = sorted(key for key in environ if key.startswith("left.")) + [
        key for key in ("REQUEST_METHOD", "wsgi.input", "SERVER_NAME") if key not in environ
    ]
    environ.clear()
    environ["left.behind"] = "by the one before"
    environ["REQUEST_METHOD"] = None
    return tell(start_response, found)


def row_wsgi(environ, start_response, book):
    """The variables that PEP 3333 itself defines."""
    told = {key: environ.get(f"wsgi.{key}") for key in ("url_scheme", "multithread", "multiprocess", "run_once")}
    told = {key: bool(value) if key != "url_scheme" else value for key, value in told.items()}
    told["version"] = repr(environ.get("wsgi.version"))
    return tell(start_response, told)


def row_url(environ, start_response, book):
    return tell(start_response, request_uri(environ))


def row_url_without_host(environ, start_response, book):
    environ.pop("HTTP_HOST", None)
    return tell(start_response, request_uri(environ))


@validator
def validated(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.errors"].flush()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body) + 6))])
    return Closing([b"valid ", body])


class Closing(list):
    def close(self):
        pass


def row_validated(environ, start_response, book):
    # The wrapper complains of an iterable that is not closed when it is collected.
    return Reporting(validated(environ, start_response), book)


class Reporting:
    def __init__(self, inner, book):
        self.inner, self.book = inner, book

    def __iter__(self):
        return iter(self.inner)

    def close(self):
        self.inner.close()
        self.book.note("close")


def row_errors(environ, start_response, book):
    errors = environ["wsgi.errors"]
    errors.write("a line\n")
    errors.writelines(["two\n", "more\n"])
    errors.write("caf\u00e9 \u20ac \U0001f40d \ud800\n")
    errors.flush()
    return tell(start_response, "written")


# wsgi.input


def row_input(environ, start_response, book):
    """Calls what the query says, in that order: `read=3&readline=&readlines=&for=`."""
    stream, results = environ["wsgi.input"], []
    for call, argument in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True):
        arguments = [int(argument)] if argument else []
        if call == "for":
            result = list(stream)
        elif call == "first":
            result = next(iter(stream))
        else:
            result = getattr(stream, call)(*arguments)
        results.append(plain(result))
    return tell(start_response, results)


def plain(result):
    """As JSON; what should be bytes and is something else is told by its type."""
    if type(result) is list:
        return [plain(each) for each in result]
    return result.decode("latin-1") if type(result) is bytes else repr(type(result))


def row_lines_hint(environ, start_response, book):
    stream = environ["wsgi.input"]
    lines = stream.readlines(4)
    rest = stream.read()
    return tell(start_response, {"lines": plain(lines), "all": plain(b"".join(lines) + rest)})


def row_digest(environ, start_response, book):
    """Reads the body in pieces of odd sizes, and by lines in between."""
    stream, size, digest = environ["wsgi.input"], 0, hashlib.sha256()
    turn = 0
    while True:
        turn += 1
        piece = stream.readline(1021) if turn % 3 == 0 else stream.read(1 + turn * 37 % 70_001)
        if not piece:
            break
        size += len(piece)
        digest.update(piece)
    return tell(start_response, {"size": size, "sha256": digest.hexdigest()})


def row_by_length(environ, start_response, book):
    """Reads no more than CONTENT_LENGTH says, as applications should."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return tell(start_response, plain(environ["wsgi.input"].read(length)))


def row_end_known(environ, start_response, book):
    """How an application can know where the body ends."""
    length, terminated = environ.get("CONTENT_LENGTH"), environ.get("wsgi.input_terminated")
    return tell(start_response, {"length": length, "terminated": bool(terminated)})


def row_incomplete(environ, start_response, book):
    """Notes whether a body that broke off looked whole."""
    try:
        body = environ["wsgi.input"].read()
    except Exception:
        book.note("error")
        raise
    length = environ.get("CONTENT_LENGTH")
    book.note("short" if length and len(body) < int(length) else "whole")
    return tell(start_response, len(body))


def row_unread(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"unread"]


def row_refuses(environ, start_response, book):
    start_response("413 Content Too Large", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    return [b"too much"]


def row_reads_late(environ, start_response, book):
    """Asks for the body when a part of the answer has gone."""
    start_response("200 OK", TEXT)
    yield b"got: "
    stream = environ["wsgi.input"]
    while piece := stream.read(30_000):
        yield piece


def row_echo_lines(environ, start_response, book):
    """Answers each line as soon as it is there."""
    start_response("200 OK", TEXT)
    while line := environ["wsgi.input"].readline():
        yield b"> " + line


# start_response


def row_positional(environ, start_response, book):
    def odd(anything, /, else_, *, never=None):
        else_("200 OK", TEXT)
        return [b"called"]

    return odd(environ, start_response)


def row_returns_write(environ, start_response, book):
    write = start_response("200 OK", TEXT)
    return [b"callable" if callable(write) else b"nothing"]


def row_write(environ, start_response, book):
    write = start_response("200 OK", TEXT)
    write(b"a")
    write(b"b")
    return [b"c", b"d"]


def row_write_only(environ, start_response, book):
    write = start_response("200 OK", TEXT)
    write(b"all ")
    write(b"")
    write(b"of it")
    return []


def row_write_at_once(environ, start_response, book):
    write = start_response("200 OK", TEXT)
    write(b"first")
    book.wait()
    return [b"second"]


def row_write_str(environ, start_response, book):
    write = start_response("200 OK", TEXT)
    try:
        write("text")
    except Exception:
        book.note("raised")
        raise
    book.note("accepted")
    return []


def row_write_past_length(environ, start_response, book):
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    write(b"four")
    try:
        write(b"more")
    except Exception:
        book.note("raised")
        raise
    book.note("accepted")
    return []


def row_changes_its_mind(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Old", "1")])
    try:
        raise ValueError("in time")
    except ValueError:
        start_response("500 Oops", [("Content-Type", "text/plain"), ("X-New", "1")], sys.exc_info())
        return [b"error body"]


def row_changes_its_mind_late(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Old", "1")])
    yield b""
    try:
        raise ValueError("in time")
    except ValueError:
        start_response("500 Oops", [("Content-Type", "text/plain"), ("X-New", "1")], sys.exc_info())
    yield b"error body"


def row_too_late(environ, start_response, book):
    start_response("200 OK", TEXT)
    yield b"some"
    error = ValueError("too late")
    try:
        raise error
    except ValueError:
        try:
            start_response("500 Oops", TEXT, sys.exc_info())
        except BaseException as raised:
            book.note("the same" if raised is error else "another")
            raise
    book.note("accepted")
    yield b" more"


def row_twice(environ, start_response, book):
    start_response("200 OK", TEXT)
    try:
        start_response("201 Created", TEXT)
    except Exception:
        book.note("raised")
        raise
    book.note("accepted")
    return [b"twice"]


def row_again_after_error(environ, start_response, book):
    try:
        start_response("200 OK", [("X-Bad", "a\nb")])
        book.note("bad field accepted")
    except Exception:
        book.note("raised")
    try:
        start_response("200 OK", TEXT)
    except Exception:
        book.note("raised again")
        raise
    book.note("accepted")
    return [b"again"]


def row_apologises(environ, start_response, book):
    try:
        start_response("200 OK", [("X-Bad", "a\nb")])
    except Exception:
        start_response("500 Sorry", TEXT, sys.exc_info())
        return [b"sorry"]
    return [b"accepted"]


def row_never(environ, start_response, book):
    return [b"never started"]


def row_never_in_generator(environ, start_response, book):
    yield b"never started"


def row_late(environ, start_response, book):
    """A generator: nothing of it runs before the first iteration."""
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Late", "yes")])
    yield b"late"


class Started:
    """The example of PEP 3333: an application that is a class."""

    def __init__(self, environ, start_response):
        self.start = start_response

    def __iter__(self):
        self.start("201 Created", [("Content-Type", "text/plain"), ("X-Late", "yes")])
        yield b"late"


def row_class(environ, start_response, book):
    return Started(environ, start_response)


def row_forgets_error(environ, start_response, book):
    """Whether anybody but the caller holds the exception when the call has returned."""

    class Own(Exception):
        pass

    def fail():
        try:
            raise Own
        except Own as error:
            start_response("500 Oops", TEXT, sys.exc_info())
            return weakref.ref(error)

    gc.disable()
    try:
        start_response("200 OK", TEXT)
        held = fail()() is not None
    finally:
        gc.enable()
    return [b"held" if held else b"forgotten"]


BAD_HEADS = {
    "value-crlf": ("200 OK", [("X-Split", "a\r\nSet-Cookie: evil=1")]),
    "value-lf": ("200 OK", [("X-Split", "a\nSet-Cookie: evil=1")]),
    "value-cr": ("200 OK", [("X-Split", "a\rSet-Cookie: evil=1")]),
    "value-end": ("200 OK", [("X-Split", "evil\r\n")]),
    "value-nul": ("200 OK", [("X-Split", "evil\0")]),
    "value-control": ("200 OK", [("X-Split", "evil\x01\x7f")]),
    "value-number": ("200 OK", [("X-Number", 5)]),
    "value-bytes": ("200 OK", [("X-Bytes", b"evil")]),
    "value-euro": ("200 OK", [("X-Euro", "evil \u20ac")]),
    "name-crlf": ("200 OK", [("X-Evil: 1\r\nSet-Cookie", "evil=1")]),
    "name-colon": ("200 OK", [("X-Evil:", "evil")]),
    "name-space": ("200 OK", [("X Evil", "evil")]),
    "name-empty": ("200 OK", [("", "evil")]),
    "status-crlf": ("200 OK\r\nSet-Cookie: evil=1", []),
    "status-words": ("OK evil", []),
    "status-number": (200, []),
    "status-euro": ("200 evil \u20ac", []),
    "length-words": ("200 OK", [("Content-Length", "evil")]),
    "length-twice": ("200 OK", [("Content-Length", "4"), ("Content-Length", "2")]),
    "connection": ("200 OK", [("Connection", "evil")]),
    "keep-alive": ("200 OK", [("Keep-Alive", "evil")]),
    "transfer-encoding": ("200 OK", [("Transfer-Encoding", "chunked")]),
    "upgrade": ("200 OK", [("Upgrade", "evil")]),
    "switching": ("101 Switching Protocols", []),
}


def row_bad_head(environ, start_response, book):
    status, fields = BAD_HEADS[environ["QUERY_STRING"]]
    try:
        start_response(status, TEXT + fields)
    except Exception:
        book.note("raised")
        raise
    book.note("accepted")
    return [b"body"]


def row_latin1(environ, start_response, book):
    start_response("200 Tr\u00e8s bien", [("Content-Type", "text/plain"), ("X-Name", "caf\u00e9 \u00ff")])
    return [b"x"]


def row_utf8_as_latin1(environ, start_response, book):
    name = "\u20ac".encode().decode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Name", name)])
    return [b"x"]


def row_own_words(environ, start_response, book):
    start_response("299 Own Words", TEXT)
    return [b"x"]


def row_own_date(environ, start_response, book):
    start_response("200 OK", TEXT + [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("server", "mine")])
    return [b"x"]


def row_two_cookies(environ, start_response, book):
    fields = [("Set-Cookie", "b=1"), ("X-Between", "1"), ("set-cookie", "a=2; Path=/"), ("Set-Cookie", "b=1")]
    start_response("200 OK", TEXT + fields)
    return [b"x"]


# the body


def row_plain(environ, start_response, book):
    """One block, and no word about its length."""
    start_response("200 OK", TEXT)
    return [b"hello"]


def row_blocks(environ, start_response, book):
    start_response("200 OK", TEXT)
    return [b"a", b"", b"b", b"", b"c"]


def row_one_by_one(environ, start_response, book):
    start_response("200 OK", TEXT)
    for number in range(5_000):
        yield b"%d\n" % number


def row_large(environ, start_response, book):
    start_response("200 OK", TEXT)
    return [bytes(range(251)) * 20_000]


def row_every_byte(environ, start_response, book):
    body = bytes(range(256)) + b"\r\n\n\r0\r\n\r\n"
    start_response("200 OK", TEXT)
    yield body
    yield body[::-1]


def row_nothing(environ, start_response, book):
    start_response("200 OK", TEXT)
    return []


def row_in_turn(environ, start_response, book):
    start_response("200 OK", TEXT)
    yield b"first"
    book.wait("1")
    yield b"second"
    book.wait("2")
    yield b"third"


def row_lazy_head(environ, start_response, book):
    """Nothing may be sent before the block that is not empty."""
    start_response("200 OK", TEXT)
    yield b""
    book.note("waiting")
    book.wait()
    yield b"body"


class Len:
    def __init__(self, blocks, length):
        self.blocks, self.length = blocks, length

    def __iter__(self):
        return iter(self.blocks)

    def __len__(self):
        return self.length()


def row_len_one(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Len([b"hello"], lambda: 1)


def row_len_fails(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Len([b"he", b"llo"], lambda: 1 // 0)


class Old:
    """Iterable as things were before Python 2.2."""

    def __getitem__(self, index):
        return [b"a", b"b", b"c"][index]


def row_old_iterable(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Old()


class Curious:
    """Notes each attribute that is asked of it but `close`."""

    def __init__(self, book):
        self.book = book

    def __getattr__(self, name):
        if name != "close":
            self.book.note(name)
        raise AttributeError(name)

    def __iter__(self):
        yield b"curious"


def row_attributes(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Curious(book)


def row_pretends(environ, start_response, book):
    """Looks like a file, and is none of the server's own."""
    start_response("200 OK", TEXT)
    file = tempfile.TemporaryFile()
    file.write(b"the file")
    file.seek(0)

    class Pretends:
        def fileno(self):
            return file.fileno()

        def read(self, size=-1):
            return b"read"

        filelike = file

        def __iter__(self):
            yield b"iterated"

    return Pretends()


def row_bytes(environ, start_response, book):
    start_response("200 OK", TEXT)
    return b"bytes"


def row_str(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Noted(["text"], book)


def row_list_of_str(environ, start_response, book):
    start_response("200 OK", TEXT)
    return ["text"]


def row_str_later(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Noted([b"bytes", "text"], book)


def row_none(environ, start_response, book):
    start_response("200 OK", TEXT)


def row_longer(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return Noted([b"abc", b"defgh", b"ijk", b"lmn"], book, pieces=True)


def row_longer_at_once(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"]


def row_shorter(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return Noted([b"abc"], book)


def row_shorter_at_once(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [b"abc"]


def row_length_zero(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b"surplus"]


def row_no_content(environ, start_response, book):
    start_response(query(environ)["status"], [("ETag", '"e"')])
    return Noted([b""], book)


def row_no_content_with_some(environ, start_response, book):
    start_response(query(environ)["status"], [("ETag", '"e"')])
    return Noted([b"surplus", b" more"], book)


def row_not_modified_length(environ, start_response, book):
    start_response("304 Not Modified", [("ETag", '"e"'), ("Content-Length", "5")])
    return []


def row_length_told(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"hello"]


def row_generator(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Noted([b"he", b"llo"], book)


def row_coded(environ, start_response, book):
    body = gzip.compress(b"hello " * 1000, mtime=0)
    start_response("200 OK", TEXT + [("Content-Encoding", "gzip"), ("X-Digest", hashlib.sha256(body).hexdigest())])
    return [body]


# errors


def row_raises(environ, start_response, book):
    raise ValueError("before anything")


def row_raises_after_start(environ, start_response, book):
    start_response("200 OK", TEXT + [("X-Old", "1")])
    raise ValueError("before the body")


def row_raises_in_first(environ, start_response, book):
    start_response("200 OK", TEXT + [("X-Old", "1")])
    return Noted([b"", ValueError("before the first byte")], book)


def row_raises_in_body(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Noted([b"some", ValueError("in the body")], book)


def row_raises_in_body_of_length(environ, start_response, book):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
    return Noted([b"some", ValueError("in the body")], book)


def row_raises_after_write(environ, start_response, book):
    start_response("200 OK", TEXT)(b"some")
    raise ValueError("in the body")


def row_raises_in_close(environ, start_response, book):
    class Fails(list):
        def close(self):
            book.note("close")
            raise ValueError("in close")

    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return Fails([b"hello"])


def row_raises_the_unprintable(environ, start_response, book):
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("\ud800")

    raise Unprintable("\ud800")


def row_exits(environ, start_response, book):
    sys.exit("the application has had enough")


def row_interrupted(environ, start_response, book):
    raise KeyboardInterrupt


def row_deep(environ, start_response, book):
    def deeper():
        return deeper()

    return deeper()


# close()


class Outer:
    """Closed is what was returned, not what iterates over it."""

    def __init__(self, book):
        self.book = book

    def __iter__(self):
        return Noted([b"a", b"b"], Renamed(self.book, "inner"))

    def close(self):
        self.book.note("close")


class Renamed:
    def __init__(self, book, name):
        self.book, self.name = book, name

    def note(self, text):
        self.book.note(f"{self.name} {text}")


def row_closes_the_iterable(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Outer(book)


class ClosedList(list):
    book = None

    def close(self):
        self.book.note("close")


def row_closes_a_list(environ, start_response, book):
    start_response("200 OK", TEXT)
    blocks = ClosedList([b"hello"])
    blocks.book = book
    return blocks


def row_closes_nothing(environ, start_response, book):
    start_response("200 OK", TEXT)
    return Noted([], book)


def row_closed_after_the_body(environ, start_response, book):
    """The body is whole before close() returns: what takes long there keeps nobody waiting."""

    class Slow(list):
        def close(self):
            book.wait()
            book.note("close")

    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return Slow([b"hello"])


def row_endless(environ, start_response, book):
    def blocks():
        while True:
            yield b"x" * 1000

    start_response("200 OK", TEXT)
    return Noted(blocks(), book)


def row_endless_write(environ, start_response, book):
    write = start_response("200 OK", TEXT)
    try:
        while True:
            write(b"x" * 1000)
    except BaseException:
        book.note("raised")
        raise


def row_left_early(environ, start_response, book):
    """Its client goes while it computes the first block."""

    def blocks():
        book.note("began")
        book.wait()
        while True:
            yield b"x" * 1000

    start_response("200 OK", TEXT)
    return Noted(blocks(), book)


# wsgi.file_wrapper


def wrapper(environ, file, size=8192):
    """As PEP 3333 says how it is used."""
    if "wsgi.file_wrapper" in environ:
        return environ["wsgi.file_wrapper"](file, size)
    return Fallback(file, size)


class Fallback:
    def __init__(self, file, size):
        self.blocks = iter(lambda: file.read(size), b"")
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self):
        return self.blocks


class Closes:
    """A file that notes that it was closed."""

    def __init__(self, file, book):
        self.file, self.book = file, book

    def close(self):
        self.file.close()
        self.book.note("close")


class NotedFile(io.FileIO):
    book = None

    def close(self):
        if not self.closed:
            self.book.note("close")
        super().close()


CONTENT = b"0123456789" * 10_000


def temporary(content=CONTENT, **options):
    file = tempfile.TemporaryFile(**options)
    file.write(content)
    file.flush()
    file.seek(0)
    return file


class Upper(io.FileIO):
    def read(self, size=-1):
        return super().read(size).upper()

    def readinto(self, buffer):
        size = super().readinto(buffer)
        buffer[:size] = bytes(buffer[:size]).upper()
        return size


class OnlyRead:
    def __init__(self, content):
        self.content = io.BytesIO(content)

    def read(self, size=-1):
        return self.content.read(size)


class Misleading(OnlyRead):
    """What it reads is not what is in the file whose number it tells."""

    def __init__(self, content):
        super().__init__(content)
        self.other = temporary(b"something else")

    def fileno(self):
        return self.other.fileno()


def named(content, kind):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(content)
    opened = kind(file.name, "rb")
    os.unlink(file.name)
    return opened


def zipped():
    file = temporary(gzip.compress(CONTENT))
    return gzip.GzipFile(fileobj=file)


def piped():
    reader, writer = os.pipe()
    os.write(writer, CONTENT[:1000])
    os.close(writer)
    return os.fdopen(reader, "rb")


FILES = {
    "buffered": temporary,
    "unbuffered": lambda: temporary(buffering=0),
    "empty": lambda: temporary(b""),
    "memory": lambda: io.BytesIO(CONTENT),
    "spooled": lambda: spooled(1 << 20),
    "rolled": lambda: spooled(10),
    "named": lambda: named(CONTENT, open),
    "gzip": zipped,
    "pipe": piped,
    "read": lambda: OnlyRead(CONTENT),
    "misleading": lambda: Misleading(CONTENT),
    "overridden": lambda: named(b"loud " * 1000, Upper),
    "buffered-overridden": lambda: io.BufferedReader(named(b"loud " * 1000, Upper)),
}


def spooled(size):
    file = tempfile.SpooledTemporaryFile(size)
    file.write(CONTENT)
    file.seek(0)
    return file


def row_file(environ, start_response, book):
    """A file of some kind: `kind=`, from `skip=` on, with a Content-Length of `length=`."""
    options = query(environ)
    file = FILES[options["kind"]]()
    if "skip" in options:
        file.read(int(options["skip"]))
    fields = TEXT + ([("Content-Length", options["length"])] if "length" in options else [])
    start_response("200 OK", fields)
    return wrapper(environ, file)


def row_file_closed(environ, start_response, book):
    file = named(CONTENT, NotedFile)
    file.book = book
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(CONTENT)))])
    return wrapper(environ, file)


def row_file_moves(environ, start_response, book):
    """Where it begins is decided when it is sent, not when it is wrapped."""
    file = temporary()
    wrapped = wrapper(environ, file)
    file.seek(99_990)
    start_response("200 OK", TEXT)
    return wrapped


def row_file_iterated(environ, start_response, book):
    """A middleware goes through the blocks of what an application wrapped."""
    wrapped = wrapper(environ, temporary(b"middle"), 3)

    def upper():
        for block in wrapped:
            yield block.upper()
        if hasattr(wrapped, "close"):
            wrapped.close()

    start_response("200 OK", TEXT)
    return upper()


def row_file_not_used(environ, start_response, book):
    wrapper(environ, temporary(b"not this"))
    start_response("200 OK", TEXT)
    return [b"but this"]


def row_file_without_close(environ, start_response, book):
    wrapped = wrapper(environ, OnlyRead(b"open"))
    start_response("200 OK", TEXT)
    return wrapped


def row_file_one_argument(environ, start_response, book):
    make = environ.get("wsgi.file_wrapper", lambda file: Fallback(file, 8192))
    start_response("200 OK", TEXT)
    return make(temporary(b"one"))


def row_file_grows(environ, start_response, book):
    """`until the end is reached`: the end is where it is then."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"old")
    wrapped = wrapper(environ, open(file.name, "rb"))
    with open(file.name, "ab") as more:
        more.write(b" and new")
    os.unlink(file.name)
    start_response("200 OK", TEXT)
    return wrapped


def row_file_after_write(environ, start_response, book):
    write = start_response("200 OK", TEXT)
    write(b"written, ")
    return wrapper(environ, temporary(b"then filed"))
