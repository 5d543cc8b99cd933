"""A question board, with nothing but the standard library: what PEP 3333 calls an application.

It has never heard of files, sockets, or workers. Any WSGI server runs it, as `board:application`.
"""

import os
import sqlite3
from contextlib import closing
from html import escape
from urllib.parse import parse_qs

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Questions</title>
<link rel="stylesheet" href="/static/style.css">
{}
</html>
"""

FORM = """<form method="post"><input name="question" aria-label="Your question" required>
<button>Ask</button></form>"""


def database():
    """Each worker is a process of its own: what they share is a file."""
    return closing(sqlite3.connect(os.environ["BOARD_DATABASE"]))


with database() as questions, questions:
    questions.execute("CREATE TABLE IF NOT EXISTS question (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    questions.execute("INSERT OR IGNORE INTO question VALUES (1, 'What is the answer?')")


def application(environ, start_response):
    """Called for each request; what it returns is sent."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    print(f"the application is asked: {method} {path}")
    if path != "/":
        return answer(start_response, "404 Not Found", "<h1>There is no such page</h1>")
    if method == "POST":
        return ask(environ, start_response)
    with database() as questions:
        rows = questions.execute("SELECT text FROM question ORDER BY id").fetchall()
    items = "".join(f"<li>{escape(text, quote=False)}</li>\n" for (text,) in rows)
    return answer(start_response, "200 OK", f"<h1>Questions</h1>\n<ul>\n{items}</ul>\n{FORM}")


def ask(environ, start_response):
    """A form that was posted: it comes in `wsgi.input`."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > 4096:
        return answer(start_response, "413 Content Too Large", "<h1>That is a long question</h1>")
    form = parse_qs(environ["wsgi.input"].read(length).decode("utf-8", "replace"))
    question = form.get("question", [""])[0].strip()
    with database() as questions, questions:
        (count,) = questions.execute("SELECT count(*) FROM question").fetchone()
        if not question or count >= 100:
            return answer(start_response, "400 Bad Request", "<h1>No question was taken</h1>")
        questions.execute("INSERT INTO question (text) VALUES (?)", [question])
    return answer(start_response, "303 See Other", "<h1>Taken</h1>", ("Location", "/"))


def answer(start_response, status, content, *headers):
    """A page with this status."""
    page = PAGE.format(content).encode()
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), *headers])
    return [page]
