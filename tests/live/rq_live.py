#!/usr/bin/env python3
"""Runs `asx rq send` and `asx rq recv` as a user would, with a bad network between them.

    rq_live.py DRIVER [NAME...]
    rq_live.py relay LISTEN_PORT TARGET_PORT SEED PERCENT

DRIVER is uring or epoll; NAMEs pick cases. The program is $ASX_PROGRAM, or asx in $ASX_BUILD_ROOT.
The second form is the network: a process on loopback that drops PERCENT of the datagrams each way,
doubles and reorders some, and forges some, as its seed says. At stake: the file arrives bit-exact
or the reason is named, forged datagrams are counted, and nothing half-written is ever left.
Everything waits with a bound; only processes that were started here are signalled, by their id.
"""
import heapq
import json
import os
import pty
import random
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

from cases import PROGRAM, SLOW, Failed, case, check, equal, long_case, run_cases

LIMIT = 120 if SLOW else 40
ENV = dict(os.environ)


def relay(listen_port, target_port, seed, percent):
    """Until a signal ends it; then says in one line of JSON what it did."""
    rng = random.Random(seed)
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for s in (here, there):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.setblocking(False)
    here.bind(('127.0.0.1', listen_port))
    did = {'dropped': 0, 'doubled': 0, 'forged': 0, 'passed': 0}
    client, held, count, running = None, [], 0, [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    print('ready', flush=True)
    while running:
        wait = max(0, held[0][0] - time.monotonic()) if held else 0.05
        for s in select.select([here, there], [], [], min(wait, 0.05))[0]:
            for _ in range(64):
                try:
                    data, source = s.recvfrom(65536)
                except (BlockingIOError, ConnectionRefusedError):
                    break
                client = source if s is here else client
                copies = [data]
                if rng.random() < 0.05:
                    forged = bytearray(data)
                    forged[rng.randrange(24, len(data))] ^= rng.randrange(1, 256)
                    copies.append(bytes(forged))
                    did['forged'] += s is here
                if rng.random() < 0.05:
                    copies.append(data)
                    did['doubled'] += 1
                for copy in copies:
                    if rng.random() * 100 < percent:
                        did['dropped'] += 1
                        did['forged'] -= copy is not data and copy != data and s is here
                        continue
                    delay = rng.choice((0, 0, 0, 0.001, 0.004))
                    count += 1
                    heapq.heappush(held, (time.monotonic() + delay, count, s is here, copy))
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, _, onward, data = heapq.heappop(held)
            target = ('127.0.0.1', target_port) if onward else client
            did['passed'] += 1
            try:
                (there if onward else here).sendto(data, target)
            except OSError:
                pass
    print(json.dumps(did), flush=True)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def until_free(port):
    """A killed process's io_uring lets go of its sockets a little after the process is gone."""
    end = time.monotonic() + 10
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(('127.0.0.1', port))
                return
            except OSError:
                check(time.monotonic() < end, f'port {port} is still taken')
        time.sleep(0.02)


class Run:
    """A process of the program, with what it said."""

    def __init__(self, *args, cwd, stderr=subprocess.PIPE):
        self.process = subprocess.Popen([PROGRAM, 'rq', *map(str, args)], cwd=cwd, env=ENV,
                                        stdout=subprocess.PIPE, stderr=stderr, text=True)
        self.early = ''

    def until(self, text):
        """Reads standard error to a line that has `text`."""
        while text not in self.early:
            check(select.select([self.process.stderr], [], [], LIMIT)[0], f'never said {text!r}')
            line = self.process.stderr.readline()
            check(line, f'ended without {text!r}: {self.early}')
            self.early += line
        return self

    def end(self, status=0, limit=None):
        try:
            self.out, err = self.process.communicate(timeout=limit or LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f'does not end: {self.early}') from None
        self.err = self.early + (err or '')
        equal(self.process.returncode, status, f'exit status of {self.process.args}: '
              f'{self.out} {self.err}')
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Place:
    """A directory, a key, and a network between two ports."""

    def __init__(self, size, seed, percent=20, keyed=True):
        self.seed, self.percent, self.keyed = seed, percent, keyed
        self.dir = tempfile.TemporaryDirectory(prefix='asx-rq-live-')
        self.path = self.dir.name
        self.content = random.Random(seed).randbytes(size)
        with open(os.path.join(self.path, 'in'), 'wb') as f:
            f.write(self.content)
        with open(os.path.join(self.path, 'key'), 'w') as f:
            f.write(random.Random(seed + 1).randbytes(32).hex() + '\n')
        os.mkdir(os.path.join(self.path, 'inbox'))
        self.runs = []

    def __enter__(self):
        self.port, self.target = free_port(), free_port()
        self.relay = subprocess.Popen([sys.executable, __file__, 'relay', str(self.port),
                                       str(self.target), str(self.seed), str(self.percent)],
                                      stdout=subprocess.PIPE, text=True)
        equal(self.relay.stdout.readline(), 'ready\n', 'the relay')
        return self

    def __exit__(self, *_):
        for run in self.runs:
            if run.process.poll() is None:
                run.kill()
        if self.relay.poll() is None:
            self.relay.terminate()
            self.relay.communicate()
        self.dir.cleanup()

    def key(self):
        return ['--key-file', 'key'] if self.keyed else []

    def recv(self, *args):
        run = Run('recv', f'127.0.0.1:{self.target}', '--out', 'inbox/out', *self.key(), *args,
                  cwd=self.path)
        self.runs.append(run)
        return run.until('waiting on')

    def send(self, *args, file='in'):
        run = Run('send', file, f'127.0.0.1:{self.port}', *self.key(), *args, cwd=self.path)
        self.runs.append(run)
        return run

    def inbox(self):
        return sorted(os.listdir(os.path.join(self.path, 'inbox')))

    def arrived(self):
        equal(self.inbox(), ['out'], 'what stands in the inbox')
        with open(os.path.join(self.path, 'inbox/out'), 'rb') as f:
            check(f.read() == self.content, 'the file is another one')

    def did(self):
        self.relay.terminate()
        return json.loads(self.relay.communicate()[0])


def dropped(run):
    found = re.search(r'dropped: (\d+) forged, (\d+) foreign, (\d+) malformed', run.err)
    return tuple(map(int, found.groups())) if found else (0, 0, 0)


@case
def feedback():
    """a file of several blocks through 20 % loss; forged symbols are counted"""
    with Place(3_000_000, 1) as place:
        recv = place.recv()
        send = place.send('--block-size', '500K', '--rate', '6M').end()
        recv.end()
        place.arrived()
        did = place.did()
        check(did['dropped'] > 400 and did['forged'] > 50, did)
        # A forged byte may also break a head, and then is malformed instead.
        total = sum(dropped(recv))
        check(abs(total - did['forged']) <= did['forged'] * 0.1 + 5, f'{total} dropped of {did}')
        check(dropped(recv)[0] > did['forged'] // 2, recv.err)
        check(re.search(r'3000000 bytes, 6 blocks, \d+ symbols, \d+ duplicates, authenticated',
                        recv.out), recv.out)
        found = re.search(r'(\d+) source and (\d+) repair symbols, (\S+) % lost; stored', send.out)
        check(found, send.out)
        check(10 < float(found[3]) < 30, send.out)
        check(int(found[1]) + int(found[2]) < 1.6 * 3_000_000 / 1280, send.out)


@case
def one_way():
    """the same without feedback: overhead and rounds carry it"""
    with Place(1_000_000, 2) as place:
        recv = place.recv()
        send = place.send('--no-feedback', '--overhead', '30%', '--rounds', '2', '--block-size',
                          '300K', '--rate', '6M').end()
        recv.end()
        place.arrived()
        check('nobody was asked' in send.out, send.out)
        check(dropped(recv)[0] > 10, recv.err)


@case
def one_way_gap():
    """too little without feedback: the gap is named, nothing is written; a fresh sender fills it"""
    with Place(500_000, 3, percent=40) as place:
        recv = place.recv('--timeout', '1')
        place.send('--no-feedback', '--overhead', '5%', '--rate', '6M').end()
        recv.end(1)
        check(re.search(r'the sender fell silent: 0 of 1 blocks are there; block 0 has \d+ of its '
                        r'391 symbols, at least \d+ more are needed', recv.err), recv.err)
        equal(place.inbox(), [])
        recv = place.recv('--timeout', '10')
        place.send('--no-feedback', '--overhead', '5%', '--rate', '6M').end()
        place.send('--no-feedback', '--fresh', '--overhead', '50%', '--rate', '6M').end()
        recv.end()
        place.arrived()


@case
def empty():
    """a file of 0 bytes, with and without feedback"""
    for mode in ([], ['--no-feedback']):
        with Place(0, 4) as place:
            recv = place.recv()
            place.send(*mode).end()
            recv.end()
            place.arrived()


@case
def small():
    """1 byte, a symbol less one, exactly, and more by one"""
    for size in (1, 1279, 1280, 1281):
        with Place(size, size) as place:
            recv = place.recv()
            place.send().end()
            recv.end()
            place.arrived()


@case
def without_key():
    """no key on a path that loses but does not forge"""
    with Place(300_000, 5, keyed=False) as place:
        # straight to the receiver: the relay forges
        place.port = place.target
        recv = place.recv()
        place.send().end()
        recv.end()
        place.arrived()
        check('authenticated' not in recv.out, recv.out)


@long_case
def receiver_killed():
    """a receiver killed half-way leaves nothing; another one in its place gets the file"""
    with Place(2_000_000, 6) as place:
        recv = place.recv()
        send = place.send('--rate', '1M', '--block-size', '300K')
        time.sleep(0.8)
        check(send.process.poll() is None, 'the sender has ended already')
        recv.signal(signal.SIGKILL)
        recv.process.communicate()
        equal(place.inbox(), [])
        until_free(place.target)
        recv = place.recv()
        send.end()
        recv.end()
        place.arrived()


@long_case
def receiver_resumed():
    """with --resume a receiver that was killed goes on with what it had"""
    with Place(2_000_000, 21) as place:
        recv = place.recv('--resume')
        send = place.send('--rate', '1M', '--block-size', '300K')
        journal = os.path.join(place.path, 'inbox/out.resume')
        while os.path.getsize(journal) < 1_000_000:
            check(send.process.poll() is None, 'the sender has ended already')
            time.sleep(0.01)
        recv.signal(signal.SIGKILL)
        recv.process.communicate()
        equal(place.inbox(), ['out.resume'])
        until_free(place.target)
        recv = place.recv('--resume')
        sent = send.end()
        recv.end()
        place.arrived()
        found = re.search(r'(\d+) source and (\d+) repair', sent.out)
        total = int(found[1]) + int(found[2])
        check(total < 1563 * 1.25 * 1.5, f'{total} symbols were sent: nothing was kept')
    with Place(2_000_000, 22) as place:
        recv = place.recv('--resume')
        send = place.send('--rate', '1M')
        time.sleep(0.8)
        recv.signal(signal.SIGINT)
        recv.end(1, 10)
        check('out.resume: --resume goes on with it' in recv.err, recv.err)
        send.kill()
        with open(os.path.join(place.path, 'other'), 'w') as f:
            f.write(random.Random(99).randbytes(32).hex())
        other = Run('recv', f'127.0.0.1:{place.target}', '--out', 'inbox/out', '--key-file',
                    'other', '--resume', cwd=place.path).end(1)
        check('damaged, or of another key' in other.err, other.err)
        equal(place.inbox(), ['out.resume'])


@long_case
def sender_killed():
    """a receiver keeps what it has; another sender goes on with fresh symbols"""
    with Place(2_000_000, 7) as place:
        recv = place.recv()
        send = place.send('--rate', '1M')
        time.sleep(1.0)
        send.signal(signal.SIGKILL)
        send.process.communicate()
        again = place.send('--rate', '6M').end()
        recv.end()
        place.arrived()
        found = re.search(r'(\d+) source and (\d+) repair', again.out)
        fresh = int(found[1]) + int(found[2])
        check(fresh < 1563 * 1.25, f'{fresh} symbols sent again: nothing was kept')


@case
def interrupted():
    """SIGINT ends both ends with a word, status 1, and no file"""
    for number in (signal.SIGINT, signal.SIGTERM):
        with Place(2_000_000, 8) as place:
            recv = place.recv()
            send = place.send('--rate', '500K')
            time.sleep(0.6)
            recv.signal(number)
            recv.end(1, 10)
            check('interrupted; nothing was written' in recv.err, recv.err)
            equal(place.inbox(), [])
            send.signal(number)
            send.end(1, 10)
            check('interrupted' in send.err, send.err)


@long_case
def encode_killed():
    """an encode or decode that is killed leaves no part of a file behind"""
    with Place(8_000_000, 13) as place:
        words = {'encode': ('encode', 'in', '--out', 'd', '--overhead', '100%',
                            '--symbol-size', 64),
                 'decode': ('decode', 'd', '--out', 'inbox/out')}
        for command, folder in (('encode', 'd'), ('decode', 'inbox')):
            folder = os.path.join(place.path, folder)
            run = Run(*words[command], cwd=place.path)
            place.runs.append(run)
            time.sleep(0.15)
            run.kill()
            if os.path.exists(folder) and os.listdir(folder):  # it had done its work: all of it
                if command == 'encode':
                    Run('verify', 'd', cwd=place.path).end()
                else:
                    place.arrived()
            Run(*words[command], cwd=place.path).end()
        place.arrived()


@long_case
def refusals():
    """what cannot be done is said at both ends"""
    with Place(100_000, 9, percent=0) as place:
        recv = place.recv('--max-size', '50K', '--linger', '1')
        send = place.send().end(1)
        recv.end(1)
        check('does not take it: refused' in send.err, send.err)
        check('100000 bytes' in recv.err and '--max-size' in recv.err, recv.err)
        equal(place.inbox(), [])
    with Place(1000, 10, percent=0) as place:
        send = place.send('--timeout', '0.5').end(1)
        check('no answer from' in send.err and 'asx rq recv' in send.err, send.err)
        recv = place.recv('--wait', '0.3').end(1)
        check('nobody offered a file' in recv.err, recv.err)
        with open(os.path.join(place.path, 'key'), 'w') as f:
            f.write('7' * 64)
        send = place.send().end(2)
        check('no key' in send.err, send.err)
    with Place(0, 11, percent=0) as place:
        os.truncate(os.path.join(place.path, 'in'), 255 * 56403 * 2 + 1)
        send = place.send('--symbol-size', '2').end(1)
        check('larger --symbol-size' in send.err, send.err)
    with Place(1000, 11, percent=0) as place:
        os.rmdir(os.path.join(place.path, 'inbox'))
        recv = place.recv('--linger', '1')
        send = place.send().end(1)
        recv.end(1)
        check('No such file or directory' in recv.err, recv.err)


@case
def usage():
    """--help teaches, and what is not understood ends with status 2 and a hint"""
    with tempfile.TemporaryDirectory() as path:
        overview = Run('--help', cwd=path).end()
        for command in ('encode', 'decode', 'verify', 'send', 'recv'):
            check(f'asx rq {command} ' in overview.out, overview.out)
            text = Run(command, '--help', cwd=path).end().out
            check(text.startswith(f'usage: asx rq {command} '), text)
        for words in (['send'], ['send', 'a'], ['send', 'a', 'b:1', 'c'], ['recv', ':0'],
                      ['send', 'a', 'nowhere'], ['send', 'a', ':9'], ['send', 'a', 'unix:/x'],
                      ['send', 'a', '127.0.0.1:9', '--rate'], ['recv', ':0', '--out'],
                      ['send', 'a', '127.0.0.1:9', '--rate', 'fast'],
                      ['send', 'a', '127.0.0.1:9', '--symbol-size', '65464'],
                      ['send', 'a', '127.0.0.1:9', '--rounds', '2'],
                      ['recv', ':0', '--out', 'x', '--key', 'k' * 32], ['fly']):
            run = Run(*words, cwd=path).end(2)
            check('help' in run.err or 'usage' in run.err, f'{words}: {run.err}')
        equal(os.listdir(path), [])
        run = Run('send', 'missing', '127.0.0.1:9', cwd=path).end(1)
        check('missing: cannot read the file: No such file' in run.err, run.err)


@case
def progress():
    """on a terminal there is a line with a bar, a rate and an ETA"""
    with Place(1_500_000, 12) as place:
        recv = place.recv()
        master, slave = pty.openpty()
        send = Run('send', 'in', f'127.0.0.1:{place.port}', *place.key(), '--rate', '2M',
                   cwd=place.path, stderr=slave)
        place.runs.append(send)
        os.close(slave)
        shown = b''
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(master)
        send.end()
        recv.end()
        place.arrived()
        lines = shown.decode().split('\r')
        check(len(lines) > 4, shown)
        check(re.search(r'\[#+\.+\] +\d+ %  \d+\.\d MB/s  ETA \d+:\d\d', shown.decode()), shown)
        check('100 %' in shown.decode(), shown)


def main():
    driver, names = sys.argv[1], sys.argv[2:]
    if driver == 'relay':
        relay(*map(int, names))
        return 0
    ENV['ASX_DRIVER'] = driver
    return run_cases(driver, names)


if __name__ == '__main__':
    sys.exit(main())
