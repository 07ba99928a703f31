#!/usr/bin/env python3
"""Runs HTTP/1.1 servers side by side and prints medians, one row per server and workload.

The server is pinned to core 0, the load generator to core 1, all on 127.0.0.1. The key
figure is requests per second of server CPU time (user + system, every thread of every
process of the server, in nanoseconds, from /proc/PID/task/*/schedstat).

All servers of a workload are started first and stay up; then come short rounds, each server
once in a round, in an order shuffled anew, so that a machine whose speed drifts (a virtual
machine's does) drifts for all of them. A ratio is the median over the rounds of the ratio
to the reference in the same round. A lock file is held during each round.
"""
import argparse, fcntl, json, os, random, re, resource, shlex, signal, socket
import statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.environ.get('OUT', '/tmp/peers-http')
MINE = {}      # a server of --server: its paths in place of /hello and /64k
PORT0 = 21000  # the peers' ports, from here on

# name: (command, has a /64k)
PEERS = {
    'nginx': ('nginx -e stderr -c {conf}/nginx.conf', True),
    'h2o': ('h2o -m worker -c {conf}/h2o.conf', True),
    'libh2o': ('{out}/libh2o-hello {port}', True),
    'haproxy': ('haproxy -db -f {conf}/haproxy.cfg', False),
    'lighttpd': ('lighttpd -D -f {conf}/lighttpd.conf', True),
    'hyper': ('{out}/hyper-hello {port} {out}/www/64k', True),
}
KEPT = .008    # of a measured time, from its core: past that, the tail is the machine's
LAT = 4        # a tail wants rounds: so many times the others'
IDLE = {'lighttpd': 9000}   # it takes half as many connections as it may have descriptors
CONF = {'nginx': 'nginx.conf', 'h2o': 'h2o.conf', 'haproxy': 'haproxy.cfg',
        'lighttpd': 'lighttpd.conf'}

# name: (what, hload's arguments)
WORK = {
    'keep64': ('keep-alive, 64 connections', '-c64 -u /hello'),
    'keep256': ('keep-alive, 256 connections', '-c256 -u /hello'),
    'pipe16': ('pipelined 16 deep, 64 connections', '-c64 -P16 -u /hello'),
    '64k': ('64 KiB body, 64 connections', '-c64 -u /64k'),
    'churn': ('a connection per request, 64 at a time', '-c64 -C -u /hello'),
    'lat': ('latency at a fixed 20,000 requests/s, 64 connections', '-c64 -r20000 -u /hello'),
    'idle': ('memory of 10,000 idle connections after one request each', None),
}


def fill(path, port):
    s = open(f'{HERE}/conf/{path}.in').read()
    s = s.replace('@RUN@', OUT).replace('@PORT@', str(port))
    open(f'{OUT}/conf/{path}', 'w').write(s)


def family(root):
    """The process and all its descendants."""
    kids = {}
    for p in os.listdir('/proc'):
        if p.isdigit():
            try:
                stat = open(f'/proc/{p}/stat').read()
                kids.setdefault(int(stat.rsplit(')', 1)[1].split()[1]), []).append(int(p))
            except OSError:
                pass
    got, todo = [], [root]
    while todo:
        p = todo.pop()
        got.append(p)
        todo += kids.get(p, [])
    return got


def cpu(pids, field=0):
    """{tid: nanoseconds on a CPU}; field 1: runnable, while something else had the CPU"""
    r = {}
    for p in pids:
        try:
            for t in os.listdir(f'/proc/{p}/task'):
                r[t] = int(open(f'/proc/{p}/task/{t}/schedstat').read().split()[field])
        except OSError:
            pass
    return r


def spent(a, b):
    return sum(v - a.get(t, 0) for t, v in b.items()) / 1e9


def rss(pids):
    n = 0
    for p in pids:
        try:
            n += int(re.search(r'VmRSS:\s+(\d+)', open(f'/proc/{p}/status').read()).group(1))
        except (OSError, AttributeError):
            pass
    return n * 1024


def slab():
    m = open('/proc/meminfo').read()
    return int(re.search(r'Slab:\s+(\d+)', m).group(1)) * 1024


def busy():
    f = [int(x) for x in open('/proc/stat').readline().split()[1:9]]
    return (sum(f) - f[3] - f[4]) / os.sysconf('SC_CLK_TCK')


def ahead(core):
    """For preexec_fn: pinned to a core, and ahead of what else runs there, where allowed."""
    def f():
        os.setsid()
        os.sched_setaffinity(0, {core})
        try:
            os.nice(-20)
            with open('/proc/self/autogroup', 'w') as g:
                g.write('-20')
        except OSError:
            pass
    return f


def start(cmd, ports):
    p = subprocess.Popen(shlex.split(cmd), preexec_fn=ahead(0), stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=LOG)
    for port in ports:
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(('127.0.0.1', port)) == 0:
                    break
            if p.poll() is not None:
                raise RuntimeError(f'{cmd}: exited {p.returncode}')
            time.sleep(.05)
        else:
            stop(p)
            raise RuntimeError(f'{cmd}: nothing listens on {port}')
    time.sleep(.1)
    return p


def stop(p):
    pids = family(p.pid)
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for q in pids:
            try:
                os.kill(q, sig)
            except OSError:
                pass
        try:
            p.wait(3)
            break
        except subprocess.TimeoutExpired:
            pass


def drive(cmd, p, secs):
    args = shlex.split(cmd)
    pids = family(p.pid)
    a, w, b0, t0 = cpu(pids), cpu(pids, 1), busy(), time.monotonic()
    c = subprocess.Popen(args, preexec_fn=ahead(1), stdout=subprocess.PIPE, stderr=LOG, text=True)
    out, _ = c.communicate(timeout=secs + 30)
    el, b1, z = time.monotonic() - t0, busy(), cpu(family(p.pid))
    waited = spent(w, cpu(family(p.pid), 1)) / el
    if c.returncode:
        raise RuntimeError(f'{cmd}: {c.returncode} {out[-300:]}')
    j = json.loads(out)
    r = {'requests': j['requests'], 'errors': j['errors'], 'p50': j['p50_us'], 'p99': j['p99_us']}
    r['cpu'], r['secs'], r['busy'] = spent(a, z), el, b1 - b0
    r['kept'] = waited + j['stalled']
    return r


def idle(peer, p, port, n):
    before, sl = rss(family(p.pid)), slab()
    path = MINE.get(peer, ('/hello',))[0]
    c = subprocess.Popen([f'{OUT}/hload', '-p', str(port), '-I', str(n), '-d', '4', '-u', path],
                         preexec_fn=ahead(1), stdout=subprocess.PIPE, stderr=LOG, text=True)
    line = c.stdout.readline()
    time.sleep(2)
    after, sl2 = rss(family(p.pid)), slab()
    c.wait(20)
    if not line.startswith('idle'):
        raise RuntimeError('the idle connections were not all answered')
    return {'per_conn': (after - before) / n, 'base': before, 'slab': (sl2 - sl) / n}


def launch(peer):
    """The server's process, with the port that it listens on."""
    cmd, _ = PEERS[peer]
    port = MINE[peer][2] if peer in MINE else PORT0 + list(PEERS).index(peer)
    if peer in CONF:
        fill(CONF[peer], port)
    if peer not in MINE:
        cmd = cmd.format(conf=f'{OUT}/conf', out=OUT, port=port)
    p = start(cmd, [port])
    p.port = port
    return p


def measure(peer, p, w, secs):
    load = f'{OUT}/hload -p {p.port} -w0 -d{secs:g} {WORK[w][1]}'
    if peer in MINE:
        hello, big, _ = MINE[peer]
        load = load.replace('/hello', hello).replace('/64k', big)
    for attempt in range(3):
        u = resource.getrusage(resource.RUSAGE_CHILDREN)
        r = drive(load, p, secs)
        v = resource.getrusage(resource.RUSAGE_CHILDREN)
        r['client'] = (v.ru_utime + v.ru_stime - u.ru_utime - u.ru_stime)
        # when much else ran beside the two, or in place of one of them where each instant counts,
        # measure again
        if r['busy'] - r['cpu'] - r['client'] < .25 * r['secs'] and \
                (w != 'lat' or r['kept'] < KEPT):
            break
    r['rps'] = r['requests'] / r['secs']
    r['rpc'] = r['requests'] / r['cpu']
    return r


def table(w, rows, ref):
    def med(rs, k):
        v = [r[k] for r in rs if r.get(k) is not None]
        return statistics.median(v) if v else None

    print(f'\n### {w}: {WORK[w][0]}\n')
    if w == 'idle':
        print('| peer | RSS per idle connection, bytes | RSS before, MiB '
              '| kernel slab per connection, both ends, bytes |\n|---|---:|---:|---:|')
        for p, rs in rows.items():
            if rs:
                print(f'| {p} | {med(rs, "per_conn"):,.0f} | {med(rs, "base") / 2**20:.1f} '
                      f'| {med(rs, "slab"):,.0f} |')
        return
    base = {r['rep']: r['rpc'] for r in rows.get(ref, [])}
    print(f'| peer | requests / server CPU s | x {ref} | quartiles of that | requests/s '
          '| server core | client core | p50 us | p99 us | quartiles of that | errors |\n|---'
          + '|---:' * 10 + '|')
    for p, rs in sorted(rows.items(), key=lambda kv: -(med(kv[1], 'rpc') or 0)):
        if not rs:
            continue
        f = lambda x: f'{x:,.0f}' if x else ''
        x = sorted(r['rpc'] / base[r['rep']] for r in rs if r['rep'] in base) or [0]
        p99 = sorted(r['p99'] for r in rs)
        server, client = (statistics.median(r[k] / r['secs'] for r in rs)
                          for k in ('cpu', 'client'))
        print(f'| {p} | {med(rs, "rpc"):,.0f} | {statistics.median(x):.2f} '
              f'| {x[len(x) // 4]:.2f}-{x[-1 - len(x) // 4]:.2f} | {med(rs, "rps"):,.0f} '
              f'| {server:.0%} | {client:.0%} | {f(med(rs, "p50"))} | {f(med(rs, "p99"))} '
              f'| {p99[len(p99) // 4]:,.0f}-{p99[-1 - len(p99) // 4]:,.0f} '
              f'| {sum(r["errors"] for r in rs)} |')


def main():
    global LOG
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('-p', '--peers', default=','.join(PEERS))
    a.add_argument('-w', '--work', default=','.join(WORK))
    a.add_argument('-n', '--rounds', type=int, default=7)
    a.add_argument('-s', '--secs', type=float, default=1, help='of one measurement')
    a.add_argument('-r', '--ref', default='nginx', help='the peer that ratios are taken to')
    a.add_argument('-l', '--lock', default='/tmp/bench.lock', help='held during each round')
    a.add_argument('-j', '--json', help='write every measurement to this file')
    a.add_argument('--paths', default='/plaintext,/bytes/65536',
                   help="the further servers' paths for the two bodies")
    a.add_argument('--server', nargs=3, action='append', default=[],
                   metavar=('NAME', 'PORT', 'COMMAND'))
    o = a.parse_args()
    os.makedirs(f'{OUT}/conf', exist_ok=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    LOG = open(f'{OUT}/bench.log', 'a')
    peers = [p for p in o.peers.split(',') if p]
    for name, port, cmd in o.server:
        PEERS[name] = (cmd, True)
        peers.append(name)
        MINE[name] = (*o.paths.split(','), int(port))
    lock, every = open(o.lock, 'a'), []
    for w in o.work.split(','):
        mine = [p for p in peers if w != '64k' or PEERS[p][1]]
        rows, up = {p: [] for p in mine}, {}
        try:
            for p in mine:
                try:
                    up[p] = launch(p)
                except RuntimeError as e:
                    print(f'# {p} {w}: {e}', file=sys.stderr)
            rounds = {'idle': 0, 'lat': LAT * o.rounds}.get(w, o.rounds)
            for rep in range(-1, rounds):   # round -1 warms up
                fcntl.flock(lock, fcntl.LOCK_EX)
                for p in random.sample(sorted(up), len(up)):
                    try:
                        if w == 'idle':
                            rows[p].append(idle(p, up[p], up[p].port, IDLE.get(p, 10000)))
                            every.append({'peer': p, 'work': w, **rows[p][-1]})
                            continue
                        r = measure(p, up[p], w, o.secs)
                    except (RuntimeError, AttributeError, ValueError,
                            subprocess.TimeoutExpired) as e:
                        print(f'# {p} {w}: {e}', file=sys.stderr)
                        continue
                    if rep >= 0:
                        r['rep'] = rep
                        rows[p].append(r)
                        every.append({'peer': p, 'work': w, **r})
                fcntl.flock(lock, fcntl.LOCK_UN)
        finally:
            for p in up.values():
                stop(p)
        table(w, rows, o.ref if o.ref in mine else (mine[0] if mine else ''))
        sys.stdout.flush()
        if o.json:
            json.dump(every, open(o.json, 'w'), indent=1)


main()
