"""What WSGI has no room for: WebSockets, and streams that cost no thread.

    python tornado_app.py --port=0
    python tornado_app.py --unix-socket=/tmp/tornado.sock

It says `listening on ...`, with the port or the path, once it can be reached.
"""

import argparse
import asyncio
import hashlib
import os
import signal
import threading

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler


class Hello(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("hello from tornado\n")


class Echo(RequestHandler):
    """Shows the request; the same keys as `/echo` of flask_app.py where both have them."""

    def echo(self):
        request = self.request
        body = {"size": len(request.body), "sha256": hashlib.sha256(request.body).hexdigest()}
        self.write(
            {
                "method": request.method,
                "scheme": request.protocol,
                "path": request.path,
                "query_string": request.query,
                "target": request.uri,
                "remote_addr": request.remote_ip,
                "process_id": os.getpid(),
                "content_type": request.headers.get("Content-Type"),
                "content_length": request.headers.get("Content-Length"),
                "headers": list(request.headers.get_all()),
                "body": body,
            }
        )

    get = head = post = put = patch = delete = options = echo


class WebSocket(WebSocketHandler):
    """Sends every message back: text as text, bytes as bytes.

    Tornado refuses (403) a browser whose Origin is not the Host of the request,
    so this also shows whether a gateway has passed on the Host.
    """

    def select_subprotocol(self, subprotocols):
        return subprotocols[0] if subprotocols else None

    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


class ServerSentEvents(RequestHandler):
    """`n` events, 50 milliseconds apart, each sent as soon as it happens."""

    async def get(self):
        n = int(self.get_query_argument("n", "10"))
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        try:
            for i in range(n):
                if i > 0:
                    await asyncio.sleep(0.05)
                self.write(f"id: {i}\ndata: event {i}\n\n")
                await self.flush()
        except StreamClosedError:
            pass  # the client has left


def call_on_stdin_eof(callback):
    """Whoever started us holds the other end of our stdin; its end is theirs."""

    def wait():
        while os.read(0, 4096):
            pass
        callback()

    threading.Thread(target=wait, daemon=True).start()


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    address = parser.add_mutually_exclusive_group(required=True)
    address.add_argument("--port", type=int, help="on 127.0.0.1; 0 picks a free one")
    address.add_argument("--unix-socket", metavar="PATH")
    parser.add_argument("--exit-on-stdin-eof", action="store_true")
    options = parser.parse_args()

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in signal.SIGTERM, signal.SIGINT:
        loop.add_signal_handler(number, stop.set)
    if options.exit_on_stdin_eof:
        call_on_stdin_eof(lambda: loop.call_soon_threadsafe(stop.set))

    app = Application(
        [
            ("/", Hello),
            ("/echo", Echo),
            ("/ws", WebSocket),
            ("/sse", ServerSentEvents),
        ]
    )
    server = HTTPServer(app)
    if options.unix_socket:
        server.add_socket(bind_unix_socket(options.unix_socket))
        listening_on = options.unix_socket
    else:
        sockets = bind_sockets(options.port, "127.0.0.1")
        server.add_sockets(sockets)
        listening_on = sockets[0].getsockname()[1]
    print(f"listening on {listening_on}", flush=True)

    await stop.wait()
    server.stop()
    await server.close_all_connections()
    if options.unix_socket:
        os.unlink(options.unix_socket)


if __name__ == "__main__":
    asyncio.run(main())
