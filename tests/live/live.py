#!/usr/bin/env python3
"""Runs the program as a user would, and looks at it from the outside: curl, wrk, raw sockets.

    live.py DRIVER [NAME...]

DRIVER is uring or epoll; NAMEs pick cases, -NAMEs leave some out. The program
is $ASX_PROGRAM, or asx in $ASX_BUILD_ROOT.
At stake in each case: the answer on the wire, that nobody else notices, and that afterwards the
server's own gauges are back where they were and it ends by itself when asked. Everything waits
with a bound; only processes that were started here are signalled, by their id. Exit status 77
(skipped) where the machine has no io_uring.
"""
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from cases import PROGRAM, SLOW, Failed, case, check, equal, long_case, run_cases

DRIVER = 'epoll'
# What must come back to where it was, whatever clients did.
RESTING = ('tasks', 'regions', 'obligations', 'operations', 'timers', 'stacks', 'http_connections',
           'http_requests_in_flight')


def until(condition, what, limit=5.0):
    end = time.monotonic() + limit
    while not (true := condition()):
        check(time.monotonic() < end, f'not within {limit} s: {what}')
        time.sleep(0.01)
    return true


class Server:
    """One run of the program, on a port of the kernel's choice."""

    def __init__(self, *flags, shards=2, preexec=None, listen=('127.0.0.1:0',), driver=None):
        self.log = tempfile.TemporaryFile(mode='w+')
        listens = [word for addr in listen for word in ('--listen', addr)]
        self.process = subprocess.Popen(
            [PROGRAM, 'serve', *listens, '--driver', driver or DRIVER, '--shards', str(shards),
             *flags],
            stderr=self.log, stdout=subprocess.DEVNULL, preexec_fn=preexec)
        self.addrs = []
        until(lambda: self.started(len(listen)), 'the server listens')

    def started(self, count):
        check(self.process.poll() is None, 'the server ended: ' + self.said())
        self.addrs = re.findall(r'^asx: listening on (\S+)$', self.said(), re.M)
        return len(self.addrs) == count and self.alive()

    def alive(self):
        if self.addrs[0].startswith('unix:'):
            return os.path.exists(self.addrs[0][5:])
        try:
            return status_of(self.get('/healthz')) == 200
        except OSError:
            return False

    def said(self):
        with open(f'/proc/self/fd/{self.log.fileno()}') as log:
            return log.read()

    @property
    def address(self):
        host, port = self.addrs[0].rsplit(':', 1)
        return host, int(port)

    def url(self, path=''):
        return 'http://%s:%d%s' % (*self.address, path)

    def connect(self, timeout=5):
        s = socket.create_connection(self.address, timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def get(self, path, head='', method='GET'):
        with self.connect() as s:
            s.sendall(f'{method} {path} HTTP/1.1\r\nHost: x\r\n{head}'
                      'Connection: close\r\n\r\n'.encode())
            return drain(s)

    def gauges(self, *names):
        """Sums over the shards, all of one instant."""
        text = body_of(self.get('/metrics')).decode()
        sums = {}
        for name in names:
            found = re.findall(rf'^asx_{name}(?:{{[^}}]*}})? (\S+)$', text, re.M)
            check(found, f'no metric {name}')
            sums[name] = sum(map(float, found))
        return sums

    def gauge(self, name):
        return self.gauges(name)[name]

    def settled(self, before):
        """Back to what rest() found, with one connection and request: the one that asks."""
        seen = {}

        def at_rest():
            try:
                seen.update(self.gauges(*RESTING))
            except (Failed, OSError):
                return False  # still at its limit: the question was refused
            return seen == before
        try:
            until(at_rest, 'gauges back at rest', 10)
        except Failed as failed:
            other = {name: (seen.get(name), before[name]) for name in RESTING
                     if seen.get(name) != before[name]}
            raise Failed(f'{failed}: is and was {other}') from None

    def stop(self, limit=15):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed('SIGTERM did not end it: ' + self.said()) from None
        equal(status, 0, 'exit status; it said ' + self.said())
        check('stopped in' in self.said(), 'no report at the end: ' + self.said())
        return self.said()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and self.process.returncode is None:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.log.close()


def drain(s):
    """Everything until the end; what a reset cut off is not there."""
    data = bytearray()  # grows in place, where bytes would be copied for each piece
    try:
        while piece := s.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


def status_of(response):
    found = re.match(rb'HTTP/1\.1 (\d+) ', response)
    return int(found[1]) if found else None


def body_of(response):
    head, _, body = response.partition(b'\r\n\r\n')
    if re.search(rb'(?i)^transfer-encoding: chunked\r?$', head, re.M):
        return unchunk(body)
    return body


def unchunk(data):
    out = b''
    while True:
        line, _, data = data.partition(b'\r\n')
        size = int(line, 16)
        if size == 0:
            return out
        out, data = out + data[:size], data[size + 2:]


class Reader:
    """Responses one by one from a kept connection."""

    def __init__(self, s):
        self.socket, self.data = s, b''

    def until(self, mark):
        while mark not in self.data:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.data += piece
        part, _, self.data = self.data.partition(mark)
        return part

    def exactly(self, size):
        while len(self.data) < size:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.data += piece
        part, self.data = self.data[:size], self.data[size:]
        return part

    def response(self, bodiless=False):
        head = self.until(b'\r\n\r\n') + b'\r\n'
        status = status_of(head)
        if bodiless or status in (100, 204, 304):
            return status, head, b''
        length = re.search(rb'(?i)content-length: (\d+)', head)
        if length:
            return status, head, self.exactly(int(length[1]))
        body = b''
        while size := int(self.until(b'\r\n'), 16):
            body += self.exactly(size)
            self.exactly(2)
        self.exactly(2)
        return status, head, body


def curl(*args):
    return subprocess.run(['curl', '-sS', '-m', '10', *args], capture_output=True, timeout=20)


def rest(server):
    """The gauges of a server that does nothing, the asking connection's included."""
    def quiet():
        seen = server.gauges(*RESTING)
        return seen if seen['http_connections'] == 1 and seen == server.gauges(*RESTING) else None
    return until(quiet, 'earlier connections are gone')


@case
def routes():
    """every route answers as the help says"""
    with Server() as server:
        for path, status, contains in (
                ('/', 200, b'shard'), ('/plaintext', 200, b'Hello, World!'),
                ('/json', 200, b'"message"'), ('/bytes/0', 200, b''), ('/bytes/5', 200, b'01234'),
                ('/status/200', 200, b'200'), ('/status/204', 204, b''), ('/status/304', 304, b''),
                ('/status/418', 418, b''), ('/status/199', 400, b'200 to 599'),
                ('/status/x', 400, b''), ('/sleep/1', 200, b'slept 1 ms'), ('/panic', 500, b''),
                ('/healthz', 200, b'ok'), ('/metrics', 200, b'asx_turns_total{shard="1"}'),
                ('/static/x', 404, b''), ('/nothing', 404, b''), ('/%zz', 400, b''),
                ('/plain%74ext', 200, b'Hello'), ('/a/../plaintext', 200, b'Hello')):
            response = server.get(path)
            equal(status_of(response), status, path)
            check(contains in response, f'{path}: {contains} is not in {response!r}')
        check(b'somebody' not in server.get('/panic'), 'a panic tells its detail')
        row = b'0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_'
        equal(body_of(server.get('/bytes/100000')), (row * 1563)[:100000])
        response = server.get('/echo')
        equal(status_of(response), 405)
        check(b'Allow: POST, PUT, OPTIONS\r\n' in response, response)
        equal(status_of(server.get('/plaintext', method='OPTIONS')), 204)
        curled = curl('-i', server.url('/plaintext'))
        check(curled.stdout.endswith(b'\r\n\r\nHello, World!'), curled)


@case
def head_and_bodiless():
    """HEAD, 204 and 304 end with their head on a kept connection"""
    with Server() as server, server.connect() as s:
        reader = Reader(s)
        for method, path, status in (('HEAD', '/plaintext', 200), ('HEAD', '/bytes/100000', 200),
                                     ('GET', '/status/204', 204), ('GET', '/status/304', 304),
                                     ('HEAD', '/nothing', 404)):
            s.sendall(f'{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
            got, head, _ = reader.response(bodiless=True)
            equal(got, status, path)
            if path == '/bytes/100000':
                check(b'Content-Length: 100000' in head, head)
        s.sendall(b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n')
        equal(reader.response()[2], b'Hello, World!')


@case
def keep_alive_and_pipelining():
    """responses come in the order of the requests, however those were cut"""
    with Server() as server, server.connect() as s:
        reader = Reader(s)
        for _ in range(100):
            s.sendall(b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n')
            equal(reader.response()[2], b'Hello, World!')
        s.sendall(b''.join(b'GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n' % n for n in range(64)))
        for n in range(64):
            equal(len(reader.response()[2]), n, 'pipelined')
        for byte in (b'GET /sleep/5 HTTP/1.1\r\nHost: x\r\n\r\n'
                     b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n'):
            s.sendall(bytes([byte]))
        equal(reader.response()[2], b'slept 5 ms\n')
        equal(reader.response()[2], b'Hello, World!')


def get(path):
    return b'GET %s HTTP/1.1\r\nHost: x\r\n\r\n' % path


@case
def pipelined_mix():
    """in one burst: answers at once, a wait, a failure, a body, a panic, and all in order"""
    plain = (get(b'/plaintext'), 200, b'Hello, World!')
    kinds = (plain, (get(b'/sleep/2'), 200, b'slept 2 ms\n'), plain,
             (get(b'/status/500'), 500, b'500 Internal Server Error\n'),
             (b'PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello', 200, b'hello'),
             (get(b'/a%2Fb'), 404, b'404 Not Found\n'), plain,
             (get(b'/panic'), 500, b'Internal Server Error\n'),
             (get(b'/bytes/30000'), 200, None), plain)
    with Server() as server:
        before = rest(server)
        with server.connect() as s:
            reader = Reader(s)
            for turn in range(20):
                burst = [kinds[(i * (turn + 1)) % len(kinds)] for i in range(40)]
                s.sendall(b''.join(request for request, _, _ in burst))
                for request, status, body in burst:
                    got = reader.response()
                    equal(got[0], status, request)
                    check(body is None or got[2] == body, f'{request}: {got[2]!r}')
        server.settled(before)


@case
def bodies_without_a_copy():
    """bodies that are lent to the kernel are whole, in order, and each reader's own"""
    sizes = (8192, 8193, 32768, 40000, 65535, 65536, 65537, 200000)
    body = (b'0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_' * 3126)[:200000]
    with Server(shards=1) as server:
        before = rest(server)
        slow = []
        for n in (65536, 65535):  # who reads nothing yet
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(5)
            s.connect(server.address)
            s.sendall(get(b'/bytes/%d' % n) * 60)
            slow.append((Reader(s), n))
        with server.connect() as s:
            reader = Reader(s)
            for turn in range(6):
                asked = [sizes[(i * (turn + 1)) % len(sizes)] for i in range(24)]
                s.sendall(b''.join(get(b'/bytes/%d' % n) + get(b'/plaintext') for n in asked))
                for n in asked:
                    check(reader.response()[2] == body[:n], f'/bytes/{n}')
                    equal(reader.response()[2], b'Hello, World!')
        for reader, n in slow:
            for _ in range(60):
                check(reader.response()[2] == body[:n], f'/bytes/{n}, read late')
            reader.socket.close()
        for n in sizes:
            check(body_of(server.get(f'/bytes/{n}')) == body[:n], f'/bytes/{n}, then the end')
        server.settled(before)


@case
def pipelined_behind_a_wait():
    """what arrives while a request is handled disturbs neither it nor its order"""
    with Server() as server:
        before = rest(server)
        with server.connect() as s:
            reader = Reader(s)
            s.sendall(get(b'/sleep/150'))
            for n in range(100, 160):
                time.sleep(0.001)
                s.sendall(get(b'/bytes/%d' % n))
            equal(reader.response()[2], b'slept 150 ms\n')
            for n in range(100, 160):
                equal(len(reader.response()[2]), n)
            s.sendall(get(b'/nothing/' + b'n' * 600) * 40)
            for _ in range(40):
                equal(reader.response()[0], 404)
        server.settled(before)


@case
def chunked_both_ways():
    """a chunked body comes back as it went, in pieces and in one"""
    with Server() as server, server.connect() as s:
        reader = Reader(s)
        body = os.urandom(200000)
        s.sendall(b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
        got = []
        thread = threading.Thread(target=lambda: got.append(reader.response()))
        thread.start()
        for at in range(0, len(body), 7777):
            piece = body[at:at + 7777]
            s.sendall(b'%x;ext=1\r\n%s\r\n' % (len(piece), piece))
        s.sendall(b'0\r\nX-Trailer: 1\r\n\r\n')
        thread.join(10)
        check(got, 'no response')
        equal(got[0][0], 200)
        check(got[0][2] == body, 'the body changed')
        s.sendall(b'PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
        equal(reader.response()[2], b'hello')
    with tempfile.NamedTemporaryFile() as file, Server() as server:
        file.write(os.urandom(3000000))
        file.flush()
        for extra in ((), ('-H', 'Transfer-Encoding: chunked')):
            curled = curl('--data-binary', '@' + file.name, *extra, server.url('/echo'))
            with open(file.name, 'rb') as f:
                check(curled.stdout == f.read(), f'{extra}: {len(curled.stdout)} bytes {curled}')


@case
def expect_continue():
    """100 comes when the body is wanted, and only then"""
    with Server() as server, server.connect() as s:
        reader = Reader(s)
        rest_of_head = b' HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n'
        s.sendall(b'POST /echo' + rest_of_head)
        equal(reader.response()[0], 100)
        s.sendall(b'ok')
        equal(reader.response()[2], b'ok')
        s.sendall(b'POST /nothing' + rest_of_head)
        equal(reader.response()[0], 404)
    with Server() as server:
        equal(status_of(server.get('/plaintext', 'Expect: 200-maybe\r\n')), 417)


@case
def smuggling():
    """what two parsers could read differently is refused and the connection closed"""
    get = b'GET /plaintext HTTP/1.1\r\nHost: x\r\n'
    post = b'POST /echo HTTP/1.1\r\nHost: x\r\n'
    tail = b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n'
    rows = (
        (post + b'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
        (post + b'Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc', 400),
        (post + b'Content-Length: 3, 3\r\n\r\nabc', 400),
        (post + b'Content-Length: +3\r\n\r\nabc', 400),
        (post + b'Content-Length: 9223372036854775808\r\n\r\n', 400),
        (post + b'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 501),
        (post + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
        (post + b'Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n', 400),
        (post + b'Transfer-Encoding: chunked\r\n\r\n-1\r\n', 400),
        (post + b'Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n', 400),
        # Refused behind the first piece, when the echo has begun: nothing, or half of an answer.
        (post + b'Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n', (None, 200, 400)),
        (get + b'X : y\r\n\r\n', 400), (get + b'X: y\r\n folded\r\n\r\n', 400),
        (get + b'X: a\rb\r\n\r\n', 400), (get + b'X: a\nY: b\r\n\r\n', 400),
        (get + b'X: a\0b\r\n\r\n', 400), (get + b'Host: y\r\n\r\n', 400),
        (b'GET /plaintext HTTP/1.1\r\n\r\n', 400),
        (b'GET /plaintext HTTP/1.1\r\nHost: a b\r\n\r\n', 400),
        (b'GET  /plaintext HTTP/1.1\r\nHost: x\r\n\r\n', 400),
        (b'GET /plaintext HTTP/2.0\r\nHost: x\r\n\r\n', 505),
        (b'GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n', 400),
        (b'GET /' + b'a' * 9000 + b' HTTP/1.1\r\nHost: x\r\n\r\n', 414),
        (get + b'X: ' + b'a' * 70000 + b'\r\n\r\n', 431), (get + b'X: y\r\n' * 101 + b'\r\n', 431),
        (post + b'Content-Length: 17000000\r\n\r\n', 413),
    )
    with Server() as server:
        before = rest(server)
        for request, status in rows:
            with server.connect() as s:
                s.sendall(request + tail)
                response = drain(s)
                shown = request[:80]
                if isinstance(status, tuple):
                    check(status_of(response) in status, f'{shown}: {response!r}')
                else:
                    equal(status_of(response), status, shown)
                check(response.count(b'HTTP/1.1 ') <= 1, f'{shown}: {response!r}')
        server.settled(before)


@case
def static_files():
    """files, conditions, ranges, variants; nothing outside the root"""
    root = tempfile.mkdtemp(prefix='asx-live-')
    try:
        os.makedirs(root + '/www/dir')
        write = lambda name, data: open(f'{root}/{name}', 'wb').write(data)
        big = os.urandom(300000)
        write('secret', b'secret')
        write('www/a.txt', b'0123456789')
        write('www/big.bin', big)
        write('www/dir/index.html', b'<p>index')
        write('www/.hidden', b'hidden')
        write('www/v.css', b'plain')
        write('www/v.css.gz', b'gzipped')
        write('www/v.css.br', b'brotli')
        write('www/empty', b'')
        os.symlink('../secret', root + '/www/out')
        os.symlink('/etc/passwd', root + '/www/abs')
        os.symlink('a.txt', root + '/www/in')
        os.mkfifo(root + '/www/fifo')
        with Server('--root', root + '/www') as server:
            static_answers(server, big)
    finally:
        shutil.rmtree(root)


def static_answers(server, big):
    response = server.get('/static/a.txt')
    equal(body_of(response), b'0123456789')
    check(b'Content-Type: text/plain' in response, response)
    tag = re.search(rb'ETag: (\S+)', response)[1].decode()
    date = re.search(rb'Last-Modified: ([^\r]+)', response)[1].decode()
    check(body_of(server.get('/static/big.bin')) == big, 'big.bin changed')
    equal(body_of(server.get('/static/in')), b'0123456789')
    equal(body_of(server.get('/static/empty')), b'')
    equal(status_of(server.get('/static/empty')), 200)
    for path in ('/static/out', '/static/abs', '/static/.hidden', '/static/none', '/static/fifo',
                 '/static/../secret', '/static/%2e%2e/secret', '/static/..%2fsecret',
                 '/static/dir/..%2f..%2f..%2fsecret', '/static/%2e%2e%2fsecret', '/static/a.txt/',
                 '/static/a.txt/x', '/static//etc/passwd', '/static/%2fetc/passwd'):
        equal(status_of(server.get(path)), 404, path)
    equal(status_of(server.get('/static/a%00.txt')), 400)
    equal(status_of(server.get('/static/dir')), 301)
    check(b'Location: /static/dir/\r\n' in server.get('/static/dir'), 'no Location')
    equal(body_of(server.get('/static/dir/')), b'<p>index')
    for head, status in ((f'If-None-Match: {tag}', 304), ('If-None-Match: "x"', 200),
                         (f'If-Modified-Since: {date}', 304), ('If-Match: "x"', 412),
                         ('If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT', 200),
                         ('If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT', 412),
                         (f'If-Match: {tag}', 200), ('Range: bytes=20-', 416)):
        equal(status_of(server.get('/static/a.txt', head + '\r\n')), status, head)
    for head, status, body in (('Range: bytes=2-4', 206, b'234'), ('Range: bytes=-3', 206, b'789'),
                               ('Range: bytes=7-', 206, b'789'),
                               ('Range: bytes=1-2,4-5', 200, b'0123456789'),
                               (f'Range: bytes=2-4\r\nIf-Range: {tag}', 206, b'234'),
                               ('Range: bytes=2-4\r\nIf-Range: "x"', 200, b'0123456789')):
        response = server.get('/static/a.txt', head + '\r\n')
        equal((status_of(response), body_of(response)), (status, body), head)
    response = server.get('/static/a.txt', 'Range: bytes=2-4\r\n')
    check(b'Content-Range: bytes 2-4/10\r\n' in response, response)
    for accept, body in (('br, gzip', b'brotli'), ('gzip', b'gzipped'),
                         ('br;q=0', b'plain'), ('x', b'plain')):
        response = server.get('/static/v.css', f'Accept-Encoding: {accept}\r\n')
        equal(body_of(response), body, accept)
        check(b'Vary: Accept-Encoding\r\n' in response, response)
    response = server.get('/static/big.bin', method='HEAD')
    check(b'Content-Length: 300000\r\n' in response and not body_of(response), response)
    equal(status_of(server.get('/static/a.txt', method='POST')), 405)


def refuses(says, *args, limit=10):
    done = subprocess.run([PROGRAM, *args], capture_output=True, timeout=limit, text=True)
    equal(done.returncode, 2, f'{args} exit status, saying {done.stderr!r}')
    equal(len(done.stderr.splitlines()), 1, f'{args} lines, saying {done.stderr!r}')
    check(re.search(says, done.stderr), f'{args} says {done.stderr!r}')


@case
def refusals():
    """what cannot be had is one clear line and exit status 2"""
    refuses(r'unknown flag .--port.', 'serve', '--port', '1')
    refuses(r'--shards: .x. is not a whole number', 'serve', '--shards', 'x')
    refuses(r'there is no core 1023 here', 'serve', '--listen', '127.0.0.1:0', '--cores', '1023')
    refuses(r'--root /nowhere: No such file', 'serve', '--listen', '127.0.0.1:0',
            '--root', '/nowhere')
    refuses(r'--admin: 0.0.0.0:1 is not loopback', 'serve', '--admin', '0.0.0.0:1')
    refuses(r'--access-log /nowhere/x: No such file', 'serve', '--listen', '127.0.0.1:0',
            '--access-log', '/nowhere/x')
    refuses(r'cannot listen on 192.0.2.1:80', 'serve', '--listen', '192.0.2.1:80')
    refuses(r'unknown command .sevre.', 'sevre')
    refuses(r'--shards is for a command', '--shards', '2')
    help_ = subprocess.run([PROGRAM, 'serve', '--help'], capture_output=True, text=True, timeout=10)
    flags = re.findall(r'^  --(\S+) \S', help_.stdout, re.M)
    check(len(flags) > 15, f'flags in the help: {flags}')
    for flag in flags + ['config']:
        refuses(rf'--{flag}: .* is missing', 'serve', '--' + flag)
        for value in ('', '/nowhere/x', '99999999999999999999999999'):
            if value.startswith('9') and flag in ('root', 'access-log', 'config'):
                continue  # a name like any other
            refuses(rf'--{flag}', 'serve', '--listen=127.0.0.1:0', '--' + flag, value)
        if flag not in ('listen', 'config'):
            value = {'driver': 'auto', 'cores': '0', 'admin': '127.0.0.1:0', 'root': '/'}
            value = value.get(flag, '5s' if re.search(rf'--{flag} D ', help_.stdout) else '9')
            refuses(rf'--{flag}: given twice', 'serve', f'--{flag}={value}', f'--{flag}={value}')
    for shards in ('1', '2'):
        with Server() as server:
            refuses('cannot listen on .*Address already in use', 'serve', '--shards', shards,
                    '--listen', '%s:%d' % server.address)
    for args in (('--help',), ('serve', '--help'), ('--version',)):
        done = subprocess.run([PROGRAM, *args], capture_output=True, timeout=10)
        equal((done.returncode, done.stderr), (0, b''), args)


@case
def unix_socket():
    """a Unix socket serves, on all shards, and its path goes with the server"""
    path = tempfile.mktemp(prefix='asx-live-', suffix='.sock')
    with Server(listen=('unix:' + path,)) as server:
        for _ in range(20):
            curled = curl('--unix-socket', path, 'http://x/plaintext')
            equal(curled.stdout, b'Hello, World!', curled.stderr)
        server.stop()
    check(not os.path.exists(path), 'the path is still there')


@case
def access_log():
    """each request is one JSON line; SIGHUP opens the file again"""
    folder = tempfile.mkdtemp(prefix='asx-live-')
    try:
        name = folder + '/log'
        with Server('--access-log', name) as server:
            server.get('/plaintext?a="b')
            server.get('/nothing', 'User-Agent: me "quoted"\r\n')
            until(lambda: '/nothing' in open(name).read(), 'the log holds both')
            os.rename(name, folder + '/old')
            server.process.send_signal(signal.SIGHUP)
            until(lambda: os.path.exists(name), 'SIGHUP opened the log again')
            server.get('/json')
            until(lambda: '/json' in open(name).read(), 'the new log is used')
        lines = [json.loads(line) for line in open(folder + '/old')]
        row = next(line for line in lines if line['target'] == '/nothing')
        equal((row['status'], row['method'], row['agent']), (404, 'GET', 'me "quoted"'))
        check(re.fullmatch(r'127\.0\.0\.1:\d+', row['peer']), row['peer'])
    finally:
        shutil.rmtree(folder)


@case
def admin():
    """/debug/regions shows who waits for what, on every shard, under load too"""
    path = tempfile.mktemp(prefix='asx-live-', suffix='.sock')
    with Server('--admin', 'unix:' + path) as server:
        with server.connect() as s:
            s.sendall(b'GET /sleep/1500 HTTP/1.1\r\nHost: x\r\n\r\n')
            time.sleep(0.2)
            text = curl('--unix-socket', path, 'http://x/debug/regions').stdout.decode()
            check(re.search(r'task \S+ request \S+ fiber age .* waits for sleep since', text), text)
            check('shard 1' in text, text)
            found = re.search(r'(R\S+) request .*\n +task (\S+) request .*sleep', text)
            region, task = found.groups()
            why = curl('--unix-socket', path, f'http://x/explain/{task}').stdout.decode()
            check(re.fullmatch(rf'task {task} request in {region}: waits for sleep since \S+ s\n',
                               why), why)
            why = curl('--unix-socket', path, f'http://x/explain/{region}').stdout.decode()
            check(re.match(rf'region {region} request: OPEN.* tasks 1\ntask {task} ', why), why)
            for wrong, status in (('x', 400), ('O0.1.1', 400), ('T9.1.1', 404), ('T0.1.9999', 404)):
                answer = curl('-i', '--unix-socket', path, f'http://x/explain/{wrong}').stdout
                equal(status_of(answer), status, wrong)
        load = wrk(server, 2, 32)
        for _ in range(10):
            answer = curl('--unix-socket', path, 'http://x/debug/regions?format=json')
            shards = json.loads(answer.stdout)
            equal(len(shards), 2)
            check(all(shard['answered'] and shard['nodes'] for shard in shards), shards)
        # Several who ask one shard at once are all answered.
        asked = [subprocess.Popen(['curl', '-sS', '-m', '10', '--unix-socket', path,
                                   f'http://x/debug/regions?shard={n % 2}&format=json'],
                                  stdout=subprocess.PIPE) for n in range(24)]
        for ask in asked:
            check(json.loads(ask.communicate(timeout=20)[0])[0]['answered'], 'one was not answered')
        wrk_end(load)
        short = curl('--unix-socket', path, 'http://x/debug/regions?limit=2&shard=0').stdout
        check(b'more; ?limit=N' in short, short)


def wrk(server, seconds, connections, path='/plaintext'):
    return subprocess.Popen(['wrk', '-t1', f'-c{connections}', f'-d{seconds}', server.url(path)],
                            stdout=subprocess.PIPE, text=True)


def wrk_end(load, clean=True):
    out, _ = load.communicate(timeout=30)
    requests = int(re.search(r'(\d+) requests in', out)[1])
    check(requests > 0, out)
    if clean:
        check('Socket errors' not in out and 'Non-2xx' not in out, out)
    return requests


@case
def load_and_panics():
    """/panic under load harms nobody else"""
    with Server() as server:
        before = rest(server)
        load = wrk(server, 2, 64)
        panics = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            equal(status_of(server.get('/panic')), 500)
            panics += 1
        wrk_end(load)
        server.settled(before)
        equal(server.gauge('http_panics_total'), panics)


@long_case
def reset_storm():
    """thousands of resets, amid requests and answers, harm nobody else"""
    stages = (b'', b'GET /pl', get(b'/plaintext'), get(b'/sleep/50'), get(b'/bytes/3000000'),
              b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n' + b'a' * 40000,
              get(b'/plaintext') * 30, get(b'/panic'))
    with Server() as server:
        before = rest(server)
        load = wrk(server, 3, 16)
        resets, end = 0, time.monotonic() + 2
        while time.monotonic() < end:
            crowd = [server.connect() for _ in range(40)]
            for n, s in enumerate(crowd):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                s.setblocking(False)
                s.send(stages[(n + resets) % len(stages)])
            for s in crowd:
                s.close()
            resets += len(crowd)
        wrk_end(load)
        check(resets >= 400, f'only {resets} resets')
        with server.connect() as s:  # on a slow machine all the others may have come too early
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            s.sendall(get(b'/sleep/9000'))
            until(lambda: server.gauge('http_requests_in_flight') > 1, 'a request is in flight')
        until(lambda: server.gauge('http_disconnects_total') > 0, 'a reset met a request')
        server.settled(before)


class Client(threading.Thread):
    """Requests on kept connections until the server says close; counts those left unanswered."""

    def __init__(self, server, path):
        super().__init__()
        self.server, self.path = server, path
        self.answered = self.failed = 0
        self.why = None
        self.start()

    def run(self):
        try:
            s = self.server.connect()
        except OSError:
            return
        with s:
            reader = Reader(s)
            while True:
                try:
                    s.sendall(f'GET {self.path} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
                    status, head, _ = reader.response()
                except (OSError, EOFError) as error:
                    self.failed += 1
                    self.why = repr(error)
                    return
                self.answered += 1
                if status != 200:
                    self.failed += 1
                    self.why = head
                if b'connection: close' in head.lower() or status != 200:
                    return


@case
def drain_under_load():
    """SIGTERM under load: every request that was sent is answered, with Connection: close last"""
    with Server() as server:
        clients = [Client(server, path) for path in ['/plaintext'] * 8 + ['/sleep/300'] * 8]
        time.sleep(1)
        said = server.stop()
        for client in clients:
            client.join(10)
        answered = sum(client.answered for client in clients)
        check(answered > 100, f'{answered} answered')
        equal([client.why for client in clients if client.failed], [], 'unanswered')
        check('0 were cancelled' in said, said)


@long_case
def drain_under_wrk():
    """SIGTERM while wrk keeps every connection busy: no answer is cut off or missing"""
    for _ in range(3):
        with Server() as server:
            load = wrk(server, 3, 64)
            until(lambda: server.gauge('http_connections') > 64, 'wrk has begun')
            time.sleep(0.5)
            said = server.stop()
            out, _ = load.communicate(timeout=30)
            # After the end wrk goes on connecting, is refused, and counts that as a failed write.
            errors = re.search(r'Socket errors: connect \d+, read (\d+), write \d+, timeout (\d+)',
                               out)
            check(errors, f'wrk did not notice the end: {out}')
            equal(errors.groups(), ('0', '0'), f'reads that failed or never ended: {out}')
            check('Non-2xx' not in out, out)
            check(int(re.search(r'(\d+) requests in', out)[1]) > 100, out)
            check('0 were cancelled' in said, said)


@case
def drain_that_takes_too_long():
    """the budget spent, or a second signal, cancels with 503"""
    for second in (False, True):
        budget = '60s' if second else '300ms'
        with Server('--drain-timeout', budget) as server, server.connect() as s:
            s.sendall(b'GET /sleep/60000 HTTP/1.1\r\nHost: x\r\n\r\n')
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            if second:
                time.sleep(0.2)
                server.process.send_signal(signal.SIGINT)
            equal(status_of(drain(s)), 503)
            equal(server.process.wait(10), 0)
            check('1 were cancelled' in server.said(), server.said())
            check(re.search(r'^asx: shard \d: task \S+ request in \S+: waits for sleep since',
                            server.said(), re.M), 'who was cancelled? ' + server.said())


@case
def drain_progress():
    """a drain says how far it is: at SIGTERM, at /drain, in /metrics, and where it has stalled"""
    path = tempfile.mktemp(prefix='asx-live-', suffix='.sock')

    def ask(what):
        return curl('--unix-socket', path, 'http://x' + what).stdout.decode()
    with Server('--admin', 'unix:' + path) as server, server.connect() as s, server.connect() as t:
        equal(json.loads(ask('/drain?format=json')), {'phase': 'running', 'shards': []})
        s.sendall(b'GET /sleep/60000 HTTP/1.1\r\nHost: x\r\n\r\n')
        t.sendall(b'GET /sleep/500 HTTP/1.1\r\nHost: x\r\n\r\n')
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        equal(status_of(drain(t)), 200)

        def shards():
            return json.loads(ask('/drain?format=json'))['shards']
        until(lambda: any(shard['phase'] == 'stalled' for shard in shards()), 'it stalls', 10)
        seen = shards()
        equal(len(seen), 2)
        equal(sum(shard['stalls'] for shard in seen), 1)
        stalled, = [shard for shard in seen if shard['phase'] == 'stalled']
        other, = [shard for shard in seen if shard is not stalled]
        check(stalled['tasks'] > other['tasks'] and stalled['potential'] >= stalled['tasks'], seen)
        equal((stalled['left_s'], stalled['overtime_worst']), (None, 1.0))
        check(f"shard {stalled['shard']}: stalled, potential" in ask('/drain'), ask('/drain'))
        text = ask('/metrics')
        check(f'asx_drain_phase{{shard="{stalled["shard"]}",phase="stalled"}} 1\n' in text, text)
        check('asx_drain_stalls_total{' in text, text)
        server.process.send_signal(signal.SIGINT)
        equal(status_of(drain(s)), 503)
        equal(server.process.wait(10), 0)
        said = server.said()
        check(re.search(r'^asx: SIGTERM: draining \d+ connections and 2 requests, 10 s at most',
                        said, re.M), said)
        check(re.search(r'^asx: shard \d: the drain has stalled: \d+ tasks .*\n'
                        r'asx: shard \d: region \S+ request: OPEN.*\n'
                        r'asx: shard \d: task \S+ request .*waits for sleep', said, re.M), said)


@case
def admin_answers():
    """/live, /ready, /timers and /cleanup: what orchestrators ask, what budgets are set by"""
    path = tempfile.mktemp(prefix='asx-live-', suffix='.sock')

    def ask(what):
        return curl('-i', '--unix-socket', path, 'http://x' + what).stdout
    with Server('--admin', 'unix:' + path, '--request-timeout', '500ms') as server:
        equal(status_of(ask('/live')), 200)
        equal(status_of(ask('/ready')), 200)
        text = ask('/config').decode()
        check(re.search(r'^request-timeout = "500ms"', text, re.M), text)
        check(re.search(r'^shards = 2\b', text, re.M), text)
        with server.connect() as s:
            s.sendall(b'GET /sleep/60000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            time.sleep(0.1)
            text = ask('/timers').decode()
            check(re.search(r'^  in 0\.\d{3} s: task T\S+ request, for sleep$', text, re.M), text)
            check(len(re.findall(r'^shard \d: \d+ timers armed', text, re.M)) == 2, text)
            equal(status_of(drain(s)), 504)
        text = ask('/deadlocks').decode()
        equal(len(re.findall(r'^  0 trapped, 0 at risk, of \d+ tasks', text, re.M)), 2, text)
        text = ask('/cleanup').decode()
        check(re.search(r'^  request: 1 cancelled; one masked up to \d+ observations', text, re.M),
              text)
        with server.connect() as s:
            s.sendall(b'GET /sleep/400 HTTP/1.1\r\nHost: x\r\n\r\n')
            time.sleep(0.1)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: b'draining' in ask('/ready'), 'it drains', 2)
            equal(status_of(ask('/ready')), 503)
            equal(status_of(ask('/live')), 200)
            equal(status_of(drain(s)), 200)
        equal(server.process.wait(10), 0)


@case
def stopped_at_once():
    """servers that are stopped as soon as they have answered end without a fault"""
    for _ in range(20):
        with Server() as server:
            with server.connect() as s:
                s.sendall(get(b'/plaintext'))
                check(b'Hello' in s.recv(65536), 'no answer')


@case
def half_close():
    """a client that has sent its last byte still gets its answer"""
    with Server() as server:
        before = rest(server)
        for path, body in ((b'/plaintext', b'Hello, World!'), (b'/sleep/50', b'slept 50 ms\n')):
            with server.connect() as s:
                s.sendall(b'GET ' + path + b' HTTP/1.1\r\nHost: x\r\n\r\n')
                s.shutdown(socket.SHUT_WR)
                response = drain(s)
                equal(body_of(response), body)
        with server.connect() as s:
            s.sendall(get(b'/plaintext') * 50)
            s.shutdown(socket.SHUT_WR)
            equal(drain(s).count(b'Hello, World!'), 50, 'of a burst before the end')
        server.settled(before)


@case
def disconnects():
    """clients that leave at every stage leave nothing behind"""
    with Server() as server:
        before = rest(server)
        stages = (b'', b'GET /pl', b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n',
                  b'GET /sleep/2000 HTTP/1.1\r\nHost: x\r\n\r\n',
                  b'GET /bytes/50000000 HTTP/1.1\r\nHost: x\r\n\r\n',
                  b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc',
                  b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n' * 50)
        for round_ in range(20):
            for stage in stages:
                for reset in (False, True):
                    s = server.connect()
                    s.sendall(stage)
                    if round_ % 4 == 0:
                        time.sleep(0.005)
                    if reset:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    s.close()
        server.settled(before)


@case
def slow_clients():
    """slow heads, slow bodies and silent connections end by themselves, each in its time"""
    with Server('--head-timeout', '300ms', '--idle-timeout', '600ms',
                '--request-timeout', '1s') as server:
        before = rest(server)
        began = time.monotonic()
        slow_head, slow_body, silent = server.connect(), server.connect(), server.connect()
        slow_body.sendall(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n')
        slow_head.sendall(b'GET /plaintext HTTP/1.1\r\n')
        for _ in range(10):
            for s, piece in ((slow_head, b'X: y\r\n'), (slow_body, b'a')):
                try:
                    s.sendall(piece)
                except OSError:
                    pass
            time.sleep(0.05)
        equal(status_of(drain(slow_head)), 408, 'slow head')
        check(status_of(drain(slow_body)) in (None, 200, 504), 'slow body')
        equal(drain(silent), b'', 'silent')
        took = time.monotonic() - began
        check(took < 4, f'took {took:.1f} s')
        server.settled(before)


def room_for(count):
    """How many connections this process may open, and what raises the limit of a child."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(count, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
    return count, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


IDLE_BYTES_MAX = 512


@case
def idle_connections():
    """thousands of idle connections cost little, and do not stand in the way"""
    count = 1000 if SLOW else 10000
    count, raise_limit = room_for(count)
    with Server(preexec=raise_limit) as server:
        before = rest(server)
        status = f'/proc/{server.process.pid}/status'
        memory = lambda: int(re.search(r'VmRSS:\s+(\d+)', open(status).read())[1])
        warm = [server.connect() for _ in range(200)]
        ask_at_once(server, warm, b'/plaintext')
        for s in warm:
            s.close()
        server.settled(before)
        empty = memory()
        idle = []
        # Never more at once than a listen queue holds: the kernel answers the others with a cookie
        # and may then forget them, and a client that says nothing would never be seen.
        while len(idle) < count:
            idle += [server.connect() for _ in range(min(1000, count - len(idle)))]
            until(lambda: server.gauge('http_connections') == len(idle) + 1,
                  f'{len(idle)} are accepted', 20)
        idle_each = (memory() - empty) * 1024 / count
        equal(status_of(server.get('/plaintext')), 200)
        ask_at_once(server, idle, b'/plaintext')
        until(lambda: (memory() - empty) * 1024 / count < IDLE_BYTES_MAX or SLOW,
              f'{IDLE_BYTES_MAX} bytes each, after a request of all at once')
        asked_each = (memory() - empty) * 1024 / count
        print(f'      {count} idle connections, {idle_each:.0f} bytes of resident memory each, '
              f'{asked_each:.0f} after a request of all at once')
        check(SLOW or idle_each < IDLE_BYTES_MAX, f'{idle_each:.0f} bytes each')
        for s in idle:
            s.close()
        server.settled(before)


def after_the_crowd(server, count, path):
    """Resident bytes a connection, once `count` handlers have waited at once and nothing is left
    to do: while the connections are still there, and when they have gone."""
    before = rest(server)
    status = f'/proc/{server.process.pid}/status'
    memory = lambda: int(re.search(r'VmRSS:\s+(\d+)', open(status).read())[1]) * 1024
    empty = memory()
    crowd = []
    while len(crowd) < count:
        crowd += [server.connect(60) for _ in range(min(1000, count - len(crowd)))]
        until(lambda: server.gauge('http_connections') == len(crowd) + 1, 'all are accepted', 20)
    for s in crowd:
        s.sendall(get(path))
    until(lambda: server.gauge('http_requests_in_flight') == count + 1, 'all wait', 20)
    most = (memory() - empty) / count
    for s in crowd:
        equal(Reader(s).response()[0], 200)
    least = lambda limit: until(lambda: (memory() - empty) / count < limit or SLOW,
                                f'{limit} bytes each', 10) and (memory() - empty) / count
    idle = least(CROWD_IDLE_BYTES_MAX)
    for s in crowd:
        s.close()
    server.settled(before)
    gone = least(CROWD_GONE_BYTES_MAX)
    print(f'      {count} handlers at once: {most:.0f} bytes each; {idle:.0f} when all was over, '
          f'{gone:.0f} when they had gone')


CROWD_IDLE_BYTES_MAX = 2048
CROWD_GONE_BYTES_MAX = 2048


@long_case
def quiet_after_a_crowd():
    """what a crowd has taken is given back when it is quiet, and a second crowd takes no more"""
    # Long enough for the last to come before the first has its answer.
    count, path = (500, b'/sleep/6000') if SLOW else (5000, b'/sleep/3000')
    count, raise_limit = room_for(count)
    with Server(preexec=raise_limit) as server:
        after_the_crowd(server, count, path)
        until(lambda: server.gauge('stacks_pooled') <= 2 * 64 or SLOW, 'few stacks are kept')
        check(server.gauge('quiet_steps_total') > 0, 'nothing was given back')
        after_the_crowd(server, count, path)


def ask_at_once(server, connections, path):
    """A request of each is there before the server takes the first."""
    server.process.send_signal(signal.SIGSTOP)
    for s in connections:
        s.sendall(get(path))
    server.process.send_signal(signal.SIGCONT)
    for s in connections:
        equal(Reader(s).response()[0], 200)


@case
def descriptor_exhaustion():
    """out of descriptors, the server turns clients away, and serves again when some are free"""
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
    with Server(preexec=few) as server:
        before = rest(server)
        held = []
        for _ in range(150):
            try:
                held.append(server.connect(timeout=1))
            except OSError:
                break
        time.sleep(0.3)
        for s in held:
            s.close()
        until(lambda: status_of(server.get('/plaintext')) == 200, 'it serves again')
        server.settled(before)
        check(server.gauge('accept_failures_total') > 0, 'no accept failed: nothing was tried')


@case
def limits():
    """above its limits the server says 503 and goes on"""
    with Server('--max-in-flight', '4', '--max-connections', '20', shards=1) as server:
        before = rest(server)
        busy = [server.connect() for _ in range(4)]
        for s in busy:
            s.sendall(b'GET /sleep/1000 HTTP/1.1\r\nHost: x\r\n\r\n')
        time.sleep(0.2)
        response = server.get('/plaintext')
        equal(status_of(response), 503)
        check(b'Retry-After:' in response, response)
        for s in busy:
            equal(Reader(s).response()[0], 200)
            s.close()
        server.settled(before)
        crowd = [server.connect() for _ in range(19)]
        until(lambda: server.gauge('http_connections') == 20, 'all but one are there')
        crowd.append(server.connect())
        # Neither a client that asks nor one that only listens is left without a word; those above
        # the bound on refusals are told and closed at once.
        late = [server.connect() for _ in range(100)]
        for n, s in enumerate(late):
            if n < 60 and n % 2:
                s.sendall(get(b'/plaintext'))
        for s in late:
            response = drain(s)
            equal(status_of(response), 503, 'one too many')
            check(b'Retry-After: 1\r\n' in response and b'Connection: close\r\n' in response,
                  response)
        for s in crowd + late:
            s.close()
        until(lambda: status_of(server.get('/plaintext')) == 200, 'it serves again')
        equal(server.gauge('http_connections_refused_total') >= 100, True, 'refused')
        server.settled(before)


def connect_from(server, host):
    s = socket.create_connection(server.address, timeout=5, source_address=(host, 0))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def ask_over(s):
    """The status of one request on a kept connection; the refusal's, where nobody asks."""
    try:
        s.sendall(get(b'/plaintext'))
    except OSError:
        pass
    return Reader(s).response()[0]


def refused_for(metrics, cause):
    found = re.findall(rf'^asx_http_connections_refused_total{{[^}}]*cause="{cause}"}} (\d+)$',
                       metrics.decode(), re.M)
    check(found, f'no cause {cause}')
    return sum(map(int, found))


@case
def latency_by_route():
    """each request is counted under its route's pattern, and under no path that was asked for"""
    with Server() as server:
        for path, times in (('/plaintext', 3), ('/bytes/4242', 2), ('/bytes/77', 1),
                            ('/nothing/secret', 4), ('/panic', 1), ('/sleep/5', 2),
                            ('/static/a%22b', 1)):
            for _ in range(times):
                server.get(path)
        text = body_of(server.get('/metrics')).decode()
        counts = {route: int(count) for route, count in re.findall(
            r'^asx_http_route_seconds_count{route="([^"]*)"} (\d+)$', text, re.M)}
        for route, count in (('/plaintext', 3), ('/bytes/:n', 3), ('unmatched', 4), ('/panic', 1),
                             ('/static/*path', 1), ('/json', 0)):
            equal(counts.get(route), count, route)
        for raw in ('4242', 'secret', 'a%22b', 'a"b'):
            check(raw not in text, f'{raw} is a label')
        all_counted = sum(map(int, re.findall(
            r'^asx_http_request_seconds_count{shard="\d+"} (\d+)$', text, re.M)))
        equal(sum(counts.values()), all_counted, 'the same requests both ways')
        check_histogram(text, 'asx_http_route_seconds', 'route="/sleep/:n"', 2)
        for route in ('/plaintext', '/bytes/:n', '/panic'):  # answered in the turn that read them
            taken = re.search(rf'^asx_http_route_seconds_sum{{route="{route}"}} (\S+)$', text, re.M)
            check(0 < float(taken[1]) < 10, f'{route} took {taken[1]} s')


@case
def steps_and_parks():
    """a shard tells how long its tasks run at a time, and how often it had nothing to do"""
    with Server(shards=1) as server:
        for _ in range(200):
            server.get('/plaintext')
        text = body_of(server.get('/metrics')).decode()
        count = int(re.search(r'^asx_step_seconds_count{shard="0"} (\d+)$', text, re.M)[1])
        check_histogram(text, 'asx_step_seconds', 'shard="0"', count)
        seen = server.gauges('parks_total', 'turns_total', 'dispatches_total', 'cancel_streak_max')
        check(0 < count <= seen['dispatches_total'], f'{count} of {seen}')
        check(100 < seen['parks_total'] <= seen['turns_total'], seen)
        check(seen['cancel_streak_max'] <= 16, seen)


def check_histogram(text, name, labels, count):
    rows = re.findall(rf'^{name}_bucket{{{re.escape(labels)},le="([^"]+)"}} (\d+)$', text, re.M)
    bounds = [float(bound) for bound, _ in rows]
    values = [int(value) for _, value in rows]
    check(len(rows) > 4 and bounds == sorted(bounds) and bounds[-1] == float('inf'), rows)
    check(values == sorted(values) and values[-1] == count, rows)
    seconds = re.search(rf'^{name}_sum{{{re.escape(labels)}}} (\S+)$', text, re.M)
    check(seconds and float(seconds[1]) > 0, f'{name}{labels} has no sum')


@case
def settings_by_source():
    """flag before environment before file before default, each shown with where it came from"""
    run = lambda env, *flags: subprocess.run(
        [PROGRAM, 'serve', *flags], capture_output=True, text=True, timeout=20,
        env={**os.environ, **env})
    with tempfile.NamedTemporaryFile('w') as file:
        file.write('shards = 1\n[limits]\nmax-body = "1m"  # small\n'
                   '[timeouts]\nidle-timeout = "5s"\n')
        file.flush()
        env = {'ASX_CONFIG': file.name, 'ASX_SHARDS': '2', 'ASX_MAX_BODY': '2m'}
        shown = run(env, '--effective', '--max-body', '3m')
        equal(shown.returncode, 0, shown.stderr)
        for line in (r'shards = 2 +# environment', r'max-body = "3m" +# --max-body',
                     rf'idle-timeout = "5s" +# {re.escape(file.name)}:5',
                     r'head-timeout = "10s" +# default'):
            check(re.search(f'^{line}$', shown.stdout, re.M), f'{line}: {shown.stdout}')
        file.write('idle-timeout = 5\n')
        file.flush()
        for env, flags, says in (
                ({}, ('--config', file.name), f'{file.name}:6:1: idle-timeout: given twice'),
                ({'ASX_SHARDS': '65'}, (), 'ASX_SHARDS: 65 is out of range, 0 to 64')):
            done = run(env, *flags, '--effective')
            equal((done.returncode, done.stderr), (2, f'asx: {says}\n'))


def connections_served(server, count):
    """How many of so many at once are not turned away."""
    crowd = [connect_from(server, '127.0.0.3') for _ in range(count)]
    statuses = [ask_over(s) for s in crowd]
    for s in crowd:
        s.close()
    check(set(statuses) <= {200, 503}, statuses)
    return statuses.count(200)


@case
def settings_read_again():
    """SIGHUP takes over limits and times from the file; a mistake in it changes nothing"""
    with tempfile.TemporaryDirectory() as folder:
        path, logs = f'{folder}/asx.toml', [f'{folder}/a.log', f'{folder}/b.log']

        def write(text, log):
            with open(path, 'w') as file:
                file.write(f'access-log = "{log}"\n{text}')

        def reload(text, log=logs[1]):
            write(text, log)
            server.process.send_signal(signal.SIGHUP)

        write('max-per-ip = 3\n', logs[0])
        with Server('--config', path, shards=3) as server:
            before = rest(server)
            equal(connections_served(server, 6), 3, 'as at the start')
            reload('max-per-ip = 5\ndrain-timeout = "2s"\nmax-body = "10b"\n')
            until(lambda: 'max-per-ip is 5 now, it was 3' in server.said(), 'the change is told')
            check('drain-timeout is 2s now, it was 10s' in server.said(), server.said())
            until(lambda: connections_served(server, 8) == 5, 'every shard has taken it over')
            until(lambda: os.path.exists(logs[1]), 'the log goes on in another file')
            equal(status_of(server.get('/echo', 'Content-Length: 11\r\n', 'POST')), 413)
            reload('max-per-ip = 7\nshards = 9\nmax-body = 5 m\n')
            until(lambda: f'{path}:4:14: nothing but a comment' in server.said(), 'the mistake')
            check('nothing has changed' in server.said(), server.said())
            until(lambda: connections_served(server, 8) == 5, 'those from before stay')
            reload('max-per-ip = 0\nlisten = "127.0.0.1:1"\nroot = "/"\n')
            until(lambda: 'settings: root would change at a restart' in server.said(), 'the rest')
            until(lambda: connections_served(server, 20) == 20, 'no limit any more')
            server.settled(before)


@case
def connections_of_one_address():
    """one address has no more connections than it may, and another is served meanwhile"""
    with Server('--max-per-ip', '8', shards=4) as server:  # the limit is that of all shards
        before = rest(server)
        other = [connect_from(server, '127.0.0.2') for _ in range(8)]
        equal([ask_over(s) for s in other], [200] * 8, 'up to the limit')
        late = [connect_from(server, '127.0.0.2') for _ in range(5)]
        for s in late:
            response = drain(s)
            equal(status_of(response), 503, 'above the limit')
            check(b'Connection: close\r\n' in response, response)
            equal(body_of(response),
                  b'Service Unavailable: too many connections from this address\n')
        equal(status_of(server.get('/plaintext')), 200, 'from another address')
        equal(server.gauge('http_sources'), 2, 'addresses with connections')
        equal(refused_for(body_of(server.get('/metrics')), 'per_ip'), 5)
        equal([ask_over(s) for s in other], [200] * 8, 'those that were there')
        other.pop().close()
        until(lambda: room_again(server), 'one that left makes room for one')
        for s in other + late:
            s.close()
        server.settled(before)
        equal(server.gauge('http_sources'), 1)


def room_again(server):
    with connect_from(server, '127.0.0.2') as s:
        return ask_over(s) == 200


@case
def rate_of_connections():
    """above the rate new connections read 503, and the ones there are go on"""
    began = time.monotonic()
    with Server('--accept-rate', '1/s', '--accept-burst', '30', shards=1) as server:
        with server.connect() as kept:
            equal(ask_over(kept), 200)
            burst = [server.connect() for _ in range(100)]
            statuses = [ask_over(s) for s in burst]
            served = statuses.count(200)
            equal(statuses.count(503), 100 - served, statuses)
            check(0 < served < 32 + time.monotonic() - began, f'{served} were served')
            equal(ask_over(kept), 200, 'one that was there')
            kept.sendall(get(b'/metrics'))
            equal(refused_for(Reader(kept).response()[2], 'rate'), 100 - served, 'counted')
            for s in burst:
                s.close()


@long_case
def memory_limit():
    """short of memory the server refuses and closes, loses nobody else's answer, and recovers"""
    if SLOW:
        return  # a sanitizer reserves the address space for itself
    with Server(shards=1) as server:
        before = rest(server)
        page = os.sysconf('SC_PAGE_SIZE')
        used = lambda: int(open(f'/proc/{server.process.pid}/statm').read().split()[0]) * page
        whole = resource.prlimit(server.process.pid, resource.RLIMIT_AS)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (used() + (8 << 20), whole[1]))
        statuses, crowd = {}, []
        for _ in range(1500):
            try:
                s = server.connect(timeout=1)
                s.sendall(b'GET /sleep/3000 HTTP/1.1\r\nHost: x\r\n\r\n' +
                          b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n')
                crowd.append(s)
            except OSError:
                statuses['refused'] = statuses.get('refused', 0) + 1
        for s in crowd:
            s.settimeout(8)
            with s:
                try:
                    status = Reader(s).response()[0]
                except (OSError, EOFError):
                    status = 'closed'
            statuses[status] = statuses.get(status, 0) + 1
        check(server.process.poll() is None, 'it died: ' + server.said())
        check(set(statuses) <= {200, 503, 'closed', 'refused'}, statuses)
        check(statuses.get(200, 0) > 0, f'nobody was served: {statuses}')
        check(len(statuses) > 1, f'no memory was short: {statuses}')
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, whole)
        server.settled(before)
        equal(status_of(server.get('/bytes/5000000')), 200)
        print(f'      {statuses}')


class MemoryGroup:
    """A memory cgroup of the test's own, below the one it runs in: version 2, or 1."""

    def __init__(self, limit):
        self.path = self.why = None
        try:
            self.make(limit)
        except OSError as error:
            self.why = f'no memory cgroup of our own: {error}'
            self.remove()

    def make(self, limit):
        groups = dict(line.rstrip('\n').split(':', 2)[1:] for line in open('/proc/self/cgroup'))
        two = 'memory' not in groups
        mounts = [line.split() for line in open('/proc/self/mounts')]
        found = [m[1] for m in mounts if m[2] == ('cgroup2' if two else 'cgroup') and
                 (two or 'memory' in m[3].split(','))]
        if not found:
            raise OSError('none is mounted')
        own = groups['' if two else 'memory']
        base = found[0] + own if os.path.isdir(found[0] + own) else found[0]
        self.path = f'{base}/asx-live-{os.getpid()}'
        os.mkdir(self.path)
        with open(f'{self.path}/{"memory.max" if two else "memory.limit_in_bytes"}', 'w') as f:
            f.write(str(limit))
        self.used_file = 'memory.current' if two else 'memory.usage_in_bytes'

    def used(self):
        return int(open(f'{self.path}/{self.used_file}').read())

    def join(self):
        """In the child, before it becomes the server."""
        with open(f'{self.path}/cgroup.procs', 'w') as f:
            f.write(str(os.getpid()))

    def remove(self):
        if self.path and os.path.isdir(self.path):
            os.rmdir(self.path)


def crowd_answers(server, count):
    """`count` clients at once, each with a request that waits; how many got which status."""
    statuses, crowd = {}, []
    for _ in range(count):
        s = server.connect(timeout=2)
        s.sendall(b'GET /sleep/1000 HTTP/1.1\r\nHost: x\r\n\r\n')
        crowd.append(s)
    for s in crowd:
        s.settimeout(10)
        with s:
            try:
                status = Reader(s).response()[0]
            except (OSError, EOFError):
                status = 'closed'
        statuses[status] = statuses.get(status, 0) + 1
    return statuses


@long_case
def memory_cgroup():
    """in a cgroup of 32 MiB a crowd and large bodies are served, and the group's limit holds"""
    if SLOW:
        return  # a sanitizer takes several times the memory
    limit = 32 << 20
    group = MemoryGroup(limit)
    if group.why:
        print(f'      skipped: {group.why}')
        return
    try:
        with Server('--max-connections', '400', shards=1, preexec=group.join) as server:
            joined = open(f'/proc/{server.process.pid}/cgroup').read()
            check(os.path.basename(group.path) in joined, 'the server is not in its group')
            before = rest(server)
            statuses = crowd_answers(server, 600)
            check(server.process.poll() is None, 'it died: ' + server.said())
            check(set(statuses) <= {200, 503, 'closed'}, statuses)
            check(statuses.get(200, 0) >= 390, f'too few were served: {statuses}')
            check(len(statuses) > 1, f'nobody was above the limit: {statuses}')
            equal(status_of(server.get('/bytes/20000000')), 200)
            check(0 < group.used() <= limit, f'{group.used()} bytes in use')
            server.settled(before)
            print(f'      {statuses}, {group.used() >> 20} MiB')
    finally:
        group.remove()


@case
def drain_delay():
    """with a delay, /healthz turns 503 first, while everything else is still served"""
    with Server('--drain-delay', '1s') as server:
        equal(status_of(server.get('/healthz')), 200)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: status_of(server.get('/healthz')) == 503, '/healthz says 503', 1)
        while time.monotonic() < began + 0.7:
            equal(status_of(server.get('/plaintext')), 200, 'during the delay')
            time.sleep(0.02)
        equal(server.process.wait(10), 0)
        took = time.monotonic() - began
        check(0.9 < took < 5, f'took {took:.1f} s')
    with Server('--drain-delay', '60s') as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        equal(server.process.wait(10), 0, 'a second signal does not wait for the delay')
        check(time.monotonic() - began < 5, 'the second signal waited')


def refuse_uring(errnum):
    """A filter that answers io_uring_setup, _enter and _register (425 to 427) with errnum."""
    def install():
        import ctypes
        import struct
        libc = ctypes.CDLL(None, use_errno=True)
        row = lambda code, jt, jf, k: struct.pack('=HBBI', code, jt, jf, k)
        program = b''.join((
            row(0x20, 0, 0, 0),               # load the number of the call
            row(0x35, 0, 2, 425),             # at least 425? else allow
            row(0x25, 1, 0, 427),             # above 427? allow
            row(0x06, 0, 0, 0x50000 | errnum),
            row(0x06, 0, 0, 0x7fff0000)))
        rows = ctypes.create_string_buffer(program, len(program))
        filter_ = struct.pack('=HxxxxxxQ', len(program) // 8, ctypes.addressof(rows))
        check(libc.prctl(38, 1, 0, 0, 0) == 0, 'no_new_privs')
        check(libc.prctl(22, 2, ctypes.c_char_p(filter_), 0, 0) == 0, 'seccomp')
    return install


@case
def uring_refused():
    """io_uring refused: epoll, and one line that says why and what would change it"""
    if DRIVER != 'epoll':
        return  # what is forced is tried, and refused: below
    for name, errnum, says in (
            ('EPERM', 1, r'io_uring refused \(EPERM\): allow io_uring_setup|io_uring_disabled'),
            ('ENOSYS', 38, r'io_uring absent \(ENOSYS\)'),
            ('ENOMEM', 12, r'io_uring refused \(ENOMEM\): raise RLIMIT_MEMLOCK')):
        with Server(driver='auto', preexec=refuse_uring(errnum)) as server:
            lines = [line for line in server.said().splitlines() if re.search(says, line)]
            equal(len(lines), 1, f'{name}: lines that say why in {server.said()!r}')
            check('epoll' in lines[0], f'{name}: {lines[0]!r} does not say what serves instead')
            equal(body_of(server.get('/plaintext')), b'Hello, World!', name)
        done = subprocess.run([PROGRAM, 'serve', '--driver', 'uring', '--listen', '127.0.0.1:0'],
                              capture_output=True, timeout=20, text=True,
                              preexec_fn=refuse_uring(errnum))
        equal(done.returncode, 2, f'{name}: forced, exit status; {done.stderr!r}')
        equal(len(done.stderr.splitlines()), 1, f'{name}: forced, lines; {done.stderr!r}')
        check(name in done.stderr, f'{name}: {done.stderr!r}')


@case
def stopped_is_not_stalled():
    """a process that was stopped is not taken for a shard that stalls"""
    with Server() as server:
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGCONT)
        equal(status_of(server.get('/plaintext')), 200)
        check('STALL' not in server.said(), 'stopped is not stalled: ' + server.said())
        equal(server.gauge('stalls_total'), 0)


def main():
    global DRIVER
    DRIVER = sys.argv[1]
    return run_cases(DRIVER, sys.argv[2:])


if __name__ == '__main__':
    sys.exit(main())
