#!/usr/bin/env python3
"""Adds up what the test programs of several builds reported, and closes with one line:

    N passed, N failed

A program that prints Catch2's summary, or a line of that same form, counts by its cases; any
other counts as one. A program that died, ran out of time or exited non-zero has failed at least
once, whatever it printed, and its last words are shown. Input: a file with a line for each build
("build NAME PASSED FAILED") and for each test log of Meson's ("log NAME PATH"). Exit status 1 if
anything failed or nothing ran.
"""
import json
import re
import sys

LINES_SHOWN, LINES_BEFORE, LINE_WIDTH = 40, 8, 200

SUMMARIES = (
    (r'^All tests passed \(.* in (\d+) test cases?\)', lambda m: (int(m[1]), 0)),
    (r'^test cases:.*', lambda m: (number(m[0], 'passed'), number(m[0], 'failed'))),
    (r'^(\d+) passed, (\d+) failed', lambda m: (int(m[1]), int(m[2]))),
)


def number(line, word):
    found = re.search(rf'(\d+) {word}', line)
    return int(found[1]) if found else 0


def count(test):
    """(passed, failed, skipped) of one entry of a test log."""
    passed = failed = 0
    for line in test.get('stdout', '').splitlines():
        for pattern, read in SUMMARIES:
            found = re.match(pattern, line)
            if found:
                more = read(found)
                passed, failed = passed + more[0], failed + more[1]
    result = test['result']
    if result == 'SKIP':
        return 0, 0, 1
    if result in ('OK', 'EXPECTEDFAIL'):
        return max(passed, 1 - min(failed, 1)), failed, 0
    return passed, max(failed, 1), 0


def last_words(name, test):
    """What a failed test said last, each line under the name of its build."""
    said = (test.get('stdout', '') + '\n' + test.get('stderr', '')).strip().splitlines()
    found = [i for i, line in enumerate(said) if 'FAILED' in line or 'ERROR' in line]
    at = max(0, found[0] - LINES_BEFORE) if found else max(0, len(said) - LINES_SHOWN)
    return [f'{name}: {line[:LINE_WIDTH]}' for line in said[at:at + LINES_SHOWN]]


def main(path):
    total = [0, 0, 0]
    words = []
    for line in open(path):
        kind, name, rest = line.rstrip('\n').split(' ', 2)
        if kind == 'build':
            rows = [('build', *map(int, rest.split()), 0, '')]
        else:
            try:
                tests = [json.loads(row) for row in open(rest)]
            except OSError:
                tests = []
            if not tests:
                rows = [('(no test ran)', 0, 1, 0, '')]
            else:
                rows = [(t['name'].split(' / ')[-1], *count(t), f"{t['duration']:.1f} s")
                        for t in tests]
                for t in tests:
                    if count(t)[1]:
                        words += ['', f"{name} {t['name']}: {t['result']}"] + last_words(name, t)
        for test, passed, failed, skipped, took in rows:
            word = 'FAIL' if failed else 'skip' if skipped and not passed else 'ok'
            print(f'{word:4}  {name:6} {test:28} {passed:5} passed {failed:3} failed  {took}')
            total = [a + b for a, b in zip(total, (passed, failed, skipped))]
    for line in words:
        print(line)
    print()
    print(f'{total[0]} passed, {total[1]} failed' + (f', {total[2]} skipped' if total[2] else ''))
    return 1 if total[1] or not total[0] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
