"""What the end-to-end tests share: the binary $KIMBERLITE, a scratch directory, and counted checks.

A test makes one Test, and ends with `sys.exit(test.finish())`: a last line "N passed, N failed", exit 1 if any
failed. What cannot be tested here is named: a line `skipped: NAME: WHY`, which scripts/test shows again.
"""
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    path = os.environ.get("KIMBERLITE", "")
    if not os.access(path, os.X_OK):
        sys.exit("KIMBERLITE must be the path of the binary")
    return os.path.abspath(path)


class Test:
    """Counts checks, says how far it is, and owns a scratch directory with a home of its own."""

    def __init__(self, name):
        self.name, self.binary = name, binary()
        self.actor = "os:" + pwd.getpwuid(os.getuid()).pw_name
        self.passed = self.failed = 0
        self.begun = time.monotonic()
        self.top = pathlib.Path(tempfile.mkdtemp(prefix=f"kimberlite-{name}-"))
        for folder in ("home", "tmp", "work"):
            (self.top / folder).mkdir()
        self.work = self.top / "work"
        self.environment = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LOGNAME": "ann", "USER": "ann", "NO_COLOR": "1",
            "HOME": str(self.top / "home"), "TMPDIR": str(self.top / "tmp"),
        }

    def say(self, text):
        print(f"[{time.monotonic() - self.begun:6.1f} s] {text}", flush=True)

    def check(self, good, what, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}" + (f"\n  {detail}" if detail else ""), flush=True)
        return bool(good)

    def equal(self, what, expected, actual):
        """One check; names the first difference, not the whole of both sides."""
        if expected == actual:
            return self.check(True, what)
        return self.check(False, what, difference(expected, actual))

    def skip(self, name, why):
        print(f"skipped: {name}: {why}", flush=True)

    def finish(self):
        if self.failed:
            self.say(f"kept for a look: {self.top}")
        else:
            shutil.rmtree(self.top, ignore_errors=True)
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0

    def popen(self, *arguments, **options):
        options.setdefault("cwd", self.work)
        options.setdefault("env", self.environment)
        return subprocess.Popen([self.binary, *map(str, arguments)], **options)

    def run(self, *arguments, text=None, timeout=300, **options):
        """Runs the binary to its end: (exit status, stdout, stderr)."""
        options.setdefault("cwd", self.work)
        options.setdefault("env", self.environment)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        if text is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run([self.binary, *map(str, arguments)], timeout=timeout, check=False,
                              input=None if text is None else text.encode(), **options)
        decoded = [(part or b"").decode("utf-8", "replace") for part in (done.stdout, done.stderr)]
        return done.returncode, *decoded

    def must(self, *arguments, **options):
        """Runs what has to succeed; anything else ends the test."""
        status, out, errors = self.run(*arguments, **options)
        if status != 0:
            self.check(False, f"kimberlite {' '.join(map(str, arguments))}: exit {status}", errors + out)
            sys.exit(self.finish())
        return out

    def rows(self, database, statement, *options):
        """The rows of one query, each a dict, or Refused."""
        status, out, errors = self.run("sql", database, "-c", statement, "--format", "jsonl", "--quiet", *options)
        lines = [json.loads(line) for line in out.splitlines()]
        if not lines:
            raise RuntimeError(f"exit {status} and nothing on stdout: {errors}")
        if "error" in lines[-1]:
            raise Refused(lines[-1]["error"])
        return lines[:-1]

    def head(self, database, tenant="main"):
        """(size, root) of the tenant's log."""
        out = self.must("head", "show", database, "--tenant", tenant, "--format", "jsonl", "--quiet")
        head = json.loads(out.splitlines()[0])
        return (head["size"], head["root"]) if "root" in head else (0, None)


class Refused(Exception):
    """An error the binary answered with; args[0] is its object."""

    @property
    def code(self):
        return self.args[0]["code"]


class Answer:
    """What one statement of a Session was answered: rows, and summary or error."""

    def __init__(self, rows, last):
        self.rows = rows
        self.summary, self.error = last.get("summary"), last.get("error")

    @property
    def position(self):
        return self.summary["position"] if self.summary else None

    @property
    def code(self):
        return self.error["code"] if self.error else None


class Session:
    """One `kimberlite sql` on pipes, asked statement by statement. `ask` raises EOFError when it is gone."""

    def __init__(self, test, database, *options):
        self.process = test.popen("sql", database, "--format", "jsonl", "--on-error", "continue", "--quiet", *options,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ask(self, statement):
        try:
            self.process.stdin.write(statement.encode() + b";\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        return self.read()

    def read(self):
        rows = []
        while True:
            line = self.process.stdout.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            value = json.loads(line)
            if len(value) == 1 and ("summary" in value or "error" in value):
                return Answer(rows, value)
            rows.append(value)

    def close(self):
        """Ends the input and waits: (exit status, stderr)."""
        _, errors = self.process.communicate()
        return self.process.returncode, errors.decode("utf-8", "replace")


def difference(expected, actual):
    if isinstance(expected, list) and isinstance(actual, list):
        for i, (left, right) in enumerate(zip(expected, actual)):
            if left != right:
                return f"item {i} of {len(expected)} and {len(actual)}:\n  expected {left!r}\n  found    {right!r}"
        if len(expected) == len(actual):
            return "equal"
        longer = expected if len(expected) > len(actual) else actual
        side = "missing" if longer is expected else "too much"
        return f"{len(expected)} expected, {len(actual)} found; first {side}: {longer[min(len(expected), len(actual))]!r}"
    return f"expected {str(expected)[:600]!r}\n  found    {str(actual)[:600]!r}"


CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|\Z)')


def parse_csv(text):
    """Records of cells; NULL (an empty field) is None, "" the empty text. The text must be well formed."""
    records, record, at, size = [], [], 0, len(text)
    match_at = CELL.match
    while at < size or record:
        match = match_at(text, at)
        if match is None:
            raise ValueError(f"record {len(records) + 1}: this is no field: {text[at:at + 60]!r}")
        quoted, plain, end = match.groups()
        record.append(plain or None if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if end != ",":
            records.append(record)
            record = []
    return records


def read_csv(path):
    """(columns, records) of a CSV file with a header."""
    with open(path, encoding="utf-8", newline="") as file:
        records = parse_csv(file.read())
    return records[0], records[1:]


def synthea():
    """The folder of medical records to import, or None; $KIMBERLITE_SYNTHEA names another."""
    named = os.environ.get("KIMBERLITE_SYNTHEA")
    places = [pathlib.Path(named)] if named else [ROOT.parent / "shared/data/synthea"]
    return next((place for place in places if place.is_dir()), None)
