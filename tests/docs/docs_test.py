#!/usr/bin/env python3
"""Runs every example of docs/*.md against the binary $KIMBERLITE and compares what it prints.

usage: docs_test.py [PAGE]...      (names without .md; default: all)

A page has a scratch directory, a home and a database `db` of its own. Its fenced blocks, in order:

  console      `$ command` lines, each followed by what it prints, on stdout and stderr
  sql          a script, run on `db`; what it prints stands in the `text` block right behind it
  csv FILE     is written to FILE
  cpp FILE     is, byte for byte, FILE of the repository
  sh           is not run: it installs or builds

`…` stands for anything within a line, a line of `…` alone for any number of lines. Widths of
columns are not compared. Ends with "N passed, N failed"; exit 1 if any failed.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = {"console", "sql", "text", "csv", "cpp", "sh", ""}
DIFFERENCES = "## Differences from PostgreSQL"


class Block:
    def __init__(self, kind, name, line):
        self.kind, self.name, self.line = kind, name, line
        self.lines = []


def blocks_of(text):
    """The fenced blocks, and of each whether only blank lines stand between it and the last one."""
    found, current, adjacent = [], None, False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("```"):
            if current is None:
                kind, _, name = stripped[3:].partition(" ")
                current = Block(kind, name.strip(), number)
                current.indent = len(line) - len(line.lstrip())
                current.adjacent = adjacent
            else:
                found.append(current)
                current, adjacent = None, True
        elif current is not None:
            current.lines.append(line[current.indent:])
        elif stripped:
            adjacent = False
    if current is not None:
        raise ValueError(f"line {current.line}: the block is never closed")
    return found


def normal(line):
    line = re.sub(r"-{3,}", "---", line.rstrip())
    return re.sub(r"[ \t]+", " ", line).strip()


def matches(expected, actual):
    """Lines against lines; `…` as in the head of this file."""
    pattern = []
    for line in expected:
        line = normal(line)
        if line == "…":
            pattern.append(r"(?:[^\n]*\n)*")
        else:
            parts = (re.escape(part) for part in line.split("…"))
            pattern.append(r"[^\n]*".join(parts) + r"\n")
    got = "".join(normal(line) + "\n" for line in actual)
    return re.fullmatch("".join(pattern), got) is not None


def trimmed(lines):
    lines = [line for line in lines]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


class Test:
    def __init__(self, binary):
        self.passed = self.failed = 0
        self.binary = binary
        self.examples = pathlib.Path(binary).parent / "examples"

    def check(self, good, what, detail=""):
        if good:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED: {what}")
        if detail:
            print(detail)

    def compare(self, what, expected, actual):
        expected, actual = trimmed(expected), trimmed(actual)
        detail = "  expected:\n    " + "\n    ".join(expected) + "\n  printed:\n    " + "\n    ".join(actual)
        self.check(matches(expected, actual), what, detail)


class Page:
    """One page's scratch directory; must be used as a context."""

    def __init__(self, test, path):
        self.test, self.path = test, path
        self.text = path.read_text(encoding="utf-8")

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="kimberlite-docs-")
        top = pathlib.Path(self.scratch.name)
        for name in ("bin", "home", "work"):
            (top / name).mkdir()
        (top / "bin" / "kimberlite").symlink_to(self.test.binary)
        for program in ("clinic", "receipt"):
            (top / "bin" / program).symlink_to(self.test.examples / program)
        (top / "bin" / "kimberlite_verify.py").symlink_to(ROOT / "verifier" / "kimberlite_verify.py")
        self.work = top / "work"
        self.environment = {
            "PATH": f"{top}/bin:/usr/bin:/bin", "HOME": f"{top}/home", "LANG": "C.UTF-8",
            "LOGNAME": "ann", "USER": "ann", "TMPDIR": str(top), "NO_COLOR": "1",
        }
        self.database = False
        return self

    def __exit__(self, *_):
        self.scratch.cleanup()

    def run(self, command):
        done = subprocess.run(
            ["/bin/bash", "-c", command], cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace").splitlines()

    def script(self, block):
        if not self.database:
            self.run("kimberlite init db")
            self.database = True
        (self.work / "block.sql").write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        return self.run("kimberlite sql db -f block.sql --on-error continue --quiet")

    def place(self, block):
        return f"docs/{self.path.name}, line {block.line}"

    def examples(self):
        blocks = blocks_of(self.text)
        for i, block in enumerate(blocks):
            behind = blocks[i + 1] if i + 1 < len(blocks) else None
            if behind is not None and not (behind.kind == "text" and behind.adjacent):
                behind = None
            if block.kind not in KINDS:
                self.test.check(False, f"{self.place(block)}: no such kind of block: {block.kind}")
            elif block.kind == "console":
                self.console(block)
            elif block.kind == "sql":
                status, printed = self.script(block)
                what = f"{self.place(block)}: {block.lines[0] if block.lines else ''}"
                if behind is None:
                    self.test.check(status == 0 and not printed, what, "\n".join(printed))
                else:
                    self.test.compare(what, behind.lines, printed)
            elif block.kind == "csv":
                (self.work / block.name).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
            elif block.kind == "cpp":
                file = ROOT / block.name
                same = file.is_file() and file.read_text(encoding="utf-8") == "\n".join(block.lines) + "\n"
                self.test.check(same, f"{self.place(block)}: the block is not {block.name or 'named'}")

    def console(self, block):
        commands, expected = [], []
        for line in block.lines:
            if line.startswith("$ "):
                commands.append(line[2:])
                expected.append([])
            elif commands and commands[-1].endswith("\\") and not expected[-1]:
                commands[-1] += "\n" + line
            elif commands:
                expected[-1].append(line)
            else:
                self.test.check(False, f"{self.place(block)}: a console block begins with `$ `")
                return
        for command, wanted in zip(commands, expected):
            status, printed = self.run(command)
            what = f"{self.place(block)}: $ {command}"
            self.test.compare(what, wanted, printed)
            # A failure is shown as one, or it is not meant.
            shown = any("error[" in line for line in wanted)
            self.test.check(status == 0 or shown, f"{what}: exit {status}")

    def links(self):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", self.text):
            self.test.check((self.path.parent / target).exists(), f"docs/{self.path.name}: link to {target}")


def check_differences(test, text):
    """Each line of the section has an example, SQL with what it prints, before the next line."""
    section = text.split(DIFFERENCES, 1)[1] if DIFFERENCES in text else ""
    section = re.split(r"(?m)^## ", section)[0]
    lines = re.split(r"(?m)^- ", section)[1:]
    test.check(len(lines) > 0, f"docs/sql-reference.md has no lines under {DIFFERENCES!r}")
    for line in lines:
        kinds = [block.kind for block in blocks_of(line)]
        test.check(kinds[:2] == ["sql", "text"], f"no tested example: {line.splitlines()[0]}")


def check_errors(test, text):
    """docs/errors.md has each code of base/error.hpp once, with its number and exit status, and no other."""
    header = (ROOT / "src/base/include/base/error.hpp").read_text(encoding="utf-8")
    source = (ROOT / "src/base/error.cpp").read_text(encoding="utf-8")
    numbers = {name: int(value, 16) for name, value in re.findall(
        r"^\s+(\w+)\s*=\s*(0x[0-9A-Fa-f]{4}),", header.split("enum class Code", 1)[1], re.M)}
    names = dict(re.findall(r"case Code::(\w+):\s*return \"([^\"]+)\";", source))
    classes = {value: int(number) for value, number in re.findall(
        r"^  (\w+) = (\d+),", header.split("enum class ErrorClass", 1)[1].split("};")[0], re.M)}
    statuses, waiting = {}, []
    for name, status in re.findall(r"case ErrorClass::(\w+):|return (\d+);",
                                   source.split("int exit_status(", 1)[1].split("\n}\n")[0]):
        if name:
            waiting.append(name)
        else:
            statuses.update({classes[each]: status for each in waiting})
            waiting = []
    rows = re.findall(r"^\| `([a-z_.]+)` \| (0x[0-9A-F]{4}) \| (\d+) \| \S.* \|$", text, re.M)
    listed = {name: (int(number, 16), status) for name, number, status in rows}
    test.check(len(rows) == len(listed), "docs/errors.md names a code twice")
    test.check(len(numbers) > 0 and set(numbers) == set(names), "the codes of error.hpp were not understood")
    for enumerator, number in numbers.items():
        name = names.get(enumerator, enumerator)
        wanted = (number, statuses.get(number >> 8))
        test.check(listed.pop(name, None) == wanted, f"docs/errors.md: {name} is {number:#06x}, exit {wanted[1]}")
    test.check(not listed, f"docs/errors.md has codes that are none: {' '.join(listed)}")


def check_names(test, path):
    """What a page about the code calls `a::b`, `a` or `a/b.cpp` is there: it leads the reader by name."""
    sources = {file: file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.[ch]pp")}
    known = {"src"} | {part for file in sources for part in file.relative_to(ROOT).parts}
    prose = re.sub(r"(?ms)^```.*?^```", "", path.read_text(encoding="utf-8"))
    for name in sorted(set(re.findall(r"`([^`\n]+)`", prose))):
        if re.fullmatch(r"[A-Za-z]\w*(::\w+)*", name):
            *around, last = name.split("::")
            word = re.compile(rf"\b{last}\b")
            owner = word
            if around:
                room = rf"\b(?:class|struct|namespace)[^;{{]*\b{around[-1]}\b"
                owner = re.compile(rf"\b{around[-1]}::{last}\b|{room}")
            found = name in known or any(word.search(text) and owner.search(text) for text in sources.values())
        elif re.fullmatch(r"[\w/.]+\.[ch]pp", name):
            found = any(str(file).endswith("/" + name) for file in sources)
        else:
            continue
        test.check(found, f"{path.relative_to(ROOT)}: no `{name}` in the sources")


def main():
    binary = os.environ.get("KIMBERLITE", "")
    if not os.access(binary, os.X_OK):
        sys.exit("KIMBERLITE must be the path of the binary")
    test = Test(os.path.abspath(binary))
    pages = [ROOT / "docs" / f"{name}.md" for name in sys.argv[1:]] or sorted((ROOT / "docs").glob("*.md"))
    for path in pages:
        with Page(test, path) as page:
            page.examples()
            page.links()
            if path.name == "sql-reference.md":
                check_differences(test, page.text)
            if path.name == "errors.md":
                check_errors(test, page.text)
            if path.name.startswith("internals-"):
                check_names(test, path)
    if not sys.argv[1:]:
        check_names(test, ROOT / "ARCHITECTURE.md")
    print(f"{test.passed} passed, {test.failed} failed")
    return 1 if test.failed else 0


if __name__ == "__main__":
    sys.exit(main())
