#!/usr/bin/env python3
"""trace_off.py SOURCE INCLUDE: the kernel without a listener is the kernel without trace points.

Every kernel source is compiled twice for production, as it is and with its trace points cut out of
the text; the machine code must be the same, instruction for instruction.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

POINT = re.compile(r'\b(ASXI_TRACE|WHEEL_TRACE|ASXI_WAITS_FOR)\(')
FLAGS = ['-w', '-O2', '-g0', '-std=gnu17', '-D_GNU_SOURCE', '-fno-strict-aliasing',
         '-fno-omit-frame-pointer', '-fcf-protection=none', '-D__LINE__=1', '-D__FILE__="x"']


def cut_points(text):
    """The text without its trace points, and how many there were."""
    out, at, count = [], 0, 0
    for match in POINT.finditer(text):
        line = text.rfind('\n', 0, match.start()) + 1
        directive = text[line:match.start()].lstrip().startswith('#')
        if match.start() < at or directive or text[:match.start()].rstrip().endswith('\\'):
            continue  # inside one that is cut already, or in the macro that makes them
        end, depth = match.end(), 1
        while depth:
            depth += {'(': 1, ')': -1}.get(text[end], 0)
            end += 1
        out += [text[at:match.start()], '((void)0)']
        at = end
        count += 1
    return ''.join(out) + text[at:], count


def code(compiler, source, include, work):
    target = work / 'object.o'
    subprocess.run(compiler + FLAGS + [f'-I{include}', '-c', str(source), '-o', str(target)],
                   check=True)
    dump = subprocess.run(['objdump', '-dr', '--no-show-raw-insn', str(target)], check=True,
                          capture_output=True, text=True).stdout
    return dump.split('\n', 3)[-1]


def main(source, include):
    compiler = (['ccache'] if shutil.which('ccache') else []) + ['gcc']
    if not shutil.which('gcc') or not shutil.which('objdump'):
        return 77
    failed, points, files = [], 0, 0
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        shutil.copytree(pathlib.Path(source) / 'shard', work / 'shard')
        for path in sorted((pathlib.Path(source) / 'shard').glob('*.c')):
            text, count = cut_points(path.read_text())
            if not count:
                continue
            points, files = points + count, files + 1
            before = code(compiler, work / 'shard' / path.name, include, work)
            (work / 'shard' / path.name).write_text(text)
            if before != code(compiler, work / 'shard' / path.name, include, work):
                failed.append(path.name)
    for name in failed:
        print(f'trace_off: shard/{name}: its trace points leave instructions behind')
    print(f'{points} trace points in {files} files')
    return 1 if failed or points < 40 else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
