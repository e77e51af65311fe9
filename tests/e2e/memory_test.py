#!/usr/bin/env python3
"""What the command line remembers of a log, and refuses for it.

usage: memory_test.py [--seed N]

A data directory is put back to an older copy, written on differently, given another's place in the memory, and
copied honestly; the memory itself is damaged, taken away, made unwritable, and shared.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import stat
import sys

import harness


class Memory:
    def __init__(self, test, seed):
        self.test, self.rng = test, random.Random(seed)
        self.db = test.work / "clinic"
        self.id = 0

    def begin(self):
        self.test.must("init", self.db, "--quiet")
        self.test.must("sql", self.db, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)")
        self.insert(3)
        self.heads = self.test.top / "home" / ".config" / "kimberlite" / "heads"
        files = list(self.heads.iterdir())
        self.test.check(len(files) == 1, "one file for one cluster", str(files))
        self.file = files[0]
        keys = [path.stem for path in (self.test.top / "home" / ".config" / "kimberlite" / "keys").iterdir()]
        self.test.equal("it is named after the cluster", keys, [self.file.name])
        self.test.equal("nobody else may read it", 0o600, stat.S_IMODE(self.file.stat().st_mode))

    def insert(self, count, *options, **more):
        for _ in range(count):
            self.id += 1
            self.test.must("sql", self.db, "--quiet", "-c", f"INSERT INTO t VALUES ({self.id}, 'a')", *options, **more)

    def without_memory(self):
        return {**self.test.environment, "KIMBERLITE_HEADS_FILE": "off"}

    def remembered(self):
        """Cluster, tenant, key line and note of each log in the memory, and nothing else."""
        return parse(self.file.read_text())

    def size(self):
        return int(self.remembered()[0][3].splitlines()[1])

    def refused(self, what, code, *arguments, exit_status=3, **options):
        status, out, errors = self.test.run(*(arguments or ("sql", self.db, "-c", "SELECT count(*) FROM t")), **options)
        good = status == exit_status and f"error[{code}]" in errors and "next:" in errors
        self.test.check(good, f"{what}: {code}, exit {exit_status}", f"exit {status}\n{out}{errors}")
        self.test.check("'a'" not in errors, f"{what}: no stored value in the text", errors)
        return errors

    # The parts.

    def grows(self):
        size = self.size()
        self.test.equal("the newest head is remembered", self.test.head(self.db)[0], size)
        before = self.file.read_bytes(), self.file.stat().st_mtime_ns, len(self.signed())
        for command in (["sql", self.db, "-c", "SELECT * FROM t"], ["log", self.db], ["status", self.db], ["audit", self.db]):
            self.test.must(*command)
        after = self.file.read_bytes(), self.file.stat().st_mtime_ns, len(self.signed())
        self.test.equal("reading signs and remembers nothing", before, after)
        script = "".join(f"INSERT INTO t VALUES ({1000 + i}, 'a');" for i in range(20))
        self.test.must("sql", self.db, "--quiet", text=script)
        self.test.equal("20 statements are 20 records", size + 20, self.size())
        self.test.equal("and one signed head", before[2] + 1, len(self.signed()))
        self.test.check(harness_verifies(self), "the independent verifier takes the note and its key line")
        status, _, _ = self.test.run("sql", self.db, "-c", "INSERT INTO t VALUES (500, 'a')", "-c", "SELECT nope FROM t")
        self.test.equal("a script that failed", (1, size + 21), (status, self.size()))

    def signed(self):
        out = self.test.must("head", "show", self.db, "--all", "--format", "jsonl", "--quiet")
        return [line for line in map(json.loads, out.splitlines()) if "root" in line]

    def rollback(self):
        older = self.copy("older")
        self.insert(self.rng.randrange(1, 8))
        size = self.size()
        newer = self.copy("newer")
        self.put_back(older)
        has = size_of(self.test, self.db, self.without_memory())
        errors = self.refused("an older copy", "integrity.rollback")
        self.test.check(f"the log has {has} records, and you have seen {size}" in errors, "it says how many", errors)
        self.test.check(str(self.file) in errors, "and names the memory", errors)
        for command in (["status", self.db], ["log", self.db], ["head", "show", self.db], ["tenant", "list", self.db],
                        ["receipt", "get", self.db, "2"], ["head", "trust", self.db, "--yes"], ["doctor", self.db],
                        ["export", self.db, "--all", "-o", self.test.work / "out"],
                        ["sql", self.db, "-c", "INSERT INTO t VALUES (99, 'b')"]):
            self.refused(f"an older copy, {command[0]}", "integrity.rollback", *command)
        self.test.equal("nothing was written by them", has, size_of(self.test, self.db, self.without_memory()))
        self.test.equal("what was seen is still remembered", size, self.size())
        # Who remembers nothing can notice nothing; docs/proofs.md says so.
        status, _, _ = self.test.run("sql", self.db, "-c", "SELECT 1", env=self.without_memory())
        self.test.equal("a client that does not remember", 0, status)
        self.test.equal("and verify, which opens no session", 0, self.test.run("verify", self.db)[0])
        self.put_back(newer)
        self.test.must("sql", self.db, "-c", "SELECT 1")
        return older, newer

    def fork(self, older, newer):
        size = self.size()
        self.put_back(older)
        has = size_of(self.test, self.db, self.without_memory())
        self.id = 10_000
        for more in (size - has, 1, 9):
            self.insert(more, env=self.without_memory())
            self.refused(f"a fork of {size_of(self.test, self.db, self.without_memory())} records where {size} were seen",
                         "integrity.split_view")
        self.refused("a fork, to be trusted", "integrity.split_view", "head", "trust", self.db, "--yes")
        self.test.equal("what was seen is still remembered", size, self.size())
        self.put_back(newer)
        self.insert(1)
        self.test.equal("the log that was seen goes on", size + 1, self.size())

    def another_log(self):
        """Another log in the place of one that was seen: the memory of one database is given to another."""
        other = self.test.work / "other"
        self.test.must("init", other, "--quiet")
        self.test.must("sql", other, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)")
        [mine] = self.remembered()
        file = next(path for path in self.heads.iterdir() if path != self.file)
        [theirs] = parse(file.read_text())
        file.write_text(rendered([(theirs[0], theirs[1], mine[2], mine[3])]))
        seen = file.read_bytes()
        command = ["sql", other, "-c", "SELECT 1"]
        errors = self.refused("another log", "integrity.new_epoch", *command)
        for part in (mine[3].splitlines()[0], theirs[3].splitlines()[0], theirs[2], str(file)):
            self.test.check(part in errors, f"it names {part}", errors)
        for what, options, text in (("the wrong name", [], "mein\n"), ("no answer", [], ""), ("a longer name", [], "main2\n")):
            status, out, _ = self.test.run("head", "trust", other, *options, text=text)
            self.test.equal(f"head trust with {what}", (2, True), (status, theirs[2] in out))
        self.test.must("head", "trust", other, "--dry-run")
        self.test.equal("nothing was accepted", seen, file.read_bytes())
        self.refused("another log, still", "integrity.new_epoch", *command)
        out = self.test.must("head", "trust", other, text="main\n", timeout=30)
        facts = dict(line for line in ([cell.strip() for cell in row.split("|", 1)] for row in out.splitlines()) if len(line) == 2)
        note = mine[3].splitlines()
        expected = {"tenant": "main", "remembered log": note[0], "its size": note[1], "its key": theirs[2],
                    "log now": theirs[3].splitlines()[0], "goes on with record": "1", "size now": theirs[3].splitlines()[1]}
        self.test.equal("it showed both", expected, {what: facts.get(what) for what in expected})
        self.test.equal("and remembers the one there is", [theirs], parse(file.read_text()))
        self.test.must(*command)
        _, _, errors = self.test.run("head", "trust", other, "--yes")
        self.test.check("nothing to accept" in errors, "a second time there is nothing to accept", errors)
        file.write_bytes(seen)
        self.test.must("head", "trust", other, "--yes", "--quiet")
        self.test.equal("--yes does not ask", [theirs], parse(file.read_text()))

    def tenants(self):
        older = self.copy("before-north")
        self.test.must("tenant", "create", self.db, "north")
        self.test.must("sql", self.db, "--tenant", "north", "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)")
        self.test.equal("each tenant is remembered", ["main", "north"], [log[1] for log in self.remembered()])
        newer = self.copy("with-north")
        self.put_back(older)
        self.refused("a tenant that is gone", "integrity.rollback", "sql", self.db, "--tenant", "north", "-c", "SELECT 1")
        self.test.must("sql", self.db, "-c", "SELECT 1")
        self.refused("one that never was", "not_found.tenant", "sql", self.db, "--tenant", "south", "-c", "SELECT 1", exit_status=1)
        self.put_back(newer)

    def damage(self):
        whole = self.file.read_bytes()
        for at in sorted(self.rng.sample(range(len(whole)), 12)):
            self.file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            code, status = ("unavailable.version", 4) if at == 17 else ("integrity.head", 3)
            errors = self.refused(f"byte {at} of the memory", code, exit_status=status)
            self.test.check(str(self.file) in errors, "the file is named", errors)
            self.file.write_bytes(whole[:at])
            self.refused(f"the memory cut off at {at}", "integrity.head")
        self.file.write_bytes(whole)
        self.test.must("sql", self.db, "-c", "SELECT 1")
        self.file.unlink()
        self.test.must("sql", self.db, "-c", "SELECT 1")
        self.test.equal("without a memory one is begun", ["main"], [log[1] for log in self.remembered()])

    def places(self):
        shared = self.test.work / "deep" / "er" / "heads"
        named = {**self.test.environment, "KIMBERLITE_HEADS_FILE": str(shared)}
        for database in (self.db, self.test.work / "other"):
            self.test.must("sql", database, "-c", "SELECT 1", env=named)
            self.test.must("sql", database, "-c", "SELECT 1", env=named)
        self.test.equal("one file serves two clusters", 2, len(parse(shared.read_text())))
        (self.test.work / "kimberlite.toml").write_text('heads_file = "here/heads"\n')
        self.test.must("sql", self.db, "-c", "SELECT 1")
        self.test.check((self.test.work / "here" / "heads").is_file(), "the setting names the place")
        shown = self.test.must("config", "show", "--format", "jsonl", "--quiet")
        rows = [line for line in map(json.loads, shown.splitlines()) if line.get("setting") == "heads_file"]
        self.test.equal("config show lists it", ["./here/heads", "here/heads"].count(rows[0]["value"]), 1)
        (self.test.work / "kimberlite.toml").write_text('heads_file = "off"\n')
        before = self.file.read_bytes()
        self.insert(1)
        self.test.equal("off is off", before, self.file.read_bytes())
        status, _, errors = self.test.run("head", "trust", self.db)
        self.test.check(status == 2 and "usage.config" in errors, "head trust without a memory", errors)
        (self.test.work / "kimberlite.toml").unlink()
        status, out, errors = self.test.run("sql", ":memory:", "-c", "SELECT 1", "--format", "csv", "--quiet")
        self.test.equal("a database in memory", (0, ""), (status, errors))

    def unwritable(self):
        place = self.test.work / "a-file"
        place.write_text("")
        # Neither root nor anybody else can make a file below a file.
        named = {**self.test.environment, "KIMBERLITE_HEADS_FILE": str(place / "heads")}
        size = size_of(self.test, self.db, self.without_memory())
        status, out, errors = self.test.run("sql", self.db, "-c", "INSERT INTO t VALUES (777, 'a')", "--format", "json", env=named)
        self.test.equal("a head that cannot be remembered", (4, True), (status, json.loads(out)["ok"]))
        self.test.check("could not be remembered" in errors and "what was written is in the log" in errors, "is said", errors)
        self.test.equal("the write is there", size + 1, size_of(self.test, self.db, self.without_memory()))
        self.test.equal("no new file is left", [], [p.name for p in self.heads.iterdir() if p.name.endswith(".new")])

    def restored(self):
        """A restore begins an epoch: whoever remembers the log has to accept it, and then the old one is the other."""
        repository, again = self.test.work / "repository", self.test.work / "again"
        self.test.must("backup", "create", self.db, repository)
        self.test.must("key", "escrow", self.db, "-o", self.test.work / "escrow")
        kept = size_of(self.test, self.db, self.without_memory())
        self.insert(2)
        [mine] = self.remembered()
        self.test.must("restore", repository, again, "--escrow", self.test.work / "escrow", "--reason", "the disk is gone")
        self.refused("a restored directory", "integrity.new_epoch", "sql", again, "-c", "SELECT 1")
        out = self.test.must("head", "trust", again, "--format", "jsonl", "--quiet", text="main\n")
        facts = {line["what"]: line["value"] for line in map(json.loads, out.splitlines()) if "what" in line}
        expected = {"remembered log": mine[3].splitlines()[0], "its size": str(kept + 2), "goes on with record": str(kept + 1),
                    "of kind": "begin_epoch", "because": "the disk is gone", "size now": str(kept + 1)}
        self.test.equal("head trust shows what was lost", expected, {what: facts.get(what) for what in expected})
        self.test.must("sql", again, "--quiet", "-c", "INSERT INTO t VALUES (424242, 'a')")
        self.test.equal("the new log is remembered", kept + 2, self.size())
        self.refused("the old directory then", "integrity.new_epoch", "sql", self.db, "-c", "SELECT 1")

    def copy(self, name):
        target = self.test.work / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.db, target)
        return target

    def put_back(self, copy):
        shutil.rmtree(self.db)
        shutil.copytree(copy, self.db)


def size_of(test, database, environment):
    out = test.must("sql", database, "--format", "csv", "--quiet", "-c", "SELECT max(position) AS p FROM __records", env=environment)
    return int(out.splitlines()[-1])


def harness_verifies(memory):
    """The note and key line of the memory, given to the verifier that shares no code with it."""
    _, _, key, note = memory.remembered()[0]
    (memory.test.work / "remembered.head").write_text(note)
    verifier = harness.ROOT / "verifier" / "kimberlite_verify.py"
    return os.system(f"{sys.executable} {verifier} head {memory.test.work}/remembered.head --log-key '{key}' >/dev/null") == 0


def parse(text):
    first, _, rest = text.partition("\n\n")
    body, _, digest = rest.rpartition("\n\n")
    covered = text[:-65]
    if first != "kimberlite/heads@v1" or hashlib.sha256(covered.encode()).hexdigest() + "\n" != digest:
        raise ValueError(f"no memory: {text!r}")
    parts = (body + "\n\n").split("tenant ")[1:]
    logs = []
    for part in parts:
        head, key, note = part.split("\n", 2)
        cluster, tenant = head.split(" ")
        logs.append((cluster, tenant, key, note[:-1]))
    return logs


def rendered(logs):
    text = "kimberlite/heads@v1\n\n" + "".join(f"tenant {c} {t}\n{key}\n{note}\n" for c, t, key, note in sorted(logs))
    return text + hashlib.sha256(text.encode()).hexdigest() + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    test = harness.Test("memory")
    test.say(f"seed {options.seed}")
    memory = Memory(test, options.seed)
    memory.begin()
    memory.grows()
    older, newer = memory.rollback()
    memory.fork(older, newer)
    for part in ("another_log", "tenants", "damage", "places", "unwritable", "restored"):
        getattr(memory, part)()
        test.say(part.replace("_", " "))
    sys.exit(test.finish())


if __name__ == "__main__":
    main()
