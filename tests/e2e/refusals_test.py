#!/usr/bin/env python3
"""Bad input, each with its own code and no effect: statements, files, command lines, directories, disks, signals.

usage: refusals_test.py [--seed N] [--long]     (--long: 200 damaged bytes instead of 12)

Of each error: the code, the exit status, the parts of its text (what, where, why, next), no value in it that was
stored or given; and afterwards the head and the rows are what they were.
"""
import argparse
import json
import os
import pwd
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

import harness

SECRET = "s3cret"
TABLE = """CREATE TABLE patients (id BIGINT PRIMARY KEY, name TEXT NOT NULL, city VARCHAR(10), n SMALLINT CHECK (n > 0),
  d DECIMAL(5,2), born DATE, code TEXT UNIQUE) WITH (class = phi)"""

# (statement, code, position "line, column" or None): all in one session.
STATEMENTS = [
    ("SELEC 1", "sql.syntax", (1, 1)),
    ("SELECT name\nFROM patients\nWHERE", "sql.syntax", (3, 6)),
    ("SELECT 1 FROM patiens", "not_found.table", (1, 15)),
    ("SELECT nme FROM patients", "not_found.column", (1, 8)),
    ("SELECT foo(1)", "not_found.function", (1, 8)),
    ("INSERT INTO patients VALUES (2, 'a', 'b')", "sql.misuse", (1, 30)),
    (f"INSERT INTO patients (id, name, n) VALUES (2, '{SECRET}', 40000)", "type.range", None),
    (f"INSERT INTO patients (id, name, n) VALUES (2, 'a', '{SECRET}')", "type.format", None),
    ("INSERT INTO patients (id, name, born) VALUES (2, 'a', '1.2.2000')", "type.format", None),
    (f"INSERT INTO patients (id, name, city) VALUES (2, 'a', '{SECRET}-too-long')", "type.range", None),
    ("INSERT INTO patients (id, name, d) VALUES (2, 'a', 12345.678)", "type.range", None),
    ("INSERT INTO patients (id, name, n) VALUES (2, 'a', 1), (3, 'b', 70000)", "type.range", None),
    (f"INSERT INTO patients (id, name) VALUES (2, 'new'), (1, '{SECRET}')", "constraint.primary_key", None),
    (f"INSERT INTO patients (id, name, code) VALUES (2, '{SECRET}', '{SECRET}')", "constraint.unique", None),
    ("INSERT INTO patients (id) VALUES (2)", "constraint.not_null", None),
    ("INSERT INTO patients (id, name, n) VALUES (2, 'a', -3)", "constraint.check", None),
    ("UPDATE patients SET id = 'x'", "type.format", None),
    ("SELECT 'abc", "sql.text", (1, 8)),
    ("SELECT * FROM patients AS OF POSITION 99999", "not_found.position", (1, 39)),
    ("SELECT * FROM patients AS OF TIMESTAMP '2999-01-01'", "not_found.time", (1, 40)),
    ("SELECT * FROM patients AS OF POSITION 1", "not_found.then", (1, 15)),
    ("CREATE TABLE patients (id BIGINT)", "constraint.exists", (1, 14)),
    ("CREATE TABLE x (a NONSENSE)", "sql.unsupported", (1, 19)),
    ("CREATE TABLE x (a BIGINT, A TEXT)", "constraint.exists", None),
    ("ALTER TABLE patients DROP COLUMN id", "constraint.dependency", (1, 34)),
    ("DROP TABLE nope", "not_found.table", (1, 12)),
    ("DELETE FROM __records", "sql.read_only", (1, 13)),
    ("SELECT * FROM sqlite_schema", "denied.object", (1, 15)),
    ("UPDATE patients SET __from = 1", "denied.object", None),
    ("PRAGMA journal_mode", "sql.unsupported", (1, 1)),
    ("SELECT 1 WITH REASON 'x'", "sql.misuse", None),
    ("COMMIT", "sql.transaction", (1, 1)),
    ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "limit.depth", None),
    ("SELECT '" + "y" * 1_100_000 + "'", "limit.statement", (1, 1)),
    (b"SELECT 'a\xffb'", "sql.text", None),
    (b"SELECT 'a\0b'", "sql.text", None),
]

# (name, bytes, options, code, where it says so or None)
FILES = [
    ("ragged", b"id,name\n100,a\n101,b,c\n", [], "usage.csv", "line 3"),
    ("short", b"id,name\n100,a\n101\n", [], "usage.csv", "line 3"),
    ("quote", b'id,name\n100,"a"x\n', [], "usage.csv", "line 2"),
    ("unclosed", b'id,name\n100,"a\n', [], "usage.csv", "line 2"),
    ("column_more", b"id,name,zzz\n100,a,b\n", [], "not_found.column", "header"),
    ("named_twice", b"id,id\n100,2\n", [], "usage.csv", "line 1"),
    ("empty", b"", [], "usage.csv", None),
    ("nul", b"id,name\n102,a\0b\n", [], "usage.csv", "line 2"),
    ("not_utf8", b"id,name\n102,a\xffb\n", [], "usage.csv", "line 2"),
    ("type", b"id,name\n100,a\ns3cret,b\n", [], "type.format", "line 3"),
    ("range", b"id,name,n\n100,a,s3cret\n", [], "type.format", "line 2"),
    ("large_row", b"id,name\n103," + b"x" * 1_100_000 + b"\n", [], "limit.row", "lines 2 to 2"),
    ("key_there", b"id,name\n110,a\n1,s3cret\n", [], "constraint.primary_key", "lines 2 to 3"),
    ("atomic", b"id,name\n" + b"".join(b"%d,a\n" % i for i in range(1000, 3500)) + b"1,s3cret\n", ["--atomic"],
     "constraint.primary_key", "line"),
    ("json.jsonl", b'{"id":105,"name":"a"}\n{"id":106,"name":\n', [], "usage.json", "line 2"),
    ("no_table", b"id,name\n1,a\n", ["--table", "nowhere"], "not_found.table", None),
    ("there", b"id,name\n1,a\n", ["--create"], "constraint.exists", None),
]

# (arguments; DB is the database, code, exit status)
COMMANDS = [
    (["sql", "DB", "--nope"], "usage.option"),
    (["squl", "DB"], "usage.command"),
    (["sql"], "usage.target"),
    (["sql", "DB", "-c", "SELECT 1", "--format", "xml"], "usage.config"),
    (["sql", "DB", "-c", "SELECT 1", "--timeout", "abc"], "usage.option"),
    (["sql", "DB", "-c", "SELECT 1", "--tenant", "nobody"], "not_found.tenant"),
    (["sql", "kimberlite://host:1", "-c", "SELECT 1"], "usage.target"),
    (["sql", "@nope", "-c", "SELECT 1"], "usage.target"),
    (["sql", "nowhere", "-c", "SELECT 1"], "usage.not_ours"),
    (["sql", "/etc", "-c", "SELECT 1"], "usage.not_ours"),
    (["sql", "DB", "-c", "SELECT 1", "--config", "unknown.toml"], "usage.config"),
    (["sql", "DB", "-c", "SELECT 1", "--config", "none.toml"], "not_found.file"),
    (["sql", "DB", "-f", "none.sql"], "not_found.file"),
    (["sql", "DB", "-c", "SELECT :y", "--param", "x=1"], "not_found.parameter"),
    (["sql", "DB", "--timeout", "100ms", "-c",
      "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT sum(n) FROM c"], "timeout.statement"),
    (["sql", "DB", "--as-of", "99999", "-c", "SELECT 1"], "not_found.position"),
    (["sql", "DB", "--as-of", "soon", "-c", "SELECT 1"], "usage.option"),
    (["sql", "DB", "--as-of", "3", "-c", "DELETE FROM patients"], "sql.read_only"),
    (["import", "DB", "none.csv", "--table", "patients"], "not_found.file"),
    (["export", "DB", "-o", "x.csv"], "usage.option"),
    (["export", "DB", "--table", "patiens", "-o", "x.csv"], "not_found.table"),
    (["export", "DB", "--table", "patients", "-o", "x.csv", "--as-of", "1"], "not_found.then"),
    (["export", "DB", "--table", "patients", "-o", "x.csv", "--as-of", "99999"], "not_found.position"),
    (["history", "DB", "nope", "1"], "not_found.table"),
    (["history", "DB", "patients", "1", "2"], "usage.option"),
    (["log", "DB", "--since", "soon"], "usage.option"),
    (["receipt", "get", "DB", "soon"], "usage.option"),
    (["receipt", "get", "DB", "0"], "usage.option"),
    (["receipt", "get", "DB", "1000"], "not_found.position"),
    (["receipt", "get", "DB", "18446744073709551616"], "usage.option"),
    (["receipt", "get", "DB", "1", "--item", "9"], "not_found.object"),
    (["head", "prove", "DB", "1000"], "not_found.object"),
    (["head", "prove", "DB", "no-such.head"], "not_found.file"),
    (["verify", "DB", "--since", "no-such.head"], "usage.option"),
    (["verify", "DB", "--log-key", "a+b+c"], "usage.key"),
    (["verify", "DB", "--log-key", "no-such.vkey"], "not_found.file"),
    (["inspect", "/etc/passwd"], "usage.not_ours"),
    (["tenant", "create", "DB", "BAD NAME"], "limit.name"),
    (["tenant", "create", "DB", "main"], "constraint.exists"),
    (["init", "DB"], "usage.not_empty"),
    (["init", "full"], "usage.not_empty"),
    (["sql", "DB", "-c", "SELECT 1", "--key-file", "none.key"], "unavailable.key"),
    (["sql", "DB", "-c", "SELECT 1", "--key-file", "garbage.key"], "unavailable.key"),
    (["sql", "DB", "-c", "SELECT 1", "--key-file", "OTHER"], "unavailable.wrong_key"),
    (["verify", "nowhere"], "usage.not_ours"),
]
EXITS = {"sql": 1, "type": 1, "constraint": 1, "not_found": 1, "usage": 2, "integrity": 3, "unavailable": 4, "limit": 4,
         "timeout": 4, "denied": 5, "conflict": 6, "interrupted": 9}


def exit_of(code):
    return EXITS[code.split(".")[0]]


class Refusals:
    def __init__(self, test, seed, damages):
        self.test, self.rng, self.damages = test, random.Random(seed), damages
        self.db = test.work / "db"

    def begin(self):
        self.key = self.make(self.db)
        self.other_key = self.make(self.test.work / "other")
        self.test.must("sql", self.db, "--quiet", "-c", TABLE, "-c",
                       f"INSERT INTO patients VALUES (1, '{SECRET}', 'Boston', 1, 1, '2000-01-01', '{SECRET}')")
        self.before = self.state()

    def make(self, directory):
        """The path of the new directory's key."""
        return json.loads(self.test.must("init", directory, "--format", "jsonl", "--quiet"))["key_file"]

    def state(self):
        rows = self.test.rows(self.db, "SELECT * FROM patients ORDER BY id")
        tables = self.test.rows(self.db, "SHOW TABLES")
        return self.test.head(self.db), rows, tables

    def unchanged(self, what):
        self.test.equal(f"{what}: head, rows and tables are what they were", self.before, self.state())

    def refused(self, what, status, out, errors, code, *needs, exits=None):
        """An error text of its form: `error[code]: what`, and where, why and next as far as they are known."""
        _, _, rest = errors.partition("error[")
        good = self.test.check(rest.startswith(code + "]: ") and len(rest.splitlines()[0]) > len(code) + 8,
                               f"{what}: {code}", errors or out)
        exits = exits or exit_of(code)
        self.test.check(status == exits, f"{what}: exit {status}, {exits} expected")
        parts = [line.split(":")[0].strip() for line in rest.splitlines()[1:]]
        for need in needs or [()]:
            self.test.check((need in parts) if need else any(p in ("where", "why", "next") for p in parts),
                            f"{what}: says {need or 'where, why or next'}", errors)
        self.test.check(SECRET not in errors.replace("s3cret.csv", ""), f"{what}: shows no value", errors)
        return good

    # Statements.

    def statements(self):
        for statement, code, place in STATEMENTS:
            # A text that is not closed takes all that follows: each of those is a script of its own.
            if code == "sql.text":
                script = self.test.work / "script.sql"
                script.write_bytes(statement if isinstance(statement, bytes) else statement.encode())
                status, out, _ = self.test.run("sql", self.db, "--quiet", "--format", "jsonl", "-f", script)
                self.refusal(statement, code, place, json.loads(out.splitlines()[-1]).get("error"))
                self.test.check(status == 1, f"{statement!r}: exit {status}")
        session = harness.Session(self.test, self.db)
        start = session.ask("SELECT count(*) FROM patients").position
        for statement, code, place in STATEMENTS:
            if code != "sql.text":
                self.refusal(statement, code, place, session.ask(statement).error)
        self.test.check("did you mean patients?" in str(session.ask("SELECT 1 FROM patiens").error), "the nearest name")
        self.test.check(session.ask("SELECT count(*) FROM patients").position == start, "no refused statement is a record")
        session.close()
        script = "".join(f"INSERT INTO patients (id, name) VALUES ({i}, '{'x' * 900_000}');\n" for i in range(20, 26))
        path = self.test.work / "large.sql"
        path.write_text(script)
        status, out, errors = self.test.run("sql", self.db, "--quiet", "--atomic", "-f", path)
        self.refused("a request of 5 MB", status, out, errors, "limit.request")
        self.unchanged("statements")

    def refusal(self, statement, code, place, error):
        what = repr(statement[:60])
        if not self.test.check(error is not None and error["code"] == code, f"{what}: {code}", str(error)):
            return
        self.test.check(error["exit"] == exit_of(code), f"{what}: exit {error['exit']}")
        match = re.fullmatch(r"statement \d+, line (\d+), column (\d+)", error.get("where", ""))
        self.test.check(match and (not place or int(match[2]) == place[1]), f"{what}: where", error.get("where"))
        self.test.check(SECRET not in str(error), f"{what}: shows no value", str(error))

    # Files.

    def files(self):
        for name, data, options, code, where in FILES:
            path = self.test.work / (name if "." in name else f"{name}.csv")
            path.write_bytes(data)
            target = options if "--table" in options else ["--table", "patients", *options]
            status, out, errors = self.test.run("import", self.db, path, "--quiet", *target)
            self.refused(f"import of {path.name}", status, out, errors, code, "where")
            self.test.check(path.name in errors and (where or "") in errors, f"import of {path.name}: says {where}", errors)
        self.unchanged("files")
        good = self.test.work / "good.csv"
        good.write_bytes(b"\xef\xbb\xbfid,name\r\n50,with a BOM and CRLF\r\n")
        status, _, errors = self.test.run("import", self.db, good, "--table", "patients", "--quiet")
        rows = self.test.rows(self.db, "SELECT name FROM patients WHERE id = 50")
        self.test.check(status == 0 and rows == [{"name": "with a BOM and CRLF"}], "a BOM and CRLF are fine", errors + str(rows))
        skipped = self.test.work / "skipped.csv"
        skipped.write_bytes(b"id,name\n60,a\n61,b,c\n62,d\n")
        status, out, errors = self.test.run("import", self.db, skipped, "--table", "patients", "--quiet", "--on-error", "skip",
                                            "--rejects", self.test.work / "rejects.csv")
        self.test.check(status == 0 and (self.test.work / "rejects.csv").read_bytes() == b"61,b,c\n", "--on-error skip --rejects",
                        out + errors)
        once = self.test.work / "once.csv"
        once.write_bytes(b"id,name\n70,a\n71,b\n")
        for _ in range(2):
            status, out, errors = self.test.run("import", self.db, once, "--table", "patients", "--quiet", "--atomic")
            self.test.check(status == 0 and "2 rows" in out, "an atomic import run again is done once", out + errors)
        self.before = self.state()

    # Command lines.

    def commands(self):
        work = self.test.work
        (work / "unknown.toml").write_text('targt = "x"\n')
        (work / "garbage.key").write_text("hello\n")
        (work / "full").mkdir()
        (work / "full" / "something").write_text("mine")
        for arguments, code in COMMANDS:
            real = [{"DB": str(self.db), "OTHER": self.other_key}.get(word, word) for word in arguments]
            status, out, errors = self.test.run(*real)
            needs = ["next"] if code.startswith(("usage", "unavailable")) else []
            self.refused("kimberlite " + " ".join(arguments)[:70], status, out, errors, code, *needs)
        self.test.check((work / "full" / "something").read_text() == "mine", "init leaves a directory that is not empty alone")
        status, out, _ = self.test.run("sql", self.db, "-c", "SELECT nope", "--format", "json")
        document = json.loads(out)
        self.test.check(status == 1 and document["ok"] is False and document["error"]["code"] == "not_found.column",
                        "--format json holds the error", out)
        self.unchanged("command lines")

    # Directories.

    def directories(self):
        holder = harness.Session(self.test, self.db)
        holder.ask("SELECT 1")
        for arguments in (["sql", self.db, "-c", "SELECT 1"], ["verify", self.db], ["import", self.db, "x.csv"]):
            status, out, errors = self.test.run(*arguments)
            self.refused(f"{arguments[0]} of a directory in use", status, out, errors, "unavailable.in_use", "where", "why", "next")
            self.test.check(f"pid {holder.process.pid}" in errors, "it says who holds it", errors)
        holder.close()
        kept = self.test.work / "kept.key"
        shutil.move(self.key, kept)
        status, out, errors = self.test.run("sql", self.db, "-c", "SELECT 1")
        self.refused("without the key", status, out, errors, "unavailable.key", "where", "why", "next")
        self.test.check(self.test.run("verify", self.db)[0] == 0, "verify needs no key")
        self.test.check(self.test.run("sql", self.db, "-c", "SELECT 1", "--key-file", kept)[0] == 0, "--key-file names it")
        shutil.move(kept, self.key)
        newer = self.test.work / "newer"
        shutil.copytree(self.db, newer)
        self.make_newer(newer / "superblock")
        files = {path: path.read_bytes() for path in newer.rglob("*") if path.is_file() and path.name != "lock"}
        for command in (["sql", newer, "-c", "SELECT 1"], ["verify", newer]):
            status, out, errors = self.test.run(*command)
            # What verify did not read through is 3, whatever kept it.
            self.refused(f"{command[0]} of a directory of a newer format", status, out, errors, "unavailable.version", "next",
                         exits=3 if command[0] == "verify" else 4)
        self.test.check(all(path.read_bytes() == data for path, data in files.items()), "not a byte of it is changed")
        shutil.rmtree(newer)
        self.unchanged("directories")

    def make_newer(self, superblock):
        data = bytearray(superblock.read_bytes())
        for at in range(0, len(data), 4096):
            copy = data[at:at + 4096]
            self.test.check(blake3(bytes(copy[32:])) == bytes(copy[:32]), "a copy of the superblock has its checksum")
            struct.pack_into("<H", copy, 40, 2)
            copy[:32] = blake3(bytes(copy[32:]))
            data[at:at + 4096] = copy
        superblock.write_bytes(data)

    def read_only(self):
        """A directory its user may not write to; root may all, so it is another user who tries."""
        if os.getuid() != 0:
            self.test.skip("read-only directory", "needs root, to be another user")
            return
        nobody = pwd.getpwnam("nobody")
        shown = self.test.work / "shown"
        shutil.copytree(self.db, shown)
        key = self.test.work / "shown.key"
        shutil.copy(self.key, key)
        os.chown(key, nobody.pw_uid, nobody.pw_gid)
        for path in (self.test.top, self.test.work, shown, *shown.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o444)
        program = self.test.work / "program"
        shutil.copy(self.test.binary, program)
        program.chmod(0o755)
        done = subprocess.run([program, "sql", shown, "-c", "INSERT INTO patients (id, name) VALUES (9, 'a')", "--key-file", key],
                              capture_output=True, user=nobody.pw_uid, group=nobody.pw_gid, env=self.test.environment,
                              cwd="/", check=False)
        self.refused("a read-only directory", done.returncode, done.stdout.decode(), done.stderr.decode(),
                     "unavailable.permission", "why")
        self.test.check(all(path.read_bytes() == (self.db / path.relative_to(shown)).read_bytes()
                            for path in shown.rglob("*") if path.is_file() and path.name != "lock"), "nothing in it is changed")
        program.unlink()
        shutil.rmtree(shown)

    def full_disk(self):
        place = self.test.work / "disk"
        place.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", place], capture_output=True, check=False)
        if mounted.returncode != 0:
            self.test.skip("full disk, read-only file system", mounted.stderr.decode().strip() or "tmpfs cannot be mounted here")
            return
        try:
            self.on_small_disk(place)
        finally:
            subprocess.run(["umount", place], check=False)

    def on_small_disk(self, place):
        db = place / "db"
        self.make(db)
        self.test.must("sql", db, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)", "-c", "INSERT INTO t VALUES (1)")
        before = self.test.head(db)
        fill(place / "fill", 300)
        insert = ["sql", db, "-c", "INSERT INTO t VALUES (2)"]
        self.refused("a write when the disk is nearly full", *self.test.run(*insert), "unavailable.disk_low", "why", "next")
        fill(place / "rest", 600)
        self.refused("a write when the disk is full", *self.test.run(*insert), "unavailable.disk_low", "why", "next")
        self.refused("an export to a full disk", *self.test.run("export", db, "--table", "t", "-o", place / "t.csv"),
                     "unavailable.disk_full", "where", "next")
        self.refused("init on a full disk", *self.test.run("init", place / "more"), "unavailable.disk_full", "where", "next")
        self.test.check(self.test.rows(db, "SELECT id FROM t") == [{"id": 1}], "reads go on when the disk is full")
        self.test.check(self.test.head(db) == before, "nothing was recorded")
        (place / "fill").unlink()
        (place / "rest").unlink()
        self.test.must(*insert)
        status, out, errors = self.test.run("verify", db, "--projection")
        self.test.check(status == 0 and self.test.head(db)[0] == before[0] + 1, "with room again it goes on", out + errors)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        self.refused("a read-only file system", *self.test.run("sql", db, "-c", "INSERT INTO t VALUES (3)"), "unavailable.read_only",
                     "why", "next")

    # Signals and outputs.

    def interrupts(self):
        rows = 150_000
        path = self.test.work / "long.csv"
        with open(path, "w", encoding="utf-8") as out:
            out.write("id,name\n")
            out.writelines(f"{i},row {i}\n" for i in range(1, rows + 1))
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            process = self.test.popen("import", self.db, path, "--table", f"long{signal_number}", "--create", "--primary-key", "id",
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            size = self.log_size()
            while process.poll() is None and self.log_size() < size + 500_000:
                time.sleep(0.002)
            process.send_signal(signal_number)
            out, errors = process.communicate(timeout=60)
            text = errors.decode()
            taken = self.test.rows(self.db, f"SELECT count(*) AS n FROM long{signal_number}")[0]["n"]
            self.test.check(process.returncode == 9, f"a stopped import: exit {process.returncode}", text)
            self.test.check("no write was in flight" in text and f"{taken} rows" in text.replace(",", ""),
                            "it says what was in flight, and how much is in", text)
            self.test.check(0 < taken < rows and taken % 1000 == 0, f"{taken} of {rows} rows are in")
            out = self.test.must("import", self.db, path, "--table", f"long{signal_number}", "--create", "--primary-key", "id")
            taken = self.test.rows(self.db, f"SELECT count(*) AS n, sum(id) AS s FROM long{signal_number}")[0]
            self.test.check(taken["n"] == rows and taken["s"] == rows * (rows + 1) // 2, "run again, all rows are there once",
                            f"{out} {taken}")
            self.test.must("sql", self.db, "--quiet", "-c", f"DROP TABLE long{signal_number}")
        process = self.test.popen("sql", self.db, "-c",
                                  "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT sum(n) FROM c",
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
        self.test.check(process.returncode == 9, f"a stopped query: exit {process.returncode}", errors.decode())
        self.before = self.state()

    def log_size(self):
        return sum(file.stat().st_size for file in self.db.glob("tenants/1/data/*.segment"))

    def outputs(self):
        query = ["sql", self.db, "-c", "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300000) "
                                       "SELECT n, 'some text' AS t FROM c", "--format", "csv", "--quiet"]
        process = self.test.popen(*query, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read().decode()
        self.refused("a reader that has gone", process.wait(60), "", errors, "unavailable.io", "why")
        with open("/dev/full", "wb") as full:
            self.refused("stdout on a full device", *self.test.run(*query, stdout=full), "unavailable.io", "why")
        write = ["sql", self.db, "-c", "INSERT INTO patients (id, name) VALUES (80, 'a') RETURNING id"]
        process = self.test.popen(*write, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
        errors = process.stderr.read().decode()
        self.refused("a closed stdout", process.wait(60), "", errors, "unavailable.io", "why")
        # What was written before the answer could not be shown is there, and nothing else.
        self.test.check(self.test.rows(self.db, "SELECT count(*) AS n FROM patients WHERE id = 80")[0]["n"] == 1,
                        "the write whose answer nobody took is there")
        self.before = self.state()

    # A damaged byte.

    def damage(self):
        self.test.must("sql", self.db, "--quiet", "-c", "SELECT 1")
        files = [path for path in self.db.rglob("*") if path.is_file() and path.name not in ("lock", "journal")
                 and not path.name.endswith(("-wal", "-shm")) and path.stat().st_size > 0]
        found = 0
        for number in range(self.damages):
            path = files[number % len(files)]
            data = path.read_bytes()
            at = self.rng.randrange(len(data))
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ (1 << self.rng.randrange(8))]))
            status, out, errors = self.test.run("verify", self.db, "--projection")
            name = str(path.relative_to(self.db))
            if status == 0:
                # Then nothing reads that byte, and inspect must say so.
                status, out, errors = self.test.run("inspect", path, "--format", "jsonl", "--quiet")
                unused = [range(row["byte"], row["byte"] + row["size"]) for row in map(json.loads, out.splitlines())
                          if row.get("unused") is True]
                self.test.check(any(at in area for area in unused), f"byte {at} of {name}: verify finds it, or it is unused", out[-600:])
            else:
                found += 1
                self.test.check(status == 3 and "error[integrity." in errors and name.split("/")[-1].split("-")[0] in errors,
                                f"byte {at} of {name}: exit {status}, file named", errors)
            path.write_bytes(data)
        status, out, errors = self.test.run("verify", self.db, "--projection")
        self.test.check(status == 0 and found > 0, f"put back, verify is clean again; {found} of {self.damages} found", out + errors)
        self.unchanged("damage")


def fill(path, megabytes):
    with open(path, "wb") as file:
        try:
            for _ in range(megabytes):
                file.write(bytes(1 << 20))
            file.flush()
        except OSError:
            pass


# BLAKE3, unkeyed, of a few KiB: to give a changed superblock its checksum.
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIXES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
MASK = 0xFFFFFFFF


def compress(chain, block, counter, size, flags):
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = [*chain, *IV[:4], counter & MASK, counter >> 32, size, flags]
    for turn in range(7):
        for i, (a, b, c, d) in enumerate(MIXES):
            for word, first, second in ((words[2 * i], 16, 12), (words[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & MASK
                v[d] = rotated(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & MASK
                v[b] = rotated(v[b] ^ v[c], second)
        if turn < 6:
            words = [words[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def rotated(word, by):
    return (word >> by | word << (32 - by)) & MASK


def blake3(data, number=0, root=True):
    if len(data) <= 1024:
        chain, blocks = IV, [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
        for i, block in enumerate(blocks):
            last = i + 1 == len(blocks)
            flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END if last else 0) | (ROOT if last and root else 0)
            chain = compress(chain, block, number, len(block), flags)
        return struct.pack("<8I", *chain)
    left = 1024
    while left * 2 < len(data):
        left *= 2
    pair = blake3(data[:left], number, False) + blake3(data[left:], number + left // 1024, False)
    return struct.pack("<8I", *compress(IV, pair, 0, 64, PARENT | (ROOT if root else 0)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    test = harness.Test("refusals")
    refusals = Refusals(test, options.seed, 200 if options.long else 12)
    refusals.begin()
    for part in ("statements", "files", "commands", "directories", "read_only", "full_disk", "interrupts", "outputs", "damage"):
        getattr(refusals, part)()
        test.say(part.replace("_", " "))
    sys.exit(test.finish())


if __name__ == "__main__":
    main()
