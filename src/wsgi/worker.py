"""A worker of a WSGI container: the Python half of `WsgiContainer`.

It dials the gateway once for each of its threads, and works on one request at a time on each of these connections. What
crosses them is described in frames.md; what an application may do and must be given, in PEP 3333, whose sentences are
quoted where they are obeyed. Standard library only, CPython 3.9 and later; the syntax is older, so that what is older yet
can be told so.

`python -c` reads boot.py from standard input, which reads this text and the configuration from there, each after its length, and sets
three globals: `source` (this text), `__file__` (its name in tracebacks), and `config` (JSON). What then is left of standard input
is the tether: its other end is the gateway's for as long as that lives.
"""

import _thread
import array
import ast
import errno
import fcntl
import gc
import importlib
import io
import json
import os
import re
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time
import types

# ---------------------------------------------------------------------------------------------------------------------
# Frames: twelve bytes, and two parts.

FRAME = struct.Struct('<BBHII')
LIMIT = 16 << 20  # No part is longer.

HELLO, BYE, NO, TEMPLATE = b'HBNT'
KEYS, REQUEST, DATA, FILE, STOP = b'KQDFZ'
READ, ONE, START, CHUNK, PASS, EXCEPTION, END = b'ROSCPXE'
GO, SIGNAL, FORKED, EXITED = b'GJVW'

INLINE, AWAY = 1, 2
FREE, OVER, SHORT, FAILED, LONG = 1, 2, 4, 8, 16

SETS = 32  # How many key sets a connection has.
BUFFER = 1 << 17  # A request is received into this much, kept from one to the next. A larger one gets more for itself.
SMALL = 1 << 15  # Up to here it is cheaper to copy a body behind its head than to send it on its own.
PIECE = 1 << 18  # A longer body goes in several frames, so that nobody must hold all of it twice.
ASKED = 65535  # The most that is asked for of a request's body at a time.
PATIENCE = 3  # So many seconds are waited for a socket to dial.
TRACEBACK = 1 << 16  # The longest traceback that is sent.


def frame(kind, flags=0, number=0, first=b'', second=b''):
    return b''.join((FRAME.pack(kind, flags, number, len(first), len(second)), first, second))


def document(**members):
    return json.dumps(members).encode()


# ---------------------------------------------------------------------------------------------------------------------
# Errors: what the user wrote, and no more.

class Wrong(Exception):
    """Somebody's mistake that is best told in a sentence, as no line of theirs can be pointed at."""


def report(error, wholly=False):
    """An error's traceback as UTF-8, without the lines of this file; if there are no others, with them, but for `wholly`."""
    try:
        import linecache
        import traceback
        text = globals().get('source', b'').decode()
        linecache.cache.setdefault(__file__, (len(text), None, text.splitlines(True), __file__))
        told = traceback.TracebackException(type(error), error, error.__traceback__)
        trim(told, wholly or isinstance(error, (Wrong, SyntaxError)), set())
        if isinstance(error, Wrong) and not told.stack:
            lines = [str(error)]
        else:
            lines = told.format() if told.stack else told.format_exception_only()
        data = ''.join(lines).rstrip('\n').encode('utf-8', 'backslashreplace')
    except BaseException as another:  # No memory, no more stack, something of the application's that is not printable.
        data = ('%s (%s when its traceback was made)' % (type(error).__name__, type(another).__name__)).encode()
    if len(data) > TRACEBACK:
        cut = ('\n… %d bytes are left out …\n' % (len(data) - TRACEBACK)).encode()
        data = data[:TRACEBACK // 4] + cut + data[len(cut) - TRACEBACK * 3 // 4:]
    return data


def trim(told, wholly, seen):
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    theirs = [line for line in told.stack if line.filename not in (__file__, importlib.__file__)
              and not line.filename.startswith('<frozen importlib')]
    if theirs or wholly:
        told.stack[:] = theirs
    for other in (told.__cause__, told.__context__, *(getattr(told, 'exceptions', None) or ())):
        trim(other, wholly, seen)


def log(text):
    """A line for the gateway's log, of what no frame can tell."""
    try:
        os.write(2, ('tower-gateway: %s\n' % text).encode('utf-8', 'backslashreplace'))
    except OSError:
        pass


# ---------------------------------------------------------------------------------------------------------------------
# The head: what `start_response` is given is checked "at the time start_response is called, so that an error can be raised
# while the application is still running".

KNOWN = 1024  # How many field names and statuses are remembered.
NAMES = {}  # The field names that were found right; is it Content-Length?
STATUSES = {}  # The statuses that were found right; is there never a body?

STATUS = re.compile(r'[1-9][0-9][0-9] [^\x00-\x1f\x7f]*\Z')
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
CONTROL = re.compile(r'[\x00-\x1f\x7f]')
HOP_BY_HOP = frozenset(('connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te',
                        'trailer', 'trailers', 'transfer-encoding', 'upgrade'))
# What turns every control character but LF, which stands between the parts of a head, into something else.
CLEAN = bytes(63 if (byte < 32 and byte != 10) or byte == 127 else byte for byte in range(256))


def examine(status, headers):
    """The thorough way from what `start_response` was given to a head, its Content-Length, and whether there is never a
    body; or to an error that says which rule was broken. What was found right is remembered for the quick way."""
    if not isinstance(status, str):
        raise TypeError('start_response: the status must be a str, not %s: %.100r' % (type(status).__name__, status))
    # "it is a string consisting of a Status-Code and a Reason-Phrase, in that order and separated by a single space … The
    # string must not contain control characters, and must not be terminated with a carriage return, linefeed, or
    # combination thereof."
    if not STATUS.match(status):
        raise ValueError('start_response: the status must be three digits, a space, and a reason, not %.100r' % status)
    if status < '2':
        raise ValueError('start_response: %.100r is an interim status, which no application can send' % status)
    # "It must be a Python list; i.e. type(response_headers) is ListType"
    if type(headers) is not list:
        raise TypeError('start_response: the headers must be a list, not %s' % type(headers).__name__)
    bodiless = status.startswith(('204', '304'))
    length = None
    parts = [status]
    for pair in headers:
        # "The response_headers argument is a list of (header_name, header_value) tuples."
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError('start_response: a header must be a tuple of a name and a value, not %.200r' % (pair,))
        name, value = pair
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError('start_response: name and value of a header must be str: %.200r' % (pair,))
        # "Each header_name must be a valid HTTP header field-name …, without a trailing colon or other punctuation."
        if not TOKEN.match(name):
            raise ValueError('start_response: %.100r cannot be the name of a header' % name)
        # "Each header_value must not include any control characters, including carriage returns or linefeeds, either
        # embedded or at the end."
        if CONTROL.search(value):
            raise ValueError('start_response: there is a control character in the value of %s: %.200r' % (name, value))
        # "a server or gateway should consider it a fatal error for an application to attempt sending [hop-by-hop headers],
        # and raise an error if they are supplied to start_response()."
        if name.lower() in HOP_BY_HOP:
            raise ValueError('start_response: %s is between the server and its client, and not for applications' % name)
        counts = name.lower() == 'content-length'
        if len(NAMES) < KNOWN:
            NAMES[name] = counts
        if counts:
            if not (value.isdecimal() and value.isascii() and len(value) < 19):
                raise ValueError('start_response: this Content-Length is not a number: %.100r' % value)
            if length is not None and length != int(value):
                raise ValueError('start_response: there are two Content-Lengths, %d and %s' % (length, value))
            # RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of
            # 1xx (Informational) or 204 (No Content)."
            repeated, length = length is not None, int(value)
            if repeated or status.startswith('204'):
                continue
        parts += pair
    if len(STATUSES) < KNOWN:
        STATUSES[status] = bodiless
    try:
        return '\n'.join(parts).encode('latin-1'), length, bodiless
    except UnicodeEncodeError as error:
        # "It is a fatal error for an application to supply strings containing any other Unicode character or code point."
        raise ValueError('start_response: %.100r has characters that are not in latin-1' % error.object) from None


# ---------------------------------------------------------------------------------------------------------------------
# The answer to one request: what the application has said of it so far, and how much of that the gateway has.

class Answer:
    """Its attributes are the class's until they are set, which costs a request nothing."""

    slot = None  # None again when the request is over.
    called = False  # Was start_response called, with success or without?
    head = None
    length = None  # What Content-Length promises.
    method = False  # Does the method forbid a body, as HEAD does?
    bodiless = False  # Does the status, as 204 and 304 do?
    sent = None  # How many bytes of the body were sent; None: not even the head.
    flags = 0

    def start_response(self, status, headers, exc_info=None):
        if self.called:
            try:
                self.restart(exc_info)
            finally:
                exc_info = None  # "ensure that no reference is held"
        self.called = True
        length = None
        try:
            # The quick way is for names and a status that were seen before. Whatever it stumbles over is looked at again.
            parts = [status]
            for pair in headers:
                name, value = pair
                if type(pair) is not tuple:
                    raise TypeError
                if NAMES[name]:
                    if length is not None or not value.isdecimal() or len(value) > 18:
                        raise ValueError
                    length = int(value)
                parts += pair
            bodiless = STATUSES[status]
            head = '\n'.join(parts).encode('latin-1')
            if (type(headers) is not list or head.count(b'\n') != 2 * len(headers) or head.translate(CLEAN) != head
                    or bodiless and length is not None):
                raise ValueError
        except Exception:
            head = None
        if head is None:
            head, length, bodiless = examine(status, headers)
        self.head = head
        self.length = length
        self.bodiless = bodiless
        return self.write

    def restart(self, exc_info):
        # "it is a fatal error to call start_response without the exc_info argument if start_response has already been
        # called within the current invocation of the application. This includes the case where the first call to
        # start_response raised an error."
        if not exc_info:
            raise RuntimeError('start_response was called before; it can be called again only with exc_info')
        # "if exc_info is provided, and the HTTP headers have already been sent, start_response must raise an error, and should
        # re-raise using the exc_info tuple."
        if self.sent is not None:
            try:
                raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        # "start_response should replace the currently-stored HTTP response headers with the newly-supplied ones"
        self.head = None

    def write(self, data):
        """"before write() returns, it must guarantee that the passed-in bytestring was either completely sent to the client,
        or that it is buffered for transmission while the application proceeds onward." """
        if not isinstance(data, bytes):
            raise TypeError('write: the data must be bytes, not %s: %.100r' % (type(data).__name__, data))
        if self.slot is None:
            raise RuntimeError('write: the request is over')
        if self.head is None:
            raise RuntimeError('write: start_response has failed since')
        if not data or self.bodiless or self.method:
            return
        room = len(data) if self.length is None else self.length - (self.sent or 0)
        if room:
            self.put(data[:room])
        if len(data) > room:
            # "or raise an error if the application tries to write() past that point"
            self.flags |= LONG
            raise ValueError('write: this is more than the Content-Length of %d' % self.length)

    def put(self, data):
        """Sends a piece of the body that is not the last: "servers … must not delay the transmission of any block"."""
        view = memoryview(data)
        for at in range(0, len(view), PIECE):
            piece = view[at:at + PIECE]
            if self.sent is None:
                self.sent = 0
                self.slot.send(START, 0, self.head, piece)
            else:
                self.slot.send(CHUNK, 0, b'', piece)
            self.sent += len(piece)

    def finish(self, result):
        """Sends what the application returned, closes it, and gives back what is left to be sent; None if nobody waits."""
        close = None
        try:
            close = getattr(result, 'close', None)
            kind, head, data = self.body(result)
            self.flags |= OVER
            if close is None or type(result) is types.GeneratorType and result.gi_frame is None:  # It has nothing to close.
                return self.slot.send(kind, self.flags | FREE, head, data, True)
            self.slot.send(kind, self.flags, head, data)
        except BaseException as error:
            return self.fail(error, self.ended(close))
        return frame(END, FREE, 0, self.ended(close))

    def ended(self, close):
        """"If the iterable returned by the application has a close() method, the server or gateway must call that method upon
        completion of the current request, whether the request was completed normally, or terminated early". """
        try:
            if close is not None:
                close()
        except BaseException as error:
            child(error)
            if not self.slot.gone:
                return report(error)
            log(report(error).decode())
        return b''

    def fail(self, error, trouble=b''):
        """What is left to be sent after an exception. "Servers should trap and log any exception that aborts an application or
        the iteration of its return value": SystemExit, too, ends a request and not the worker."""
        child(error)
        if self.slot.gone:
            if not isinstance(error, OSError):
                log(report(error).decode())
            return None
        text = report(error) + (trouble and b'\n\nAnd then, in close():\n' + trouble)
        if self.sent is None:
            return frame(EXCEPTION, FREE, 0, text)
        whole = self.sent == self.length
        return frame(END, self.flags | FREE | OVER | (0 if whole else FAILED), 0, text)

    def body(self, result):
        """Sends the body but for its last frame: gives that frame's kind, head, and data."""
        if self.slot.gone:
            raise BrokenPipeError
        chunks = result
        known = False
        kind = type(result)
        whole = result if kind is list or kind is tuple else None
        full = self.sent is not None and self.sent == self.length
        if whole is not None:
            pass
        elif kind is FileWrapper and self.sent is None:
            # "The actual implementation of any platform-specific file handling must occur after the application returns, and
            # the server or gateway checks to see if a wrapper object was returned."
            found = result.place()
            if found is not None:
                return self.file(*found)
        elif isinstance(result, (bytes, str)) or not hasattr(kind, '__iter__') and not hasattr(kind, '__getitem__'):
            raise Wrong('the application must return an iterable of bytes, such as [b"..."], not %s' % kind.__name__)
        elif not full:
            chunks = iter(result)
            if type(chunks) in ITERATORS:
                whole = list(chunks)
            else:
                chunks = iter(chunks.__next__, ITERATORS)  # It need not be iterable itself.
            if whole is None and hasattr(kind, '__len__'):
                # "If the application does not call the write() callable, and returns an iterable whose len() is 1, then the
                # server can automatically determine Content-Length by taking the length of the first bytestring yielded"
                try:
                    known = len(result) == 1
                except Exception:
                    pass  # "If a call to len(iterable) succeeds": it need not.
        if whole is not None:
            chunks = whole
            total = 0
            for chunk in whole:
                total += len(checked(chunk))
            if total <= PIECE:
                chunks = whole if len(whole) == 1 else (b''.join(whole),)
                known = True
            elif self.head is not None and self.sent is None:
                self.promise(total)
        if full:
            return END, b'', b''
        for chunk in chunks:
            if not checked(chunk):
                continue
            self.started()
            if known and self.sent is None:
                self.promise(len(chunk))
            if self.bodiless or self.method:
                return self.tail(b'')
            if self.length is not None:
                # "the server should not transmit more bytes to the client than the header allows, and should stop iterating
                # over the response when enough data has been sent"
                room = self.length - (self.sent or 0)
                if len(chunk) > room:
                    self.flags |= LONG
                    chunk = memoryview(chunk)[:room]
                if len(chunk) == room:
                    return self.tail(chunk)
            self.put(chunk)
        self.started()
        if not self.bodiless and not self.method:
            if self.sent is None:
                self.promise(0)
            if self.length is not None and self.length > (self.sent or 0):
                # "if the application does not provide enough data to meet its stated Content-Length, the server should close
                # the connection and log or otherwise report the error"
                self.flags |= SHORT
        return self.tail(b'')

    def started(self):
        # "servers must not assume that start_response() has been called before they begin iterating over the iterable"
        if self.head is None:
            raise Wrong('the application has not called start_response' if not self.called else
                        'the application went on after start_response had refused what it was given')

    def promise(self, length):
        """Says what the length will be, if nobody did."""
        if self.length is None and not self.bodiless:
            self.length = length
            self.head += b'\nContent-Length\n%d' % length

    def tail(self, data):
        if len(data) > PIECE:
            data = memoryview(data)
            whole = (len(data) - 1) // PIECE * PIECE
            self.put(data[:whole])
            data = data[whole:]
        if self.sent is None:
            return ONE, self.head, data
        return (CHUNK if data else END), b'', data

    def file(self, descriptor, offset, size):
        """"transmission should begin at the current position within the "file" at the time that transmission begins, and continue
        until the end is reached, or until Content-Length bytes have been written. (If the application doesn't supply a
        Content-Length, the server may generate one …)" """
        self.started()
        self.promise(size)
        if self.bodiless or self.method:
            return self.tail(b'')
        if size < self.length:
            self.flags |= SHORT
        if not min(size, self.length):
            return self.tail(b'')
        self.slot.descriptor = descriptor
        return PASS, self.head, struct.pack('<QQ', offset, min(size, self.length))


# What iterates over what is there already, as of Django's HttpResponse: nothing of the application's runs in between.
ITERATORS = type(iter([])), type(iter(()))


def checked(chunk):
    # "the value must be of type bytes under Python 3"
    if not isinstance(chunk, bytes):
        raise Wrong('the body must be of bytes, but the application gave %s: %.100r' % (type(chunk).__name__, chunk))
    return chunk


# ---------------------------------------------------------------------------------------------------------------------
# wsgi.file_wrapper

class FileWrapper:
    """A file-like object as an iterable of its blocks; if it is a file, and this is what the application returns, the gateway
    is given the file's descriptor instead."""

    def __init__(self, filelike, block_size=8192):
        self.filelike = filelike
        self.block_size = block_size
        # "the iterable returned by wsgi.file_wrapper must have a close() method that invokes the original file-like object's
        # close() method"
        if hasattr(filelike, 'close'):
            self.close = filelike.close

    def __iter__(self):
        return iter(lambda: self.filelike.read(self.block_size), b'')

    def place(self):
        """Descriptor, offset, and length of what would be read, if it is in a regular file and nothing stands between. It is
        not enough to have a fileno(): a GzipFile has that of the compressed file."""
        if isinstance(self.filelike, io.TextIOBase):
            raise Wrong("wsgi.file_wrapper was given a file in text mode; open it with mode 'rb': %.200r" % self.filelike)
        buffered = self.filelike
        if type(buffered) is getattr(sys.modules.get('tempfile'), '_TemporaryFileWrapper', None):
            buffered = buffered.file
        file = buffered.raw if type(buffered) in (io.BufferedReader, io.BufferedRandom) else buffered
        if type(file) is not io.FileIO or file.closed or not file.readable() or 'read' in {**vars(file), **vars(buffered)}:
            return None
        buffered.flush()
        about = os.fstat(file.fileno())
        # Files of /proc are regular and without a size, but not without content.
        if not stat.S_ISREG(about.st_mode) or not about.st_size:
            return None
        offset = self.filelike.tell()
        return file.fileno(), offset, max(0, about.st_size - offset)


# ---------------------------------------------------------------------------------------------------------------------
# wsgi.input, when the body is not with the request

class Input(io.RawIOBase):
    """The body as it is asked for; a `BufferedReader` around this has all that the PEP wants. What is never read is never
    sent. The gateway may answer with a file, which is then read as far as it was said to go."""

    def __init__(self, slot):
        self.slot = slot
        self.ended = False
        self.file = None
        self.offset = self.size = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        view = memoryview(buffer).cast('B')
        if self.slot is None:
            raise OSError(errno.EBADF, 'wsgi.input: the request is over')
        # "A server should return empty bytestrings from any attempt to read from an empty or exhausted input stream."
        if self.ended or not len(view):
            return 0
        count = self.ask(view[:ASKED]) if self.file is None else None
        if self.file is not None:
            view = view[:self.size - self.offset]
            count = read_at(self.file, view, self.offset)
            if len(view) and not count:
                raise OSError(errno.EIO, 'wsgi.input: the file with the body has become shorter')
            self.offset += count
        self.ended = not count
        return count

    def readall(self):
        """As `RawIOBase` has it, in larger steps."""
        pieces = []
        piece = memoryview(bytearray(ASKED))
        while True:
            count = self.readinto(piece)
            if not count:
                return b''.join(pieces)
            pieces.append(bytes(piece[:count]))
            if self.file is not None:
                piece = memoryview(bytearray(min(self.size - self.offset, LIMIT) or 1))

    def ask(self, view):
        """Asks for more and receives it where it is wanted, or learns of a file; then it gives None."""
        if self.slot.gone:
            raise ConnectionResetError(errno.ECONNRESET, 'wsgi.input: the client went away')
        self.slot.send(READ, 0, b'', b'', number=len(view))
        header, spare, have = memoryview(bytearray(FRAME.size)), memoryview(bytearray(9)), 0
        try:
            while have < len(header):
                # What does not fit where it is wanted is no data: the nine bytes of a file.
                have += self.receive([header[have:], view, spare])
            have -= len(header)
            kind, _, _, first, second = FRAME.unpack(header)
            if kind == DATA and first == 0 and have <= second <= len(view) and self.file is None:
                while have < second:
                    have += self.receive([view[have:second]])
                return second
            if kind == FILE and first == 8 and second == 1 and have <= 9:
                about = bytes(view[:have]) + bytes(spare[:max(0, have - len(view))])
                while len(about) < 9:
                    about += bytes(spare[:self.receive([spare[:9 - len(about)]])])
                if self.file is not None:
                    self.size = int.from_bytes(about[:8], 'little')
                    return None
            log('the gateway sent something else than a body: %r' % bytes(header))
        except OSError:
            pass
        self.slot.lose()
        raise ConnectionResetError(errno.ECONNRESET, 'wsgi.input: the client went away')

    def receive(self, buffers):
        space = socket.CMSG_SPACE(array.array('i').itemsize)
        flags = getattr(socket, 'MSG_CMSG_CLOEXEC', 0)
        count, extra, _, _ = self.slot.connection.recvmsg_into(buffers, space, flags)
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self.file, = array.array('i', data)
                if not flags:
                    os.set_inheritable(self.file, False)
        if not count:
            raise ConnectionResetError
        return count

    def leave(self):
        """The request is over: what the application may have kept of it must not reach the next one."""
        self.slot = None
        if self.file is not None:
            os.close(self.file)
            self.file = None


def read_at(file, view, offset):
    """The descriptor's own position may be others' too, so it is left alone."""
    if hasattr(os, 'preadv'):
        return os.preadv(file, [view], offset)
    data = os.pread(file, len(view), offset)
    view[:len(data)] = data
    return len(data)


# ---------------------------------------------------------------------------------------------------------------------
# A slot: one thread, one connection, one request at a time.

class Gone(Exception):
    """There is no gateway."""


def dial(path, patience=PATIENCE):
    """A socket that somebody's cleaner took away is there again in a second. A gateway that has ended is not, nor is this
    process then, for long."""
    end = time.monotonic() + patience
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(None)  # Whatever the application told socket.setdefaulttimeout.
        try:
            connection.connect(path)
            return connection
        except BaseException as error:
            connection.close()
            if not isinstance(error, (FileNotFoundError, ConnectionError)):
                raise
        if time.monotonic() >= end:
            raise Gone
        time.sleep(0.05)


def introduction(config):
    name = sys.implementation.name
    return document(worker=config['worker'], pid=os.getpid(), python='%d.%d.%d' % sys.version_info[:3],
                    implementation='CPython' if name == 'cpython' else name,
                    gil=getattr(sys, '_is_gil_enabled', lambda: True)())


class Slot:
    def __init__(self, config, number, application, base):
        self.config = config
        self.number = number
        self.application = application
        self.base = base
        self.connection = None
        self.sets = []  # By their ids: the names, and an environ without values.
        self.gone = False  # Has the connection failed, so that nobody waits for the answer?
        self.descriptor = None  # What goes along with the next PASS.
        self.input = None  # Of the request that is worked on, if its body is away.
        self.rest = None  # What came behind that request: the next.

    def run(self):
        """Dials and works, and dials again when that connection has ended, until the gateway says stop or is no more."""
        pause = 0
        while True:
            try:
                self.connection = dial(self.config['socket'])
            except Gone:
                return
            self.gone = False
            self.sets = [None] * SETS
            try:
                self.connection.sendall(frame(HELLO, 0, self.number, introduction(self.config)))
                if self.serve():
                    return
            except OSError as error:  # The gateway gave up on a request.
                child(error)
            except BaseException as error:  # From it comes what it should not, or from a signal handler of the application.
                child(error)
                log(report(error).decode())
            finally:
                self.connection.close()
                self.gone = True
                self.forget()
            # A gateway that takes connections only to close them is not to keep a processor busy.
            pause = 0 if any(self.sets) else min(1, 2 * pause + 0.01)
            if pause:
                time.sleep(pause)

    def serve(self):
        """Works on one request after the other. True: the gateway said stop. False: this connection is of no more use.

        This is the way that every request goes: two system calls, and as few steps between them as can be."""
        buffer = self.buffer = bytearray(BUFFER)
        view = memoryview(buffer)
        sets, application, recv_into, sendall = self.sets, self.application, self.connection.recv_into, self.connection.sendall
        unpack_from, pack, bytes_io = FRAME.unpack_from, FRAME.pack, io.BytesIO
        rest = self.rest = None
        while True:
            if rest:  # The request that came behind the one before it.
                size = len(rest)
                buffer[:size] = rest
                rest = None
            else:
                size = recv_into(buffer)
            kind, flags, number, first, second = unpack_from(buffer)
            end = 12 + first
            if kind == REQUEST and flags == INLINE and size == end + second:
                keys, preset = sets[number]
                values = buffer[12:end].decode('latin-1').split('\0')
                body = bytes_io(view[end:size]) if second else bytes_io()
            else:
                received = self.receive(size)
                if received is None or received is True:
                    return received
                keys, preset, values, body = received
                rest, self.rest = self.rest, None
            if len(values) != len(keys):
                raise Wrong('the gateway sent %d values for %d names' % (len(values), len(keys)))

            environ = preset.copy()
            environ.update(zip(keys, values))
            environ['wsgi.input'] = body
            answer = Answer()
            answer.slot = self
            if environ['REQUEST_METHOD'] == 'HEAD':
                answer.method = True
            try:
                result = application(environ, answer.start_response)
                if (type(result) is list and len(result) == 1 and answer.head is not None and answer.sent is None
                        and not answer.bodiless and not answer.method and type(result[0]) is bytes
                        and (answer.length is None or answer.length == len(result[0])) and len(result[0]) <= SMALL):
                    # Where `finish` leads, too, by the short way for what most applications return.
                    data = result[0]
                    head = answer.head if answer.length is not None else b'%b\nContent-Length\n%d' % (answer.head, len(data))
                    last = pack(ONE, OVER | FREE, 0, len(head), len(data)) + head + data
                else:
                    last = answer.finish(result)
            except BaseException as error:
                last = answer.fail(error)
            answer.slot = None
            if self.input is not None:
                self.forget()
            if last is None:
                return False
            sendall(last)
            environ = body = values = answer = result = last = received = None

    def receive(self, size):
        """What did not come as one whole request: the names before it, a part of it, one with its body away, or the end."""
        if not size:
            return None
        data = self.buffer[:size]
        while True:
            self.fill(data, FRAME.size)
            kind, flags, number, first, second = FRAME.unpack_from(data)
            end = FRAME.size + first
            if first > LIMIT or second > LIMIT or number >= SETS:
                break
            self.fill(data, end + second)
            text = data[FRAME.size:end].decode('latin-1').split('\0')
            if kind == KEYS and not second:
                keys = tuple(map(sys.intern, text))
                # A dict that has all its keys already is copied in one go, and never grows.
                self.sets[number] = keys, {**self.base, **dict.fromkeys(keys), 'wsgi.input': None}
                del data[:end]
                continue
            if kind == STOP and len(data) == end + second:
                return True
            if kind != REQUEST or self.sets[number] is None:
                break
            if flags == INLINE:
                # The gateway may send the next request before it has the answer to this one.
                self.rest = bytes(memoryview(data)[end + second:])
                data = data[:end + second]
                return (*self.sets[number], text, io.BytesIO(memoryview(data)[end:]))
            if flags == AWAY and len(data) == end:
                self.input = Input(self)
                return (*self.sets[number], text, io.BufferedReader(self.input, 1 << 16))
            break
        raise Wrong('the gateway sent what is not for this moment: %r' % bytes(data[:FRAME.size]))

    def fill(self, data, size):
        have = len(data)
        if have < size:
            data.extend(bytes(size - have))
            with memoryview(data) as view:
                while have < size:
                    count = self.connection.recv_into(view[have:])
                    if not count:
                        raise ConnectionResetError
                    have += count

    def send(self, kind, flags, head, data, last=False, number=0):
        """Sends a frame; of the last one, only what cannot be left to the caller, who is given the rest."""
        try:
            message = FRAME.pack(kind, flags, number, len(head), len(data)) + head
            if kind == PASS:
                message += data
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [self.descriptor]))]
                message, data = message[self.connection.sendmsg([message], rights):], b''
            elif len(data) <= SMALL:
                message, data = b''.join((message, data)), b''
            if last and not data:
                return message
            if message:
                self.connection.sendall(message)
            if last:
                return data
            if data:
                self.connection.sendall(data)
        except OSError:
            self.lose()
            raise BrokenPipeError(errno.EPIPE, 'the client went away') from None

    def lose(self):
        """Nothing more goes over this connection, even if the application goes on as if it had not noticed."""
        self.gone = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def forget(self):
        if self.input is not None:
            self.input.leave()
            self.input = None


# ---------------------------------------------------------------------------------------------------------------------
# The application

def load(config):
    """The application that `module:attribute.attribute` or `module:factory(…)` names, or a `Wrong` that helps."""
    spec = config['application']
    name = spec.partition(':')[0].strip()
    names, arguments, keywords = parse(spec)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + '.').startswith(error.name + '.'):
            raise
        raise Wrong('there is no module `%s` in %s%s' % (error.name, config['directory'], neighbours(config))) from None
    found = module
    for position, part in enumerate(names):
        if not hasattr(found, part):
            where = '.'.join([name] + names[:position])
            raise Wrong('`%s` in %s has no attribute `%s`%s' % (
                where, getattr(module, '__file__', 'this Python'), part, callables(found)))
        found = getattr(found, part)
    if arguments is not None:
        if not callable(found):
            raise Wrong('`%s` cannot be called, it is of type %s' % (spec, type(found).__name__))
        found = found(*arguments, **keywords)
    if not callable(found):
        raise Wrong('`%s` is not an application: it cannot be called, it is of type %s' % (spec, type(found).__name__))
    for function in (found, getattr(type(found), '__call__', None)):
        if getattr(getattr(function, '__code__', None), 'co_flags', 0) & 0x80:
            raise Wrong('`%s` is a coroutine function, as ASGI applications are; this is a WSGI server' % spec)
    return found


def parse(spec):
    """`m:a.b` as (['a', 'b'], None, {}), `m:f(1, x=2)` as (['f'], [1], {'x': 2})."""
    module, _, expression = spec.partition(':')
    try:
        node = ast.parse(expression.strip() or 'application', mode='eval').body
        arguments, keywords, names = None, {}, []
        if isinstance(node, ast.Call):
            arguments = [ast.literal_eval(argument) for argument in node.args]
            keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            node = node.func
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if module.strip() and isinstance(node, ast.Name) and None not in keywords:
            return [node.id] + names, arguments, keywords
    except (SyntaxError, ValueError):
        pass
    raise Wrong('`%s` is not of the form module:attribute, or module:factory("argument", name=2) with literal arguments' % spec)


def neighbours(config):
    directory = config['directory']
    try:
        found = sorted(name[:-3] if name.endswith('.py') else name for name in os.listdir(directory)
                       if name.endswith('.py') or os.path.isfile(os.path.join(directory, name, '__init__.py')))
        return ', where there are: ' + ', '.join(found[:10]) if found else ', where there is no module at all'
    except OSError as error:
        return ', which cannot be read: %s' % error.strerror


def callables(found):
    names = [name for name in dir(found) if not name.startswith('_') and callable(getattr(found, name, None))]
    own = [name for name in names if getattr(getattr(found, name), '__module__', None) == getattr(found, '__name__', None)]
    return '; it has the callables ' + ', '.join((own or names)[:10]) if names else '; it has no callables'


def environment(config):
    """What every environ has; the request's variables come to it."""
    return {
        'SERVER_SOFTWARE': config['server_software'],
        # "Servers and gateways should support this by allowing an application's deployer to specify name-value pairs to be
        # placed in environ."
        **{name: value.encode().decode('latin-1') for name, value in config['environ'].items()},
        'wsgi.version': (1, 0),
        'wsgi.errors': sys.stderr,
        'wsgi.multithread': config['threads'] > 1,
        # "This value should evaluate true if an equivalent application object may be simultaneously invoked by another
        # process": while one worker is replaced, there are two.
        'wsgi.multiprocess': True,
        'wsgi.run_once': False,
        'wsgi.input_terminated': True,
        'wsgi.file_wrapper': FileWrapper,
    }


# ---------------------------------------------------------------------------------------------------------------------
# The process: it does not outlive the gateway, and ends when it is told to.

SLOTS = []
OWNER = None  # The process whose slots these are.
MASK = threading.local()  # Which signals were blocked before a fork.


def tie(tether):
    """When the gateway ends, however it does, the other end of the tether is closed, and the kernel kills this process group,
    wherever it is stuck. Where the kernel cannot, this is False."""
    try:
        fcntl.fcntl(tether, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(tether, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(tether, fcntl.F_SETFL, fcntl.fcntl(tether, fcntl.F_GETFL) | os.O_ASYNC)
    except (AttributeError, OSError):  # No Linux, or something that pretends to be.
        return False
    poll = select.poll()
    poll.register(tether, 0)
    if poll.poll(0):  # It has ended before this.
        os._exit(0)
    return True


def watch(tether):
    """Where the kernel cannot, a thread does."""
    def wait():
        os.read(tether, 1)
        os.killpg(0, signal.SIGKILL)
    threading.Thread(target=wait, name='tether', daemon=True).start()


def child(error):
    """Called where an exception has come to the end of its way: in a process that the application forked, which has come back
    where it does not belong, that is the end of the process. Nothing but the parent answers."""
    if OWNER == os.getpid():
        return
    code = error.code if isinstance(error, SystemExit) else 1
    if not isinstance(error, (SystemExit, OSError)):
        log(report(error).decode())
    flush()
    os._exit(0 if code is None else code & 255 if isinstance(code, int) else 1)


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def before_fork():
    """What is blocked waits in the kernel, while Python throws away what reaches a child before it knows that it is one."""
    if SLOTS:
        MASK.before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))


def after_fork():
    if SLOTS:
        signal.pthread_sigmask(signal.SIG_SETMASK, MASK.before)


def after_fork_in_child():
    """In a process that the application has forked: the connections are its parent's alone, so that nothing is sent twice and an
    end is an end; and the signals mean what they mean to any other program."""
    if SLOTS:
        for slot in SLOTS:
            if slot.connection is not None:
                slot.connection.close()
        SLOTS.clear()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, MASK.before)


def work(config, application):
    """Works with as many slots as there are threads. With one, the main thread is the only one: "Servers that can run multiple
    requests in parallel, should also provide the option of running an application in a single-threaded fashion"."""
    global OWNER
    OWNER = os.getpid()
    base = environment(config)
    slots = [Slot(config, number, application, base) for number in range(config['threads'])]
    goodbye = frame(BYE, 0, 0, document(worker=config['worker'], pid=OWNER))

    def ask_for_an_end(patience):
        try:
            with dial(config['socket'], patience) as connection:
                connection.sendall(goodbye)
            return True
        except (OSError, Gone):
            return False

    def terminate(*_):
        # This is in the midst of whatever the main thread was doing. So it only asks for an end, which comes by a stop; and
        # who has to wait for that is another thread, of the plainest kind.
        if not ask_for_an_end(0):
            _thread.start_new_thread(ask_for_an_end, (PATIENCE,))

    signal.signal(signal.SIGTERM, terminate)
    SLOTS[:] = slots
    if len(slots) == 1:
        slots[0].run()
        return
    threads = [threading.Thread(target=slot.run, name='slot-%d' % slot.number) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def refuse(config, reason):
    """Tells the gateway why there is no worker."""
    try:
        with dial(config['socket']) as connection:
            connection.sendall(frame(NO, 0, 0, document(worker=config['worker'], pid=os.getpid(), reason=reason)))
            # Until it was heard: else the end might be noticed before the reason.
            connection.settimeout(10)
            connection.recv(1)
    except (OSError, Gone):
        log(reason)
    sys.exit(3)


# ---------------------------------------------------------------------------------------------------------------------
# The template: a process that has imported the application, and makes workers by forking.

def template(config, tether, tied):
    """Forks when it is told to, and tells what becomes of the children. In a child, this gives the id of that worker."""
    connection = dial(config['socket'])
    connection.sendall(frame(TEMPLATE, 0, 0, introduction(config)))
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(woken, select.POLLIN)
    if not tied:
        poll.register(tether, select.POLLIN)
    orders = bytearray()
    children = set()
    stopped = False
    while not stopped or children:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if tether in ready:
            os.killpg(0, signal.SIGKILL)
        if woken in ready:
            os.read(woken, 4096)
        if connection.fileno() in ready:
            try:
                data = connection.recv(1 << 16)
            except ConnectionResetError:
                data = b''
            if not data:  # No more orders; but the children are to have somebody who knows when they end.
                poll.unregister(connection)
                stopped = True
            orders += data
        for kind, number, order in complete(orders):
            if kind == STOP:
                stopped = True
            elif kind == SIGNAL and order['pid'] in children:
                try:
                    # The end is for all that it has started, anything else for itself.
                    (os.killpg if number == signal.SIGKILL else os.kill)(order['pid'], number)
                except OSError:
                    pass
            elif kind == GO and not stopped:
                pid = fork()
                if pid == 0:
                    connection.close()
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, before if before is not None else signal.SIG_DFL)
                    os.close(woken)
                    os.close(wake)
                    become_worker(tether)
                    return order['worker']
                if isinstance(pid, int):
                    children.add(pid)
                    tell(connection, FORKED, worker=order['worker'], pid=pid)
                else:
                    tell(connection, FORKED, worker=order['worker'], error=str(pid))
        for pid in sorted(children):
            end_group(pid)
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # A thread of the application was told first.
                ended, status = pid, 0
            if ended:
                children.remove(pid)
                tell(connection, EXITED, pid=pid, status=status)
    connection.close()
    return None


def end_group(pid):
    """What a child that has ended left behind in its group ends with it. Until it is waited for, the group's number is its own."""
    try:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            os.killpg(pid, signal.SIGKILL)
    except (AttributeError, OSError):  # macOS has no waitid before Python 3.13; and there may be nobody left.
        pass


def complete(orders):
    """The frames that are whole, one after the other."""
    while len(orders) >= FRAME.size:
        kind, _, number, first, second = FRAME.unpack_from(orders)
        end = FRAME.size + first + second
        if len(orders) < end:
            return
        order = json.loads(orders[FRAME.size:FRAME.size + first] or b'{}')
        del orders[:end]
        yield kind, number, order


def tell(connection, kind, **members):
    try:
        connection.sendall(frame(kind, 0, 0, document(**members)))
    except OSError:
        pass


def fork():
    """As os.fork, but a failure is given and not raised."""
    flush()  # Else the child would write it, too.
    try:
        pid = os.fork()
    except OSError as error:
        return error
    try:
        # Both say so, that it is so for whoever goes on first: a signal to this group is for the child alone.
        os.setpgid(pid, pid)
    except OSError:
        pass
    return pid


def become_worker(tether):
    if 'random' in sys.modules:
        sys.modules['random'].seed()
    if tether is None:
        return
    try:
        # What O_ASYNC and F_SETOWN say is said of an open file, and this one is the template's: it takes another.
        own = os.open('/proc/self/fd/%d' % tether, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        own = None
    if own is None or not tie(own):
        watch(tether)
    else:
        os.close(tether)


def main(config):
    tether, tied = prepare(config)
    if sys.implementation.name != 'cpython' or sys.version_info < (3, 9):
        refuse(config, 'tower-gateway needs CPython 3.9 or later; %s is %s %s' % (
            sys.executable, sys.implementation.name, sys.version.split()[0]))
    try:
        os.chdir(config['directory'])
        application = load(config)
    except BaseException as error:
        refuse(config, report(error, wholly=True).decode())
    # What there is now stays as long as the process: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    os.register_at_fork(before=before_fork, after_in_parent=after_fork, after_in_child=after_fork_in_child)
    if config['template']:
        config['worker'] = template(config, tether, tied)
        if config['worker'] is None:
            return
    work(config, application)


def prepare(config):
    """Makes the process what an application expects to run in. Gives the tether, and whether the kernel holds it."""
    # A handler and not SIG_IGN, which the programs that the application starts would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    import faulthandler
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR2, 2, all_threads=True, chain=False)
    for stream in (sys.stdout, sys.stderr):
        # The gateway reads lines of UTF-8, whatever the locale is.
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(encoding='utf-8', errors='backslashreplace', line_buffering=True)
    tether = os.dup(0) if config['tether'] else None
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    tied = tether is None or tie(tether)
    if not tied and not config['template']:
        watch(tether)
    if config['switch_interval'] is not None:
        sys.setswitchinterval(config['switch_interval'])
    if config['directory'] is None:
        config['directory'] = os.getcwd()
    if sys.path[:1] == ['']:
        del sys.path[0]
    sys.path[:0] = [config['directory']] + config['path']
    sys.argv = ['tower-gateway']
    return tether, tied


main(json.loads(config))
