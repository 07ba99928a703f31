#!/usr/bin/env python3
"""Looks over the tree for what a compiler does not refuse, and says what to do instead.

    tidy.py ROOT [--library LIBASX_SO LIBASX_A]

Each check below is a function that yields (path, line, message); its note says the rule and why.
Files are those that git knows (work in progress that nobody added is not judged), as they stand
in the work tree. Two lists beside this script hold what is allowed by name: `exceptions` (a rule,
a path, the reason) and `long_functions` (lines, path, function). Exit status 1 on any finding.
"""
import os
import re
import shutil
import subprocess
import sys

ROOMS = ('shard', 'raptorq', 'reactor', 'dpdk', 'lab', 'proto', 'engine')
KERNEL = ('shard/base', 'shard', 'shard/sync', 'shard/combine', 'shard/flow')
LINES_MAX = 70     # of a function
FILE_BYTES_MAX = 128 << 10
COLUMNS_MAX = 100

# What each floor may include; a floor that is not named may include anything (tests, bench).
ARROWS = {
    'shard/base': ('shard/base',),
    'shard': ('shard/base', 'shard'),
    'shard/sync': ('shard/base', 'shard', 'shard/sync'),
    'shard/combine': KERNEL[:4],
    'shard/flow': KERNEL,
    'raptorq': ('shard/base', 'raptorq'),
    'reactor': KERNEL + ('reactor',),
    'dpdk': KERNEL + ('dpdk',),
    'lab': KERNEL + ('lab',),
    'proto': KERNEL + ('proto',),
    'engine': KERNEL + ROOMS,
}
# The RaptorQ pipelines run over datagrams, and the command runs them; the codec is arithmetic.
PIPELINES = re.compile(r'raptorq/(net/\w+|tool\w*)\.[ch]$')

# A foreign library's headers, and the files that may know that it exists.
FOREIGN = (
    (r'openssl/', r'(proto/tls_openssl|raptorq/net/tag_openssl)\.c'),
    (r'liburing', r'reactor/uring\w*\.[ch]'),
    (r'jemalloc/', r'shard/chunk\.c'),
    (r'hwloc', r'engine/topology\.c'),
    (r'isa-l', r'raptorq/gf256\w*\.c'),
    (r'lz4', r'lab/trace_lz4\.c'),
    (r'valgrind/', r'shard/\w+\.[ch]'),
    (r'sanitizer/', r'shard/\w+\.[ch]'),
)

# rule: (functions, what to do instead, the files where they are at home)
BANNED = {
    'string': (('strcpy', 'strcat', 'sprintf', 'vsprintf', 'gets', 'strtok', 'stpcpy'),
               'it writes without a bound: use snprintf, memcpy with a length, or an asx_view',
               r'$^'),
    'rand': (('rand', 'srand', 'random', 'srandom', 'drand48', 'rand_r'),
             'it has no owner and no seed: use an asx_prng that the shard or the lab seeds', r'$^'),
    'time': (('time', 'localtime', 'gmtime', 'ctime', 'asctime', 'mktime'),
             'it reads a clock of its own, or returns shared memory: ask the shard for the time',
             r'$^'),
    'number': (('atoi', 'atol', 'atoll', 'atof'),
               'it takes garbage for 0: use strtol with its end pointer, or a parser of ours',
               r'$^'),
    'heap': (('malloc', 'calloc', 'realloc', 'free', 'strdup', 'strndup', 'aligned_alloc',
              'posix_memalign'),
             'memory comes from a region heap or from shard/chunk', r'shard/chunk\.c'),
    'clock': (('clock_gettime', 'gettimeofday', 'clock_nanosleep', 'nanosleep', 'usleep', 'sleep'),
              'time enters through the driver, so that the lab can replay it: asx_driver_now_ns',
              r'(reactor|dpdk)/'),
    'entropy': (('getrandom', 'getentropy', 'arc4random'),
                'entropy enters through the driver, so that the lab can replay it',
                r'(reactor|dpdk)/'),
}
MARKER = re.compile(r'\b(FIXME|XXX|HACK)\b|\bTODO\b(?!\(#\d+\))|^(<<<<<<<|>>>>>>>) ')
RESERVED = re.compile(r'\b(?:_*(?:asx|ASX)\w*__\w+|__+(?:asx|ASX)\w*)\b'
                      r'|#\s*define\s+(__\w+|\w+__\w+)')
SYSTEM_DEFINES = re.compile(r'__(?:NR|STDC|has|SANITIZE)_')
SHEBANG = re.compile(r'#!(/bin/sh|/usr/bin/env (bash|python3))')
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Tree:
    """The files of one checkout, and what is allowed in them by name."""

    def __init__(self, root):
        self.root = root
        self.files = self._list()
        here = os.path.join(root, 'tests/tidy')
        self.exceptions = {tuple(row[:2]) for row in rows(os.path.join(here, 'exceptions'))}
        self.long_functions = {(row[1], row[2]): int(row[0])
                               for row in rows(os.path.join(here, 'long_functions'))}

    def _list(self):
        try:
            out = subprocess.run(['git', '-C', self.root, 'ls-files', '-z'], check=True,
                                 capture_output=True, text=True).stdout
            names = [n for n in out.split('\0') if n]
        except (OSError, subprocess.CalledProcessError):
            names = [os.path.relpath(os.path.join(d, f), self.root)
                     for d, _, fs in os.walk(self.root) for f in fs
                     if not re.search(r'/(\.git|build[^/]*)(/|$)', d[len(self.root):])]
        return sorted(n for n in names if os.path.isfile(os.path.join(self.root, n)))

    def read(self, path):
        with open(os.path.join(self.root, path), encoding='utf-8', errors='replace') as f:
            return f.read()

    def sources(self, *ends):
        """The C files of the rooms."""
        ends = ends or ('.c', '.h')
        return [f for f in self.files if f.split('/')[0] in ROOMS and f.endswith(ends)]

    def excepted(self, rule, path):
        return (rule, path) in self.exceptions


def rows(path):
    """The words of each line of a list, without comments."""
    try:
        with open(path) as f:
            return [line.split() for line in f if line.strip() and not line.startswith('#')]
    except OSError:
        return []


def bare(text):
    """`text` without comments and the insides of strings, its lines in place."""
    def blank(found):
        s = found[0]
        if s[0] in '"\'':
            return s[0] + ' ' * (len(s) - 2) + s[0]
        return re.sub(r'[^\n]', ' ', s)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def floor(path):
    """The floor that a path, or the name in an include, stands on."""
    parts = path.split('/')
    two = '/'.join(parts[:2])
    return two if two in KERNEL else parts[0]


def check_arrows(tree):
    """Includes point down, and only doors are open: another room's *_internal.h is a drawer."""
    for path in tree.sources():
        here = floor(path)
        allowed = KERNEL + ('raptorq',) if PIPELINES.match(path) else ARROWS[here]
        for at, line in enumerate(tree.read(path).splitlines(), 1):
            found = INCLUDE.match(line)
            if not found or tree.excepted('arrow', path):
                continue
            bracket, name = found.groups()
            if bracket == '"':
                if '/' in name:
                    yield path, at, f'"{name}": quotes stay in the folder; write <asx/ROOM/NOUN.h>'
                continue
            if not name.startswith('asx/'):
                yield from check_foreign(path, at, name)
                continue
            there = floor(name[4:])
            if name == 'asx/asx.h':
                if here != 'engine':
                    yield path, at, '<asx/asx.h> is for users: include the nouns that you need'
            elif there not in allowed:
                yield path, at, (f'<{name}> points up or sideways: {here} may include '
                                 f'{", ".join(allowed)}. What must call up is a function pointer '
                                 'that the lower room declares')
            elif name.endswith('_internal.h') and there.split('/')[0] != here.split('/')[0]:
                yield path, at, f"<{name}> is another room's drawer: name a door and document it"


def check_foreign(path, at, name):
    for header, home in FOREIGN:
        if re.match(header, name) and not re.fullmatch(home, path):
            yield path, at, f'<{name}>: one file knows this library, {home}; call its functions'


def check_banned(tree):
    """Functions with a better replacement."""
    for path in tree.sources():
        lines = bare(tree.read(path)).splitlines()
        for rule, (names, instead, home) in BANNED.items():
            if re.match(home, path) or tree.excepted(rule, path):
                continue
            call = re.compile(r'(?<![\w.>])(' + '|'.join(names) + r')\s*\(')
            for at, line in enumerate(lines, 1):
                for found in call.finditer(line):
                    yield path, at, (f'{found[1]}(): {instead} (or name the file under "{rule}" in '
                                     'tests/tidy/exceptions, with the reason)')


def check_markers(tree):
    """What was left for later has an issue, TODO(#n), or is done."""
    for path in tree.files:
        if path.startswith('tests/tidy/') or not path.endswith(
                ('.c', '.h', '.cc', '.S', '.py', '.sh', '.build', '.txt', '.md', '/run', 'asx')):
            continue
        for at, line in enumerate(tree.read(path).splitlines(), 1):
            found = MARKER.search(line)
            if found:
                yield path, at, f'leftover "{found[0].strip()}": finish it, or write TODO(#issue)'


def check_strays(tree):
    """What people write is small: a core dump or a trace was added by mistake."""
    for path in tree.files:
        size = os.path.getsize(os.path.join(tree.root, path))
        if size > FILE_BYTES_MAX:
            yield path, 1, f'{size} bytes, {FILE_BYTES_MAX} are the most'


def check_columns(tree):
    """Two files stand side by side on a screen."""
    for path in tree.files:
        if path.endswith(('.c', '.h', '.cc', '.S', '.py', '.sh')) or path == 'asx':
            for at, line in enumerate(tree.read(path).splitlines(), 1):
                if len(line) > COLUMNS_MAX:
                    yield path, at, f'{len(line)} columns, {COLUMNS_MAX} is the width'


def functions(text):
    """(name, first line, lines) of each function of clang-formatted C: its body's braces stand in
    the first column, and its signature is the paragraph above them."""
    lines = bare(text).splitlines()
    begin = None
    for i, line in enumerate(lines):
        if line.startswith('{') and i and re.search(r'\)[^;=]*$', lines[i - 1]):
            begin = i - 1
            while begin and lines[begin - 1].strip() and lines[begin - 1][-1] not in ';}{/':
                begin -= 1
            head = ' '.join(lines[begin:i])
        elif line.startswith('}') and begin is not None:
            found = re.search(r'([A-Za-z_]\w*)\s*\((?!.*\b__attribute__\b)', head)
            yield (found[1] if found else '?'), begin + 1, i - begin + 1
            begin = None


def check_lengths(tree):
    """A function must not grow past 70 lines; those born long are listed and may only shrink."""
    for path in tree.sources('.c'):
        for name, at, count in functions(tree.read(path)):
            limit = max(LINES_MAX, tree.long_functions.get((path, name), 0))
            if count > limit:
                yield path, at, (f'{name} is {count} lines, its limit is {limit}: take a step out '
                                 'of it, by name (or list it in tests/tidy/long_functions if it '
                                 'is one flat table or switch)')


def check_dead(tree):
    """A source that no meson.build names is built by nobody."""
    for path in tree.files:
        parts = path.split('/')
        if not path.endswith(('.c', '.cc', '.S')) or parts[0] not in ROOMS + ('tests', 'bench'):
            continue
        if path.startswith(('bench/peers/', 'tests/install/')):
            continue
        folder = os.path.dirname(path)
        while folder and not name_in_meson(tree, folder, path):
            folder = os.path.dirname(folder)
        if not folder:
            yield path, 1, 'in no meson.build: list it, or delete it'


def name_in_meson(tree, folder, path):
    meson = os.path.join(folder, 'meson.build')
    if meson not in tree.files:
        return False
    text, inside = tree.read(meson), os.path.relpath(path, folder)
    # A list of nouns that a foreach turns into files counts as well.
    stem = os.path.splitext(inside)[0]
    names = (inside, stem, re.sub(r'_(bench|test)$', '', stem))
    return any(f"'{name}'" in text for name in names)


def check_reserved(tree):
    """Double underscores are the compiler's, and C++'s anywhere in a name."""
    for path in tree.files:
        if path.endswith(('.c', '.h', '.cc')) and not path.startswith('bench/peers/'):
            for at, line in enumerate(bare(tree.read(path)).splitlines(), 1):
                found = RESERVED.search(line)
                if found and not SYSTEM_DEFINES.match(found[1] or ''):
                    yield path, at, f'{found[1] or found[0]}: names with __ are reserved'


def check_scripts(tree):
    """A script runs by its own name: its mode says so, and its first line a shell or an env."""
    for path in tree.files:
        first = tree.read(path).partition('\n')[0]
        if not first.startswith('#!'):
            continue
        if not os.access(os.path.join(tree.root, path), os.X_OK):
            yield path, 1, 'has a #! line but may not be executed: chmod +x'
        if not SHEBANG.fullmatch(first):
            yield path, 1, f'"{first}" names no interpreter that every machine has'


def check_format(tree):
    """One layout, and nobody's opinion: clang-format -i FILE."""
    if not shutil.which('clang-format'):
        print('tidy: clang-format is not installed, so the layout was not checked')
        return
    files = [f for f in tree.files if f.endswith(('.c', '.h', '.cc'))]
    if not files:
        return
    out = subprocess.run(['clang-format', '--dry-run', '--ferror-limit=1', *files], cwd=tree.root,
                         capture_output=True, text=True)
    for found in re.finditer(r'^(\S+?):(\d+):\d+: \w+: ', out.stderr, re.M):
        yield found[1], int(found[2]), f'layout: clang-format -i {found[1]}'


def defined(command, path):
    """(binding or type, visibility, name) of what a library defines, as nm or readelf has it."""
    out = subprocess.run([*command, path], capture_output=True, text=True)
    if out.returncode:
        raise OSError(f'{command[0]} could not read it: {out.stderr.strip()}')
    for line in out.stdout.splitlines():
        words = line.split()
        if command[0] == 'nm' and len(words) == 3:
            yield words[1], 'DEFAULT', words[2]
        elif len(words) == 8 and words[0][:-1].isdigit() and words[6] != 'UND':
            yield words[4][0], words[5], words[7].partition('@')[0]


def check_symbols(shared, archive):
    """The shared object exports asx_ names alone; in the archive asxi_ may stand beside them."""
    for path, command, rule, ours in (
            (shared, ['readelf', '--dyn-syms', '-W'], r'asx_', 'asx_'),
            (archive, ['nm', '-g', '--defined-only'], r'asxi?_', 'asx_ or asxi_')):
        try:
            for kind, visibility, name in defined(command, path):
                if kind not in 'wWL' and visibility != 'HIDDEN' and not re.match(rule, name):
                    yield path, 0, f'exports {name}: make it static, or name it {ours}...'
        except OSError as error:
            yield path, 0, str(error)


CHECKS = (check_arrows, check_banned, check_markers, check_strays, check_columns, check_lengths,
          check_dead, check_reserved, check_scripts, check_format)


def main(argv):
    tree = Tree(os.path.abspath(argv[1]))
    passed = failed = 0
    runs = [(check.__name__, check(tree)) for check in CHECKS]
    if '--library' in argv:
        at = argv.index('--library')
        runs.append(('check_symbols', check_symbols(*argv[at + 1:at + 3])))
    for name, findings in runs:
        found = list(findings)
        for path, line, message in found:
            print(f'{path}:{line}: {message}')
        passed, failed = passed + (not found), failed + bool(found)
        if found:
            print(f'   {name[6:]}: {len(found)} to mend\n')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
