"""What the live tests have in common: cases, checks, and the run that counts them.

The program is $ASX_PROGRAM, or asx in $ASX_BUILD_ROOT.
"""
import os
import subprocess
import time

PROGRAM = os.path.abspath(os.environ.get('ASX_PROGRAM') or
                          os.path.join(os.environ.get('ASX_BUILD_ROOT', 'build'), 'asx'))
# A sanitizer makes everything several times slower, and the loads smaller.
SLOW = os.environ.get('ASX_LIVE_SLOW') == '1'
CASES = []


def case(function):
    CASES.append(function)
    return function


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def equal(got, want, what=''):
    check(got == want, f'{what}: {got!r}, not {want!r}')


def no_uring():
    """Why this machine has none, or None."""
    probe = subprocess.run([PROGRAM, 'serve', '--driver', 'uring', '--cores', '1023'],
                           capture_output=True, text=True, timeout=20)
    return probe.stderr.strip() if '--driver uring' in probe.stderr else None


def run_cases(driver, names):
    """Runs the cases that are named, or all but those named with a minus. The exit status: 77 where
    the driver is missing."""
    if driver == 'uring':
        why = no_uring()
        if why:
            print('no io_uring here:', why)
            return 77
    wanted = [name for name in names if name[0] != '-']
    passed = failed = 0
    for run in CASES:
        if '-' + run.__name__ in names or (wanted and run.__name__ not in wanted):
            continue
        began = time.monotonic()
        try:
            run()
            passed += 1
            word = 'ok  '
        except Exception as error:  # a case that breaks is a case that failed
            failed += 1
            word = 'FAIL'
            print(f'      {type(error).__name__}: {error}')
        took = time.monotonic() - began
        print(f'{word}  {took:5.1f} s  {run.__name__}: {run.__doc__}', flush=True)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0
