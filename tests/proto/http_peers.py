#!/usr/bin/env python3
"""Sends the table's requests to our server, to nginx and to haproxy, and compares the verdicts.

    http_peers.py [--table]        the program is $ASX_PROGRAM, or asx in $ASX_BUILD_ROOT

At stake: a message that we take and everybody else refuses is how requests are smuggled. Each such
message must stand in http_peers.txt, with the section of the RFC that allows it; --table prints
every message with its three verdicts. All servers listen on the loopback, on ports of the kernel's
choice, and are ended by their ids. Exit status 77 (skipped) where nginx or haproxy is missing.

A verdict is `accept` (an answer that is not about the message's form) or `refuse` (one that is, a
closed connection, or an answer that was begun and broken off). Bodies are read by all three before
they answer.
"""
import concurrent.futures
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get('ASX_PROGRAM') or os.path.join(
    os.environ.get('ASX_BUILD_ROOT', 'build'), 'asx')
# What a server says of a message's form. 405, 404 and the like are about what was asked for.
REFUSALS = {400, 408, 411, 413, 414, 417, 421, 431, 501, 505}
CHUNKED_HEAD = b'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
TIMEOUT = 5

NGINX = '''daemon off; worker_processes 1; pid {run}/nginx.pid; error_log stderr crit;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {run}/body; proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fcgi; uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;
    server {{ listen 127.0.0.1:{port}; 
        location / {{ proxy_pass http://127.0.0.1:{back}; proxy_ignore_client_abort on; }} }}
    server {{ listen 127.0.0.1:{back}; return 200 "seen"; }}
}}
'''
HAPROXY = '''global
    nbthread 1
    no log
defaults
    mode http
    timeout client 4s
    timeout http-request 4s
    timeout connect 1s
    timeout server 4s
frontend f
    bind 127.0.0.1:{port}
    option http-buffer-request
    http-request return status 200 content-type text/plain string "seen"
'''


def unescape(text):
    """As the table has it; see its first lines."""
    text = re.sub(r'\{(.)\*(\d+)\}', lambda m: m[1] * int(m[2]), text)
    plain = {'r': '\r', 'n': '\n', 't': '\t', '0': '\0', '\\': '\\'}
    text = re.sub(r'\\(x..|.)',
                  lambda m: plain.get(m[1]) or chr(int(m[1][1:], 16)), text)
    return text.encode('latin1')


def messages():
    for line in open(f'{HERE}/http1_corpus.txt', encoding='latin1'):
        kind, *rest = line.rstrip('\n').split('\t')
        if kind in ('req', 'chunked'):
            head = CHUNKED_HEAD if kind == 'chunked' else b''
            yield f'{kind}\t{rest[1]}', head + unescape(rest[1])


def allowed():
    listed = {}
    for line in open(f'{HERE}/http_peers.txt', encoding='latin1'):
        if line.strip() and line[0] != '#':
            why, kind, text = line.rstrip('\n').split('\t')
            listed[f'{kind}\t{text}'] = why
    return listed


def free_ports(count):
    held = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def answer(port, message):
    """What came back until the other side closed; None: it did not within the limit."""
    data = b''
    with socket.create_connection(('127.0.0.1', port), TIMEOUT) as s:
        try:
            # The end travels with the last byte: whether a body is whole is known at once.
            s.sendall(message, socket.MSG_MORE)
            s.shutdown(socket.SHUT_WR)
            while piece := s.recv(65536):
                data += piece
        except socket.timeout:
            return None
        except OSError:  # reset, or not connected any more
            pass
    return data


def complete(head, body):
    length = re.search(rb'(?im)^content-length:\s*(\d+)', head)
    if length:
        return len(body) >= int(length[1])
    if re.search(rb'(?im)^transfer-encoding:.*chunked', head):
        return b'0\r\n\r\n' in body
    return True


def verdict(port, message):
    data = answer(port, message)
    if data is None:
        return 'silent'
    head, end, body = data.partition(b'\r\n\r\n')
    while end and re.match(rb'HTTP/1.1 1\d\d', head):
        head, end, body = body.partition(b'\r\n\r\n')
    status = re.match(rb'HTTP/1\.[01] (\d{3})', head)
    if not end or not status or int(status[1]) in REFUSALS:
        return 'refuse'
    bodiless = message.startswith(b'HEAD ')
    return 'accept' if bodiless or complete(head, body) else 'refuse'


def wait_for(port, process):
    for _ in range(400):
        if process.poll() is not None:
            sys.exit(f'http_peers: {process.args[0]} ended with {process.returncode}')
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(.05)
    sys.exit(f'http_peers: {process.args[0]} does not listen')


def start(run):
    ports = free_ports(4)
    for name, text in (('nginx.conf', NGINX), ('haproxy.cfg', HAPROXY)):
        with open(f'{run}/{name}', 'w') as out:
            out.write(text.format(run=run, port=ports[1 + (name[0] == 'h')], back=ports[3]))
    path = os.environ['PATH'] + ':/usr/sbin:/sbin'
    commands = {
        'asx': [PROGRAM, 'serve', '--shards', '1', '--listen', f'127.0.0.1:{ports[0]}'],
        'nginx': [shutil.which('nginx', path=path), '-p', run, '-c', f'{run}/nginx.conf'],
        'haproxy': [shutil.which('haproxy', path=path), '-db', '-q', '-f', f'{run}/haproxy.cfg'],
    }
    quiet = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL,
             'stderr': subprocess.DEVNULL}
    servers = {name: (subprocess.Popen(command, **quiet), port)
               for (name, command), port in zip(commands.items(), ports)}
    for process, port in servers.values():
        wait_for(port, process)
    return servers


def settled(servers, row):
    """`row`, asked again where it matters: now and then a server answers before it has seen that
    the rest of a body will never come; a parser errs every time."""
    key, *verdicts = row
    names, message = list(servers), dict(messages())[key]
    for _ in range(5):
        if not is_ours_alone(verdicts):
            break
        verdicts = [verdict(servers[n][1], message) for n in names]
    return (key, *verdicts)


def is_ours_alone(verdicts):
    ours, *peers = verdicts
    return ours == 'accept' and all(p == 'refuse' for p in peers)


def compare(servers):
    names = list(servers)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        asked = [(key, [pool.submit(verdict, servers[n][1], message) for n in names])
                 for key, message in messages()]
        rows = [(key, *(f.result() for f in futures)) for key, futures in asked]
    return names, [settled(servers, row) for row in rows]


def judge(rows, listed):
    """Lines about what is wrong; empty: nothing is."""
    ours_alone = {key for key, *verdicts in rows if is_ours_alone(verdicts)}
    wrong = [f'we accept what both refuse: {key!r}' for key in sorted(ours_alone - set(listed))]
    wrong += [f'listed, but no longer ours alone: {key!r}'
              for key in sorted(set(listed) - ours_alone)]
    wrong += [f'{ours} by ours: {key!r}' for key, ours, *_ in rows if ours == 'silent']
    return wrong


def main():
    path = os.environ['PATH'] + ':/usr/sbin:/sbin'
    missing = [name for name in ('nginx', 'haproxy') if not shutil.which(name, path=path)]
    if missing:
        print(f'skipped: {" and ".join(missing)} not installed')
        return 77
    with tempfile.TemporaryDirectory() as run:
        os.chmod(run, 0o755)
        servers = start(run)
        try:
            names, rows = compare(servers)
        finally:
            for process, _ in servers.values():
                process.terminate()
            for process, _ in servers.values():
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    if '--table' in sys.argv:
        for key, *verdicts in rows:
            print(*verdicts, key, sep='\t')
    table = {}
    for _, *verdicts in rows:
        table[tuple(verdicts)] = table.get(tuple(verdicts), 0) + 1
    print('\t'.join(names + ['messages']))
    for verdicts, count in sorted(table.items(), key=lambda item: -item[1]):
        print('\t'.join(verdicts), count, sep='\t')
    wrong = judge(rows, allowed())
    print('\n'.join(wrong))
    return 1 if wrong else 0


sys.exit(main())
