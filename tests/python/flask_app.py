"""A WSGI application that shows what it was sent, and answers in awkward ways.

    gunicorn flask_app:app
"""

import hashlib
import os
import time

from flask import Flask, abort, jsonify, redirect, request, url_for
from werkzeug.routing import Rule

CHUNK_SIZE = 64 * 1024

app = Flask(__name__)

# A rule without methods matches every method, also those nobody has heard of.
app.url_map.add(Rule("/echo", endpoint="echo"))
app.url_map.add(Rule("/echo/<path:below>", endpoint="echo"))


def size_and_sha256(file):
    """Read a body piece by piece: no upload is ever in memory as a whole."""
    size, digest = 0, hashlib.sha256()
    while chunk := file.read(CHUNK_SIZE):
        size += len(chunk)
        digest.update(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/")
def hello():
    return "hello from flask\n", {"Content-Type": "text/plain; charset=utf-8"}


@app.endpoint("echo")
def echo(below=None):
    environ = request.environ
    return {
        "method": request.method,
        "scheme": request.scheme,
        "script_root": request.script_root,
        "path": request.path,
        "query_string": environ["QUERY_STRING"],
        # Not in PEP 3333, but most servers pass on the request target as it came.
        "target": environ.get("RAW_URI") or environ.get("REQUEST_URI"),
        "remote_addr": environ.get("REMOTE_ADDR"),
        "remote_port": environ.get("REMOTE_PORT"),
        "process_id": os.getpid(),
        "content_type": environ.get("CONTENT_TYPE"),
        "content_length": environ.get("CONTENT_LENGTH"),
        "headers": [[name, value] for name, value in environ.items() if name.startswith("HTTP_")],
        "body": size_and_sha256(request.stream),
    }


@app.get("/stream")
def stream():
    """`n` lines, `delay` seconds apart, with no Content-Length."""
    n = request.args.get("n", default=5, type=int)
    delay = request.args.get("delay", default=0, type=float)

    def lines():
        for i in range(n):
            if i > 0:
                time.sleep(delay)
            yield f"line {i}\n"

    return lines(), {"Content-Type": "text/plain; charset=utf-8"}


@app.post("/upload")
def upload():
    file = request.files.get("file") or abort(400)
    return {"name": file.filename} | size_and_sha256(file)


@app.get("/set-cookies")
def set_cookies():
    response = jsonify(cookies=2)
    response.set_cookie("first", "1")
    response.set_cookie("second", "2", httponly=True)
    return response


@app.get("/redirect")
def redirect_to_echo():
    return redirect(url_for("echo"))


@app.get("/status/<int:code>")
def status(code):
    if not 200 <= code <= 599:
        abort(404)
    return f"status {code}\n", code, {"Content-Type": "text/plain; charset=utf-8"}


@app.get("/slow")
def slow():
    seconds = request.args.get("seconds", default=1, type=float)
    if not 0 <= seconds <= 30:
        abort(400)
    time.sleep(seconds)
    return f"slept {seconds:g} seconds\n", {"Content-Type": "text/plain; charset=utf-8"}
