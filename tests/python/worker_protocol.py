"""What src/wsgi/worker.py does, asked by a gateway that is scripted here: `python worker_protocol.py` tries it with the Python
that runs it. Standard library only. Nothing waits for luck: each wait is for an event, with a deadline after which the test has
failed."""

import array
import contextlib
import gc
import gzip
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, '..', '..', 'src', 'wsgi')
with open(os.path.join(SOURCES, 'boot.py'), encoding='utf-8') as boot, open(os.path.join(SOURCES, 'worker.py'), 'rb') as worker:
    BOOT, WORKER = boot.read(), worker.read()
FRAME = struct.Struct('<BBHII')
INLINE, AWAY = 1, 2
FREE, OVER, SHORT, FAILED, LONG = 1, 2, 4, 8, 16
DEADLINE = 20
LINUX = sys.platform.startswith('linux')


def frame(kind, flags=0, number=0, first=b'', second=b''):
    return FRAME.pack(ord(kind), flags, number, len(first), len(second)) + first + second


class Closed(Exception):
    pass


class Connection:
    """One that a worker dialled: whole frames, and the descriptors that came with them."""

    def __init__(self, sock):
        sock.settimeout(DEADLINE)
        self.sock, self.data, self.files, self.keys, self.count = sock, b'', [], {}, 0
        self.opening = self.frame()

    def fill(self, size):
        while len(self.data) < size:
            try:
                data, extra, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(4))
            except ConnectionResetError:
                raise Closed from None
            for _, _, files in extra:
                self.files += array.array('i', files)
            if not data:
                raise Closed
            self.data += data
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def frame(self):
        kind, flags, number, first, second = FRAME.unpack(self.fill(FRAME.size))
        return chr(kind), flags, number, self.fill(first), self.fill(second)

    def send(self, *args):
        self.sock.sendall(frame(*args))

    def request(self, path='/', method='GET', body=b'', away=False, **variables):
        """The bytes of a request, with those of its names before it if they are new."""
        variables = {'REQUEST_METHOD': method, 'PATH_INFO': path, 'SCRIPT_NAME': '', 'QUERY_STRING': '', 'SERVER_NAME': 'localhost',
                     'SERVER_PORT': '80', 'SERVER_PROTOCOL': 'HTTP/1.1', 'wsgi.url_scheme': 'http', 'HTTP_HOST': 'localhost',
                     **variables}
        names = tuple(variables)
        data = b''
        if names not in self.keys:
            number = self.count % 32
            self.count += 1
            self.keys = {**{known: other for known, other in self.keys.items() if other != number}, names: number}
            data = frame('K', 0, self.keys[names], '\0'.join(names).encode())
        values = '\0'.join(variables.values()).encode('latin-1')
        return data + frame('Q', AWAY if away else INLINE, self.keys[names], values, b'' if away else body)

    def ask(self, path='/', *args, **kwargs):
        self.sock.sendall(self.request(path, *args, **kwargs))
        return Answer(self)

    def serve(self, body, step=65535):
        """Answers one R with as much as it asks for of `body`, and gives the rest."""
        kind, flags, number, first, second = self.frame()
        assert (kind, flags, first, second) == ('R', 0, b'', b'') and 0 < number <= 65535, (kind, number)
        number = min(number, step)
        self.send('D', 0, 0, b'', body[:number])
        return body[number:]

    def pass_file(self, file, size, split=False):
        data = frame('F', 0, 0, struct.pack('<Q', size), b'.')
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [file.fileno()]))]
        if split:
            self.sock.sendall(data[:-1])
            self.sock.sendmsg([data[-1:]], rights)
        else:
            self.sock.sendmsg([data], rights)

    def close(self):
        self.sock.close()
        for file in self.files:
            os.close(file)

    def is_closed(self):
        try:
            self.frame()
        except Closed:
            return True


class Answer:
    """The frames of one answer, to the one with FREE."""

    def __init__(self, connection, stop_at=FREE):
        self.frames, self.flags = [], 0
        while not self.flags & stop_at:
            self.frames.append(connection.frame())
            self.flags |= self.frames[-1][1]
        self.kinds = ''.join(kind for kind, *_ in self.frames)
        heads = [first for kind, _, _, first, _ in self.frames if kind in 'OSP']
        parts = heads[0].decode('latin-1').split('\n') if heads else [None]
        self.status, self.headers = parts[0], list(zip(parts[1::2], parts[2::2]))
        self.body = b''.join(second for kind, _, _, _, second in self.frames if kind in 'OSC')
        self.log = '\n'.join(first.decode() for kind, _, _, first, _ in self.frames if kind in 'XE' and first)
        assert len(heads) <= 1 and len(parts) % 2, self.frames
        assert self.kinds[:1] in 'OSPXEC' and set(self.kinds[1:]) <= set('CE'), self.kinds

    def __getitem__(self, name):
        return dict((name.lower(), value) for name, value in self.headers).get(name.lower())


class Output:
    """What a worker writes, as it comes."""

    def __init__(self, file):
        self.data, self.file, self.come = b'', file, threading.Condition()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        for line in self.file:
            with self.come:
                self.data += line
                self.come.notify_all()
        self.file.close()

    def wait_for(self, text):
        with self.come:
            assert self.come.wait_for(lambda: text.encode() in self.data, DEADLINE), self.data.decode()

    def all(self):
        self.thread.join(DEADLINE)
        return self.data.decode()


class Gateway:
    """Listens, starts one worker (or template), and holds its tether."""

    def __init__(self, application='app:application', source=WORKER, modules=None, command=(), env=None, begin=None, **config):
        self.directory = tempfile.mkdtemp(prefix='tg-')
        for name, text in (modules or {'app.py': APPLICATION}).items():
            with open(os.path.join(self.directory, name), 'w', encoding='utf-8') as file:
                file.write(text)
        if begin is not None:
            begin(self)
        self.path = os.path.join(self.directory, 'socket')
        self.listen()
        self.connections = []
        self.config = {'application': application, 'directory': self.directory, 'path': [], 'socket': self.path, 'worker': 3,
                       'threads': 1, 'environ': {'app.setting': 'yes'}, 'server_software': 'tower-gateway/1',
                       'template': False, 'switch_interval': None, 'tether': True, **config}
        self.process = subprocess.Popen(
            [*command, sys.executable, '-c', BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            preexec_fn=os.setpgrp, cwd=self.directory, env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1', **(env or {})})
        self.out, self.err = Output(self.process.stdout), Output(self.process.stderr)
        for part in (source, json.dumps(self.config).encode()):
            data = struct.pack('<I', len(part)) + part
            while data:
                data = data[self.process.stdin.write(data):]

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.listener.settimeout(DEADLINE)

    def hide(self):
        self.listener.close()
        os.remove(self.path)

    def accept(self):
        connection = Connection(self.listener.accept()[0])
        self.connections.append(connection)
        return connection

    def quiet(self):
        """Nobody dials who should not: asked when the worker has ended."""
        self.listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.listener.accept()[0].close()
            return False
        return True

    def wait(self):
        return self.process.wait(DEADLINE)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        self.process.stdin.close()
        self.out.all(), self.err.all()
        for connection in self.connections:
            connection.close()
        self.listener.close()
        shutil.rmtree(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def gone(pid):
    """Waits for the end of a process that is not a child of this one."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], DEADLINE)[0])
    finally:
        os.close(watched)


# The application that is asked. Its views are functions of `environ` and `start_response`, by the path; `events` is what they want
# to be told about afterwards.
APPLICATION = r'''
import io, json, os, signal, sys, threading, wsgiref.validate, tempfile, gzip

events = []
kept = {}
html = [('Content-Type', 'text/html')]
barrier = threading.Barrier(2)
lock = threading.Lock()

def application(environ, start_response):
    return globals()[environ['PATH_INFO'][1:] or 'hello'](environ, start_response)

def hello(environ, start_response):
    start_response('200 OK', html)
    return [b'hello']

def told(environ, start_response):
    found, events[:] = [str(event) for event in events], []
    start_response('200 OK', html)
    return [json.dumps(found).encode()]

def run(environ, start_response):
    """Whatever a test thinks of: code in the query string."""
    names = dict(globals(), environ=environ, start_response=start_response, env=environ)
    exec(environ['QUERY_STRING'].encode('latin-1').decode().replace('\x01', '\n'), names)
    return names['result']

class Body:
    """An iterable that tells what is done with it."""
    def __init__(self, *chunks, fail=None, closing=None):
        self.chunks, self.fail, self.closing = iter(chunks), fail, closing
    def __iter__(self):
        events.append('iter')
        return self
    def __next__(self):
        try:
            chunk = next(self.chunks)
        except StopIteration:
            if self.fail: raise self.fail
            raise
        if callable(chunk):
            chunk = chunk()
        events.append('next')
        return chunk
    def close(self):
        events.append('close')
        if self.closing: raise self.closing

class Whole(Body):
    def __iter__(self):
        return self.chunks

class Sized(Body):
    def __len__(self):
        return 1

def meet(environ, start_response):
    barrier.wait(10)
    return hello(environ, start_response)
'''


def query(code):
    return code.replace('\n', '\x01').encode().decode('latin-1')


class Case(unittest.TestCase):
    """Tests that share a worker."""

    options = {}

    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(**cls.options)
        cls.connection = cls.gateway.accept()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.close()

    def ask(self, *args, **kwargs):
        return self.connection.ask(*args, **kwargs)

    def run_there(self, code, *args, **kwargs):
        """The answer of an application that is this code, which sets `result`."""
        return self.ask('/run', *args, QUERY_STRING=query(code), **kwargs)

    def begin(self, code, *args, **kwargs):
        self.connection.sock.sendall(self.connection.request('/run', *args, QUERY_STRING=query(code), **kwargs))

    def told(self):
        return json.loads(self.ask('/told').body)

    def value(self, expression, *args, **kwargs):
        return json.loads(self.run_there('start_response("200 OK", [])\nresult = [json.dumps(%s).encode()]' % expression, *args,
                                         **kwargs).body)

    def redial(self):
        """The worker's connection after it lost one."""
        self.connection.close()
        type(self).connection = self.gateway.accept()
        self.assertEqual(self.connection.opening[:3], ('H', 0, 0))

    def assertWrong(self, answer, text):
        self.assertEqual((answer.kinds, answer.flags), ('X', FREE), answer.frames)
        self.assertIn(text, answer.log)


class Opening(Case):
    options = {'path': ['/somewhere'], 'env': {'PYTHONIOENCODING': 'ascii'}}

    def test_hello_says_who_dials(self):
        kind, flags, number, first, second = self.connection.opening
        self.assertEqual((kind, flags, number, second), ('H', 0, 0, b''))
        self.assertEqual(json.loads(first), {
            'worker': 3, 'pid': self.gateway.process.pid, 'python': '%d.%d.%d' % sys.version_info[:3], 'implementation': 'CPython',
            'gil': getattr(sys, '_is_gil_enabled', lambda: True)()})

    def test_the_process_is_what_an_application_expects(self):
        self.assertEqual(self.value('sys.path[:2]'), [self.gateway.directory, '/somewhere'])
        self.assertNotIn('', self.value('sys.path'))
        self.assertEqual(self.value('sys.argv'), ['tower-gateway'])
        self.assertEqual(self.value('os.path.realpath(os.getcwd())'), os.path.realpath(self.gateway.directory))
        self.assertEqual(self.value('sys.stdin.read()'), '')
        self.assertEqual(self.value('os.getpgrp() == os.getpid()'), True)

    def test_one_slot_means_one_thread(self):
        self.assertEqual(self.value('[threading.active_count(), threading.current_thread() is threading.main_thread()]'), [1, True])
        if LINUX:
            self.assertEqual(self.value('os.listdir("/proc/self/task").__len__()'), 1)

    @unittest.skipUnless(LINUX, 'needs /proc')
    def test_nothing_of_the_worker_is_inherited_by_programs(self):
        self.assertEqual(self.value('''__import__('subprocess').run(
            [sys.executable, '-c', 'import os; print(sorted(map(int, os.listdir("/proc/self/fd")))[:-1])'],
            close_fds=False, stdout=-1).stdout.decode().strip()'''.replace('\n', ' ')), '[0, 1, 2]')

    def test_lines_are_utf_8_and_come_at_once(self):
        self.run_there('print("é € 1")\nprint("é € 2", file=env["wsgi.errors"])\nresult = hello(environ, start_response)')
        self.gateway.out.wait_for('é € 1\n')
        self.gateway.err.wait_for('é € 2\n')


class Environ(Case):
    def test_what_the_pep_wants_is_there(self):
        values = self.value('''[type(env) is dict, env['wsgi.version'] == (1, 0), env['wsgi.multithread'], env['wsgi.multiprocess'],
            env['wsgi.run_once'], env['wsgi.input_terminated'], env['wsgi.url_scheme'], env['SERVER_SOFTWARE'], env['app.setting'],
            callable(env['wsgi.file_wrapper']), env['REQUEST_METHOD'], env['SERVER_PORT']]'''.replace('\n', ' '))
        self.assertEqual(values, [True, True, False, True, False, True, 'http', 'tower-gateway/1', 'yes', True, 'GET', '80'])

    def test_values_are_latin_1_whatever_they_are(self):
        every = ''.join(map(chr, range(1, 256)))
        self.assertEqual(self.value('env["HTTP_X"]', HTTP_X=every), every)

    def test_an_environ_is_its_request_s_own(self):
        self.run_there('env["left"] = 1; env["wsgi.version"] = 2\nresult = hello(environ, start_response)')
        self.assertEqual(self.value('["left" in env, env["wsgi.version"]]'), [False, [1, 0]])

    def test_names_may_change_and_come_back(self):
        for turn in range(3):
            for other in range(40):
                self.assertEqual(self.value('env["HTTP_%d"]' % other, **{'HTTP_%d' % other: str(turn)}), str(turn))
                self.assertEqual(self.value('sum(name.startswith("HTTP_") for name in env)'), 1)
            self.connection.keys.clear()

    def test_wsgiref_validates_it(self):
        for method, body in ('GET', b''), ('HEAD', b''), ('POST', b'a=b'):
            answer = self.run_there('result = wsgiref.validate.validator(hello)(environ, start_response)', method, body,
                                    CONTENT_LENGTH=str(len(body)), CONTENT_TYPE='text/plain')
            self.assertEqual((answer.status, answer.body), ('200 OK', b'' if method == 'HEAD' else b'hello'), answer.log)
        answer = self.run_there('''
            def inner(environ, start_response):
                write = start_response('200 OK', html)
                write(environ['wsgi.input'].readline())
                environ['wsgi.errors'].writelines(['one ', 'two'])
                environ['wsgi.errors'].flush()
                return Body(*environ['wsgi.input'].readlines())
            result = wsgiref.validate.validator(inner)(environ, start_response)'''.replace('\n            ', '\n'), 'POST', b'a\nb\nc')
        self.assertEqual((answer.status, answer.body, answer.log), ('200 OK', b'a\nb\nc', ''))

    def test_wrong_counts_are_no_request(self):
        self.ask()
        self.connection.send('Q', INLINE, 0, b'GET\0/')
        self.assertTrue(self.connection.is_closed())
        self.redial()


class StartResponse(Case):
    def test_what_is_given_is_what_is_sent(self):
        answer = self.run_there('start_response("404 Not Found", [("X-A", "é"), ("x-a", ""), ("Set-Cookie", "a"), ("Set-Cookie", "b")])\n'
                                'result = [b"x"]')
        self.assertEqual((answer.kinds, answer.flags, answer.status, answer.body), ('O', FREE | OVER, '404 Not Found', b'x'))
        self.assertEqual(answer.headers, [('X-A', 'é'), ('x-a', ''), ('Set-Cookie', 'a'), ('Set-Cookie', 'b'), ('Content-Length', '1')])

    def test_what_is_wrong_is_refused_while_the_application_can_be_told(self):
        for arguments, text in [
            ('b"200 OK", []', 'TypeError: start_response: the status must be a str, not bytes'),
            ('"200", []', 'ValueError: start_response: the status must be three digits, a space, and a reason, not \'200\''),
            ('"OK 200", []', 'three digits'),
            ('"200 OK\\n", []', 'three digits'),
            ('"200 O\\x00K", []', 'three digits'),
            ('"20 OK", []', 'three digits'),
            ('"2000 OK", []', 'three digits'),
            ('"200 €", []', 'ValueError: start_response: \'200 €\' has characters that are not in latin-1'),
            ('"103 Early Hints", []', 'ValueError: start_response: \'103 Early Hints\' is an interim status'),
            ('"200 OK", ()', 'TypeError: start_response: the headers must be a list, not tuple'),
            ('"200 OK", {"A": "b"}', 'TypeError: start_response: the headers must be a list, not dict'),
            ('"200 OK", None', 'TypeError: start_response: the headers must be a list, not NoneType'),
            ('"200 OK", iter([("A", "b")])', 'TypeError: start_response: the headers must be a list'),
            ('"200 OK", [("A", "b", "c"), ("d",)]', 'TypeError: start_response: a header must be a tuple of a name and a value'),
            ('"200 OK", [["Content-Type", "b"]]', 'TypeError: start_response: a header must be a tuple'),
            ('"200 OK", ["Ab"]', 'TypeError: start_response: a header must be a tuple'),
            ('"200 OK", [("A", 1)]', 'TypeError: start_response: name and value of a header must be str: (\'A\', 1)'),
            ('"200 OK", [(b"A", "b")]', 'TypeError: start_response: name and value of a header must be str'),
            ('"200 OK", [("Content-Type", b"b")]', 'TypeError: start_response: name and value of a header must be str'),
            ('"200 OK", [("A:", "b")]', 'ValueError: start_response: \'A:\' cannot be the name of a header'),
            ('"200 OK", [("", "b")]', 'cannot be the name of a header'),
            ('"200 OK", [("A b", "b")]', 'cannot be the name of a header'),
            ('"200 OK", [("A\\n", "b")]', 'cannot be the name of a header'),
            ('"200 OK", [("Ä", "b")]', 'cannot be the name of a header'),
            ('"200 OK", [("Content-Type", "b\\r\\nSet-Cookie: x")]', 'there is a control character in the value of Content-Type'),
            ('"200 OK", [("Content-Type", "b\\nSet-Cookie\\nx")]', 'there is a control character in the value of Content-Type'),
            ('"200 OK", [("Content-Type", "b\\n")]', 'there is a control character'),
            ('"200 OK", [("Content-Type", "b\\x00")]', 'there is a control character'),
            ('"200 OK", [("Content-Type", "b\\x7f")]', 'there is a control character'),
            ('"200 OK", [("Content-Type", "b\\x1f")]', 'there is a control character'),
            ('"200 OK", [("Content-Type", "€")]', 'has characters that are not in latin-1'),
            ('"200 OK", [("connection", "close")]', 'ValueError: start_response: connection is between the server and its client'),
            ('"200 OK", [("Transfer-Encoding", "chunked")]', 'Transfer-Encoding is between the server and its client'),
            ('"200 OK", [("Content-Length", "-1")]', 'this Content-Length is not a number: \'-1\''),
            ('"200 OK", [("Content-Length", "")]', 'this Content-Length is not a number'),
            ('"200 OK", [("Content-Length", "1, 1")]', 'this Content-Length is not a number'),
            ('"200 OK", [("Content-Length", "²")]', 'this Content-Length is not a number'),
            ('"200 OK", [("Content-Length", "1" * 19)]', 'this Content-Length is not a number'),
            ('"200 OK", [("Content-Length", "1"), ("content-length", "2")]', 'there are two Content-Lengths, 1 and 2'),
        ]:
            for turn in 'first', 'when the names are known':
                with self.subTest(arguments, turn=turn):
                    answer = self.run_there('start_response(%s)\nresult = [b""]' % arguments)
                    self.assertWrong(answer, text)
                    self.assertNotIn('worker.py', answer.log)
                    self.ask()

    def test_equal_lengths_are_one(self):
        for turn in range(2):
            answer = self.run_there('start_response("200 OK", [("Content-Length", "2"), ("content-length", "2")])\nresult = [b"ab"]')
            self.assertEqual(answer.headers, [('Content-Length', '2')])

    def test_a_second_call_needs_exc_info(self):
        self.assertWrong(self.run_there('start_response("200 OK", [])\nstart_response("200 OK", [])\nresult = [b""]'),
                         'RuntimeError: start_response was called before; it can be called again only with exc_info')
        # "This includes the case where the first call to start_response raised an error."
        self.assertWrong(self.run_there('try: start_response("200", [])\nexcept ValueError: pass\nstart_response("200 OK", [])'),
                         'start_response was called before')
        self.assertWrong(self.run_there('try: start_response("200", [])\nexcept ValueError: pass\nresult = [b""]'),
                         'the application went on after start_response had refused what it was given')

    def test_exc_info_replaces_a_head_that_was_not_sent(self):
        answer = self.run_there('start_response("204 No Content", [("A", "b"), ("Content-Length", "7")])\ntry: 1/0\n'
                                'except Exception: start_response("500 Oops", [("C", "d")], sys.exc_info())\nresult = [b"oops"]')
        self.assertEqual((answer.status, answer.headers, answer.body), ('500 Oops', [('C', 'd'), ('Content-Length', '4')], b'oops'))
        answer = self.run_there('try: 1/0\nexcept Exception: start_response("500 Oops", [], sys.exc_info())\nresult = [b""]')
        self.assertEqual(answer.status, '500 Oops')

    def test_exc_info_raises_again_when_the_head_was_sent(self):
        answer = self.run_there('''
def result():
    start_response('200 OK', [])
    yield b'a'
    try:
        raise KeyError('first')
    except KeyError:
        start_response('500 Oops', [], sys.exc_info())
    yield b'never'
result = result()''')
        self.assertEqual((answer.kinds, answer.flags, answer.body), ('SE', FREE | OVER | FAILED, b'a'))
        self.assertIn("KeyError: 'first'", answer.log)
        self.assertIn('line 6, in result', answer.log)  # Where it was raised.

    def test_no_reference_is_kept_to_exc_info(self):
        for write in '', '(b"the head is sent")':
            self.run_there('''
import gc, weakref
gc.disable()
class Held: pass
def f():
    held = Held()
    kept['it'] = weakref.ref(held)
    1/0
def run():
    start_response('200 OK', [])%s
    try: f()
    except Exception: start_response('500 Oops', [], sys.exc_info())
try: run()
except ZeroDivisionError: pass
result = [b'']''' % write)
            self.assertTrue(self.value('kept["it"]() is None'), write)
        self.value('__import__("gc").enable()')

    def test_it_may_be_called_as_late_as_the_first_chunk(self):
        answer = self.run_there('def result():\n yield b""\n start_response("200 OK", [("A", "b")])\n yield b"x"\nresult = result()')
        self.assertEqual((answer.kinds, answer.headers, answer.body), ('SE', [('A', 'b')], b'x'))
        self.assertWrong(self.run_there('def result():\n yield b"x"\n start_response("200 OK", [("A", "b")])\nresult = result()'),
                         'the application has not called start_response')
        self.assertWrong(self.run_there('result = [b"x"]'), 'the application has not called start_response')
        self.assertWrong(self.run_there('result = []'), 'the application has not called start_response')

    def test_one_of_an_earlier_request_is_of_no_use(self):
        self.run_there('kept["write"] = start_response("200 OK", []); kept["start"] = start_response; result = [b"x"]')
        answer = self.run_there('''
for late in lambda: kept['write'](b'late'), lambda: kept['start']('200 OK', [('Late', 'x')]):
    try: late()
    except RuntimeError as error: events.append(error)
result = hello(environ, start_response)''')
        self.assertEqual((answer.kinds, answer['Late'], answer.body), ('O', None, b'hello'))
        self.assertEqual(len(self.told()), 2)


class Bodies(Case):
    def test_a_known_whole_is_one_frame_with_its_length(self):
        for result, body in [('[b"abc"]', b'abc'), ('(b"abc",)', b'abc'), ('[b"a", b"", b"bc"]', b'abc'), ('[]', b''), ('[b""]', b''),
                             ('()', b''), ('[b"x" * 32768]', b'x' * 32768), ('[b"x" * 32769]', b'x' * 32769),
                             ('[b"x" * 262144]', b'x' * 262144), ('iter(())', b''),
                             # All of it is there, although it is no list.
                             ('iter([b"a", b"b"])', b'ab')]:
            with self.subTest(result):
                answer = self.run_there('start_response("200 OK", [])\nresult = %s' % result)
                self.assertEqual((answer.kinds, answer.flags, answer.body), ('O', FREE | OVER, body))
                self.assertEqual(answer.headers, [('Content-Length', str(len(body)))])

    def test_what_iterates_over_a_list_is_a_whole(self):
        # As Django's HttpResponse.
        answer = self.run_there('start_response("200 OK", [])\nresult = Whole(b"a", b"b")')
        self.assertEqual([frame[:2] for frame in answer.frames], [('O', OVER), ('E', FREE)])
        self.assertEqual((answer.headers, answer.body, self.told()), ([('Content-Length', '2')], b'ab', ['close']))

    def test_a_large_whole_goes_in_pieces_with_its_length(self):
        for result, size in ('[b"x" * 1000000]', 1000000), ('[b"x" * 200000] * 5', 1000000), ('(b"x" * 100000 for _ in range(3))', 0):
            answer = self.run_there('start_response("200 OK", [])\nresult = %s' % result)
            self.assertEqual((answer.status, answer.body), ('200 OK', b'x' * (size or 300000)))
            self.assertEqual(answer['Content-Length'], size and str(size) or None)
            self.assertLess(max(len(second) for *_, second in answer.frames), 1 << 20)
            self.assertEqual((answer.kinds[0], answer.flags), ('S', FREE | OVER))

    def test_len_1_gives_a_length(self):
        answer = self.run_there('start_response("200 OK", [])\nresult = Sized(b"", b"abc")')
        self.assertEqual((answer.kinds, answer['Content-Length'], answer.body), ('OE', '3', b'abc'))
        self.assertEqual([flags for _, flags, *_ in answer.frames], [OVER, FREE])

    def test_len_may_fail(self):
        answer = self.run_there('class Lengthless(Body):\n def __len__(self): raise NotImplementedError\n'
                                'start_response("200 OK", [])\nresult = Lengthless(b"a", b"b")')
        self.assertEqual((answer.body, answer['Content-Length'], answer.flags), (b'ab', None, FREE | OVER))
        self.told()

    def test_each_block_is_sent_before_the_next_is_asked_for(self):
        self.begin('start_response("200 OK", [("A", "b")])\nbarrier.reset()\n'
                   'result = Body(b"", b"1", lambda: env["wsgi.input"].read(1), lambda: env["wsgi.input"].read(1))', away=True)
        self.assertEqual(self.connection.frame(), ('S', 0, 0, b'200 OK\nA\nb', b'1'))
        self.connection.serve(b'2')
        self.assertEqual(self.connection.frame(), ('C', 0, 0, b'', b'2'))
        self.connection.serve(b'3')
        self.assertEqual(self.connection.frame(), ('C', 0, 0, b'', b'3'))
        self.assertEqual(self.connection.frame(), ('E', OVER, 0, b'', b''))
        self.assertEqual(self.connection.frame(), ('E', FREE, 0, b'', b''))
        self.assertEqual(self.told(), ['iter'] + ['next'] * 4 + ['close'])

    def test_without_close_the_last_frame_frees(self):
        answer = self.run_there('start_response("200 OK", [])\nresult = map(bytes, [b"a", b"b"])')
        self.assertEqual([(kind, flags) for kind, flags, *_ in answer.frames], [('S', 0), ('C', 0), ('E', OVER | FREE)])
        # That of a generator that has come to its end does nothing.
        answer = self.run_there('start_response("200 OK", [])\nresult = (b for b in [b"a", b"b"])')
        self.assertEqual([(kind, flags) for kind, flags, *_ in answer.frames], [('S', 0), ('C', 0), ('E', OVER | FREE)])

    def test_an_iterator_need_not_be_iterable(self):
        answer = self.run_there('class Bare:\n left = [b"b", b"a"]\n def __next__(self):\n  if self.left: return self.left.pop()\n'
                                '  raise StopIteration\nclass Iterable:\n def __iter__(self): return Bare()\n'
                                'start_response("200 OK", [])\nresult = Iterable()')
        self.assertEqual((answer.body, answer.flags), (b'ab', FREE | OVER))

    def test_a_length_that_is_reached_ends_it(self):
        answer = self.run_there('start_response("200 OK", [("Content-Length", "3")])\nresult = Body(b"abc", b"never")')
        self.assertEqual([frame[:2] for frame in answer.frames], [('O', OVER), ('E', FREE)])
        self.assertEqual((answer.body, self.told()), (b'abc', ['iter', 'next', 'close']))
        answer = self.run_there('start_response("200 OK", [("Content-Length", "3")])\nresult = Body(b"a", b"bc", b"never")')
        self.assertEqual([frame[:2] for frame in answer.frames], [('S', 0), ('C', OVER), ('E', FREE)])
        self.assertEqual((answer.body, self.told()), (b'abc', ['iter', 'next', 'next', 'close']))

    def test_more_than_the_length_is_cut(self):
        for result in 'Body(b"ab", b"cdefg", b"never")', 'Body(b"abcdefg")', '[b"abcdefg"]', '[b"ab", b"cdefg"]', 'iter([b"abcd"])':
            answer = self.run_there('start_response("200 OK", [("content-length", "3")])\nresult = %s' % result)
            self.assertEqual((answer.body, answer.flags), (b'abc', FREE | OVER | LONG), result)
            self.assertEqual(answer.headers, [('content-length', '3')])
        answer = self.run_there('start_response("200 OK", [("Content-Length", "0")])\nresult = [b"abcdefg"]')
        self.assertEqual((answer.body, answer.kinds, answer.flags), (b'', 'O', FREE | OVER | LONG))
        answer = self.run_there('start_response("200 OK", [("Content-Length", "300000")])\nresult = [b"x" * 1000000]')
        self.assertEqual((len(answer.body), answer.flags), (300000, FREE | OVER | LONG))

    def test_less_than_the_length_is_flagged(self):
        for result in 'Body(b"ab", b"c")', '[b"abc"]', '(b"abc" for _ in [1])', '[b"a", b"bc"]':
            answer = self.run_there('start_response("200 OK", [("Content-Length", "4")])\nresult = %s' % result)
            self.assertEqual((answer.body, answer.flags), (b'abc', FREE | OVER | SHORT), result)
        for result in '[]', '[b""]', 'iter([])':
            answer = self.run_there('start_response("200 OK", [("Content-Length", "4")])\nresult = %s' % result)
            self.assertEqual((answer.kinds, answer.body, answer.flags), ('O', b'', FREE | OVER | SHORT), result)

    def test_head_has_no_body_and_the_length_that_is_known(self):
        for headers, result, length in [
            ('', '[b"abc"]', '3'), ('', '[b"a", b"bc"]', '3'), ('', '[b""]', None), ('', '[]', None), ('', 'Body(b"abc")', None),
            ('', '[b"x" * 1000000]', '1000000'), ('', 'Sized(b"abc")', '3'), ('("Content-Length", "7")', '[b""]', '7'),
            ('("Content-Length", "7")', '[b"abc"]', '7'), ('("Content-Length", "7")', 'Body(b"a", b"never")', '7')]:
            with self.subTest(headers=headers, result=result):
                answer = self.run_there('start_response("200 OK", [%s])\nresult = %s' % (headers, result), 'HEAD')
                self.assertEqual((answer.kinds[0], answer.body, answer['Content-Length']), ('O', b'', length))
                self.assertEqual(answer.flags, FREE | OVER)
        self.assertEqual(self.told(), ['iter', 'next', 'close'] * 3)
        answer = self.run_there('start_response("200 OK", [])(b"written")\nresult = [b"x"]', 'HEAD')
        self.assertEqual((answer.kinds, answer.body), ('O', b''))
        # What middleware makes of the method comes too late.
        answer = self.run_there('env["REQUEST_METHOD"] = "GET"\nresult = hello(environ, start_response)', 'HEAD')
        self.assertEqual((answer.kinds, answer.body), ('O', b''))

    def test_204_and_304_have_no_body(self):
        for status, given, kept in ('204 No Content', '3', None), ('304 Not Modified', '3', '3'), ('204 No Content', '', None), (
                '304 Not Modified', '', None):
            for result in '[b"abc"]', '[]', 'Body(b"abc", b"never")':
                for turn in range(2):
                    answer = self.run_there('start_response(%r, [%s])\nresult = %s' % (
                        status, '("Content-Length", %r)' % given if given else '', result))
                    self.assertEqual((answer.status, answer.kinds[0], answer.body, answer['Content-Length'], answer.flags),
                                     (status, 'O', b'', kept, FREE | OVER))
        self.told()

    def test_what_is_not_bytes_is_refused(self):
        for result, text in [('["abc"]', 'the body must be of bytes, but the application gave str: \'abc\''), ('[b"a", "b"]', 'gave str'),
                             ('[bytearray(b"a")]', 'gave bytearray'), ('[memoryview(b"a")]', 'gave memoryview'), ('[None]', 'gave NoneType'),
                             ('Body("abc")', 'gave str'), ('b"abc"', 'must return an iterable of bytes, such as [b"..."], not bytes'),
                             ('"abc"', 'not str'), ('None', 'not NoneType'), ('7', 'not int')]:
            with self.subTest(result):
                answer = self.run_there('start_response("200 OK", [])\nresult = %s' % result)
                self.assertWrong(answer, text)
                self.assertNotIn('worker.py', answer.log)
        answer = self.run_there('start_response("200 OK", [])\nresult = Body(b"a", "b")')
        self.assertEqual((answer.kinds, answer.body, answer.flags), ('SE', b'a', FREE | OVER | FAILED))
        self.assertIn('gave str', answer.log)
        self.assertEqual(self.told(), ['iter', 'next', 'close', 'iter', 'next', 'next', 'close'])

    def test_things_of_the_old_protocol_are_iterable(self):
        answer = self.run_there('class Old:\n def __getitem__(self, at): return [b"a", b"b"][at]\nstart_response("200 OK", [])\nresult = Old()')
        self.assertEqual((answer.status, answer.body), ('200 OK', b'ab'))
        self.told()
        answer = self.run_there('class Listed(list):\n def close(self): events.append("closed")\nstart_response("200 OK", [])\n'
                                'result = Listed([b"a"])')
        self.assertEqual((answer['Content-Length'], answer.body, self.told()), ('1', b'a', ['closed']))
        self.assertEqual(self.run_there('start_response("200 OK", [])\nclass B(bytes): pass\nresult = [B(b"a")]').body, b'a')

    def test_write_sends_at_once(self):
        self.begin('write = start_response("200 OK", [("A", "b")])\nwrite(b"")\nwrite(b"1")\nwrite(env["wsgi.input"].read(1))\nresult = [b"3", b"4"]',
                   away=True)
        self.assertEqual(self.connection.frame(), ('S', 0, 0, b'200 OK\nA\nb', b'1'))
        self.connection.serve(b'2')
        self.assertEqual(self.connection.frame(), ('C', 0, 0, b'', b'2'))
        answer = Answer(self.connection)
        self.assertEqual([frame[:2] + frame[4:] for frame in answer.frames], [('C', 0, b'34'), ('E', FREE | OVER, b'')])

    def test_write_is_held_to_the_length(self):
        answer = self.run_there('write = start_response("200 OK", [("Content-Length", "3")])\nwrite(b"ab")\n'
                                'try: write(b"cde")\nexcept ValueError as error: events.append(error)\nresult = Body(b"never")')
        self.assertEqual((answer.body, answer.flags), (b'abc', FREE | OVER | LONG))
        self.assertEqual(self.told(), ['write: this is more than the Content-Length of 3', 'close'])
        answer = self.run_there('write = start_response("200 OK", [("Content-Length", "3")])\nwrite(b"ab")\nresult = [b"cd"]')
        self.assertEqual((answer.body, answer.flags), (b'abc', FREE | OVER | LONG))
        self.assertWrong(self.run_there('start_response("200 OK", [])("text")'), 'TypeError: write: the data must be bytes, not str')

    def test_close_is_called_once_whatever_happens(self):
        for result in ('Body(b"a")', 'Body()', 'Body(fail=ValueError())', 'Body(b"a", fail=ValueError())', 'Body("a")', 'Body(b"abcdefg")',
                       'Body(closing=ValueError())', 'Body(b"a", fail=ValueError(), closing=KeyError())'):
            for method in 'GET', 'HEAD':
                self.run_there('start_response("200 OK", [("Content-Length", "3")])\nresult = %s' % result, method)
                self.assertEqual(self.told().count('close'), 1, result)
        self.run_there('result = Body(b"a")')
        self.assertEqual(self.told(), ['iter', 'next', 'close'])


class Input(Case):
    """wsgi.input, with the request and away, as data and as a file."""

    TEXT = b'first\nsecond\n\nlast without an end'

    def variants(self, code, body=TEXT):
        """What the application makes of the body, which has to be the same whichever way it comes."""
        code = 'input = env["wsgi.input"]\nstart_response("200 OK", [])\nresult = [json.dumps(%s).encode()]' % code
        inline = self.run_there(code, 'POST', body)
        self.assertEqual(inline.status, '200 OK', inline.log)
        for step in 65535, 7, 1:
            if len(body) // step > 10000:
                continue
            self.begin(code, 'POST', away=True)
            rest = body
            while True:
                kind, flags, number, first, second = self.connection.frame()
                if kind != 'R':
                    break
                self.connection.send('D', 0, 0, b'', rest[:min(number, step)])
                rest = rest[min(number, step):]
            self.assertEqual((kind, flags, first, second), inline.frames[0][:2] + inline.frames[0][3:], step)
        for split in False, True:
            with tempfile.TemporaryFile() as file:
                file.write(body + b'not of the body')
                file.flush()
                self.begin(code, 'POST', away=True)
                got = self.connection.frame()
                if got[0] == 'R':
                    self.connection.pass_file(file, len(body), split)
                    got = self.connection.frame()
                self.assertEqual(got, inline.frames[0])
                self.assertEqual(file.tell(), len(body) + 15)  # The position is the gateway's own.
        return json.loads(inline.body)

    def test_all_methods_work_on_all_bodies(self):
        for body in self.TEXT, b'', b'\n', b'x' * 100000 + b'\n' + b'y' * 100000:
            self.assertEqual(self.variants('input.read().decode()', body), body.decode())
            self.assertEqual(self.variants('[line.decode() for line in input]', body), body.decode().splitlines(True))
            self.assertEqual(self.variants('[input.read(3).decode(), input.readline().decode(), input.read(-1).decode()]', body),
                             [body[:3].decode(), body[3:].partition(b'\n')[0].decode() + '\n' * (b'\n' in body[3:]),
                              body[3:].partition(b'\n')[2].decode()])
        self.assertEqual(self.variants('[input.readline(3).decode(), input.readline(99).decode(), input.readline(0).decode()]'),
                         ['fir', 'st\n', ''])
        self.assertEqual(self.variants('[line.decode() for line in input.readlines()]'), self.TEXT.decode().splitlines(True))
        self.assertEqual(self.variants('[len(input.readlines(1)), len(input.readlines())]'), [1, 3])
        self.assertEqual(self.variants('[input.read(0).decode(), input.read(10 ** 6).decode()]'), ['', self.TEXT.decode()])
        self.assertEqual(self.variants('[input.readinto(bytearray(3)), input.read().decode()]'), [3, self.TEXT[3:].decode()])

    def test_the_end_stays_the_end(self):
        self.assertEqual(self.variants('[input.read() and 1, *(len(input.read(*a)) for a in [(), (1,), ()]), len(input.readline()), '
                                       'len(input.readlines()), len(list(input))]'), [1, 0, 0, 0, 0, 0, 0])

    def test_small_buffers_below_the_buffer(self):
        with tempfile.TemporaryFile() as file:
            file.write(b'0123456789' * 3)
            file.flush()
            self.begin('raw = env["wsgi.input"].raw\ngot = []\nfor n in 0, 1, 2, 8, 9, 30, 5:\n b = bytearray(n)\n'
                       ' got.append(bytes(b[:raw.readinto(b)]))\nstart_response("200 OK", [])\nresult = [b" ".join(got)]', away=True)
            self.assertEqual(self.connection.frame()[:3], ('R', 0, 1))
            self.connection.pass_file(file, 28)
            self.assertEqual(Answer(self.connection).body, b' 0 12 34567890 123456789 01234567 ')

    def test_a_body_that_is_not_read_is_not_sent(self):
        answer = self.ask(away=True)
        self.assertEqual((answer.kinds, answer.body), ('O', b'hello'))

    def test_what_is_read_is_asked_for_and_no_more(self):
        self.begin('start_response("200 OK", [])\nresult = [env["wsgi.input"].read(70000)]', away=True)
        asked = []
        while True:
            kind, _, number, _, second = self.connection.frame()
            if kind != 'R':
                break
            asked.append(number)
            self.connection.send('D', 0, 0, b'', b'x' * number)
        self.assertEqual((kind, len(second)), ('O', 70000))
        self.assertLessEqual(sum(asked), 70000 + 65536)
        self.assertLessEqual(len(asked), 3)

    def test_a_body_that_breaks_off_is_an_error_of_reading(self):
        for at_once in True, False:
            self.begin('try: env["wsgi.input"].read()\nexcept OSError as error: events.append(error)\n'
                       'try: env["wsgi.input"].read()\nexcept OSError as error: events.append(error)\nresult = Body()', away=True)
            self.assertEqual(self.connection.frame()[0], 'R')
            if not at_once:
                self.connection.sock.sendall(frame('D', 0, 0, b'', b'some more')[:15])
            self.redial()
            text = '[Errno %d] wsgi.input: the client went away' % __import__('errno').ECONNRESET
            self.assertEqual(self.told(), [text, text, 'close'])

    def test_a_file_that_is_shorter_than_said_is_an_error(self):
        with tempfile.TemporaryFile() as file:
            file.write(b'abc')
            file.flush()
            self.begin('result = [env["wsgi.input"].read()]', away=True)
            self.connection.frame()
            self.connection.pass_file(file, 4)
            self.assertWrong(Answer(self.connection), 'wsgi.input: the file with the body has become shorter')

    def test_a_connection_that_failed_is_used_no_more(self):
        self.begin('try: env["wsgi.input"].read()\nexcept OSError: pass\nresult = hello(environ, start_response)', away=True)
        self.connection.frame()
        self.connection.send('D', 0, 0, b'not for here', b'x')
        self.assertTrue(self.connection.is_closed())
        self.redial()

    def test_after_the_request_it_cannot_be_read(self):
        self.begin('kept["input"] = env["wsgi.input"]\nresult = hello(environ, start_response)', away=True)
        Answer(self.connection)
        self.assertWrong(self.run_there('kept["input"].read()'), 'OSError: [Errno 9] wsgi.input: the request is over')
        # Least of all from the connection after it.
        self.begin('kept["input"] = env["wsgi.input"]\nkept["input"].read(1)\nresult = hello(environ, start_response)', away=True)
        self.connection.frame()
        self.redial()
        for away in False, True:
            self.assertWrong(self.run_there('kept["input"].read()', away=away), 'OSError: [Errno 9] wsgi.input: the request is over')

    @unittest.skipUnless(LINUX, 'needs /proc')
    def test_no_descriptor_stays(self):
        before = self.value('len(os.listdir("/proc/self/fd"))')
        for split in False, True:
            with tempfile.TemporaryFile() as file:
                file.write(b'abc')
                file.flush()
                self.begin('kept["i"] = env["wsgi.input"]\nstart_response("200 OK", [])\nresult = [kept["i"].read(1)]', away=True)
                self.connection.frame()
                self.connection.pass_file(file, 3, split)
                Answer(self.connection)
        self.assertEqual(self.value('len(os.listdir("/proc/self/fd"))'), before)

    def test_a_body_can_be_as_large_as_a_frame(self):
        for size in 40000, 65536, 131072 - 100, 131072, 200000, 5000000:
            answer = self.run_there('start_response("200 OK", [])\nresult = [str(len(env["wsgi.input"].read())).encode()]', 'POST', b'x' * size)
            self.assertEqual(answer.body, str(size).encode())

    def test_a_request_in_pieces_is_a_request(self):
        data = self.connection.request('/run', 'POST', b'body', QUERY_STRING='start_response("200 OK", []); result = [env["wsgi.input"].read()]',
                                       HTTP_NEW='x')
        for piece in 1, 13, 50:
            for at in range(0, len(data), piece):
                self.connection.sock.sendall(data[at:at + piece])
            self.assertEqual(Answer(self.connection).body, b'body')


class Files(Case):
    def setUp(self):
        self.file = os.path.join(self.gateway.directory, 'file')
        with open(self.file, 'wb') as file:
            file.write(b'0123456789' * 10)
        with gzip.open(self.file + '.gz', 'wb') as file:
            file.write(b'zipped')

    def passed(self, make, headers='', method='GET', after=''):
        answer = self.run_there('class F:\n pass\nf = %s\ninner = f.close\ndef close():\n events.append("closed")\n inner()\n'
                                'try: f.close = close\nexcept AttributeError: pass\n'
                                'start_response("200 OK", [%s])\n%s\nresult = env["wsgi.file_wrapper"](f, 7)' % (make, headers, after), method)
        if answer.kinds[0] == 'P':
            offset, size = struct.unpack('<QQ', answer.frames[0][4])
            file, = self.connection.files
            answer.body = os.pread(file, size, offset)
            os.close(self.connection.files.pop())
        return answer

    def test_a_file_is_passed_and_closed(self):
        for make in ('open("file", "rb")', 'open("file", "r+b")', 'open("file", "rb", buffering=0)', 'io.BufferedReader(io.FileIO("file"))'):
            answer = self.passed(make)
            self.assertEqual((answer.kinds, answer.body, answer['Content-Length']), ('PE', b'0123456789' * 10, '100'), make)
            self.assertEqual([flags for _, flags, *_ in answer.frames], [OVER, FREE])
            self.assertEqual(self.told(), ['closed'])
        answer = self.passed('tempfile.NamedTemporaryFile()', after='f.write(b"named"); f.seek(1)')
        self.assertEqual((answer.kinds, answer.body), ('PE', b'amed'))
        answer = self.passed('tempfile.TemporaryFile()', after='f.write(b"unnamed"); f.seek(2)')
        self.assertEqual((answer.kinds, answer.body), ('PE', b'named'))

    def test_it_begins_where_the_file_is(self):
        for after in 'f.read(13)', 'f.seek(13)', 'f.readline(); f.seek(13)':
            for make in 'open("file", "rb")', 'open("file", "rb", buffering=0)':
                answer = self.passed(make, after=after)
                self.assertEqual((answer.kinds, answer.body, answer['Content-Length']), ('PE', (b'0123456789' * 10)[13:], '87'))
        for after in 'f.read()', 'f.seek(1000)':
            answer = self.passed('open("file", "rb")', after=after)
            self.assertEqual((answer.kinds, answer.body, answer['Content-Length']), ('OE', b'', '0'))

    def test_it_ends_with_the_length(self):
        answer = self.passed('open("file", "rb")', '("Content-Length", "5")', after='f.seek(3)')
        self.assertEqual((answer.body, answer['Content-Length'], answer.flags), (b'34567', '5', FREE | OVER))
        answer = self.passed('open("file", "rb")', '("Content-Length", "500")')
        self.assertEqual((len(answer.body), answer['Content-Length'], answer.flags), (100, '500', FREE | OVER | SHORT))

    def test_head_passes_nothing(self):
        answer = self.passed('open("file", "rb")', method='HEAD')
        self.assertEqual((answer.kinds, answer['Content-Length'], self.connection.files), ('OE', '100', []))
        self.told()

    def test_what_only_looks_like_a_file_is_read(self):
        self.assertEqual(self.passed('gzip.open("file.gz", "rb")').body, b'zipped')
        self.assertEqual(self.passed('io.BytesIO(b"in memory")').body, b'in memory')
        self.assertEqual(self.passed('tempfile.SpooledTemporaryFile()', after='f.write(b"spooled"); f.seek(0)').body, b'spooled')
        answer = self.passed('open("file", "rb")', after='f.read = iter([b"own ", b"read", b""]).__next__; f.read = lambda n, r=f.read: r()')
        self.assertEqual((answer.kinds[0], answer.body), ('S', b'own read'))
        answer = self.run_there('r, w = os.pipe(); os.write(w, b"piped"); os.close(w)\nstart_response("200 OK", [])\n'
                                'result = env["wsgi.file_wrapper"](open(r, "rb"))')
        self.assertEqual(answer.body, b'piped')
        if LINUX:
            self.assertTrue(self.passed('open("/proc/self/status", "rb")').body.startswith(b'Name:'))
        answer = self.run_there('class Reads:\n def read(self, n): events.append(n); return b""\nstart_response("200 OK", [])\n'
                                'result = env["wsgi.file_wrapper"](Reads(), 77)')
        self.assertEqual((answer.kinds, answer.flags), ('O', FREE | OVER))
        self.assertIn('77', self.told())

    def test_what_is_wrapped_by_others_is_read(self):
        answer = self.run_there('f = open("file", "rb")\nf.seek(95)\nstart_response("200 OK", [])\n'
                                'result = (b.upper() for b in env["wsgi.file_wrapper"](f, 2))')
        self.assertEqual((answer.kinds[0], answer.body), ('S', b'56789'))
        answer = self.run_there('f = open("file", "rb")\nf.seek(95)\nstart_response("200 OK", [])(b"written")\n'
                                'result = env["wsgi.file_wrapper"](f, 2)')
        self.assertEqual(answer.body, b'written56789')

    def test_wrong_files_are_errors(self):
        self.assertWrong(self.passed('open("file")'), "wsgi.file_wrapper was given a file in text mode; open it with mode 'rb'")
        self.assertWrong(self.passed('open("file", "rb")', after='f.close()'), 'ValueError')
        self.assertWrong(self.passed('open("file", "ab")'), 'read')
        self.told()


class Exceptions(Case):
    def test_before_the_head_it_is_a_500_with_the_application_s_lines(self):
        for raised, told in [('ValueError("no")', 'ValueError: no'), ('SystemExit(3)', 'SystemExit: 3'), ('KeyboardInterrupt()', 'KeyboardInterrupt'),
                             ('GeneratorExit()', 'GeneratorExit'), ('MemoryError()', 'MemoryError'), ('OSError(32, "pipe")', 'pipe'),
                             ('BaseException("base")', 'base')]:
            for how in 'raise %s', 'start_response("200 OK", [])\nraise %s', 'result = Body(b"", fail=%s)', 'start_response("200 OK", [])\nresult = Body(fail=%s)':
                answer = self.run_there(how % raised)
                self.assertWrong(answer, told)
                self.assertTrue(answer.log.startswith('Traceback (most recent call last):\n'), answer.log)
                self.assertNotIn('worker.py', answer.log)
        self.assertEqual(self.ask().body, b'hello')

    def test_after_the_head_the_answer_has_failed(self):
        for raised in 'ValueError("no")', 'SystemExit(3)', 'KeyboardInterrupt()':
            answer = self.run_there('start_response("200 OK", [])\nresult = Body(b"a", fail=%s)' % raised)
            self.assertEqual((answer.kinds, answer.flags, answer.body), ('SE', FREE | OVER | FAILED, b'a'))
            self.assertIn(raised.partition('(')[0], answer.log)
            answer = self.run_there('start_response("200 OK", [])(b"a")\nraise ' + raised)
            self.assertEqual((answer.kinds, answer.flags, answer.body), ('SE', FREE | OVER | FAILED, b'a'))
        self.told()

    def test_those_of_close_are_logged(self):
        answer = self.run_there('start_response("200 OK", [])\nresult = Body(b"a", closing=ValueError("in closing"))')
        self.assertEqual([flags for _, flags, *_ in answer.frames], [0, OVER, FREE])
        self.assertIn('ValueError: in closing', answer.log)
        answer = self.run_there('result = Body(b"a", fail=KeyError("in reading"), closing=ValueError("in closing"))')
        self.assertWrong(answer, 'the application has not called start_response')
        self.assertIn('ValueError: in closing', answer.log)

    def test_after_a_whole_answer_nothing_has_failed(self):
        answer = self.run_there('start_response("200 OK", [("Content-Length", "1")])(b"a")\nraise ValueError("late")')
        self.assertEqual((answer.kinds, answer.flags, answer.body), ('SE', FREE | OVER, b'a'))
        self.assertIn('ValueError: late', answer.log)

    def test_causes_are_told(self):
        answer = self.run_there('try:\n start_response("200", [])\nexcept ValueError as e:\n raise KeyError("then") from e')
        self.assertIn("ValueError: start_response: the status must be", answer.log)
        self.assertIn("KeyError: 'then'", answer.log)
        self.assertNotIn('worker.py', answer.log)

    def test_the_worst_exceptions_are_told_somehow(self):
        answer = self.run_there('class Mute(Exception):\n def __str__(self): raise self\nraise Mute')
        self.assertWrong(answer, 'Mute')
        answer = self.run_there('def f(): f()\nf()')
        self.assertWrong(answer, 'RecursionError')
        answer = self.run_there('raise ValueError("x" * 1000000 + "the end")')
        self.assertWrong(answer, 'bytes are left out')
        self.assertLessEqual(len(answer.frames[0][3]), 65536)
        self.assertTrue(answer.log.startswith('Traceback') and answer.log.endswith('the end'))
        self.assertWrong(self.run_there('raise ValueError("\\udc80 €")'), 'ValueError: \\udc80 €')

    def test_an_application_of_another_shape_is_told_so(self):
        with Gateway('app:one', modules={'app.py': 'def one(request): pass'}) as gateway:
            answer = gateway.accept().ask()
            self.assertWrong(answer, 'TypeError: one() takes 1 positional argument but 2 were given')

    def test_what_a_signal_handler_raises_in_between_costs_a_connection(self):
        self.run_there('def handler(*_): raise KeyError("handled")\nsignal.signal(signal.SIGUSR1, handler)\nresult = hello(environ, start_response)')
        os.kill(self.gateway.process.pid, signal.SIGUSR1)
        self.assertTrue(self.connection.is_closed())
        self.redial()
        self.gateway.err.wait_for("KeyError: 'handled'")
        self.assertEqual(self.ask().body, b'hello')


class Aborts(Case):
    def test_whenever_nobody_waits_it_is_closed_and_dialled_again(self):
        for code, frames in [
            ('barrier_ = lock.acquire\nstart_response("200 OK", [])\nresult = Body(*[lambda: env["wsgi.input"].read(1)] * 3)', 1),
            ('start_response("200 OK", [])\nresult = Body(b"a", lambda: env["wsgi.input"].read(1), b"c")', 2),
            ('start_response("200 OK", [])\nresult = Body(*[b"x" * 100000] * 100)', 1),
            ('start_response("200 OK", [])\nresult = Body(b"x" * 10000000)', 1),
        ]:
            self.begin(code, away=True)
            for _ in range(frames):
                self.connection.frame()
            self.redial()
            self.assertEqual(self.told().count('close'), 1, code)

    def test_write_tells_the_application(self):
        self.begin('write = start_response("200 OK", [])\ntry:\n while True: write(b"x" * 1000)\nexcept OSError as e: events.append(e)\nresult = Body()')
        self.connection.frame()
        self.redial()
        self.assertEqual(self.told(), ['[Errno 32] the client went away', 'close'])

    def test_a_generator_is_closed_in_its_midst(self):
        self.begin('def result():\n try:\n  while True: yield b"x" * 1000\n finally: events.append("ended")\nstart_response("200 OK", [])\n'
                   'result = result()')
        self.connection.frame()
        self.redial()
        self.assertEqual(self.told(), ['ended'])

    def test_requests_that_come_at_once_are_answered_one_after_the_other(self):
        self.ask()
        one = self.connection.request()
        for data in one * 2, one * 40, one * 2 + one[:5], one * 2 + one[:-1]:
            self.connection.sock.sendall(data)
            for _ in range(len(data) // len(one)):
                self.assertEqual(Answer(self.connection).body, b'hello')
            if len(data) % len(one):
                # The rest of the last one comes later, and then an end.
                self.connection.sock.sendall(one[len(data) % len(one):])
                self.assertEqual(Answer(self.connection).body, b'hello')

    def test_as_much_as_may_be_sent_ahead_is_answered_in_its_order(self):
        code = 'start_response("200 OK", [])\nresult = [env["PATH_INFO"].encode() + env.get("HTTP_N", "").encode()]'
        for step in 1 << 20, 50000, 4099:
            data = b''
            for number in range(17):  # The one it is at, and sixteen of 8 KiB: more than is received at once.
                names = {'HTTP_N': str(number), 'HTTP_X%d' % (number % 5): 'x' * 8000}
                data += self.connection.request('/run', 'POST' if number == 0 else 'GET', QUERY_STRING=query(code), **names)
            for at in range(0, len(data), step):
                self.connection.sock.sendall(data[at:at + step])
            for number in range(17):
                self.assertEqual(Answer(self.connection).body, b'/run%d' % number)

    def test_what_it_has_not_begun_at_the_end_it_never_begins(self):
        begin = query('events.append("begun")\nresult = hello(environ, start_response)')
        for code in ('def result():\n while True: yield b"x" * 1000\nstart_response("200 OK", [])\nresult = result()',
                     'write = start_response("200 OK", [])\nwhile True: write(b"x" * 1000)'):
            for at_once in True, False:
                first = self.connection.request('/run', QUERY_STRING=query(code))
                others = b''.join(self.connection.request('/run', QUERY_STRING=begin, HTTP_N='x') for _ in range(3))
                self.connection.sock.sendall(first + others if at_once else first)
                self.connection.frame()
                if not at_once:
                    self.connection.sock.sendall(others)
                self.redial()
                self.assertEqual(self.told(), [])

    def test_at_rest_and_in_the_midst_of_a_request(self):
        data = self.connection.request()
        for size in 0, 5, 12, 30, len(data) - 1:
            self.connection.sock.sendall(self.connection.request()[:size])
            self.redial()
            self.assertEqual(self.ask().body, b'hello')

    def test_an_answer_that_nobody_takes(self):
        for last in 'result = hello(environ, start_response)', 'raise ValueError("nobody hears")', 'start_response("200 OK", [])\nresult = iter([])':
            self.begin('env["wsgi.input"].read(1)\n' + last, away=True)
            self.connection.frame()
            self.connection.sock.sendall(frame('D', 0, 0, b'', b'x'))
            self.redial()
            self.assertEqual(self.ask().body, b'hello')

    def test_what_is_not_for_the_moment_closes_the_connection(self):
        self.ask()
        long = FRAME.pack(ord('Q'), INLINE, 0, (16 << 20) + 1, 0)
        for data in (b'rubbish rubbish rubbish', frame('Q', INLINE, 31, b'x'), frame('D'), frame('K', 0, 32, b'A'), long, frame('Q', 0, 0),
                     frame('Q', INLINE | AWAY, 0), self.connection.request() + b'rubbish rubbish rubbish'):
            self.ask()
            self.connection.sock.sendall(data)
            closed = False
            while not closed:
                try:
                    self.connection.frame()
                except Closed:
                    closed = True
            self.redial()
        self.begin('env["wsgi.input"].read()', away=True)
        self.connection.frame()
        self.connection.send('O')
        self.assertTrue(self.connection.is_closed())
        self.redial()
        self.begin('env["wsgi.input"].read(2)', away=True)
        asked = self.connection.frame()[2]
        self.connection.send('D', 0, 0, b'', b'x' * (asked + 1))
        self.assertTrue(self.connection.is_closed())
        self.redial()
        self.gateway.err.wait_for('the gateway sent what is not for this moment')

    def test_after_an_abort_the_names_are_sent_anew(self):
        self.ask(HTTP_A='a')
        self.redial()
        self.connection.send('Q', INLINE, 0, b'GET\0/')
        self.assertTrue(self.connection.is_closed())
        self.redial()
        self.assertEqual(self.ask().body, b'hello')


class Threads(Case):
    options = {'threads': 3, 'switch_interval': 0.001}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.slots = {cls.connection.opening[2]: cls.connection}
        for _ in range(2):
            connection = cls.gateway.accept()
            cls.slots[connection.opening[2]] = connection

    def test_each_thread_has_its_slot(self):
        self.assertEqual(sorted(self.slots), [0, 1, 2])
        self.slots[0].sock.sendall(self.slots[0].request('/meet'))
        self.slots[2].sock.sendall(self.slots[2].request('/meet'))
        self.assertEqual([Answer(self.slots[number]).body for number in (2, 0)], [b'hello', b'hello'])
        self.assertEqual(self.value('[env["wsgi.multithread"], threading.current_thread() is threading.main_thread(), sys.getswitchinterval()]'),
                         [True, False, 0.001])

    def test_one_is_dialled_again_while_the_others_work(self):
        self.slots[1].close()
        self.slots[1] = again = self.gateway.accept()
        if self.connection.opening[2] == 1:
            type(self).connection = again
        self.assertEqual(again.opening[2], 1)
        for slot in self.slots.values():
            self.assertEqual(slot.ask().body, b'hello')

    def test_when_all_have_stopped_the_process_ends(self):
        with Gateway(threads=2, modules={'app.py': APPLICATION + '\nimport atexit\natexit.register(print, "at exit")'}) as gateway:
            one, two = gateway.accept(), gateway.accept()
            one.send('Z')
            self.assertTrue(one.is_closed())
            self.assertEqual(two.ask().body, b'hello')
            two.send('Z')
            self.assertEqual(gateway.wait(), 0)
            self.assertEqual(gateway.out.all(), 'at exit\n')
            self.assertTrue(gateway.quiet())

    def test_sigterm_reaches_the_main_thread(self):
        os.kill(self.gateway.process.pid, signal.SIGTERM)
        self.assertEqual(self.gateway.accept().opening[0], 'B')
        self.assertEqual(self.ask().body, b'hello')


class Ends(unittest.TestCase):
    def test_stop_ends_it_as_any_program_ends(self):
        with Gateway(modules={'app.py': APPLICATION + '\nimport atexit\natexit.register(print, "at exit")'}) as gateway:
            connection = gateway.accept()
            self.assertEqual(connection.ask().body, b'hello')
            connection.send('Z')
            self.assertEqual(gateway.wait(), 0)
            self.assertEqual((gateway.out.all(), gateway.err.all()), ('at exit\n', ''))
            self.assertTrue(gateway.quiet())

    def test_without_a_socket_it_ends(self):
        for close_first in True, False:
            with Gateway() as gateway:
                connection = gateway.accept()
                if close_first:
                    gateway.listener.close()
                else:
                    os.remove(gateway.path)
                connection.close()
                self.assertEqual((gateway.wait(), gateway.err.all()), (0, ''))

    def test_a_socket_that_was_taken_away_is_waited_for(self):
        with Gateway() as gateway:
            connection = gateway.accept()
            gateway.hide()
            os.kill(gateway.process.pid, signal.SIGTERM)
            # It is noticed while it works, too, and nothing of that is lost.
            self.assertEqual(connection.ask().body, b'hello')
            connection.close()
            gateway.listen()
            self.assertEqual(sorted(gateway.accept().opening[0] for _ in range(2)), ['B', 'H'])
            again, = [one for one in gateway.connections if one.opening[0] == 'H' and one is not connection]
            self.assertEqual(again.ask().body, b'hello')

    def test_sigterm_asks_for_an_end_and_loses_nothing(self):
        with Gateway() as gateway:
            connection = gateway.accept()
            for busy in False, True:
                if busy:
                    connection.sock.sendall(connection.request('/run', away=True, QUERY_STRING=query(
                        'env["wsgi.input"].read(1)\nresult = hello(environ, start_response)')))
                    self.assertEqual(connection.frame()[0], 'R')
                os.kill(gateway.process.pid, signal.SIGTERM)
                bye = gateway.accept()
                self.assertEqual(bye.opening[:3] + bye.opening[4:], ('B', 0, 0, b''))
                self.assertEqual(json.loads(bye.opening[3]), {'worker': 3, 'pid': gateway.process.pid})
                self.assertTrue(bye.is_closed())
                if busy:
                    connection.send('D', 0, 0, b'', b'x')
                    self.assertEqual(Answer(connection).body, b'hello')
                self.assertEqual(connection.ask().body, b'hello')
            connection.send('Z')
            self.assertEqual(gateway.wait(), 0)

    def test_sigint_is_not_for_it_nor_kept_from_its_children(self):
        with Gateway() as gateway:
            connection = gateway.accept()
            os.killpg(gateway.process.pid, signal.SIGINT)
            self.assertEqual(connection.ask().body, b'hello')
            answer = connection.ask('/run', QUERY_STRING=query(
                'p = __import__("subprocess").Popen([sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT))"], stdout=-1)\n'
                'start_response("200 OK", [])\nresult = [p.communicate()[0]]'))
            self.assertIn(b'default_int_handler', answer.body)

    def test_sigusr2_shows_where_it_is_stuck(self):
        with Gateway(threads=2) as gateway:
            connections = [gateway.accept(), gateway.accept()]
            connections[0].sock.sendall(connections[0].request('/run', away=True, QUERY_STRING=query(
                'def stuck_here(): env["wsgi.input"].read(1)\nstuck_here()\nresult = hello(environ, start_response)')))
            self.assertEqual(connections[0].frame()[0], 'R')
            os.kill(gateway.process.pid, signal.SIGUSR2)
            gateway.err.wait_for('in stuck_here\n')
            gateway.err.wait_for('in main\n')
            connections[0].send('D')
            self.assertEqual(Answer(connections[0]).body, b'hello')

    def test_the_default_timeout_of_sockets_is_not_its(self):
        with Gateway(modules={'app.py': 'import socket\nsocket.setdefaulttimeout(0.001)\n' + APPLICATION}) as gateway:
            connection = gateway.accept()
            connection.sock.sendall(connection.request('/run', away=True, QUERY_STRING=query(
                'import time; env["wsgi.input"].read(1)\nresult = hello(environ, start_response)')))
            connection.frame()
            select.select([connection.sock], [], [], 0.02)
            connection.send('D')
            self.assertEqual(Answer(connection).body, b'hello')
            self.assertFalse(select.select([gateway.listener, connection.sock], [], [], 0.02)[0])

    def test_a_gateway_that_only_hangs_up_is_not_dialled_without_pause(self):
        with Gateway() as gateway:
            begun = time.monotonic()
            for _ in range(5):
                gateway.accept().close()
            self.assertGreater(time.monotonic() - begun, 0.1)
            self.assertEqual(gateway.accept().ask().body, b'hello')


class Forks(Case):
    def test_a_child_of_the_application_answers_nothing(self):
        for ending, status in [('sys.exit(7)', 7), ('sys.exit()', 0), ('sys.exit("no")', 1), ('raise ValueError("in the child")', 1),
                               ('result = [b"child"]', 1), ('result = Body(b"child")', 1), ('start_response("200 OK", [])(b"x")', 1),
                               ('result = [b"x" * 100000]', 1), ('os._exit(9)', 9)]:
            answer = self.run_there('''
pid = os.fork()
start_response('200 OK', [])
if pid == 0:
    events.clear()
    %s
else:
    result = [b'%%d' %% (os.waitpid(pid, 0)[1] >> 8)]''' % ending.replace('start_response("200 OK", [])', 'start_response.__self__.write'))
            self.assertEqual((answer.kinds, answer.body), ('O', str(status).encode()), (ending, answer.log))
        self.assertEqual(self.ask().body, b'hello')

    def test_a_child_does_not_keep_the_connection_and_can_be_ended(self):
        answer = self.run_there('pid = os.fork()\nif not pid:\n while True: signal.pause()\nstart_response("200 OK", [])\nresult = [b"%d" % pid]')
        self.begin('kept["pid"] = %s\nresult = Body(lambda: env["wsgi.input"].read(1))' % answer.body.decode(), away=True)
        self.connection.frame()
        self.redial()
        self.assertEqual(self.value('[os.kill(kept["pid"], signal.SIGTERM), os.waitpid(kept["pid"], 0)[1]]'), [None, signal.SIGTERM])


    def test_a_child_can_be_ended_as_soon_as_it_is(self):
        answer = self.run_there('''
handled = []
start_response('200 OK', [])
for turn in range(50):
    pid = os.fork()
    if not pid:
        while True: signal.pause()
    os.kill(pid, signal.SIGTERM)
    handled.append(os.waitpid(pid, 0)[1])
result = [json.dumps(handled).encode()]''')
        self.assertEqual(json.loads(answer.body), [signal.SIGTERM] * 50)
        # What it says of signals itself, its own children keep.
        answer = self.run_there('''
pid = os.fork()
if not pid:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pid = os.fork()
    if not pid:
        os._exit(signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)
    os._exit(os.waitpid(pid, 0)[1] >> 8)
start_response('200 OK', [])
result = [b'%d' % (os.waitpid(pid, 0)[1] >> 8)]''')
        self.assertEqual(answer.body, b'1')
        os.kill(self.gateway.process.pid, signal.SIGTERM)
        self.assertEqual(self.gateway.accept().opening[0], 'B')


class ForksOfThreads(Case):
    options = {'threads': 2}
    test_a_child_of_the_application_answers_nothing = Forks.test_a_child_of_the_application_answers_nothing


class Loading(unittest.TestCase):
    def refused(self, application, modules=None, source=WORKER, **config):
        with Gateway(application, source, modules, **config) as gateway:
            connection = gateway.accept()
            kind, flags, number, first, second = connection.opening
            self.assertEqual((kind, flags, number, second), ('N', 0, 0, b''))
            # It waits until it was heard.
            self.assertIsNone(gateway.process.poll())
            connection.close()
            told = json.loads(first)
            self.assertEqual((told['worker'], told['pid'], sorted(told)), (3, gateway.process.pid, ['pid', 'reason', 'worker']))
            self.assertEqual(gateway.wait(), 3)
            self.assertTrue(gateway.quiet())
            return told['reason'].replace(gateway.directory, 'DIR')

    def test_a_name_that_leads_nowhere_is_explained(self):
        modules = {'app.py': 'import json\nclass App:\n def method(self, e, s): pass\nnumber = 1\ndef make(x=1): return x\nasync def asgi(s, r, t): pass\n'
                             'class Asgi:\n async def __call__(self, s, r, t): pass\nasgi_object = Asgi()'}
        for application, reason in [
            ('nix:app', 'there is no module `nix` in DIR, where there are: app'),
            ('nix.sub:app', 'there is no module `nix` in DIR, where there are: app'),
            ('app.sub:app', 'there is no module `app.sub` in DIR, where there are: app'),
            ('app', '`app` in DIR/app.py has no attribute `application`; it has the callables App, Asgi, asgi, asgi_object, make'),
            ('app:App.nix', '`app.App` in DIR/app.py has no attribute `nix`; it has the callables method'),
            ('app:number', '`app:number` is not an application: it cannot be called, it is of type int'),
            ('app:number()', '`app:number()` cannot be called, it is of type int'),
            ('app:make()', '`app:make()` is not an application: it cannot be called, it is of type int'),
            ('app:asgi', '`app:asgi` is a coroutine function, as ASGI applications are; this is a WSGI server'),
            ('app:asgi_object', '`app:asgi_object` is a coroutine function, as ASGI applications are; this is a WSGI server'),
        ] + [(spec, '`%s` is not of the form module:attribute, or module:factory("argument", name=2) with literal arguments' % spec)
             for spec in ('', ':app', 'app:make(x)', 'app:a b', 'app:make()()', 'app:make().x', 'app:a[0]', 'app:make(**{})')]:
            with self.subTest(application):
                self.assertEqual(self.refused(application, modules), reason)

    def test_a_directory_that_is_not_there(self):
        self.assertIn("No such file or directory: '/nowhere/at/all'", self.refused('app:application', directory='/nowhere/at/all'))

    def test_an_import_that_fails_shows_the_lines_of_its_module(self):
        for text, lines in [
            ('def f():\n    1/0\nf()', ['Traceback (most recent call last):', '  File "DIR/app.py", line 3, in <module>', '    f()',
                                        '  File "DIR/app.py", line 2, in f', '    1/0', 'ZeroDivisionError: division by zero']),
            ('import nix', ['Traceback (most recent call last):', '  File "DIR/app.py", line 1, in <module>', '    import nix',
                            "ModuleNotFoundError: No module named 'nix'"]),
            ('raise SystemExit(4)', ['Traceback (most recent call last):', '  File "DIR/app.py", line 1, in <module>', '    raise SystemExit(4)',
                                     'SystemExit: 4']),
            ('raise KeyboardInterrupt', ['Traceback (most recent call last):', '  File "DIR/app.py", line 1, in <module>', '    raise KeyboardInterrupt',
                                         'KeyboardInterrupt'])]:
            reason = self.refused('app:application', {'app.py': text})
            self.assertEqual([line for line in reason.split('\n') if line.strip('~^ ')], lines)
        reason = self.refused('app:application', {'app.py': 'x = ('})
        self.assertIn('File "DIR/app.py", line 1', reason)
        self.assertIn('SyntaxError', reason)
        self.assertNotIn('worker.py', reason)
        self.assertNotIn('Traceback', reason)
        self.assertIn('in make', self.refused('app:make(1)', {'app.py': 'def make(x):\n  raise KeyError(x)'}))

    def test_names_factories_and_attributes(self):
        modules = {'pack/__init__.py': '', 'app.py': APPLICATION + '''
def make(body=b'made', *more, **named):
    def made(environ, start_response):
        start_response('200 OK', [])
        return [repr((body, more, sorted(named.items()))).encode()]
    return made
class Of:
    class Nested:
        app = staticmethod(hello)
        make = staticmethod(make)
'''}
        modules.pop('pack/__init__.py')
        for application, body in [
            ('app', b'hello'), ('app:hello', b'hello'), ('app:Of.Nested.app', b'hello'), ('app:make()', b"(b'made', (), [])"),
            ('app:make("a", 1, x=[2, {"y": None}], z=-1)', b"('a', (1,), [('x', [2, {'y': None}]), ('z', -1)])"),
            ('app:Of.Nested.make(True)', b'(True, (), [])'), (' app : hello ', b'hello')]:
            with Gateway(application, modules=modules) as gateway:
                self.assertEqual(gateway.accept().ask().body, body)

    def test_a_directory_that_is_not_said_is_the_current_one(self):
        with Gateway(directory=None) as gateway:
            self.assertEqual(gateway.accept().ask().body, b'hello')

    def test_pythons_that_are_too_old_are_told(self):
        reason = self.refused('app:application', source=WORKER.replace(b'sys.version_info < (3, 9)', b'sys.version_info < (9, 9)'))
        self.assertTrue(reason.startswith('tower-gateway needs CPython 3.9 or later; '), reason)


class Template(unittest.TestCase):
    def go(self, gateway, template, worker):
        template.send('G', 0, 0, json.dumps({'worker': worker}).encode())
        hello = gateway.accept()
        kind, flags, number, first, second = template.frame()
        self.assertEqual((kind, flags, number, second), ('V', 0, 0, b''))
        told = json.loads(first)
        self.assertEqual((told['worker'], json.loads(hello.opening[3])['worker'], json.loads(hello.opening[3])['pid']), (worker, worker, told['pid']))
        return told['pid'], hello

    def test_its_children_are_workers(self):
        modules = {'app.py': APPLICATION + '\nimport random, gc\nimported_in = os.getpid()\nold = random.getstate()[1]\n'
                                           'print("imported")\nsys.stdout.write("left in the buffer")'}
        with Gateway(template=True, threads=2, modules=modules, worker=0) as gateway:
            template = gateway.accept()
            self.assertEqual((template.opening[0], json.loads(template.opening[3])['pid']), ('T', gateway.process.pid))
            workers = []
            for worker in 7, 8:
                template.send('G', 0, 0, json.dumps({'worker': worker}).encode())
                told = json.loads(template.frame()[3])
                slots = [gateway.accept(), gateway.accept()]
                self.assertEqual(sorted(slot.opening[2] for slot in slots), [0, 1])
                self.assertEqual([json.loads(slot.opening[3]) for slot in slots], [{**json.loads(template.opening[3]), **told}] * 2)
                workers.append((told['pid'], slots))
            seen = set()
            for pid, (slot, _) in workers:
                answer = slot.ask('/run', QUERY_STRING=query('''start_response('200 OK', [])
result = [json.dumps([os.getpid(), imported_in, os.getpgrp(), gc.get_freeze_count() > 1000, gc.isenabled(), random.getstate()[1] != old, random.random(),
    int(signal.getsignal(signal.SIGCHLD)), sys.stdin.read(), len(os.listdir('/proc/self/fd')) if sys.platform == 'linux' else 0]).encode()]'''))
                self.assertEqual(answer.log, '')
                mine, imported, group, frozen, enabled, reseeded, number, handler, stdin, files = json.loads(answer.body)
                self.assertEqual((mine, imported, group, frozen, enabled, reseeded, stdin), (pid, gateway.process.pid, pid, True, True, True, ''))
                self.assertEqual(handler, 0)
                seen.add(number)
                if LINUX:
                    self.assertEqual(files, 3 + 2 + 1 + 1)  # Two slots, the tether, the directory that is listed.
            self.assertEqual(len(seen), 2)
            # A worker ends: by stop, by a signal, by itself.
            for slot in workers[0][1]:
                slot.send('Z')
            kind, _, _, first, _ = template.frame()
            self.assertEqual((kind, json.loads(first)), ('W', {'pid': workers[0][0], 'status': 0}))
            template.send('J', 0, signal.SIGTERM, json.dumps({'pid': workers[1][0]}).encode())
            self.assertEqual(gateway.accept().opening[0], 'B')
            template.send('J', 0, signal.SIGKILL, json.dumps({'pid': workers[1][0]}).encode())
            self.assertEqual(json.loads(template.frame()[3]), {'pid': workers[1][0], 'status': 9})
            template.send('J', 0, signal.SIGKILL, json.dumps({'pid': workers[1][0]}).encode())  # It is nobody's now.
            template.send('J', 0, signal.SIGKILL, json.dumps({'pid': 1}).encode())
            template.send('Z')
            self.assertEqual(gateway.wait(), 0)
            self.assertEqual(gateway.out.all(), 'imported\nleft in the buffer')

    def test_stop_lets_the_children_finish(self):
        with Gateway(template=True) as gateway:
            template = gateway.accept()
            pid, slot = self.go(gateway, template, 4)
            template.send('Z')
            template.send('G', 0, 0, b'{"worker": 5}')
            answer = slot.ask('/run', QUERY_STRING=query('start_response("200 OK", [])\nresult = [b"%d" % signal.set_wakeup_fd(-1)]'))
            self.assertEqual(answer.body, b'-1')
            slot.send('Z')
            self.assertEqual(json.loads(template.frame()[3]), {'pid': pid, 'status': 0})
            self.assertTrue(template.is_closed())
            self.assertEqual(gateway.wait(), 0)
            self.assertTrue(gateway.quiet())

    def test_a_template_that_nobody_listens_to_still_reaps(self):
        with Gateway(template=True) as gateway:
            template = gateway.accept()
            pid, slot = self.go(gateway, template, 4)
            template.close()
            self.assertEqual(slot.ask().body, b'hello')
            slot.send('Z')
            self.assertEqual(gateway.wait(), 0)

    @unittest.skipUnless(hasattr(os, 'waitid') and hasattr(os, 'pidfd_open'), 'needs waitid, and pidfd_open to watch')
    def test_what_a_child_has_started_ends_with_it(self):
        with Gateway(template=True) as gateway:
            template = gateway.accept()
            pid, slot = self.go(gateway, template, 4)
            answer = slot.ask('/run', QUERY_STRING=query(
                'program = __import__("subprocess").Popen([sys.executable, "-c", "import signal\\nwhile True: signal.pause()"])\n'
                'start_response("200 OK", [])\nresult = [b"%d" % program.pid]'))
            slot.send('Z')
            self.assertEqual(json.loads(template.frame()[3])['pid'], pid)
            self.assertTrue(gone(int(answer.body)))

    def test_children_that_the_application_has_are_not_its(self):
        modules = {'app.py': APPLICATION + '\nimport subprocess\nother = subprocess.Popen([sys.executable, "-c", ""])\nother_pid = other.pid\n'}
        with Gateway(template=True, modules=modules) as gateway:
            template = gateway.accept()
            pid, slot = self.go(gateway, template, 4)
            slot.send('Z')
            self.assertEqual(json.loads(template.frame()[3])['pid'], pid)
            template.send('Z')
            self.assertEqual(gateway.wait(), 0)

    def test_a_fork_that_fails_is_told(self):
        modules = {'app.py': APPLICATION + '\ndef fork(): raise OSError(11, "no more")\nos.fork = fork'}
        with Gateway(template=True, modules=modules) as gateway:
            template = gateway.accept()
            template.send('G', 0, 0, b'{"worker": 4}')
            kind, _, _, first, _ = template.frame()
            self.assertEqual((kind, json.loads(first)), ('V', {'worker': 4, 'error': '[Errno 11] no more'}))
            template.send('Z')
            self.assertEqual(gateway.wait(), 0)

    def test_what_cannot_be_imported_is_told(self):
        with Gateway('nix:app', template=True) as gateway:
            connection = gateway.accept()
            self.assertEqual(connection.opening[0], 'N')
            connection.close()
            self.assertEqual(gateway.wait(), 3)

    def test_several_orders_at_once(self):
        with Gateway(template=True) as gateway:
            template = gateway.accept()
            data = b''.join(frame('G', 0, 0, b'{"worker": %d}' % worker) for worker in range(4))
            template.sock.sendall(data[:20])
            template.sock.sendall(data[20:])
            slots = [gateway.accept() for _ in range(4)]
            self.assertEqual(sorted(json.loads(slot.opening[3])['worker'] for slot in slots), [0, 1, 2, 3])
            for slot in slots:
                slot.send('Z')
            told = sorted(template.frame()[0] for _ in range(8))
            self.assertEqual(told, ['V'] * 4 + ['W'] * 4)
            template.send('Z')
            self.assertEqual(gateway.wait(), 0)


STUCK = APPLICATION + r'''
import ctypes, subprocess
def stuck(environ, start_response):
    """In C, with the lock of the interpreter, signals blocked; and with a program of its own beside it."""
    program = subprocess.Popen([sys.executable, '-c', 'import signal\nwhile True: signal.pause()'])
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL})
    start_response('200 OK', [])
    yield b'%d' % program.pid
    ctypes.PyDLL(None).sleep(1000)
'''


@unittest.skipUnless(hasattr(os, 'pidfd_open'), 'needs pidfd_open to watch the ends of others')
class Tether(unittest.TestCase):
    """However the gateway ends, nothing of it stays."""

    def gateway(self, *arguments):
        process = subprocess.Popen([sys.executable, __file__, '--gateway', *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        pids = json.loads(process.stdout.readline())
        return process, pids

    def assertAllGone(self, process, pids):
        self.assertGreater(len(pids), 0)
        for pid in pids:
            os.kill(pid, 0)
        process.kill()
        for pid in pids:
            self.assertTrue(gone(pid), pid)

    def test_workers_at_rest(self):
        self.assertAllGone(*self.gateway('rest'))

    def test_a_worker_that_is_stuck_and_its_programs(self):
        self.assertAllGone(*self.gateway('stuck'))

    def test_templates_and_what_they_forked(self):
        self.assertAllGone(*self.gateway('template'))

    def test_where_the_kernel_does_not_help(self):
        self.assertAllGone(*self.gateway('rest', 'elsewhere'))
        self.assertAllGone(*self.gateway('template', 'elsewhere'))

    def test_while_the_application_is_imported(self):
        self.assertAllGone(*self.gateway('importing'))

    def test_a_gateway_that_is_gone_before_the_worker_is_tied(self):
        source = b'import os\nopen("gate").close()\n' + WORKER
        with Gateway(source=source, begin=lambda gateway: os.mkfifo(os.path.join(gateway.directory, 'gate'))) as gateway:
            gateway.process.stdin.close()
            open(os.path.join(gateway.directory, 'gate'), 'w').close()
            self.assertEqual(gateway.wait(), 0)
            self.assertTrue(gateway.quiet())


def elsewhere(source):
    """As it would be without what only Linux has."""
    assert source.count(b'fcntl.F_SETSIG') == 1
    return source.replace(b'fcntl.F_SETSIG', b'fcntl.F_SETSIG_ELSEWHERE')


def be_a_gateway(what, where='here'):
    source = elsewhere(WORKER) if where == 'elsewhere' else WORKER
    modules = {'app.py': STUCK}
    if what == 'importing':
        modules = {'app.py': 'import signal, os\nos.write(1, b"importing\\n")\nwhile True: signal.pause()'}
    gateway = Gateway(source=source, template=what == 'template', modules=modules)
    pids = [gateway.process.pid]
    if what == 'importing':
        gateway.out.wait_for('importing\n')
    else:
        connection = gateway.accept()
    if what == 'template':
        for worker in 1, 2:
            connection.send('G', 0, 0, b'{"worker": %d}' % worker)
            pids.append(json.loads(connection.frame()[3])['pid'])
        slot = gateway.accept()
        gateway.accept()
        if where == 'here':
            slot.sock.sendall(slot.request('/stuck'))
            pids.append(int(slot.frame()[4]))
    elif what == 'stuck':
        connection.sock.sendall(connection.request('/stuck'))
        pids.append(int(connection.frame()[4]))
    shutil.rmtree(gateway.directory)  # This will be killed.
    print(json.dumps(pids), flush=True)
    while True:
        signal.pause()


@unittest.skipUnless(shutil.which('strace'), 'needs strace')
class SystemCalls(unittest.TestCase):
    def test_a_small_request_is_two(self):
        with tempfile.NamedTemporaryFile() as trace:
            with Gateway(command=['strace', '-f', '-qq', '-s', '1000', '-e', 'signal=none', '-o', trace.name]) as gateway:
                try:
                    connection = gateway.accept()
                except socket.timeout:
                    self.skipTest('strace cannot trace: ' + gateway.err.data.decode())
                code = 'write = start_response("200 OK", [("Content-Type", "text/html"), ("X-%s", "a")])\nresult = [b"%s"]'
                connection.ask('/run', QUERY_STRING=query(code % ('A', 'begin-here')))
                for number in range(50):
                    connection.ask('/run', QUERY_STRING=query(code % ('A', 'of these')))
                    connection.ask('/run', 'POST', b'body', QUERY_STRING=query(code % ('A', 'of these')))
                    connection.ask('/run', 'HEAD', QUERY_STRING=query(code % ('A', 'of these')))
                connection.ask('/run', QUERY_STRING=query(code % ('A', 'end-here')))
                connection.send('Z')
                self.assertEqual(gateway.wait(), 0)
            lines = trace.read().decode('latin-1').split('\n')
        sent = [number for number, line in enumerate(lines) if re.search(r'send(to|msg)\(.*(begin|end)-here', line)]
        self.assertEqual(len(sent), 2)
        calls = [re.sub(r'^\d+ +', '', line).partition('(')[0] for line in lines[sent[0] + 1:sent[1] - 1]]
        self.assertEqual(calls, ['recvfrom', 'sendto'] * 150)


def tearDownModule():
    try:
        left = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    raise AssertionError('a process is left: %r' % (left,))


if __name__ == '__main__':
    if sys.argv[1:2] == ['--gateway']:
        be_a_gateway(*sys.argv[2:])
    else:
        unittest.main()
