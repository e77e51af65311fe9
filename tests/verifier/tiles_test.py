#!/usr/bin/env python3
"""What `head publish --tiles` writes, read by someone who has the specification (C2SP tlog-tiles) and the log's key.

The reader here takes a directory and a key line, nothing of the database, and makes the root again from the hashes alone.
"""
import base64
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "verifier"), str(ROOT / "tests/e2e")]
import harness  # noqa: E402
import kimberlite_verify as v  # noqa: E402

WIDTH = 256


def tile_path(level, number, width):
    digits = f"{number:03}"
    digits = digits.zfill((len(digits) + 2) // 3 * 3)
    parts = [digits[at:at + 3] for at in range(0, len(digits), 3)]
    path = "/".join(["x" + part for part in parts[:-1]] + parts[-1:])
    return f"tile/{level}/{path}" + ("" if width == WIDTH else f".p/{width}")


def hashes_of(directory, level, count):
    """All `count` hashes of a level, from its tiles."""
    found = []
    for number in range((count + WIDTH - 1) // WIDTH):
        width = min(WIDTH, count - number * WIDTH)
        data = (directory / tile_path(level, number, width)).read_bytes()
        if len(data) != 32 * width:
            raise v.Refused("integrity.tile", f"{tile_path(level, number, width)} has {len(data)} bytes")
        found += [data[at:at + 32] for at in range(0, len(data), 32)]
    return found


def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return v.node_hash(tree(leaves[:half]), tree(leaves[half:]))


def read(directory, key):
    """The leaf hashes of a published tree: size, root and every tile were checked to the signature."""
    size, root = v.check_head((directory / "checkpoint").read_bytes(), key)
    leaves = below = hashes_of(directory, 0, size)
    level = 1
    while size >> 8 * level:
        here = hashes_of(directory, level, size >> 8 * level)
        for i, found in enumerate(here):
            if tree(below[i * WIDTH:(i + 1) * WIDTH]) != found:
                raise v.Refused("integrity.tile", f"level {level}, hash {i}")
        below, level = here, level + 1
    if tree(leaves) != root:
        raise v.Refused("integrity.tree", "the tiles do not lead to the signed root")
    return leaves


def refused(directory, key):
    try:
        read(directory, key)
    except v.Refused as error:
        return error.code
    return None


class Tiles:
    def __init__(self, test):
        self.test = test
        self.db, self.public = test.work / "clinic", test.work / "public"
        test.must("init", self.db)
        self.key = v.Key((test.work / "clinic.vkey").read_text().strip())
        test.must("sql", self.db, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)")
        self.rows = 0

    def insert(self, count):
        script = self.test.work / "rows.sql"
        script.write_text("".join(f"INSERT INTO t VALUES ({self.rows + i});\n" for i in range(count)))
        self.rows += count
        self.test.must("sql", self.db, "--quiet", "-f", script)

    def publish(self, db=None):
        return self.test.run("head", "publish", db or self.db, "--tiles", self.public, "--format", "csv", "--quiet")

    def paths(self):
        check = self.test.check
        for number, path in ((0, "000"), (67, "067"), (1000, "x001/000"), (1234067, "x001/x234/067")):
            check(tile_path(0, number, WIDTH) == f"tile/0/{path}", f"the path of tile {number}")
        check(tile_path(1, 0, 17) == "tile/1/000.p/17", "the path of a partial tile")

    def grows(self):
        check = self.test.check
        for more in (0, 1, 200, 60, 300):
            self.insert(more)
            status, out, errors = self.publish()
            if not check(status == 0, f"{self.rows} rows: published", errors):
                return
            size = int(out.splitlines()[1].split(",")[1])
            leaves = read(self.public, self.key)
            check(len(leaves) == size > self.rows, f"{size} leaves lead to the signed root")
        self.leaves = leaves
        # What a receipt says is in the tree is there.
        for position in (1, 256, 257, len(leaves)):
            path = self.test.work / "one.receipt"
            self.test.must("receipt", "get", self.db, position, "-o", path)
            entry = base64.b64decode(path.read_text().splitlines()[1].split(" ")[1])[8:200]
            check(v.sha256(b"\x00", entry) == leaves[position - 1], f"record {position} is leaf {position - 1}")
        names = {str(path.relative_to(self.public)) for path in self.public.rglob("*") if path.is_file()}
        check("checkpoint" in names and not any("entries" in name or "unfinished" in name for name in names),
              "hashes and a checkpoint, nothing else", str(names))
        status, out, errors = self.publish()
        check(status == 0 and out.splitlines()[1].endswith(",0"), "again: nothing is written", out + errors)

    def damage(self):
        """Everything wrong is seen by the reader, and refused by the next publication with the file's name."""
        check = self.test.check
        size = len(self.leaves)
        needed = [tile_path(level, number, min(WIDTH, (size >> 8 * level) - number * WIDTH))
                  for level in (0, 1) for number in range(((size >> 8 * level) + WIDTH - 1) // WIDTH)]
        check(len(needed) == 4, f"{size} leaves are four tiles")
        for name in needed:
            path = self.public / name
            whole = path.read_bytes()
            for at in range(0, len(whole), 501):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:])
                check(refused(self.public, self.key) in ("integrity.tile", "integrity.tree"), f"{name}, byte {at}: seen")
            status, _, errors = self.publish()
            check(status == 3 and "error[integrity.tile]" in errors and str(path) in errors, f"{name}: refused", errors)
            path.write_bytes(whole)
        checkpoint = self.public / "checkpoint"
        whole = checkpoint.read_bytes()
        for at in range(0, len(whole), 7):
            checkpoint.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            check(refused(self.public, self.key) is not None, f"checkpoint, byte {at}: seen")
            status, _, errors = self.publish()
            check(status == 3 and str(checkpoint) in errors, f"checkpoint, byte {at}: refused", errors)
        checkpoint.write_bytes(whole)
        check(refused(self.public, self.key) is None, "put back, all is well")

    def histories(self):
        """A copy that went another way, under the same keys: its tiles are not written over those of the other."""
        other = self.test.work / "other"
        shutil.copytree(self.db, other)
        self.insert(1)
        self.test.check(self.publish()[0] == 0, "the one history")
        status, _, errors = self.publish(other)
        self.test.check(status == 3 and "error[integrity.rollback]" in errors, "the other, shorter", errors)
        self.test.must("sql", other, "--quiet", "-c", "INSERT INTO t VALUES (-1)", "-c", "INSERT INTO t VALUES (-2)")
        status, _, errors = self.publish(other)
        self.test.check(status == 3 and "error[integrity.consistency]" in errors, "the other, longer", errors)
        read(self.public, self.key)


def main():
    test = harness.Test("tiles")
    # Who attacks here remembers nothing.
    test.environment["KIMBERLITE_HEADS_FILE"] = "off"
    tiles = Tiles(test)
    for part in ("paths", "grows", "damage", "histories"):
        getattr(tiles, part)()
        test.say(part)
    sys.exit(test.finish())


if __name__ == "__main__":
    main()
