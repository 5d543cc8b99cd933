"""The least that a WSGI application can do: 1 KiB, and two fields."""

BODY = b"".join(b"abcdefghijklmnopqrstuvwxyz"[n % 26 : n % 26 + 1] for n in range(1024))
HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "1024")]


def application(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]
