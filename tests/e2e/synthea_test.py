#!/usr/bin/env python3
"""Medical records through the binary: imported, changed at random with a reason, and asked as they were.

usage: synthea_test.py [--updates N] [--seed N] [--long]
       --long: 5 seeds after another, and exports as of every position that was looked at

Imports all 18 files of ../shared/data/synthea (or $KIMBERLITE_SYNTHEA), then does N random updates, deletes and
inserts, renames and drops two columns and drops a table, keeping a model of all of it in Python. Then the exports as
of the import must be the input row for row, and history, HISTORY, DIFF, __events and audit must say what the model says.
"""
import argparse
import json
import random
import shutil
import sys
import uuid

import harness

KEYED = {"careplans": "Id", "claims": "Id", "claims_transactions": "ID", "encounters": "Id", "imaging_studies": "Id",
         "organizations": "Id", "patients": "Id", "payers": "Id", "providers": "Id"}
TEXTS = ["", " ", "NULL", "O'Brien; DROP TABLE patients; --", 'a "quoted", thing', "two\nlines\r\nand\ttab", "Zürich ☃ 健康",
         "x" * 300, "\\x41", "$1 ?2 :three", "it''s"]
ROWS_A_STATEMENT_MAX = 200


class Column:
    def __init__(self, name, kind):
        self.name, self.kind = name, kind


class Table:
    """A table as it is now. Rows by key, each a dict of Column to cell (the text CSV has, None for NULL)."""

    def __init__(self, name, columns, key):
        self.name, self.columns, self.key = name, columns, key
        self.rows = {}

    def quoted(self):
        return quoted(self.name)

    def where(self, key):
        return f"{quoted(self.key.name)} = {literal(self.key, key)}" if self.key else f"__row = {key}"

    def key_json(self, key):
        return {self.key.name: as_json(self.key.kind, key)} if self.key else {"__row": key}

    def names(self):
        return [column.name for column in self.columns]

    def cells(self, row):
        return [row[column] for column in self.columns]

    def in_key_order(self):
        return [self.cells(self.rows[key]) for key in sorted(self.rows)]


class Record:
    """What one position of the log holds. Changes are (table, operation, key, old, new), by JSON and by cells."""

    def __init__(self, position, timestamp, action, reason):
        self.position, self.timestamp, self.action, self.reason = position, timestamp, action, reason
        self.rows, self.tables, self.changes = 0, [], []


class Version:
    """A row from one position on, for HISTORY."""

    def __init__(self, position, operation, row):
        self.position, self.operation, self.row = position, operation, dict(row)
        self.until = None


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def literal(column, cell):
    if cell is None:
        return "NULL"
    # A number of more than 15 digits beside a DECIMAL column is to be quoted.
    if column.kind in ("BIGINT", "BOOLEAN") or (column.kind == "DOUBLE" and len(cell) <= 15):
        return cell
    return "'" + cell.replace("'", "''") + "'"


def as_json(kind, cell):
    """A cell as JSON has it, where an integer that no double holds is a text."""
    if cell is None:
        return None
    if kind == "BIGINT":
        number = int(cell)
        return number if abs(number) <= 2**53 else cell
    if kind == "DOUBLE":
        return float(cell)
    return cell == "true" if kind == "BOOLEAN" else cell


def random_value(rng, column, pool):
    """(what is written in SQL, what must be read back)."""
    if rng.random() < 0.1:
        return "NULL", None
    if pool and rng.random() < 0.4:
        cell = rng.choice(pool)
        return literal(column, cell), cell
    kind = column.kind
    if kind.startswith("DECIMAL"):
        digits = int(kind.split(",")[1].rstrip(")"))
        number = rng.randrange(-10**9, 10**9)
        whole, part = divmod(abs(number), 10**digits)
        cell = f"{'-' if number < 0 else ''}{whole}" + (f".{part:0{digits}d}" if digits else "")
        # A shorter spelling of the same number is stored in the one canonical one.
        return f"'{cell.rstrip('0').rstrip('.') if digits else cell}'", cell
    if kind == "TIMESTAMP":
        hour = rng.randrange(2, 24)
        day = f"{rng.randrange(1950, 2040)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
        cell = f"{day}T{hour:02d}:30:05Z"
        return (f"'{day} {hour:02d}:30:05'" if rng.random() < 0.5 else f"'{day}T{hour - 2:02d}:30:05-02'"), cell
    if kind == "UUID":
        cell = str(uuid.UUID(int=rng.getrandbits(128)))
        return f"'{cell.upper() if rng.random() < 0.3 else cell}'", cell
    if kind == "DATE":
        cell = f"{rng.randrange(1900, 2100)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
    elif kind == "BIGINT":
        cell = str(rng.choice([rng.randrange(1000), rng.randrange(-2**63, 2**63)]))
    elif kind == "BOOLEAN":
        cell = rng.choice(["true", "false"])
    elif kind == "DOUBLE":
        cell = repr(rng.randrange(-10**7, 10**7) / 1024)
    else:
        cell = rng.choice(TEXTS)
    return literal(column, cell), cell


class Run:
    """One database, the model beside it, and the random statements that go to both."""

    def __init__(self, test, folder, seed, updates, long):
        self.test, self.folder, self.updates, self.long = test, folder, updates, long
        self.rng = random.Random(seed)
        self.db = f"db{seed}"
        self.tables, self.records, self.versions = {}, {}, {}
        self.pools = {}
        self.snapshots = {}
        self.head = 0
        self.wrong = []
        self.counts = {"update": 0, "delete": 0, "insert": 0, "no effect": 0, "refused": 0, "transaction": 0}

    # The import, and the model of it.

    def load(self):
        self.test.must("init", self.db)
        files = sorted(self.folder.glob("*.csv"))
        self.test.check(len(files) == 18, f"{len(files)} files of 18 are in {self.folder}")
        bare = [file for file in files if file.stem not in KEYED]
        reports = self.imported(bare)
        for column in sorted(set(KEYED.values())):
            keyed = [file for file in files if KEYED.get(file.stem) == column]
            reports += self.imported(keyed, "--primary-key", column, "--class", "phi")
        self.session = harness.Session(self.test, self.db)
        for report in reports:
            self.model(self.folder / f"{report['table']}.csv", report)
        self.session.close()
        self.imported_at = self.head = self.test.head(self.db)[0]
        self.test.say(f"imported {sum(r['rows'] for r in reports)} rows of {len(reports)} tables, position {self.head}")
        self.snapshot()
        again = self.imported([files[0]])
        self.test.check(again[0]["replayed_batches"] == 2 and self.test.head(self.db)[0] == self.head,
                        "an import run again changes nothing", str(again))

    def imported(self, files, *options):
        out = self.test.must("import", self.db, *files, "--create", "--format", "jsonl", "--quiet", *options)
        return [json.loads(line) for line in out.splitlines()]

    def model(self, file, report):
        names, records = harness.read_csv(file)
        kinds = {row["name"]: row["type"] for row in self.query(f"SHOW COLUMNS FROM {file.stem}")}
        columns = [Column(name, kinds[name]) for name in names]
        key = next((column for column in columns if column.name == KEYED.get(file.stem)), None)
        table = Table(file.stem, columns, key)
        counted = self.query(f"SELECT count(*) AS n FROM {table.quoted()}")[0]["n"]
        self.test.check(len(records) == report["rows"] == counted, f"{file.stem}: {len(records)} rows are in the file, "
                        f"{report['rows']} were imported, {counted} are there")
        self.tables[table.name] = table
        self.versions[table] = {}
        where = {}
        if key is None:
            keys = [row["__row"] for row in self.query(f"SELECT __row FROM {table.quoted()} ORDER BY __row")]
        else:
            keys = [record[names.index(key.name)] for record in records]
            where = {row["k"]: row["valid_from"] for row in self.query(
                f"SELECT {quoted(key.name)} AS k, valid_from FROM HISTORY({table.quoted()})")}
        for row_key, record in zip(keys, records):
            row = dict(zip(columns, record))
            table.rows[row_key] = row
            position = where[row_key] if key else row_key >> 20
            self.versions[table][row_key] = [Version(position, "insert", row)]
        for i, column in enumerate(columns):
            self.pools[column] = [record[i] for record in records if record[i] is not None][:500]

    def snapshot(self):
        """The tables as of now, to be asked for later."""
        self.snapshots[self.head] = {
            name: (table, list(table.columns), {key: dict(row) for key, row in table.rows.items()})
            for name, table in self.tables.items()}

    # Random statements.

    def change(self):
        self.session = harness.Session(self.test, self.db)
        schema_at = dict(zip(self.rng.sample(range(self.updates), 5), ["rename", "rename", "drop", "drop", "table"]))
        shots = set(self.rng.sample(range(self.updates), min(5, self.updates)))
        done = 0
        while done < self.updates:
            while schema_at and min(schema_at) <= done:
                self.snapshot()
                self.schema(schema_at.pop(min(schema_at)))
                self.snapshot()
            if shots and min(shots) <= done:
                shots.remove(min(shots))
                self.snapshot()
            draw = self.rng.random()
            if draw < 0.03:
                self.refused()
            elif draw < 0.06:
                self.without_effect()
            elif draw < 0.10:
                done += self.transaction()
            else:
                done += self.alone()
        self.snapshot()
        status, errors = self.session.close()
        self.test.check(status == 1 and not errors, f"the session ends with {status}: some statements were refused", errors)
        self.test.check(not self.wrong, f"{len(self.wrong)} statements were not answered as the model says",
                        "\n  ".join(self.wrong[:5]))
        self.test.say(f"{done} changes, position {self.head}: " + ", ".join(f"{n} {k}" for k, n in self.counts.items()))

    def expect(self, answer, statement, **wanted):
        found = {"position": answer.position, "rows": (answer.summary or {}).get("rows"), "code": answer.code}
        for name, value in wanted.items():
            if found[name] != value:
                self.wrong.append(f"{name} is {found[name]}, not {value}: {statement[:300]} -> {answer.error}")
                return False
        return True

    def reason(self):
        words = self.rng.choice(["moved", "form 88", "Patient's wish", "Zürich ☃", 'said "no"', "correction"])
        return f"{words} #{self.rng.randrange(10**9)}"

    def alone(self):
        self.row_number = 0
        table, sql, changes = self.statement(list(self.tables.values()))
        reason = self.reason()
        sql += " WITH REASON '" + reason.replace("'", "''") + "'"
        answer = self.session.ask(sql)
        effective = any(old != new for _, _, old, new in changes)
        self.expect(answer, sql, rows=len(changes), position=self.head + 1 if effective else 0)
        if answer.summary and effective:
            self.commit(answer, reason, [(table, changes)])
        return 1

    def transaction(self):
        """Several tables in one record; one in four is rolled back."""
        names = self.rng.sample(sorted(self.tables), self.rng.randrange(2, 5))
        reason = self.reason()
        self.session.ask("BEGIN")
        self.row_number = 0
        parts = []
        for i, name in enumerate(names):
            table, sql, changes = self.statement([self.tables[name]])
            if i == 0:
                sql += " WITH REASON '" + reason.replace("'", "''") + "'"
            self.expect(self.session.ask(sql), sql, rows=len(changes))
            parts.append((table, changes))
        self.counts["transaction"] += 1
        if self.rng.random() < 0.25:
            self.expect(self.session.ask("ROLLBACK"), "ROLLBACK", code=None)
            return 0
        answer = self.session.ask("COMMIT")
        if any(old != new for _, changes in parts for _, _, old, new in changes):
            if self.expect(answer, "COMMIT", position=self.head + 1):
                self.commit(answer, reason, parts)
        return len(parts)

    def statement(self, tables):
        """A random statement on one of `tables`: (table, its text, the changes it must make)."""
        table = self.rng.choice(tables)
        draw = self.rng.random()
        if not table.rows or draw < 0.2:
            return self.insert(table)
        keys, where = self.some_rows(table)
        if draw < 0.4:
            self.counts["delete"] += 1
            changes = [("delete", key, table.rows[key], None) for key in keys]
            return table, f"DELETE FROM {table.quoted()} WHERE {where}", changes
        return self.update(table, keys, where)

    def some_rows(self, table):
        """(keys, a WHERE that meets just these rows)."""
        if self.rng.random() < 0.2:
            column = self.rng.choice([each for each in table.columns if each.kind != "DOUBLE"])
            cell = self.rng.choice(list(table.rows.values()))[column]
            keys = [key for key, row in table.rows.items() if row[column] == cell]
            if len(keys) <= ROWS_A_STATEMENT_MAX:
                name = quoted(column.name)
                return keys, f"{name} IS NULL" if cell is None else f"{name} = {literal(column, cell)}"
        key = self.rng.choice(list(table.rows))
        return [key], table.where(key)

    def insert(self, table):
        self.counts["insert"] += 1
        changes, tuples = [], []
        for _ in range(self.rng.randrange(1, 4)):
            row, texts = {}, []
            for column in table.columns:
                text, cell = random_value(self.rng, column, self.pools[column])
                if column is table.key:
                    cell = self.new_key(table)
                    text = literal(column, cell)
                row[column] = cell
                texts.append(text)
            if table.key:
                changes.append(("insert", row[table.key], None, row))
            else:
                changes.append(("insert", ((self.head + 1) << 20) + self.row_number, None, row))
                self.row_number += 1
            tuples.append("(" + ", ".join(texts) + ")")
        names = ", ".join(quoted(name) for name in table.names())
        return table, f"INSERT INTO {table.quoted()} ({names}) VALUES {', '.join(tuples)}", changes

    def new_key(self, table):
        if table.key.kind == "UUID":
            return str(uuid.UUID(int=self.rng.getrandbits(128)))
        return str(self.rng.randrange(10**9, 10**15))

    def update(self, table, keys, where):
        self.counts["update"] += 1
        if table.key and len(keys) == 1 and self.rng.random() < 0.1:
            new_key = self.new_key(table)
            row = {**table.rows[keys[0]], table.key: new_key}
            changes = [("delete", keys[0], table.rows[keys[0]], None), ("rekey", new_key, None, row)]
            return table, f"UPDATE {table.quoted()} SET {quoted(table.key.name)} = {literal(table.key, new_key)} " \
                          f"WHERE {where}", Rekeyed(changes)
        free = [column for column in table.columns if column is not table.key]
        chosen = self.rng.sample(free, min(len(free), self.rng.randrange(1, 4)))
        new, sets = {}, []
        for column in chosen:
            text, new[column] = random_value(self.rng, column, self.pools[column])
            sets.append(f"{quoted(column.name)} = {text}")
        changes = [("update", key, table.rows[key], {**table.rows[key], **new}) for key in keys]
        return table, f"UPDATE {table.quoted()} SET {', '.join(sets)} WHERE {where}", changes

    def commit(self, answer, reason, parts):
        """The answered record enters the model."""
        self.head = answer.position
        record = Record(self.head, answer.summary["timestamp"], "write", reason)
        for table, changes in parts:
            record.rows += len(changes)
            for operation, key, old, new in changes:
                if old == new:
                    continue
                operation = "insert" if operation == "rekey" else operation
                if table.name not in record.tables:
                    record.tables.append(table.name)
                record.changes.append((table.name, operation, table.key_json(key), self.image(table, old),
                                       self.image(table, new)))
                self.put(table, operation, key, new)
        self.records[self.head] = record

    @staticmethod
    def image(table, row):
        return None if row is None else {column.name: as_json(column.kind, row[column]) for column in table.columns}

    def put(self, table, operation, key, row):
        versions = self.versions[table].setdefault(key, [])
        if versions and versions[-1].until is None:
            versions[-1].until = self.head
        if row is None:
            del table.rows[key]
            gone = Version(self.head, "delete", {table.key: key} if table.key else {})
            gone.until = self.head
            versions.append(gone)
        else:
            table.rows[key] = row
            versions.append(Version(self.head, operation, row))

    def without_effect(self):
        table = self.rng.choice([each for each in self.tables.values() if each.rows])
        column = quoted(self.rng.choice(table.columns).name)
        for sql, rows in ((f"DELETE FROM {table.quoted()} WHERE 1 = 0", 0),
                          (f"UPDATE {table.quoted()} SET {column} = {column}", len(table.rows))):
            self.counts["no effect"] += 1
            if len(table.rows) <= ROWS_A_STATEMENT_MAX or rows == 0:
                self.expect(self.session.ask(sql + " WITH REASON 'nothing'"), sql, position=0, rows=rows)

    def refused(self):
        """A statement that fails half way has no effect at all."""
        self.counts["refused"] += 1
        keyed = [table for table in self.tables.values() if table.key and len(table.rows) > 1]
        table = self.rng.choice(keyed)
        key = quoted(table.key.name)
        old = literal(table.key, self.rng.choice(list(table.rows)))
        new = literal(table.key, self.new_key(table))
        sql = f"INSERT INTO {table.quoted()} ({key}) VALUES ({new}), ({old}) WITH REASON 'twice'"
        self.expect(self.session.ask(sql), sql, code="constraint.primary_key")
        self.expect(self.session.ask("SELECT nope FROM patients"), sql, code="not_found.column")

    def schema(self, what):
        reason = self.reason()
        tables = [table for table in self.tables.values() if len(table.columns) > 5 and table.rows]
        table = self.rng.choice(tables)
        column = self.rng.choice([each for each in table.columns if each is not table.key])
        sql = f"ALTER TABLE {table.quoted()} "
        if what == "rename":
            new_name = f"renamed {self.rng.randrange(1000)}"
            sql += f"RENAME COLUMN {quoted(column.name)} TO {quoted(new_name)}"
        elif what == "drop":
            sql += f"DROP COLUMN {quoted(column.name)}"
        else:
            sql = f"DROP TABLE {table.quoted()}"
        sql += " WITH REASON '" + reason.replace("'", "''") + "'"
        answer = self.session.ask(sql)
        if not self.test.check(answer.position == self.head + 1, sql, str(answer.error)):
            return
        self.head = answer.position
        self.records[self.head] = Record(self.head, answer.summary["timestamp"], "ddl", reason)
        if what == "rename":
            column.name = new_name
        elif what == "table":
            del self.tables[table.name]
        else:
            table.columns = [each for each in table.columns if each is not column]
            # All rows begin anew: the versions before had the column.
            for key, row in table.rows.items():
                self.put(table, "update", key, {each: cell for each, cell in row.items() if each is not column})
        self.test.say(f"position {self.head}: {sql}")

    # What must agree.

    def compare(self):
        self.exports()
        self.session = harness.Session(self.test, self.db)
        self.names()
        self.diffs()
        self.history()
        self.events()
        self.session.close()
        self.audit()
        for table in self.tables.values():
            self.one_history(table, self.rng.choice(sorted(self.versions[table])))

    def exports(self):
        """--all as of the import, against the files themselves, of now, and of times between."""
        between = sorted(self.snapshots)[1:-1]
        if not self.long:
            between = self.rng.sample(between, 4)
        chosen = sorted([self.imported_at, self.head, *between])
        for position in chosen:
            then = self.snapshots[position]
            out = self.test.work / f"{self.db}-as-of-{position}"
            self.test.must("export", self.db, "--all", "-o", out, "--as-of", position)
            names = sorted(file.stem for file in out.iterdir())
            self.test.equal(f"export --as-of {position} has the tables of then", sorted(then), names)
            different = []
            for name, (table, columns, rows) in then.items():
                header, records = harness.read_csv(out / f"{name}.csv")
                wanted = [[row[column] for column in columns] for _, row in sorted(rows.items())]
                if position == self.imported_at:
                    file_header, file_records = harness.read_csv(self.folder / f"{name}.csv")
                    if table.key:
                        place = file_header.index(KEYED[name])
                        file_records.sort(key=lambda record: record[place])
                    self.test.equal(f"{name} as of {position} is the input, row for row", [file_header] + file_records,
                                    [header] + records)
                elif records != wanted:
                    different.append(f"{name}: {harness.difference(wanted, records)}")
            if position != self.imported_at:
                self.test.check(not different, f"export --as-of {position} is what the tables were", "\n".join(different))
            shutil.rmtree(out)
        self.test.say(f"exports as of {len(chosen)} positions compared")

    def names(self):
        """Renamed, dropped, gone: SHOW COLUMNS of now."""
        for table in self.tables.values():
            found = [row["name"] for row in self.query(f"SHOW COLUMNS FROM {table.quoted()}")]
            self.test.equal(f"the columns of {table.name}", table.names(), found)

    def query(self, sql):
        """The rows of a query, each a dict as JSON has it."""
        answer = self.session.ask(sql)
        if answer.error:
            self.test.check(False, sql, str(answer.error))
        return answer.rows

    def diffs(self):
        positions = sorted(self.snapshots)
        pairs = [(positions[0], positions[-1])] + [sorted(self.rng.sample(positions, 2)) for _ in range(3)]
        for first, last in pairs:
            before, after = self.snapshots[first], self.snapshots[last]
            different = []
            for name in self.tables:
                _, columns, new_rows = after[name]
                old_rows = before[name][2]
                wanted = []
                for key in old_rows.keys() | new_rows.keys():
                    old, new = ([side[key].get(column) for column in columns] if key in side else None
                                for side in (old_rows, new_rows))
                    if old != new:
                        wanted += [["-"] + shown(columns, old)] if old else []
                        wanted += [["+"] + shown(columns, new)] if new else []
                found = [list(row.values()) for row in self.query(f"SELECT * FROM DIFF({quoted(name)}, {first}, {last})")]
                if ordered(found) != ordered(wanted):
                    different.append(f"{name}: {harness.difference(ordered(wanted), ordered(found))}")
            self.test.check(not different, f"DIFF of all tables from {first} to {last}", "\n".join(different[:3]))
        self.test.say(f"DIFF of {len(self.tables)} tables between {len(pairs)} pairs of positions compared")

    def history(self):
        compared = 0
        header = ["valid_from", "valid_to", "from_time", "to_time", "actor", "operation", "reason"]
        for table in self.tables.values():
            wanted = [each[:7] + shown(table.columns, each[7:])
                      for versions in self.versions[table].values() for each in self.told(table, versions)]
            rows = self.query(f"SELECT * FROM HISTORY({table.quoted()})")
            if self.test.equal(f"HISTORY({table.name}): columns", header + table.names(), list(rows[0])):
                for row in rows:
                    # Positions of the import have times of their own, which nobody told us.
                    if row["valid_from"] <= self.imported_at:
                        row["from_time"] = None
                self.test.equal(f"HISTORY({table.name}): every version", ordered(wanted),
                                ordered(list(row.values()) for row in rows))
                compared += len(rows)
        self.test.say(f"{compared} versions of rows compared")

    def told(self, table, versions):
        for version in versions:
            record = self.records.get(version.position)
            until = self.records.get(version.until) if version.until else None
            yield [version.position, version.until,
                   record.timestamp if record else None, until.timestamp if until else None, self.test.actor, version.operation,
                   record.reason if record else "import"] + [version.row.get(column) for column in table.columns]

    def one_history(self, table, key):
        """The command `history TABLE KEY`."""
        out = self.test.must("history", self.db, table.name, key, "--format", "csv", "--quiet")
        records = harness.parse_csv(out)
        wanted = [[str(told[0]), str(told[1]) if told[1] else None, told[2], told[4], told[6], told[5]] + told[7:]
                  for told in self.told(table, self.versions[table][key])]
        if table.key:
            # The command leaves out the key, which was given.
            place = 6 + table.columns.index(table.key)
            wanted = [row[:place] + row[place + 1:] for row in wanted]
        for row in records[1:]:
            if int(row[0]) <= self.imported_at:
                row[2] = None
        self.test.equal(f"history {table.name} {key}", wanted, records[1:])

    def events(self):
        rows = self.query("SELECT position, timestamp, stream, operation, kind, actor, reason, key, old, new "
                          f"FROM __events WHERE position > {self.imported_at} ORDER BY position, change")
        found, times = {}, {}
        for row in rows:
            times[row["position"]] = (row["timestamp"], row["actor"], row["reason"])
            changes = found.setdefault(row["position"], [])
            if row["operation"] != "control":
                changes.append((row["stream"], row["operation"], *(json.loads(row[name]) if row[name] else None
                                                                    for name in ("key", "old", "new"))))
        self.test.equal("__events: the records", sorted(self.records), sorted(found))
        self.test.equal("__events: when, who and why",
                        [(p, r.timestamp, self.test.actor, r.reason) for p, r in sorted(self.records.items())],
                        [(p, *times[p]) for p in sorted(times)])
        wrong = [f"position {position}: {harness.difference(by_text(record.changes), by_text(found.get(position, [])))}"
                 for position, record in self.records.items() if by_text(record.changes) != by_text(found.get(position, []))]
        self.test.check(not wrong, f"__events: {len(wrong)} records differ", "\n".join(wrong[:3]))
        self.test.say(f"{len(rows)} events compared")

    def audit(self):
        out = self.test.must("audit", self.db, "--since", self.imported_at + 1, "--format", "jsonl", "--quiet")
        found = [json.loads(line) for line in out.splitlines()[:-1]]
        wanted = [(r.position, r.timestamp, self.test.actor, "local", r.action, sorted(r.tables),
                   "phi" if KEYED.keys() & set(r.tables) else None, r.rows, r.reason)
                  for _, r in sorted(self.records.items())]
        told = [(r["position"], r["timestamp"], r["actor"], r["method"], r["action"],
                 sorted((r["object"] or "").split(", ")) if r["action"] == "write" else [], r["class"], r["rows"], r["reason"])
                for r in found]
        self.test.equal("audit: every write", wanted, told)
        self.test.check(not any("'" in r["detail"] for r in found), "audit: no statement shows its literals")
        self.test.say(f"{len(found)} lines of the audit compared")

    def derived_again(self):
        """The tables are derived: without the projection's files the same is answered."""
        for file in (self.test.work / self.db).glob("tenants/*/projection.db*"):
            file.unlink()
        out = self.test.work / "again"
        self.test.must("export", self.db, "--all", "-o", out, "--as-of", self.imported_at)
        same = all((out / f"{file.stem}.csv").read_bytes() == file.read_bytes()
                   for file in self.folder.glob("*.csv") if file.stem not in KEYED)
        self.test.check(same, "the projection made anew: tables without a key are the input byte for byte")
        shutil.rmtree(out)
        status, text, errors = self.test.run("verify", self.db, "--projection")
        self.test.check(status == 0, f"verify --projection: exit {status}", text + errors)


class Rekeyed(list):
    """The two changes of an UPDATE of one row's key: the statement says one row."""

    def __len__(self):
        return 1


def shown(columns, cells):
    return [as_json(column.kind, cell) for column, cell in zip(columns, cells)]


def ordered(records):
    return sorted(records, key=lambda record: [str(cell) for cell in record])


def by_text(changes):
    return sorted(changes, key=lambda change: json.dumps(change, sort_keys=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    test = harness.Test("synthea")
    folder = harness.synthea()
    if folder is None:
        test.skip("synthea", "../shared/data/synthea is not here")
    else:
        for seed in range(options.seed, options.seed + (5 if options.long else 1)):
            test.say(f"seed {seed}")
            run = Run(test, folder, seed, options.updates, options.long)
            run.load()
            run.change()
            run.compare()
            run.derived_again()
    sys.exit(test.finish())


if __name__ == "__main__":
    main()
