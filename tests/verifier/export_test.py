#!/usr/bin/env python3
"""Packages of `kimberlite export --receipts`: the independent verifier and `kimberlite verify` take them, and nothing
that is nearly one. Both are asked each time, and must answer alike.

usage: export_test.py [--seed N] [--long]     (--long: ten times the mutations)

The attacker of these tests knows the format: unless a check is of the hashes themselves, he writes the manifest's hashes
again after each change.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "verifier"))
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402
import kimberlite_verify as v  # noqa: E402

SYNTHEA = pathlib.Path(os.environ.get("KIMBERLITE_SYNTHEA") or ROOT.parent / "shared/data/synthea")

TYPES = """CREATE TABLE every (id BIGINT PRIMARY KEY, s SMALLINT, i INTEGER, b BIGINT, r REAL, d DOUBLE, n DECIMAL(20,4),
  m DECIMAL, t TEXT, w VARCHAR(20), c CHAR(3), o BOOLEAN, day DATE, at TIME, ts TIMESTAMP, iv INTERVAL, u UUID, j JSON,
  y BYTES);
INSERT INTO every VALUES (1, -32768, 2147483647, 9223372036854775807, 1.5, -0.1, 12.5, 1000000000000000000000.125,
  'a "quoted" \\ text' || char(10) || char(9) || char(127) || char(8) || 'Zürich ☃', 'w', 'abc', TRUE, '2024-02-29',
  '10:30:00.25', '2024-01-15 10:30+02', '1 year 2 days 03:04:05.5', '7E57D004-2B97-0E7A-B45F-5387367791CD',
  '{"a": [1, "x"]}', x'00ff10');
INSERT INTO every (id) VALUES (-5);
INSERT INTO every VALUES (2, 0, -1, -9007199254740993, 1e300, 1e5, 0, 0, '', '', '', FALSE, '0001-01-01', '00:00:00',
  '9999-12-31T23:59:59.999999Z', 'P-1M2D', '00000000-0000-0000-0000-000000000000', 'null', x'');
UPDATE every SET t = 'changed', d = 1e22 WHERE id = 2;
CREATE TABLE loose (a TEXT, x BIGINT);
INSERT INTO loose VALUES ('same', 1), ('same', 1), (NULL, NULL);
UPDATE loose SET x = 2 WHERE a IS NULL;
"""
SHAPES = """CREATE TABLE kept (k DECIMAL, t TIMESTAMP, gone TEXT, name TEXT, PRIMARY KEY (k, t));
INSERT INTO kept VALUES (10, '2024-01-01T00:00:00.5Z', 'g', 'ten'), (9.5, '2024-01-01T00:00:00Z', 'g', 'nine'),
  (10, '2024-01-01T00:00:00Z', 'g', 'ten sharp');
CREATE INDEX kept_name ON kept (name);
CREATE VIEW names AS SELECT name FROM kept;
DROP VIEW names;
ALTER TABLE kept DROP COLUMN gone;
ALTER TABLE kept ADD COLUMN i INTEGER NOT NULL DEFAULT -5;
ALTER TABLE kept ADD COLUMN s TEXT DEFAULT 'it''s';
ALTER TABLE kept ADD COLUMN o BOOLEAN DEFAULT TRUE;
ALTER TABLE kept ADD COLUMN r DOUBLE DEFAULT 1.5;
ALTER TABLE kept ADD COLUMN n DECIMAL(8,2) DEFAULT 7;
ALTER TABLE kept ADD COLUMN unset BYTES;
ALTER TABLE kept RENAME COLUMN name TO called;
UPDATE kept SET s = 'new' WHERE k = 9.5;
CREATE TABLE spans (p INTERVAL PRIMARY KEY, g BIGINT GENERATED ALWAYS AS (1 + 2), f DOUBLE);
INSERT INTO spans (p, f) VALUES ('2 days', 1), ('P1M', 2), ('-03:00:00', 3), ('PT0.5S', 4);
CREATE TABLE receipts (id UUID PRIMARY KEY);
INSERT INTO receipts VALUES ('7e57d004-2b97-0e7a-b45f-5387367791cd'), ('00000000-0000-0000-0000-000000000001');
CREATE TABLE "odd/.. name" (b BYTES PRIMARY KEY, f BOOLEAN);
INSERT INTO "odd/.. name" VALUES (x'ff', TRUE), (x'00', FALSE), (x'0001', NULL);
CREATE TABLE empty (id BIGINT PRIMARY KEY);
CREATE TABLE dropped (id BIGINT PRIMARY KEY);
DROP TABLE dropped;
BEGIN;
INSERT INTO receipts VALUES ('00000000-0000-0000-0000-000000000002');
INSERT INTO loose VALUES ('in a transaction', 3);
INSERT INTO every (id, t) VALUES (100, 'first'), (101, 'other');
UPDATE every SET t = 'second' WHERE id = 100;
COMMIT;
"""


class Run:
    def __init__(self, test, rng, database):
        self.test, self.rng, self.db, self.count = test, rng, database, 0
        test.must("init", database)
        self.key_file = test.work / f"{database}.vkey"
        self.key = v.Key(self.key_file.read_text().strip())

    def sql(self, script):
        self.test.must("sql", self.db, "--quiet", text=script)

    def export(self, *options):
        """A new package; its directory, and what was said on stderr."""
        self.count += 1
        folder = self.test.work / f"{self.db}-{self.count}"
        status, _, errors = self.test.run("export", self.db, "--receipts", "-o", folder, *options)
        self.test.check(status == 0, f"export {' '.join(options)}", errors)
        return folder, errors

    def verify(self, folder, key_file=None):
        """What the binary says of it: its facts and None, or None and a code."""
        status, out, errors = self.test.run("verify", folder, "--log-key", key_file or self.key_file, "--format", "jsonl")
        answer = json.loads(out.splitlines()[0]) if out else {}
        code = answer["error"]["code"] if "error" in answer else None
        expected = 0 if code is None else 4 if code.startswith("unavailable.") else 3
        self.test.check(answer and status == expected, f"kimberlite verify: {code}, exit {status}", errors)
        return (answer, None) if code is None else (None, code)

    def code(self, folder, key_file=None):
        """The code both refuse it with, or None. Anything else than Refused is a crash."""
        code = None
        try:
            v.check_export(str(folder), v.Key(key_file.read_text().strip()) if key_file else self.key)
        except v.Refused as error:
            code = error.code
        _, other = self.verify(folder, key_file)
        self.test.check(code == other, f"both answer alike: {code}, and the binary {other}")
        return code

    def accepted(self, folder, what):
        try:
            found = v.check_export(str(folder), self.key)
        except v.Refused as error:
            self.test.check(False, f"{what} is accepted", str(error))
            return None
        facts, code = self.verify(folder)
        if not self.test.check(code is None, f"{what}, by the binary", code):
            return None
        self.test.equal(f"{what}, by both", [found["log"], found["position"], found["tree_size"], found["root"],
                                             len(found["tables"]), sum(t["rows"] for t in found["tables"]), found["items"],
                                             ", ".join(found["left_out"])],
                        [facts[name] for name in ("log", "position", "tree_size", "root", "tables", "rows", "items",
                                                  "left_out")])
        return found

    def refused(self, what, folder, code=None):
        found = self.code(folder)
        self.test.check(found is not None and code in (None, found), f"{what}: {code or 'refused'}, not {found}")

    def copy(self, folder):
        to = self.test.work / "copy"
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(folder, to)
        return to


def rehash(folder, change=None):
    """The manifest with the hashes of what is there now, and with what `change` makes of it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        if (folder / file["name"]).exists():
            file["sha256"] = hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest()
    if change:
        change(manifest)
    (folder / "manifest.json").write_text(v.json_text(manifest) + "\n")


def lines_at(folder, name):
    return (folder / name).read_bytes().splitlines(keepends=True)


def test_accepted(run):
    test = run.test
    run.sql(TYPES)
    early = test.head(run.db)[0]
    run.sql(SHAPES)
    doubles = [struct.unpack("<d", struct.pack("<Q", run.rng.getrandbits(64)))[0] for _ in range(150)]
    doubles += [run.rng.randrange(10**18) / 10 ** run.rng.randrange(-6, 24) for _ in range(150)]
    doubles = [d for d in doubles if d == d and abs(d) < 1e308]
    run.sql("CREATE TABLE numbers (d DOUBLE);\nINSERT INTO numbers VALUES "
            + ", ".join(f"({d!r})" for d in doubles) + ";\n")
    folder, said = run.export("--all")
    test.check("for ever" in said and "spans.g is computed" in said, "what is disclosed, and left out, is said", said)
    found = run.accepted(folder, "--all")
    if found is None:
        return folder, early
    counts = {table["name"]: table["rows"] for table in found["tables"]}
    test.equal("rows", {"every": 5, "loose": 4, "kept": 3, "spans": 4, "receipts": 3, "odd/.. name": 3, "empty": 0,
                        "numbers": len(doubles)}, counts)
    test.equal("left out", ["spans.g"], found["left_out"])
    for name in ("every", "loose", "kept", "numbers"):
        test.must("export", run.db, "--table", name, "-o", f"{name}.jsonl")
        test.check((test.work / f"{name}.jsonl").read_bytes() == (folder / f"{name}.jsonl").read_bytes(),
                   f"{name} as the plain export writes it")
    then, _ = run.export("--all", "--as-of", str(early))
    found = run.accepted(then, "--as-of")
    test.check(found and found["position"] == early and [t["name"] for t in found["tables"]] == ["every", "loose"],
               "the tables that were there")
    v.KEPT_ITEMS, kept = 1, v.KEPT_ITEMS
    run.accepted(folder, "--all, with one opened item kept")
    v.KEPT_ITEMS = kept
    one, _ = run.export("--table", "kept")
    run.accepted(one, "--table")
    return folder, early


def test_command_line(run, folder):
    test, script = run.test, ROOT / "verifier/kimberlite_verify.py"

    def ask(*arguments):
        return subprocess.run([sys.executable, script, "export", *map(str, arguments)], capture_output=True, text=True)

    done = ask(folder, "--log-key", test.work / "db.vkey")
    test.check(done.returncode == 0 and "not that none is missing" in done.stdout, "exit 0", done.stderr)
    done = ask(folder, test.work / "nothing", "--log-key", test.work / "db.vkey", "--json")
    first, second = map(json.loads, done.stdout.splitlines())
    test.check(done.returncode == 3 and first["ok"] and second["error"]["code"] == "not_found.file", "--json, exit 3")
    test.check(ask(folder, "--log-key", "nonsense").returncode == 2, "exit 2")
    status, out, errors = test.run("verify", folder, "--log-key", run.key_file)
    test.check(status == 0 and out.startswith("ok  ") and "not that none is missing" in out and not errors, "verify", out + errors)
    document = json.loads(test.must("verify", folder, "--log-key", run.key_file, "--format", "json"))
    test.check(document["ok"], "verify --format json", str(document))
    status, _, errors = test.run("verify", folder)
    test.check(status == 2 and "--log-key is missing" in errors, "verify without a key", errors)
    status, _, errors = test.run("verify", folder, "--log-key", run.key_file, "--projection")
    test.check(status == 2 and "usage.option" in errors, "verify --projection of a package", errors)
    status, _, errors = test.run("export", run.db, "--receipts", "--all", "-o", folder)
    test.check(status != 0 and "usage.not_empty" in errors, "a directory with files is not written to", errors)
    status, _, errors = test.run("export", run.db, "--receipts", "-c", "SELECT 1", "-o", "query")
    test.check(status == 2 and "usage." in errors, "a query is not exported so", errors)


def test_refused_exports(run):
    """What cannot be proved by the package is refused by the one that would write it."""
    run.sql("CREATE TABLE late (id BIGINT PRIMARY KEY);\nINSERT INTO late VALUES (1);\n"
            "ALTER TABLE late ADD COLUMN b BYTES DEFAULT x'00';\n")
    status, _, errors = run.test.run("export", run.db, "--receipts", "--table", "late", "-o", "late")
    run.test.check(status == 1 and "sql.unsupported" in errors, "a default that is no plain constant", errors)
    run.test.check(not (run.test.work / "late/manifest.json").exists(), "there is no manifest")
    run.sql(f"CREATE TABLE wide ({', '.join(f'c{i} BIGINT' for i in range(1000))});\nINSERT INTO wide (c1) VALUES (1);\n")
    status, _, errors = run.test.run("export", run.db, "--receipts", "--table", "wide", "-o", "wide")
    run.test.check(status != 0 and "limit.columns" in errors, "a table too wide to verify", errors)


def test_bytes(run, folder, rounds):
    """Any byte of any file: with the old hashes, and with new ones."""
    names = sorted(path.name for path in folder.iterdir())
    for name in names:
        data = (folder / name).read_bytes()
        accepted = []
        for _ in range(rounds if data else 0):
            at = run.rng.randrange(len(data))
            changed = data[:at] + bytes([data[at] ^ 1 << run.rng.randrange(8)]) + data[at + 1:]
            copy = run.copy(folder)
            (copy / name).write_bytes(changed)
            if name != "manifest.json":
                if run.rng.random() < 0.1:
                    run.refused(f"{name}, the hash as it was", copy, "integrity.export")
                rehash(copy)
            if run.code(copy) is None:
                accepted.append((at, changed[max(0, at - 20): at + 20]))
        run.test.check(not accepted, f"{name}: {len(accepted)} mutations accepted", str(accepted[:2]))


def test_lines(run, folder):
    for name in ("every.jsonl", "every.proofs", "loose.jsonl", "loose.proofs", "schema.jsonl", "receipts.jsonl"):
        lines = lines_at(folder, name)
        for what, changed in (("swapped", [lines[1], lines[0], *lines[2:]]), ("dropped", lines[:-1]),
                              ("the first dropped", lines[1:]), ("doubled", [lines[0], *lines]),
                              ("one more", [*lines, lines[-1]]), ("empty", []), ("no last end", None)):
            copy = run.copy(folder)
            if changed == lines:
                continue  # two rows without a key may be alike
            (copy / name).write_bytes(b"".join(lines)[:-1] if changed is None else b"".join(changed))
            rehash(copy)
            run.refused(f"{name} {what}", copy, "integrity.export")
    for at in range(len(lines_at(folder, "loose.jsonl"))):
        copy = run.copy(folder)
        for name in ("loose.jsonl", "loose.proofs"):
            lines = lines_at(folder, name)
            (copy / name).write_bytes(b"".join(lines[:at] + [lines[at]] + lines[at:]))
        rehash(copy, lambda m: m["tables"][1].update(rows=m["tables"][1]["rows"] + 1))
        run.refused("a row twice, with its proof", copy, "integrity.export")


def test_values(run, folder):
    """A row's value, a proof's numbers, a receipt of another record."""
    for name, old, new in (("every.jsonl", b'"changed"', b'"forged"'), ("every.jsonl", b"null", b"1"),
                           ("every.jsonl", b'"id":-5', b'"id":-6'), ("loose.jsonl", b'"x":1', b'"x":1.0'),
                           ("every.jsonl", b"true", b"false"), ("every.jsonl", b'{"id":1', b'{"id": 1')):
        data = (folder / name).read_bytes()
        copy = run.copy(folder)
        (copy / name).write_bytes(data.replace(old, new, 1))
        rehash(copy)
        run.test.check(old in data, f"{old} is there")
        run.refused(f"{name}: {old} as {new}", copy, "integrity.export")
    for name in ("every.proofs", "loose.proofs"):
        lines = lines_at(folder, name)
        for at, line in enumerate(lines):
            numbers = [int(n) for n in line.split()]
            for part in range(3):
                for by in (-1, 1):
                    other = [n + by * (i == part) for i, n in enumerate(numbers)]
                    copy = run.copy(folder)
                    lines_now = lines[:at] + [" ".join(map(str, other)).encode() + b"\n"] + lines[at + 1:]
                    (copy / name).write_bytes(b"".join(lines_now))
                    rehash(copy)
                    run.refused(f"{name}, line {at + 1}: {other}", copy, "integrity.export")
    # Nothing of a head is looked at before its signature is.
    lines = lines_at(folder, "head")
    copy = run.copy(folder)
    (copy / "head").write_bytes(b"".join([*lines[:2], b"*" + lines[2][1:], *lines[3:]]))
    rehash(copy)
    run.refused("a head whose root is no hash", copy, "integrity.signature")
    receipts = [json.loads(line) for line in lines_at(folder, "receipts.jsonl")]
    for position in (receipts[0]["position"], receipts[1]["position"]):
        copy = run.copy(folder)
        forged = [{"position": position, "receipt": receipts[1]["receipt"]}, *receipts[1:]]
        (copy / "receipts.jsonl").write_text("".join(v.json_text(each) + "\n" for each in forged))
        rehash(copy)
        run.refused("the receipt of another record", copy, "integrity.export")


def test_intermediate(run, folder):
    """A value that stood within a transaction only was never a row of the table."""
    lines = lines_at(folder, "every.proofs")
    rows = lines_at(folder, "every.jsonl")
    at = next(i for i, row in enumerate(rows) if b'"second"' in row)
    position, item, change = map(int, lines[at].split())
    hits = 0
    for other in range(change):
        copy = run.copy(folder)
        (copy / "every.jsonl").write_bytes(b"".join(rows).replace(b'"second"', b'"first"'))
        (copy / "every.proofs").write_bytes(
            b"".join(lines[:at] + [f"{position} {item} {other}\n".encode()] + lines[at + 1:]))
        rehash(copy)
        hits += 1
        run.refused("what an earlier change of the record says", copy, "integrity.export")
    run.test.check(hits == change, "all earlier changes were tried")


def test_manifest(run, folder, other):
    def table(m, name="every"):
        return next(t for t in m["tables"] if t["name"] == name)

    def swapped(m):
        columns = table(m)["columns"]
        columns[1]["name"], columns[2]["name"] = columns[2]["name"], columns[1]["name"]

    changes = [
        ("its position", lambda m: m.update(position=m["position"] - 1)),
        ("its size", lambda m: m.update(tree_size=m["tree_size"] + 1)),
        ("its log", lambda m: m.update(log="kimberlite/" + "0" * 32)),
        ("a member more", lambda m: m.update(more=1)),
        ("a member less", lambda m: m.pop("tree_size")),
        ("a text for a number", lambda m: m.update(position=str(m["position"]))),
        ("true for a number", lambda m: table(m).update(rows=True)),
        ("a negative number", lambda m: table(m).update(rows=-1)),
        ("the number of rows", lambda m: table(m).update(rows=table(m)["rows"] + 1)),
        ("another table's id", lambda m: table(m).update(table=99)),
        ("a table's name", lambda m: table(m).update(name="other")),
        ("a table's file", lambda m: table(m).update(file="../db")),
        ("names of columns swapped", swapped),
        ("a column's type", lambda m: table(m)["columns"][1].update(type="BIGINT")),
        ("a column less", lambda m: table(m)["columns"].pop()),
        ("no key", lambda m: table(m).update(primary_key=[])),
        ("a table less", lambda m: m["tables"].pop()),
        ("tables swapped", lambda m: m["tables"].reverse()),
        ("a file less", lambda m: m["files"].pop()),
        ("a list for an object", lambda m: m.update(tables=[[]])),
    ]
    for what, change in changes:
        copy = run.copy(folder)
        rehash(copy, change)
        run.refused(f"the manifest: {what}", copy, "integrity.export")
    copy = run.copy(folder)
    rehash(copy, lambda m: m.update(format="kimberlite/export@v2"))
    run.refused("a later version", copy, "unavailable.version")
    for text in ("", "{", "[]", "null", "[" * 100_000, '{"format":1}', "9" * 5000):
        (copy / "manifest.json").write_text(text)
        run.refused("a manifest that is none", copy, "integrity.export")
    for what, spoil in (("a file more", lambda c: (c / "notes").write_text("x")),
                        ("a file less", lambda c: (c / "receipts.jsonl").unlink()),
                        ("a directory for a file", lambda c: ((c / "head").unlink(), (c / "head").mkdir()))):
        copy = run.copy(folder)
        spoil(copy)
        run.refused(what, copy, "integrity.export")
    for name in ("head", "as-of.receipt", "schema.jsonl", "receipts.jsonl"):
        copy = run.copy(folder)
        shutil.copy(other / name, copy / name)
        rehash(copy)
        run.refused(f"{name} of another package", copy)


def test_another_log(run, folder):
    run.test.must("init", "other")
    run.test.check(run.code(folder, run.test.work / "other.vkey") == "integrity.signature", "another key")


def test_synthea(test, rng):
    if not SYNTHEA.is_dir():
        return test.skip("medical records", f"there is no {SYNTHEA}: KIMBERLITE_SYNTHEA names another place")
    run = Run(test, rng, "clinic")
    names = ("patients", "allergies", "encounters", "medications", "payers")
    test.must("import", run.db, *(SYNTHEA / f"{name}.csv" for name in names), "--create", "--quiet")
    begun = time.monotonic()
    folder, _ = run.export("--all")
    exported = time.monotonic()
    found = run.accepted(folder, "medical records")
    if found:
        test.say(f"{sum(t['rows'] for t in found['tables'])} rows of medical records, exported in "
                 f"{exported - begun:.1f} s, verified in {time.monotonic() - exported:.1f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    test = harness.Test("export")
    run = Run(test, rng, "db")
    folder, early = test_accepted(run)
    test_command_line(run, folder)
    test_refused_exports(run)
    small, _ = run.export("--all", "--as-of", str(early))
    run.sql("INSERT INTO loose VALUES ('later', 4);\n")  # so that the next head is another one
    larger, _ = run.export("--table", "every")
    test_bytes(run, small, 200 if options.long else 15)
    test_lines(run, small)
    test_values(run, small)
    test_intermediate(run, folder)
    test_manifest(run, small, larger)
    test_another_log(run, folder)
    test_synthea(test, rng)
    return test.finish()


if __name__ == "__main__":
    sys.exit(main())
