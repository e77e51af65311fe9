#!/usr/bin/env python3
"""The tamper matrix: what somebody can do to the files, row by row, and what finds it, by code, file and place.

usage: tamper_test.py [--seed N]

Each method named in MATRIX is one row; docs/proofs.md has the same table. An attack is made on a copy of a directory
by what an attacker has: an editor for bytes, the format as it is published, older copies; and, where it says so, the
log's own key, for which the attacker's tool is the database itself. `found` asserts that the finding is there.
"""
import argparse
import contextlib
import json
import os
import random
import shutil
import struct
import sys

import harness

sys.path.insert(0, str(harness.ROOT / "verifier"))
import kimberlite_verify as v  # noqa: E402
import witness as w  # noqa: E402

# (row, method)
MATRIX = [
    ("flip any byte of any record", "flip_record"),
    ("flip any byte of a segment's header", "flip_segment_header"),
    ("flip any byte of a segment's footer", "flip_segment_footer"),
    ("flip any byte of a tile", "flip_tile"),
    ("flip any byte of a head", "flip_head"),
    ("flip any byte of an anchor", "flip_anchor"),
    ("flip any byte of a snapshot", "flip_snapshot"),
    ("flip any byte of the keystore", "flip_keystore"),
    ("flip any byte of a journal frame", "flip_journal_frame"),
    ("flip any byte of a superblock copy", "flip_superblock"),
    ("swap two records", "swap_records"),
    ("drop one in the middle", "drop_record"),
    ("cut the tail", "cut_tail"),
    ("append a forged one", "append_forged"),
    ("rewrite the whole log with a consistent chain", "rewrite_without_key"),
    ("the same, and sign it with another key", "rewrite_with_another_key"),
    ("the same with the signing key: not detected without an anchor or a client that remembers", "rewrite_with_signing_key"),
    ("roll a data directory back to an older copy", "roll_back"),
    ("show two clients different logs", "two_logs"),
    ("replace a tenant's segment with another tenant's", "another_tenants_segment"),
    ("replace projection.db", "replace_projection"),
    ("replace one of its pages by an older one", "older_page"),
    ("replay an old keystore", "old_keystore"),
]

DATA = "tenants/1/data"
SEGMENT = f"{DATA}/00000000000000000001.segment"
SEGMENT_HEADER, FRAME_HEADER, ENTRY = 128, 24, 192
AT_PREVIOUS = FRAME_HEADER + 152  # of the leaf before, in a frame
HEAD_RECORD = 256


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frames_of(segment):
    """The frames of a segment that is not sealed."""
    at, frames = SEGMENT_HEADER, []
    while at < len(segment):
        size = struct.unpack_from("<I", segment, at)[0]
        frames.append(segment[at:at + size])
        at += size
    return frames


def entry_of(frame):
    return frame[FRAME_HEADER:FRAME_HEADER + ENTRY]


def with_entry(frame, position, previous, body=None):
    """The frame with another place in the chain, or another's body under its own name; its checksum holds."""
    entry = bytearray(entry_of(frame))
    if body is not None:
        entry[28:36] = entry_of(body)[28:36]      # its size and number of items
        entry[120:152] = entry_of(body)[120:152]  # its commitment
    struct.pack_into("<Q", entry, 40, position)
    entry[152:184] = previous
    behind = frame[8:FRAME_HEADER] + bytes(entry) + (frame if body is None else body)[FRAME_HEADER + ENTRY:]
    return struct.pack("<II", 8 + len(behind), crc32c(behind)) + behind


def rewritten(segment):
    """The log in which records 5 and 6 say what the other said: every hash of the chain is right."""
    frames, leaves = frames_of(segment), []
    bodies = {4: frames[5], 5: frames[4]}
    for i, frame in enumerate(frames):
        frames[i] = with_entry(frame, i + 1, leaves[-1] if leaves else bytes(32), bodies.get(i))
        leaves.append(v.Entry(entry_of(frames[i])).leaf)
    return segment[:SEGMENT_HEADER] + b"".join(frames), leaves


def root_of(leaves):
    """RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return v.node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


class Matrix:
    def __init__(self, test, seed):
        self.test, self.rng = test, random.Random(seed)
        self.base = test.work / "clinic"
        self.off = self.client("off")  # who remembers nothing

    # What the attacks are made on.

    def begin(self):
        """Two tenants, a head for every few records, anchored once; closed. And one that was killed while it wrote."""
        test, must = self.test, self.test.must
        must("init", self.base, "--quiet")
        must("tenant", "create", self.base, "north", "--quiet")
        for tenant in ("main", "north"):
            must("sql", self.base, "--tenant", tenant, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)")
        self.young = self.copied(self.base, "young")
        for i in range(6):
            self.insert(self.base, i)
            must("sql", self.base, "--tenant", "north", "--quiet", "-c", f"INSERT INTO t VALUES ({i}, 'n')")
        must("head", "anchor", self.base, "--directory", test.work / "anchored", "--quiet")
        must("verify", self.base, "--projection", "--log-key", "clinic.vkey")
        self.killed = self.copied(self.base, "killed")
        session = harness.Session(test, self.killed)
        for i in range(3):
            session.ask(f"INSERT INTO t VALUES ({100 + i}, 'a')")
        session.process.kill()
        session.close()
        # A restore begins an epoch, which seals the segments there are.
        must("backup", "create", self.base, "repository", "--quiet")
        must("key", "escrow", self.base, "-o", "escrow", "--quiet")
        must("restore", "repository", "sealed", "--escrow", "escrow", "--reason", "a test", "--quiet")
        self.sealed = test.work / "sealed"

    def insert(self, db, key, **options):
        self.test.must("sql", db, "--quiet", "-c", f"INSERT INTO t VALUES ({key}, 'a')", **options)

    def copied(self, db, name):
        to = self.test.work / name
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(db, to)
        return to

    def client(self, name):
        """The environment of a client with a memory of its own."""
        file = "off" if name == "off" else str(self.test.work / f"{name}.heads")
        return {**self.test.environment, "KIMBERLITE_HEADS_FILE": file}

    @contextlib.contextmanager
    def changed(self, db, files):
        """The files hold other bytes, or None: are not there; then they are as they were."""
        before = {db / name: (db / name).read_bytes() for name in files}
        try:
            for name, data in files.items():
                if data is None:
                    (db / name).unlink()
                else:
                    (db / name).write_bytes(data)
            yield
        finally:
            for path, data in before.items():
                path.write_bytes(data)

    @contextlib.contextmanager
    def flipped(self, path, at):
        """One bit of the byte at `at` is another while the block runs."""
        with open(path, "r+b", buffering=0) as file:
            [before] = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([before ^ 1 << self.rng.randrange(8)]), at)
            yield
            os.pwrite(file.fileno(), bytes([before]), at)

    def bytes_of(self, name, db=None):
        return ((db or self.base) / name).read_bytes()

    def named(self, pattern, db=None):
        """The one file of this pattern, relative to the directory."""
        db = db or self.base
        [path] = db.glob(pattern)
        return str(path.relative_to(db))

    def ranges(self, db, name):
        """What `inspect` says is where: (first byte, behind the last, what)."""
        out = self.test.must("inspect", db / name, "--format", "jsonl", "--quiet")
        rows = [json.loads(line) for line in out.splitlines()]
        return [(row["byte"], row["byte"] + row["size"], row["what"]) for row in rows if "byte" in row]

    # What finds them.

    def report(self, db, *options):
        status, out, errors = self.test.run("verify", db, "--format", "jsonl", "--quiet", *options)
        report = json.loads(out.splitlines()[0])
        if "error" in report:
            raise RuntimeError(f"verify {db} did not run: {out}")
        self.test.check(status == (0 if report["clean"] else 3), f"verify exits {status}", errors)
        return report

    def findings(self, db, *options):
        return self.report(db, *options)["findings"]

    def found(self, what, db, code, file, at=None, position=None, options=()):
        """`verify` finds it: with this code, in this file, at this byte, of this record."""
        findings = self.findings(db, *options)
        good = any(each["code"] == code and each["file"] == file and at in (None, each["byte"])
                   and position in (None, each["position"]) for each in findings)
        self.test.check(good, f"{what}: {code} in {file}, byte {at}, record {position}",
                        "".join(f"\n  {each}" for each in findings[:6]) or "nothing was found")

    def clean(self, what, db, *options):
        findings = self.findings(db, *options)
        self.test.check(not findings, f"{what}: verify finds nothing", str(findings[:3]))

    def refused(self, what, code, words, *command, **options):
        status, out, errors = self.test.run(*command, **options)
        self.test.check(status == 3 and f"error[{code}]" in errors and all(str(word) in errors for word in words),
                        f"{what}: {code}, {words}", f"exit {status}\n{out}{errors}")

    def flips(self, db, name, begin, end, code, what, position=None, between=1, ends=True):
        """The first byte, the last, and some between (engine_tests Flip* has them all): each is found in that file,
        inside of what was changed."""
        for at in sorted({*((begin, end - 1) if ends else ()), *self.rng.sample(range(begin, end), between)}):
            with self.flipped(db / name, at):
                findings = self.findings(db)
                good = any(each["code"] == code and each["file"] == name and begin <= each["byte"] < end
                           and position in (None, each["position"]) for each in findings)
                self.test.check(good, f"{what}, byte {at}: {code} in {name}, byte {begin} to {end - 1}, record {position}",
                                "".join(f"\n  {each}" for each in findings[:6]) or "nothing was found")

    # The rows.

    def flip_record(self):
        for begin, end, what in self.ranges(self.base, SEGMENT):
            if what.startswith("record "):
                self.flips(self.base, SEGMENT, begin, end, "integrity.frame", what, int(what.split()[1].rstrip(",")), ends=False)

    def flip_segment_header(self):
        self.flips(self.base, SEGMENT, 0, SEGMENT_HEADER, "integrity.segment", "header", between=4)

    def flip_segment_footer(self):
        [(begin, end, _)] = [each for each in self.ranges(self.sealed, SEGMENT) if each[2] == "footer"]
        self.flips(self.sealed, SEGMENT, begin, end, "integrity.segment", "footer", between=4)

    def flip_tile(self):
        tiles = f"{DATA}/tiles/0"
        for leaf in self.rng.sample(range(len(self.bytes_of(tiles)) // 32), 3):
            self.flips(self.base, tiles, 32 * leaf, 32 * leaf + 32, "integrity.tile", f"leaf {leaf}", leaf + 1)

    def flip_head(self):
        heads = f"{DATA}/heads"
        for head in self.rng.sample(range(len(self.bytes_of(heads)) // HEAD_RECORD), 3):
            self.flips(self.base, heads, HEAD_RECORD * head, HEAD_RECORD * (head + 1), "integrity.head", f"head {head}")

    def flip_anchor(self):
        anchors = f"{DATA}/anchors"
        self.flips(self.base, anchors, 0, len(self.bytes_of(anchors)), "integrity.anchor", "anchor", between=4)

    def flip_snapshot(self):
        name = self.named("snapshot-*")
        self.flips(self.base, name, 0, len(self.bytes_of(name)), "integrity.snapshot", "snapshot", between=4)

    def flip_keystore(self):
        name = self.named("keystore-*")
        self.flips(self.base, name, 0, len(self.bytes_of(name)), "integrity.keystore", "keystore", between=4)

    def flip_journal_frame(self):
        live = [each for each in self.ranges(self.killed, "journal") if each[2].startswith("live frame")]
        self.test.equal("what no checkpoint holds stands in the journal", 3, len(live))
        for begin, end, what in live[:-1]:
            self.flips(self.killed, "journal", begin, end, "integrity.journal_lost", what)
        # Of the last one a power failure leaves the head whole and the rest as it may be: that is said, and is no finding.
        begin, end, what = live[-1]
        self.flips(self.killed, "journal", begin, begin + 1, "integrity.journal_lost", what, between=0)
        with self.flipped(self.killed / "journal", end - 1):
            notes = self.report(self.killed)["notes"]
            self.test.check(any(note.startswith(f"journal, byte {begin}: ") for note in notes), f"{what}, its end: a note", str(notes))

    def flip_superblock(self):
        for begin, end, what in self.ranges(self.base, "superblock"):
            self.flips(self.base, "superblock", begin, end, "integrity.superblock", what, ends=False)

    def records(self):
        """(the whole segment, where each record begins, its frames)"""
        whole = self.bytes_of(SEGMENT)
        frames = frames_of(whole)
        starts = [SEGMENT_HEADER]
        for frame in frames:
            starts.append(starts[-1] + len(frame))
        return whole, starts, frames

    def swap_records(self):
        whole, starts, frames = self.records()
        frames[3], frames[4] = frames[4], frames[3]
        with self.changed(self.base, {SEGMENT: whole[:SEGMENT_HEADER] + b"".join(frames)}):
            for record in (4, 5):
                self.found("4 and 5 swapped", self.base, "integrity.chain", SEGMENT, starts[record - 1] + AT_PREVIOUS, record)

    def drop_record(self):
        whole, starts, frames = self.records()
        del frames[3]
        with self.changed(self.base, {SEGMENT: whole[:SEGMENT_HEADER] + b"".join(frames)}):
            self.found("4 dropped", self.base, "integrity.chain", SEGMENT, starts[3] + AT_PREVIOUS, 4)

    def cut_tail(self):
        """Of the log; and of all that shows how long it was, but for the checkpoint."""
        whole, starts, frames = self.records()
        at, size, _ = self.signed()
        cut = {SEGMENT: whole[:starts[-2]]}
        with self.changed(self.base, cut):
            self.found("the last one cut off", self.base, "integrity.rollback", f"{DATA}/heads", at + 24, size)
        heads, tiles, offsets = (self.bytes_of(f"{DATA}/{name}") for name in ("heads", "tiles/0", "offsets"))
        with self.changed(self.base, {**cut, f"{DATA}/heads": heads[:at], f"{DATA}/tiles/0": tiles[:-32],
                                      f"{DATA}/offsets": offsets[:-8], f"{DATA}/anchors": None}):
            self.found("with its head, its anchor and its hash", self.base, "integrity.state", "tenants", 0)
        self.test.equal("it was the last one that was signed", len(frames), size)

    def append_forged(self):
        whole, starts, frames = self.records()
        forged = with_entry(frames[-1], len(frames) + 1, v.Entry(entry_of(frames[-1])).leaf)
        self.test.equal("it is behind the last one", len(whole), starts[-1])
        with self.changed(self.base, {SEGMENT: whole + forged}):
            self.found("one more, with its place in the chain", self.base, "integrity.state", "tenants", 0)

    def rewrite(self):
        """The files of a rewritten log; what is derived from the segments is taken away. And the leaves."""
        segment, leaves = rewritten(self.bytes_of(SEGMENT))
        return {SEGMENT: segment, f"{DATA}/offsets": None, f"{DATA}/tiles/0": None}, leaves

    def signed(self):
        """The newest stored head, as it was signed: (byte of its record, size, root)."""
        heads = self.bytes_of(f"{DATA}/heads")
        at = len(heads) - HEAD_RECORD
        return at, struct.unpack_from("<Q", heads, at + 24)[0], heads[at + 32:at + 64]

    def rewrite_without_key(self):
        files, leaves = self.rewrite()
        at, size, root = self.signed()
        with self.changed(self.base, files):
            self.found("the head that was signed", self.base, "integrity.consistency", f"{DATA}/heads", at + 32, size)
        self.test.check(root_of(leaves[:size]) != root and len(leaves) >= size, "the chain is whole, the root another")

    def rewrite_with_another_key(self):
        """Its heads are signed anew: the chain, the tree and every signature hold. Whoever has the log's key line knows better."""
        files, leaves = self.rewrite()
        heads = bytearray(self.bytes_of(f"{DATA}/heads"))
        seed = bytes(range(32))
        origin = self.bytes_of("../clinic.vkey").split(b"+")[0]
        for at in range(0, len(heads), HEAD_RECORD):
            size = struct.unpack_from("<Q", heads, at + 24)[0]
            heads[at + 32:at + 64] = root_of(leaves[:size])
            text = origin + f"\n{size}\n".encode() + v.base64.b64encode(heads[at + 32:at + 64]) + b"\n"
            heads[at + 72:at + 104] = w.public_key(seed)
            heads[at + 104:at + 168] = w.sign(seed, text)
            struct.pack_into("<I", heads, at + 252, crc32c(heads[at:at + 252]))
        files[f"{DATA}/heads"] = bytes(heads)
        files[f"{DATA}/anchors"] = None
        with self.changed(self.base, files):
            codes = {each["code"] for each in self.findings(self.base)}
            self.test.check("integrity.signature" not in codes and "integrity.consistency" not in codes, "its signatures hold", str(codes))
            self.found("the key line", self.base, "integrity.signature", f"{DATA}/heads", 72, options=("--log-key", "clinic.vkey"))

    def rewrite_with_signing_key(self):
        """The database, given the keys and a copy from before the first row, writes another history under the same name."""
        forged, remembers = self.copied(self.young, "forged"), self.client("ann")
        self.test.must("sql", self.base, "--quiet", "-c", "SELECT 1", env=remembers)
        at_least = self.signed()[1]
        for i in range(at_least):
            self.insert(forged, 1000 + i, env=self.off)
        self.test.must("head", "show", forged, "--format", "jsonl", "--quiet", env=self.off)
        self.clean("without an anchor or a client that remembers", forged, "--projection", "--log-key", "clinic.vkey")
        self.test.must("sql", forged, "--quiet", "-c", "SELECT 1", env=self.off)
        newest = max((self.test.work / "anchored").rglob("*.head"))
        self.refused("the anchor", "integrity.consistency", [newest], "head", "anchor", forged,
                     "--directory", self.test.work / "anchored", env=self.off)
        self.found("the anchored head, given to verify", forged, "integrity.consistency", SEGMENT, position=at_least,
                   options=("--log-key", "clinic.vkey", "--since", newest))
        self.refused("the client that remembers", "integrity.split_view", [self.test.work / "ann.heads"],
                     "sql", forged, "-c", "SELECT 1", env=remembers)

    def roll_back(self):
        older, newer, remembers = self.copied(self.base, "older"), self.copied(self.base, "newer"), self.client("bob")
        self.insert(newer, 200, env=remembers)
        self.test.must("head", "anchor", newer, "--directory", self.test.work / "anchored-newer", "--quiet", env=self.off)
        self.clean("an older copy alone", older, "--log-key", "clinic.vkey")
        self.refused("the client that remembers", "integrity.rollback", ["and you have seen", self.test.work / "bob.heads"],
                     "sql", older, "-c", "SELECT 1", env=remembers)
        newest = max((self.test.work / "anchored-newer").rglob("*.head"))
        self.refused("the anchor", "integrity.rollback", [newest], "head", "anchor", older,
                     "--directory", self.test.work / "anchored-newer", env=self.off)
        self.found("the anchored head, given to verify", older, "integrity.rollback", SEGMENT,
                   options=("--log-key", "clinic.vkey", "--since", newest))

    def two_logs(self):
        left, right = self.copied(self.base, "left"), self.copied(self.base, "right")
        for db, name, key in ((left, "carl", 300), (right, "dora", 400)):
            self.insert(db, key, env=self.client(name))
            self.clean(f"what {name} is shown", db, "--log-key", "clinic.vkey")
        for db, name in ((right, "carl"), (left, "dora")):
            self.refused(f"{name} is shown the other's", "integrity.split_view", [self.test.work / f"{name}.heads"],
                         "sql", db, "-c", "SELECT 1", env=self.client(name))

    def another_tenants_segment(self):
        with self.changed(self.base, {SEGMENT: self.bytes_of(SEGMENT.replace("tenants/1", "tenants/2"))}):
            self.found("the log that its heads are of", self.base, "integrity.foreign_file", f"{DATA}/heads", 8)
            self.found("its tree", self.base, "integrity.tile", f"{DATA}/tiles/0", 0, 1)

    def replace_projection(self):
        name = "tenants/1/projection.db"
        for what, data in (("another tenant's", self.bytes_of("tenants/2/projection.db")), ("something else", b"x" * 9000)):
            copy = self.copied(self.base, "projection")
            (copy / name).write_bytes(data)
            self.found(what, copy, "integrity.projection", name, options=("--projection",))
            # It is nothing that is believed: the next open makes it again from the log, the next write keeps it.
            count = self.test.must("sql", copy, "--quiet", "--format", "csv", "-c", "SELECT count(*) AS n FROM t", env=self.off)
            self.test.equal(f"{what}: the rows", "n\n6\n", count)
            self.insert(copy, 500, env=self.off)
            self.clean(f"{what}: rebuilt", copy, "--projection")

    def older_page(self):
        name = "tenants/1/projection.db"
        older, newer = self.bytes_of(name, self.young), self.bytes_of(name)
        size = 4096
        # Authentic pages of this very file: what they hold, taken together, is not what the log says.
        pages = [i for i in range(len(older) // size) if older[i * size:(i + 1) * size] != newer[i * size:(i + 1) * size]]
        self.test.check(pages, "some pages were written since")
        for page in pages:
            data = newer[:page * size] + older[page * size:(page + 1) * size] + newer[(page + 1) * size:]
            with self.changed(self.base, {name: data}):
                self.found(f"page {page + 1}", self.base, "integrity.projection", name, options=("--projection",))

    def old_keystore(self):
        """From before the key was rotated. (Erasure is not in this version; what it destroys would come back the same way.)"""
        copy = self.copied(self.base, "rotated")
        old = copy / self.named("keystore-*", copy)
        data = old.read_bytes()
        self.test.must("key", "rotate", copy, "--quiet")
        name = self.named("keystore-*", copy)
        self.test.check(name != old.name, "the keys are in another file")
        (copy / name).write_bytes(data)
        self.found("the old keys under the new name", copy, "integrity.keystore", name, 0)
        (copy / name).unlink()
        old.write_bytes(data)
        self.found("under their own name", copy, "not_found.file", name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    test = harness.Test("tamper")
    test.say(f"seed {options.seed}")
    matrix = Matrix(test, options.seed)
    matrix.begin()
    for row, method in MATRIX:
        test.say(f"{row} ({method})")
        getattr(matrix, method)()
    matrix.clean("put back, the directory", matrix.base, "--projection", "--log-key", "clinic.vkey")
    sys.exit(test.finish())


if __name__ == "__main__":
    main()
