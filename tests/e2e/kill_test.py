#!/usr/bin/env python3
"""kill -9 of the binary under load: what was acknowledged is there, what was refused is not.

usage: kill_test.py [--rounds N] [--seed N] [--long]            (--long: 200 rounds)

Every round does one thing to the same database, kills it at a random moment and looks:
  write    statements as fast as a pipe takes them: inserts, updates, deletes, transactions, refused ones, DDL, and in
           some rounds rows large enough that the journal's ring fills and checkpoints are written meanwhile
  open     killed while it opens, several times
  close    killed while it ends, after its last acknowledgement
  import   of a file, then run again to its end; --atomic too
  rebuild  killed while it derives deleted tables anew
  keys     key rotate, tenant create
  init     of another directory
A session answers in order, so at most the one statement behind the last answer may be there or not: the tables must be
those of the one or the other, cell by cell, and the head says which. Earlier answers of AS OF are asked again.
"""
import argparse
import collections
import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import harness

KINDS = ["write"] * 10 + ["open", "close", "import", "atomic import", "rebuild", "keys", "init"]
LARGE = 200_000    # bytes of a row
IMPORTED = 2


def body(key, version, size):
    return f"{key}.{version}." + "x" * size


class State:
    """The tables at one position: rows by key as (version, size), and the columns DDL has added."""

    def __init__(self):
        self.position, self.rows, self.columns = 0, {}, 0

    def copy(self):
        other = State()
        other.position, other.rows, other.columns = self.position, dict(self.rows), self.columns
        return other


class Step:
    """One statement: its text, the error it must meet, and what it makes of the state once it is recorded."""

    def __init__(self, sql, change=None, code=None):
        self.sql, self.change, self.code = sql, change, code


class Writer:
    """Random statements; `ahead` is the state they lead to if all are answered."""

    def __init__(self, rng, state, next_key, large):
        self.rng, self.ahead, self.next_key, self.large = rng, state.copy(), next_key, large
        self.in_transaction = False

    def steps(self):
        while True:
            steps = self.some()
            for i, step in enumerate(steps):
                if step.change:
                    step.change(self.ahead)
                self.in_transaction = i + 1 < len(steps)
                yield step

    def some(self):
        draw = self.rng.random()
        if draw < 0.5 or len(self.ahead.rows) < 20:
            return [self.recorded(*self.insert())]
        if draw < 0.7:
            return [self.recorded(*self.update())]
        if draw < 0.8:
            return [self.recorded(*self.delete())]
        if draw < 0.9:
            return self.transaction()
        if draw < 0.99:
            return [self.refused()]
        name = f"added{self.ahead.columns + 1}"
        return [self.recorded(f"ALTER TABLE t ADD COLUMN {name} TEXT", lambda s: setattr(s, "columns", s.columns + 1))]

    @staticmethod
    def recorded(sql, change):
        def commit(state):
            change(state)
            state.position += 1
        return Step(sql + " WITH REASON 'load'", commit)

    def insert(self):
        rows, values = {}, []
        for _ in range(1 if self.large else self.rng.choice([1, 1, 1, 5])):
            self.next_key += 1
            size = LARGE if self.large else self.rng.choice([0, 10, 300])
            rows[self.next_key] = (1, size)
            values.append(f"({self.next_key}, 1, {size}, '{body(self.next_key, 1, size)}')")
        return f"INSERT INTO t (id, version, size, body) VALUES {', '.join(values)}", lambda s: s.rows.update(rows)

    def update(self):
        key = self.rng.choice(list(self.ahead.rows))
        version = self.ahead.rows[key][0] + 1
        return (f"UPDATE t SET version = {version}, size = 7, body = '{body(key, version, 7)}' WHERE id = {key}",
                lambda s: s.rows.update({key: (version, 7)}))

    def delete(self):
        key = self.rng.choice(list(self.ahead.rows))
        return f"DELETE FROM t WHERE id = {key}", lambda s: s.rows.pop(key)

    def transaction(self):
        """COMMIT is what records; three in four do."""
        keys = self.rng.sample(list(self.ahead.rows), 3)
        steps, rows = [Step("BEGIN")], {}
        for key in keys:
            version = self.ahead.rows[key][0] + 1
            rows[key] = (version, 3)
            steps.append(Step(f"UPDATE t SET version = {version}, size = 3, body = '{body(key, version, 3)}' WHERE id = {key}"))
        if self.rng.random() < 0.25:
            return [*steps, Step("ROLLBACK")]

        def commit(state):
            state.rows.update(rows)
            state.position += 1
        return [*steps, Step("COMMIT", commit)]

    def refused(self):
        """The first row of the statement is new, the second is there already: neither may be."""
        self.next_key += 1
        there = self.rng.choice(list(self.ahead.rows))
        return Step(f"INSERT INTO t (id, version, size, body) VALUES ({self.next_key}, 1, 0, 'x'), ({there}, 1, 0, 'x')",
                    code="constraint.primary_key")


class Rounds:
    def __init__(self, test, seed):
        self.test, self.rng = test, random.Random(seed)
        self.db = test.work / "db"
        self.state = State()
        self.next_key = 0
        self.acknowledged = self.in_doubt = self.done_in_doubt = self.refusals = 0
        self.lost = 0
        self.past = []
        self.kills = collections.Counter()
        self.tenants = 0
        self.checkpoints = set()

    def begin(self):
        self.test.must("init", self.db)
        self.test.must("sql", self.db, "--quiet", "-c",
                       "CREATE TABLE t (id BIGINT PRIMARY KEY, version BIGINT, size BIGINT, body TEXT)")
        self.state.position = self.test.head(self.db)[0]

    def round(self, number):
        kind = self.rng.choice(KINDS) if number >= len(set(KINDS)) else sorted(set(KINDS))[number]
        failed = self.test.failed
        note = getattr(self, kind.replace(" ", "_"))() or ""
        self.kills[kind] += 1
        self.look(f"round {number}, {kind}")
        self.test.say(f"round {number}: {kind} {note}" + ("" if failed == self.test.failed else "   FAILED"))

    # What is killed.

    def pause(self, longest):
        """Most of the moments that matter are early."""
        time.sleep(longest * self.rng.random() ** 2)

    def write(self, then_close=False):
        writer = Writer(self.rng, self.state, self.next_key, self.rng.random() < 0.3)
        sent = []
        process = self.test.popen("sql", self.db, "--format", "jsonl", "--on-error", "continue", "--quiet",
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        limit = self.rng.randrange(20, 200) if then_close else None

        def feed():
            try:
                for step in itertools.chain(self.room(writer), writer.steps()):
                    sent.append(step)
                    process.stdin.write(step.sql.encode() + b";\n")
                    process.stdin.flush()
                    if limit and len(sent) >= limit and not writer.in_transaction:
                        break
                process.stdin.close()
            except (BrokenPipeError, ValueError):
                pass
        feeder = threading.Thread(target=feed)
        feeder.start()
        answers = self.answers(process, feeder, sent, then_close)
        process.kill()
        process.wait()
        feeder.join()
        self.next_key = writer.next_key
        return self.settle(sent, answers)

    def room(self, writer):
        """The rows of earlier rounds that make looking slow go, by statements like any other."""
        for size, most in ((LARGE, 200), (IMPORTED, 15_000)):
            keys = [key for key, row in self.state.rows.items() if row[1] == size]
            if len(keys) > most:
                step = writer.recorded(f"DELETE FROM t WHERE size = {size}",
                                       lambda s, keys=keys: [s.rows.pop(key) for key in keys])
                step.change(writer.ahead)
                yield step

    def answers(self, process, feeder, sent, then_close):
        """Every whole answer that came out before the process was killed: some time after it was started, after its
        first answer, or, if it is to close, after its last."""
        answers = []
        killer = threading.Timer((1.5 if self.rng.random() < 0.3 else 0.7) * self.rng.random(), process.kill)
        from_start = self.rng.random() < 0.3
        if from_start and not then_close:
            killer.start()
        for line in process.stdout:
            if not line.endswith(b"\n"):
                break
            answers.append(json.loads(line))
            if then_close and not feeder.is_alive() and len(answers) == len(sent):
                self.pause(0.05)
                break
            if len(answers) == 1 and not from_start and not then_close:
                killer.start()
        return answers

    def settle(self, sent, answers):
        """The state the answers promise, and the one that one more statement may have made."""
        wrong = []
        for step, answer in zip(sent, answers):
            code = answer["error"]["code"] if "error" in answer else None
            if code != step.code:
                wrong.append(f"{step.sql[:200]}: {answer}")
                continue
            if code:
                self.refusals += 1
            if step.change:
                step.change(self.state)
                self.acknowledged += 1
                if answer["summary"]["position"] != self.state.position:
                    wrong.append(f"position {self.state.position} expected: {step.sql[:200]}: {answer}")
        self.test.check(not wrong, f"{len(wrong)} of {len(answers)} answers are not those the model has", "\n".join(wrong[:3]))
        self.doubt = None
        if len(answers) < len(sent) and sent[len(answers)].change:
            self.doubt = self.state.copy()
            sent[len(answers)].change(self.doubt)
            self.in_doubt += 1
        return f"{len(answers)} answers"

    def open(self):
        self.doubt = None
        times = self.rng.randrange(1, 5)
        for _ in range(times):
            process = self.test.popen("sql", self.db, "-c", "SELECT count(*) FROM t", stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            self.pause(0.3)
            process.kill()
            process.wait()
        return f"{times} times"

    def close(self):
        return self.write(then_close=True)

    def rebuild(self):
        self.doubt = None
        for file in self.db.glob("tenants/*/projection.db*"):
            file.unlink()
        process = self.test.popen("sql", self.db, "-c", "SELECT count(*) FROM t", stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.pause(0.5)
        process.kill()
        process.wait()

    def keys(self):
        """One of them is acknowledged, the next is killed."""
        self.doubt = None
        self.tenants += 1
        name = f"tenant-{self.tenants}"
        for arguments in (["key", "rotate", self.db], ["tenant", "create", self.db, name]):
            process = self.test.popen(*arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.pause(0.4)
            process.kill()
            out, _ = process.communicate()
            acknowledged = process.returncode == 0
            if arguments[0] == "key":
                # A rotation is a record of the tenant's log, and changes no row.
                head = self.test.head(self.db)[0]
                self.test.check(head == self.state.position + 1 or (head == self.state.position and not acknowledged),
                                f"key rotate: head {head} after {self.state.position}, exit {process.returncode}")
                self.state.position = head
            elif acknowledged:
                self.acknowledged += 1
                listed = self.test.must("tenant", "list", self.db, "--format", "jsonl", "--quiet")
                if not self.test.check(name in listed, f"the acknowledged tenant {name} is there", listed):
                    self.lost += 1
        return out.decode().splitlines()[-1] if out else ""

    def import_(self, *options):
        """Killed, it has taken the file's first rows and no others; run again, all of them once."""
        self.doubt = None
        rows = self.rng.randrange(4_000, 15_000)
        first = self.next_key + 1
        self.next_key += rows
        file = self.test.work / "rows.csv"
        with open(file, "w", encoding="utf-8") as out:
            out.write("id,version,size,body\n")
            out.writelines(f"{key},1,{IMPORTED},{body(key, 1, IMPORTED)}\n" for key in range(first, first + rows))
        process = self.test.popen("import", self.db, file, "--table", "t", "--quiet", "--format", "jsonl", *options,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.until_grown(process, self.rng.randrange(rows * 60))
        process.kill()
        process.communicate()
        there = self.test.rows(self.db, f"SELECT count(*) AS n, max(id) AS last FROM t WHERE id >= {first}")[0]
        whole = process.returncode == 0
        allowed = (rows,) if whole else (0, rows) if options else range(0, rows + 1)
        self.test.check(there["n"] in allowed and there["last"] in (None, first + there["n"] - 1),
                        f"a killed import of {rows} rows has its first ones", str(there))
        report = json.loads(self.test.must("import", self.db, file, "--table", "t", "--quiet", "--format", "jsonl", *options))
        self.test.check(report["rows"] == rows, "an import run again goes through to its end", str(report))
        self.state.rows.update({key: (1, IMPORTED) for key in range(first, first + rows)})
        self.state.position = self.test.head(self.db)[0]
        self.acknowledged += 1
        return f"{there['n']} of {rows} rows were in"

    def until_grown(self, process, size):
        """Until the log has grown by so many bytes, or the process has ended."""
        def log_size():
            return sum(file.stat().st_size for file in self.db.glob("tenants/1/data/*.segment"))
        begun = log_size()
        while process.poll() is None and log_size() < begun + size:
            time.sleep(0.001)
        self.pause(0.02)

    def atomic_import(self):
        return self.import_("--atomic")

    def init(self):
        self.doubt = None
        other = self.test.work / "other"
        process = self.test.popen("init", other, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(0.8 * self.rng.random())
        process.kill()
        out, _ = process.communicate()
        if b"created" in out:
            status, _, errors = self.test.run("sql", other, "-c", "CREATE TABLE a (id BIGINT PRIMARY KEY)")
            self.test.check(status == 0, "a directory that init said it created is one", errors)
        else:
            status, _, errors = self.test.run("init", other)
            if status != 0:
                self.test.check("error[usage.not_empty]" in errors and "next:" in errors,
                                "what a killed init left is refused, with advice", errors)
                shutil.rmtree(other)
                self.test.must("init", other)
            else:
                self.test.check(True, "init again")
        status, _, errors = self.test.run("verify", other)
        self.test.check(status == 0, "verify of a directory whose init was killed", errors)
        shutil.rmtree(other)
        return "created" if b"created" in out else "not created"

    # What must be there afterwards.

    def look(self, what):
        status, text, errors = self.test.run("sql", self.db, "-c", "SELECT id, version, size, body FROM t", "--format", "jsonl",
                                             "--quiet")
        if not self.test.check(status == 0, f"{what}: it opens", errors):
            return
        *rows, last = map(json.loads, text.splitlines())
        found = {row["id"]: (row["version"], row["size"]) for row in rows}
        head = last["summary"]["position"]
        wanted = self.state
        if self.doubt and head == self.doubt.position:
            wanted = self.doubt
            self.done_in_doubt += 1
        self.count_lost(found, wanted)
        good = self.test.check(head == wanted.position, f"{what}: the head is {head}, not {wanted.position}")
        good &= self.test.equal(f"{what}: the rows", sorted(wanted.rows.items()), sorted(found.items()))
        good &= self.test.check(all(row["body"] == body(row["id"], row["version"], row["size"]) for row in rows),
                                f"{what}: the bodies of the rows")
        columns = [row["name"] for row in self.test.rows(self.db, "SHOW COLUMNS FROM t")]
        good &= self.test.check(len(columns) == 4 + wanted.columns, f"{what}: the columns", str(columns))
        self.state = wanted if good else self.state
        status, text, errors = self.test.run("verify", self.db, "--projection")
        self.test.check(status == 0, f"{what}: verify --projection", text + errors)
        self.checkpoints |= {file.name for file in self.db.glob("snapshot-*")}
        self.ask_the_past(what)

    def count_lost(self, found, wanted):
        self.lost += sum(1 for key, row in wanted.rows.items() if found.get(key) != row)
        self.lost += sum(1 for key in found if key not in wanted.rows)

    def ask_the_past(self, what):
        if self.past and self.rng.random() < 0.5:
            then = self.rng.choice(self.past)
            found = {row["id"]: (row["version"], row["size"]) for row in self.test.rows(
                self.db, f"SELECT id, version, size FROM t AS OF POSITION {then.position}")}
            self.test.check(found == then.rows, f"{what}: position {then.position} is what it was")
        if self.rng.random() < 0.2:
            self.past.append(self.state.copy())


setattr(Rounds, "import", Rounds.import_)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    count = options.rounds or (200 if options.long else 12)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    test = harness.Test("kill")
    rounds = Rounds(test, options.seed)
    rounds.begin()
    for number in range(count):
        rounds.round(number)
    test.check(rounds.lost == 0, f"{rounds.lost} acknowledged writes were lost")
    test.check(rounds.acknowledged > 0 and rounds.refusals > 0, "something was acknowledged, and something refused")
    test.say(f"{count} rounds ({', '.join(f'{n} {kind}' for kind, n in sorted(rounds.kills.items()))}), seed {options.seed}: "
             f"{rounds.acknowledged} acknowledged writes, {rounds.lost} lost; {rounds.refusals} refused, none there; "
             f"{rounds.in_doubt} in flight, {rounds.done_in_doubt} of them there; {len(rounds.checkpoints)} checkpoints seen")
    sys.exit(test.finish())


if __name__ == "__main__":
    main()
