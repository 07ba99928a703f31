"""What the live tests have in common: cases, checks, and the run that counts them.

A case waits more than it works, so several run at once, each in a process of its own: it has its
own servers, ports and files, and what it does to its limits or its signals stays with it.
The program is $ASX_PROGRAM, or asx in $ASX_BUILD_ROOT.
"""
import os
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(os.environ.get('ASX_PROGRAM') or
                          os.path.join(os.environ.get('ASX_BUILD_ROOT', 'build'), 'asx'))
# A sanitizer makes everything several times slower, and the loads smaller.
SLOW = os.environ.get('ASX_LIVE_SLOW') == '1'
AT_ONCE = 3
CASES = []


def case(function):
    CASES.append(function)
    return function


def long_case(function):
    """One that takes seconds: it begins before the others, which fill what it leaves."""
    function.takes_long = True
    return case(function)


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


class Running:
    """A case in a process of its own, and what it says."""

    def __init__(self, run):
        self.run, self.began, self.said = run, time.monotonic(), tempfile.TemporaryFile('w+')
        self.pid = os.fork()
        if self.pid == 0:
            failed = 1
            try:
                sys.stdout = self.said
                run()
                failed = 0
            except Exception as error:  # a case that breaks is a case that failed
                print(f'      {type(error).__name__}: {error}')
            finally:
                self.said.flush()
                os._exit(failed)

    def report(self, ended):
        """Prints how it went, and tells whether it passed."""
        self.said.seek(0)
        word = 'FAIL' if ended else 'ok  '
        print(f'{self.said.read()}{word}  {time.monotonic() - self.began:5.1f} s  '
              f'{self.run.__name__}: {self.run.__doc__}', flush=True)
        self.said.close()
        return not ended


def run_cases(driver, names):
    """Runs the cases that are named, or all but those named with a minus. The exit status: 77 where
    the driver is missing."""
    if driver == 'uring':
        why = no_uring()
        if why:
            print('no io_uring here:', why)
            return 77
    wanted = [name for name in names if name[0] != '-']
    waiting = [run for run in CASES if '-' + run.__name__ not in names and
               (not wanted or run.__name__ in wanted)]
    waiting.sort(key=lambda run: not hasattr(run, 'takes_long'))
    running, results = {}, []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            started = Running(waiting.pop(0))
            running[started.pid] = started
        pid, ended = os.wait()
        results.append(running.pop(pid).report(ended))
    print(f'{sum(results)} passed, {len(results) - sum(results)} failed')
    return 0 if all(results) else 1
