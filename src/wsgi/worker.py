"""A worker of a WSGI container: the Python half of `WsgiContainer`.

It dials the gateway once for each of its threads, and works on one request at a time on each of these connections. What
crosses is described in frames.md; what an application may do and must be given, in PEP 3333, whose sentences are quoted
where they are obeyed. Standard library only, CPython 3.9 and later; older versions are told so, hence the old syntax.

Globals that boot.py sets: `source` (this text, for tracebacks) and `config` (JSON, see `main`).
"""

import errno
import gc
import io
import json
import os
import re
import signal
import stat
import struct
import sys
import threading
import time
from itertools import chain
from socket import AF_UNIX, CMSG_SPACE, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket
from types import GeneratorType

# ---------------------------------------------------------------------------------------------------------------------
# Frames: twelve bytes, and two parts.

FRAME = struct.Struct('<BBHII')
HEADER = FRAME.size
LIMIT = 16 << 20  # No part is longer.

HELLO, BYE, NO, TEMPLATE = b'HBNT'
KEYS, REQUEST, DATA, FILE, STOP = b'KQDFZ'
READ, ONE, START, CHUNK, PASS, EXCEPTION, END = b'ROSCPXE'
GO, SIGNAL, FORKED, EXITED = b'GJVW'

INLINE, AWAY = 1, 2
FREE, OVER, SHORT, FAILED, LONG = 1, 2, 4, 8, 16

PIECE = 1 << 20  # A longer body goes in several frames, so that nobody must hold it twice.
SMALL = 1 << 15  # Up to here it is cheaper to copy a body behind its head than to send it on its own.
BUFFER = 1 << 17  # A request is received into this much, kept from one to the next; a larger one gets more for itself.
TRACEBACK = 1 << 16  # The longest traceback that is sent.


def frame(kind, flags=0, number=0, first=b'', second=b''):
    return b''.join((FRAME.pack(kind, flags, number, len(first), len(second)), first, second))


def document(**members):
    return json.dumps(members).encode()


# ---------------------------------------------------------------------------------------------------------------------
# Tracebacks: what the user wrote, and no more.

class Wrong(Exception):
    """An application's mistake that is best told in a sentence, as none of its lines can be pointed at."""


def report(error):
    """The traceback of an error as UTF-8, without this file's own lines unless there are no others."""
    try:
        import linecache
        import traceback
        text = globals().get('source', b'').decode()
        linecache.cache.setdefault(__file__, (len(text), None, text.splitlines(True), __file__))
        told = traceback.TracebackException(type(error), error, error.__traceback__)
        trim(told, isinstance(error, Wrong), set())
        if isinstance(error, Wrong) and not told.stack:
            data = str(error).encode('utf-8', 'backslashreplace')
        else:
            data = ''.join(told.format()).rstrip('\n').encode('utf-8', 'backslashreplace')
    except BaseException as another:  # An exception whose `__str__` raises, no memory, no more stack.
        data = ('%s (no traceback: %s)' % (type(error).__name__, type(another).__name__)).encode('utf-8', 'backslashreplace')
    if len(data) > TRACEBACK:
        cut = '\n… {} bytes are left out …\n'.format(len(data) - TRACEBACK).encode()
        data = data[:TRACEBACK // 4] + cut + data[len(cut) - TRACEBACK * 3 // 4:]
    return data


def trim(told, wholly, seen):
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    theirs = [line for line in told.stack if not ours(line.filename)]
    if theirs or wholly:
        told.stack[:] = theirs
    for other in (told.__cause__, told.__context__, *(getattr(told, 'exceptions', None) or ())):
        trim(other, False, seen)


def ours(filename):
    return filename == __file__ or filename.startswith('<frozen importlib') or filename == sys.modules['importlib'].__file__


# ---------------------------------------------------------------------------------------------------------------------
# The head: what `start_response` is given is checked while the application can still be told.

NAMES = {}  # The field names that were found right: whether it is Content-Length.
STATUSES = {}  # The statuses that were found right: whether there is never a body.
KNOWN = 1024  # How many of each are remembered.

STATUS = re.compile(r'[1-9][0-9][0-9] [^\x00-\x1f\x7f]*\Z')
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
CONTROL = re.compile(r'[\x00-\x1f\x7f]')
# "Applications … are forbidden from using HTTP/1.1 'hop-by-hop' features or headers"
HOP_BY_HOP = frozenset(('connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'trailers',
                        'transfer-encoding', 'upgrade'))
# Maps control characters but LF, which stands between the parts of a head, to what no control character is.
CLEAN = bytes(63 if (byte < 32 and byte != 10) or byte == 127 else byte for byte in range(256))


def examine(status, headers):
    """The head for what `start_response` was given, and its Content-Length, or an error that says which rule was broken.

    This is the thorough way. `start_response` does without it for what it has seen before."""
    # "The status argument is … a string of the form "999 Message here""
    if not isinstance(status, str):
        raise TypeError('start_response: the status must be a str, not %s: %.100r' % (type(status).__name__, status))
    if not STATUS.match(status):
        raise ValueError('start_response: the status must be three digits, a space, and a reason, not %.100r' % status)
    if status < '2':
        raise ValueError('start_response: %.100r is an interim status, which only a server may send' % status)
    # "The response_headers argument is a list of (header_name, header_value) tuples. It must be a Python list; i.e.
    # type(response_headers) is ListType"
    if type(headers) is not list:
        raise TypeError('start_response: the headers must be a list, not %s' % type(headers).__name__)
    length = None
    parts = [status]
    for pair in headers:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError('start_response: a header must be a tuple of name and value, not %.200r' % (pair,))
        name, value = pair
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError('start_response: the name and the value of a header must be str: %.200r' % (pair,))
        # "Each header_name must be a valid HTTP header field-name"
        if not TOKEN.match(name):
            raise ValueError('start_response: %.100r is no name of a header' % name)
        # "Each header_value must not include any control characters, including carriage returns or linefeeds, either
        # embedded or at the end."
        if CONTROL.search(value):
            raise ValueError('start_response: there are control characters in the value of %s: %.200r' % (name, value))
        lower = name.lower()
        # "servers should … raise an error" for these, wsgi.rst says of hop-by-hop features.
        if lower in HOP_BY_HOP:
            raise ValueError('start_response: %s is between server and client, an application must not set it' % name)
        if lower == 'content-length':
            if not (value.isdigit() and value.isascii() and len(value) < 19):
                raise ValueError('start_response: the Content-Length is no number: %.100r' % value)
            if length is not None and length != int(value):
                raise ValueError('start_response: there are two Content-Lengths, %s and %s' % (length, value))
            # RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of
            # 1xx (Informational) or 204 (No Content)."
            repeated, length = length is not None, int(value)
            if repeated or status.startswith('204'):
                continue
        parts += pair
        if len(NAMES) < KNOWN:
            NAMES[name] = lower == 'content-length'
    if len(STATUSES) < KNOWN:
        STATUSES[status] = status.startswith(('204', '304'))
    try:
        return '\n'.join(parts).encode('latin-1'), length
    except UnicodeEncodeError as error:
        # "all strings … must contain only code points representable in ISO-8859-1 encoding"
        raise ValueError('start_response: %r is not in latin-1, as headers must be' % error.object[error.start]) from None


# ---------------------------------------------------------------------------------------------------------------------
# The answer to one request.

class Answer:
    """What the application has said of one answer so far, and how much of it the gateway has."""

    slot = None
    called = False  # Was start_response called, with success or not?
    head = None
    length = None  # What Content-Length promises.
    bodiless = False  # HEAD, 204, 304
    sent = None  # How many bytes of the body were sent; None: not even the head.
    flags = 0

    def start_response(self, status, headers, exc_info=None):
        """"The start_response callable … must be invoked by positional arguments"; it returns the `write` callable."""
        if self.called:
            self.restart(exc_info)
        # "It is a fatal error to call start_response without the exc_info argument if start_response has already been
        # called … This includes the case where the first call to start_response raised an error."
        self.called = True
        try:
            head = '\n'.join((status, *chain.from_iterable(headers))).encode('latin-1')
            bodiless = STATUSES[status]
            length = None
            for name, value in headers:
                if NAMES[name]:
                    if length is not None or bodiless or not (value.isdigit() and value.isascii() and len(value) < 19):
                        raise ValueError
                    length = int(value)
            if type(headers) is not list or head.translate(CLEAN) != head or head.count(b'\n') != 2 * len(headers):
                raise ValueError
        except Exception:
            head, length = examine(status, headers)
            bodiless = status.startswith(('204', '304'))
        self.head = head
        self.length = length
        if bodiless:
            self.bodiless = True
        return self.write

    def restart(self, exc_info):
        if not exc_info:
            raise RuntimeError('start_response was called before, and may be called again only with exc_info')
        try:
            # "if exc_info is provided, and the HTTP headers have already been sent, start_response must raise an error,
            # and should re-raise using the exc_info tuple."
            if self.sent is not None:
                raise exc_info[1].with_traceback(exc_info[2])
        finally:
            exc_info = None  # "to avoid creating a circular reference"

    def write(self, data):
        if not isinstance(data, bytes):
            raise TypeError('write: the data must be bytes, not %s' % type(data).__name__)
        raise NotImplementedError

    def finish(self, result):
        """Sends what the application returned; the last frame is left to the caller."""
        close = getattr(result, 'close', None)
        exhausted = False
        try:
            kind, head, data = self.body(result)
        except BaseException as error:
            ended = self.close(close)
            last = self.fail(error)
            return last
        if close is None:
            return frame(kind, self.flags | OVER | FREE, 0, head, data)
        self.slot.send(frame(kind, self.flags | OVER, 0, head, data))
        return frame(END, FREE, 0, self.close(close))

    def close(self, close):
        """"If the iterable returned by the application has a close() method, the server or gateway must call that method
        upon completion of the current request, whether the request was completed normally, or terminated early"."""
        if close is not None:
            try:
                close()
            except BaseException as error:
                return report(error)
        return b''

    def body(self, result):
        if type(result) in (list, tuple) and self.sent is None:
            for chunk in result:
                self.check(chunk)
            return self.whole(b''.join(result))
        for chunk in result:
            self.check(chunk)
            if chunk and not self.bodiless:
                if self.head is None:
                    raise Wrong('the application made a body, but did not call start_response')
                if self.sent is None:
                    self.slot.send(frame(START, 0, 0, self.head, chunk))
                    self.sent = len(chunk)
                else:
                    self.slot.send(frame(CHUNK, 0, 0, b'', chunk))
                    self.sent += len(chunk)
        if self.sent is None:
            return self.whole(b'')
        return END, b'', b''

    def check(self, chunk):
        if not isinstance(chunk, bytes):
            raise Wrong('the application made a body of %s, not of bytes: %.100r' % (type(chunk).__name__, chunk))

    def whole(self, data):
        if self.head is None:
            raise Wrong('the application did not call start_response')
        if self.bodiless:
            return ONE, self.head, b''
        if self.length is None:
            return ONE, self.head + b'\nContent-Length\n%d' % len(data), data
        return ONE, self.head, data

    def fail(self, error):
        """The frame for what the application raised, whatever it is: SystemExit ends a request, not a worker."""
        if self.slot.gone:
            return None
        if self.sent is None:
            return frame(EXCEPTION, FREE, 0, report(error))
        return frame(END, FREE | OVER | FAILED, 0, report(error))


class FileWrapper:
    """A file-like object as an iterable of its blocks."""

    def __init__(self, filelike, block_size=8192):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, 'close'):
            self.close = filelike.close

    def __iter__(self):
        return iter(lambda: self.filelike.read(self.block_size), b'')


# ---------------------------------------------------------------------------------------------------------------------
# A slot: one connection, one request at a time.

class Gone(Exception):
    """There is no gateway any more."""


def dial(config):
    connection = socket(AF_UNIX, SOCK_STREAM)
    connection.settimeout(None)  # Whatever the application told socket.setdefaulttimeout.
    try:
        connection.connect(config['socket'])
    except (FileNotFoundError, ConnectionError):
        connection.close()
        raise Gone from None
    return connection


def introduction(config):
    return document(worker=config['worker'], pid=os.getpid(), python='%d.%d.%d' % sys.version_info[:3],
                    implementation=sys.implementation.name.replace('cpython', 'CPython'),
                    gil=getattr(sys, '_is_gil_enabled', lambda: True)())


class Slot:
    """A thread's place to work."""

    def __init__(self, config, number, application, base):
        self.config, self.number, self.application, self.base = config, number, application, base
        self.connection = None
        self.gone = False

    def run(self):
        """Works until the gateway says stop, or is no more."""
        while True:
            try:
                self.connection = dial(self.config)
                self.connection.sendall(frame(HELLO, 0, self.number, introduction(self.config)))
                self.gone = False
                if self.serve():
                    return
            except Gone:
                return
            except OSError:
                pass
            finally:
                self.connection.close()

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError:
            self.gone = True
            raise BrokenPipeError(errno.EPIPE, 'the client went away') from None

    def serve(self):
        """Requests, one after the other. True: the gateway said stop. False: the connection is of no more use.

        This is the way that every request goes: two system calls, and as few steps between them as can be."""
        self.sets = sets = [None] * 32
        self.buffer = buffer = bytearray(BUFFER)
        view = memoryview(buffer)
        application, recv_into, sendall = self.application, self.connection.recv_into, self.connection.sendall
        unpack_from, pack, BytesIO = FRAME.unpack_from, FRAME.pack, io.BytesIO
        environ = answer = result = last = None
        while True:
            size = recv_into(buffer)
            kind, flags, number, first, second = unpack_from(buffer)
            end = 12 + first
            if kind == REQUEST and flags == INLINE and size == end + second:
                keys, preset = sets[number]
                values = str(view[12:end], 'latin-1').split('\0')
                body = BytesIO(view[end:size]) if second else BytesIO()
            else:
                got = self.receive(size)
                if got is None or got is True:
                    return got
                keys, preset, values, body = got
            if len(values) != len(keys):
                return False
            environ = preset.copy()
            environ.update(zip(keys, values))
            environ['wsgi.input'] = body
            answer = Answer()
            answer.slot = self
            if environ['REQUEST_METHOD'] == 'HEAD':
                answer.bodiless = True
            try:
                result = application(environ, answer.start_response)
                head = answer.head
                last = answer.finish(result)
            except BaseException as error:
                last = answer.fail(error)
            if last is None:
                return False
            sendall(last)
            environ = answer = result = body = last = None

    def receive(self, size):
        """What did not come as one whole request: names before it, a part of it, or something else."""
        data = bytearray(memoryview(self.buffer)[:size])
        def fill(until):
            while len(data) < until:
                more = self.connection.recv(until - len(data))
                if not more:
                    raise BrokenPipeError
                data.extend(more)
        if not size:
            return None
        while True:
            fill(12)
            kind, flags, number, first, second = FRAME.unpack_from(data)
            if kind == STOP:
                return True
            fill(12 + first + second)
            if kind == KEYS:
                keys = tuple(map(sys.intern, str(data[12:12 + first], 'latin-1').split('\0')))
                preset = dict(self.base)
                preset.update(dict.fromkeys(keys))
                preset['wsgi.input'] = None
                self.sets[number] = keys, preset
                del data[:12 + first]
            elif kind == REQUEST and flags == INLINE:
                keys, preset = self.sets[number]
                return keys, preset, str(data[12:12 + first], 'latin-1').split('\0'), io.BytesIO(data[12 + first:])
            else:
                return None


# ---------------------------------------------------------------------------------------------------------------------
# The application.

def load(config):
    import importlib
    module, _, name = config['application'].partition(':')
    found = importlib.import_module(module)
    for part in (name or 'application').split('.'):
        found = getattr(found, part)
    return found


def environment(config):
    """What every environ has."""
    base = {
        'SERVER_SOFTWARE': config['server_software'],
        'wsgi.version': (1, 0),
        'wsgi.errors': sys.stderr,
        'wsgi.multithread': config['threads'] > 1,
        'wsgi.multiprocess': config['multiprocess'],
        'wsgi.run_once': False,
        'wsgi.input_terminated': True,
        'wsgi.file_wrapper': FileWrapper,
    }
    base.update(config['environ'])
    return base


# ---------------------------------------------------------------------------------------------------------------------
# The process.

def main(config):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.path[:1] == ['']:
        del sys.path[0]
    sys.path[:0] = [config['directory'] or os.getcwd()] + config['path']
    sys.argv = ['tower-gateway']
    import importlib
    try:
        application = load(config)
    except BaseException as error:
        connection = dial(config)
        connection.sendall(frame(NO, 0, 0, document(worker=config['worker'], pid=os.getpid(), reason=report(error).decode())))
        connection.close()
        sys.exit(3)
    slots = [Slot(config, number, application, environment(config)) for number in range(config['threads'])]
    if len(slots) == 1:
        slots[0].run()
    else:
        threads = [threading.Thread(target=slot.run, name='slot-%d' % slot.number) for slot in slots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


main(json.loads(config))
