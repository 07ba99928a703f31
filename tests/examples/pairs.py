#!/usr/bin/env python3
"""The pages examples/from_*/README.md and the pairs of programs that they show.

What is at stake: a page that shows code which does not build, or two programs side by side of which
one does something else. So each program prints a line, the line is the same in all of a row, and
every block of code that a page takes from a file stands in that file.

    pairs.py ours BUILD_DIR     our programs, built by meson
    pairs.py tokio|libuv        theirs, built here; 77 where the toolchain is missing
    pairs.py pages              the blocks of the pages
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

EXAMPLES = os.path.join(os.environ["ASX_SOURCE_ROOT"], "examples")
CRATES = "/usr/share/cargo/registry"
SKIPPED = 77
LINES = {
    "echo": "hello\n",
    "pipeline": "sum of squares 333833500\n",
    "select": "message 7\ntimeout\n",
    "shutdown": "100 jobs, some done, some left\n",
    "children": "failed with 404, 2 siblings cleaned up\n",
}

passed = failed = 0


def verdict(good, name, why=""):
    global passed, failed
    passed += good
    failed += not good
    print("ok  " if good else "FAIL", name, "" if good else why)


def run(name, program):
    try:
        ran = subprocess.run([program], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        verdict(False, name, error)
        return
    good = ran.returncode == 0 and ran.stdout == LINES[name]
    verdict(good, name, f"status {ran.returncode}, {ran.stdout!r}, {ran.stderr}")


def ours(build):
    for name in LINES:
        run(name, os.path.join(build, "example_" + name))


def libuv():
    asked = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libuv"], capture_output=True, text=True)
    if asked.returncode != 0:
        print("libuv1-dev is not installed")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as stage:
        for name in LINES:
            program = os.path.join(stage, name)
            source = os.path.join(EXAMPLES, "from_libuv", name + ".c")
            command = ["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", source, "-o", program]
            subprocess.run(command + asked.stdout.split(), check=True)
            run(name, program)


def tokio():
    if not shutil.which("cargo") or not any(c.startswith("tokio-1") for c in listing(CRATES)):
        print("cargo or librust-tokio-dev is not installed")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as stage:
        project = os.path.join(stage, "project")
        shutil.copytree(os.path.join(EXAMPLES, "from_tokio"), project)
        subprocess.run(
            ["cargo", "build", "--offline", "-q",
             "--config", 'source.crates-io.replace-with="debian"',
             "--config", f'source.debian.directory="{CRATES}"'],
            cwd=project, check=True, env=dict(os.environ, CARGO_HOME=os.path.join(stage, "home")))
        for name in LINES:
            run(name, os.path.join(project, "target", "debug", name))


def listing(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


def pages():
    for page in sorted(listing(EXAMPLES)):
        path = os.path.join(EXAMPLES, page, "README.md")
        if not os.path.exists(path):
            continue
        with open(path) as file:
            text = file.read()
        shown = re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", text, re.M | re.S)
        verdict(bool(shown), f"{page} shows something")
        for source, block in shown:
            with open(os.path.join(EXAMPLES, page, source)) as file:
                verdict(block in file.read(), f"{page}: {source}", "has no such block:\n" + block)
        for name in LINES:
            verdict(f"`../{name}.c`" in text, f"{page} has {name}")


{"ours": ours, "libuv": libuv, "tokio": tokio, "pages": pages}[sys.argv[1]](*sys.argv[2:])
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0 or passed == 0)
