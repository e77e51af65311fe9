#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A witness: remembers the newest head it saw of each log it knows, and signs only what extends it.

It speaks C2SP tlog-witness (POST /add-checkpoint) and answers with C2SP tlog-cosignature lines,
Ed25519, key type 0x04. It shares no code with the database; of the verifier beside it it takes the
checks of notes, heads, signatures and consistency proofs. Python 3.9 or later, standard library.

    witness.py key --name NAME --key FILE                makes a key, and prints its key line
    witness.py serve --key FILE --logs FILE --state FILE [--listen HOST:PORT]

LOGS holds one key line of a log each line; lines that begin with # are skipped. It is read once, at
the start. The key's file holds the name and the seed: whoever reads it can sign as this witness.
By default it listens on 127.0.0.1 alone, and it speaks plain HTTP: put a TLS server before it.

Invariants:
(W1) The state is on disk before a signature of it is given to anyone.          [kept: Memory.take]
(W2) Of each log, the size in the state never falls, and each tree begins with the one before it:
     looking, checking and writing are one step under one lock.                 [kept: Memory.take]
(W3) One process has the state, and one witness: it is locked.                  [kept: Memory]
(W4) A state that is damaged, or gone although its lock file tells that it was there, stops the
     witness: it does not begin again with nothing, for that is what it is there to prevent.
                                                                                [kept: Memory.load]
"""
import argparse
import base64
import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import kimberlite_verify as v  # noqa: E402

COSIGNATURE = 0x04
MAX_BODY = 2 * v.MAX_NOTE
MAX_PATH = 63
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"


class Answer(Exception):
    """What is sent instead of a cosignature: a status, and a body."""

    def __init__(self, status, body, kind=TEXT_TYPE):
        super().__init__(f"{status}: {body.strip()}")
        self.status, self.body, self.kind = status, body, kind


# ---- Ed25519 signing (RFC 8032, section 5.1.6) --------------------------------------------------------
# Slow, and not in constant time: a witness signs rarely, and whoever can measure it to the
# microsecond many times over shares its machine.


def encode_point(point):
    inverse = pow(point[2], v.P - 2, v.P)
    x, y = point[0] * inverse % v.P, point[1] * inverse % v.P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    scalar &= (1 << 254) - 8
    return scalar | 1 << 254, digest[32:]


def public_key(seed):
    return encode_point(v.multiply(expand(seed)[0], v.BASE))


def sign(seed, message):
    scalar, prefix = expand(seed)
    key = public_key(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % v.L
    point = encode_point(v.multiply(r, v.BASE))
    h = int.from_bytes(hashlib.sha512(point + key + message).digest(), "little") % v.L
    return point + ((r + h * scalar) % v.L).to_bytes(32, "little")


class Signer:
    """The witness's own key, under its name."""

    def __init__(self, name, seed):
        if not v.is_name(name) or len(name.encode()) > 255 or len(seed) != 32:
            raise ValueError("a witness has a name without spaces and '+', and a seed of 32 bytes")
        self.name, self.seed = name, seed
        self.typed_key = bytes([COSIGNATURE]) + public_key(seed)
        self.id = v.sha256(name.encode(), b"\n", self.typed_key)[:4]

    def key_line(self):
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.typed_key).decode()}"

    def cosign(self, text, seconds):
        """The signature line for a head's text, as of that time."""
        signature = sign(self.seed, f"cosignature/v1\ntime {seconds}\n{text}".encode())
        line = base64.b64encode(self.id + struct.pack(">Q", seconds) + signature).decode()
        return f"\u2014 {self.name} {line}\n"

    @staticmethod
    def load(path):
        name, seed = pathlib.Path(path).read_text(encoding="utf-8").split("\n")[:2]
        return Signer(name, bytes.fromhex(seed))


def write_durably(path, data, mode=0o600):
    """`path` has these bytes, or what it had before, whatever happens."""
    first = path.with_name(path.name + ".new")
    with open(os.open(first, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(first, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Memory:
    """The newest size and root of each origin."""

    def __init__(self, path):
        self.path = pathlib.Path(path).absolute()
        self.mutex = threading.Lock()
        self.held = open(self.path.with_name(self.path.name + ".lock"), "a+b")
        try:
            fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"another witness has {self.path}") from None
        self.heads = self.load()

    def load(self):
        if not self.path.exists():
            self.held.seek(0)
            if self.held.read(1):
                raise SystemExit(f"{self.path} was there and is gone: give it back, or make a witness of another name and key")
            return {}
        try:
            state = json.loads(self.path.read_bytes())
            heads = {origin: (head["size"], bytes.fromhex(head["root"])) for origin, head in state["heads"].items()}
            good = state["version"] == 1 and state["check"] == self.check(state["heads"]) and all(
                isinstance(size, int) and 0 < size <= v.MAX_SIZE and len(root) == 32 for size, root in heads.values())
        except (ValueError, KeyError, TypeError, AttributeError):
            good = False
        if not good:
            raise SystemExit(f"{self.path} is damaged: nothing is signed before it is put right")
        return heads

    @staticmethod
    def check(heads):
        return hashlib.sha256(json.dumps(heads, sort_keys=True).encode()).hexdigest()

    def take(self, origin, old_size, size, root, path, clock):
        """Remembers this head of the log, and says when; Answer if it may not be cosigned.

        The time is taken here: a cosignature says that no larger tree was seen then.
        """
        with self.mutex:
            known_size, known_root = self.heads.get(origin, (0, None))
            if old_size != known_size:
                raise Answer(409, f"{known_size}\n", SIZE_TYPE)
            if old_size == size and root != known_root:
                raise Answer(409, f"{known_size}\n", SIZE_TYPE)
            if old_size == 0:
                good = not path
            else:
                good = v.verify_consistency(known_size, known_root, size, root, path)
            if not good:
                raise Answer(422, "the consistency proof does not lead from the head that was cosigned last to this one\n")
            if old_size == size:
                return int(clock())
            heads = dict(self.heads)
            heads[origin] = (size, root)
            listed = {name: {"size": s, "root": r.hex()} for name, (s, r) in sorted(heads.items())}
            write_durably(self.path, json.dumps({"version": 1, "heads": listed, "check": self.check(listed)}, indent=1).encode())
            if self.held.tell() == 0:
                self.held.write(b"x")
                self.held.flush()
                os.fsync(self.held.fileno())
            self.heads = heads
            return int(clock())


def read_logs(path):
    """The keys of the logs that are known, by origin: a log may have several."""
    logs = {}
    for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#"):
            key = v.Key(line)
            logs.setdefault(key.name, []).append(key)
    return logs


def parse_request(body):
    """Old size, path and note of a request."""
    line, _, rest = body.partition(b"\n")
    old_size = v.decimal(line[4:].decode("ascii", "replace")) if line.startswith(b"old ") else None
    if old_size is None:
        raise Answer(400, "the first line is no old size\n")
    path = []
    while True:
        line, newline, rest = rest.partition(b"\n")
        if not newline or len(path) > MAX_PATH:
            raise Answer(400, "there is no empty line behind at most 63 hashes\n")
        if not line:
            return old_size, path, rest
        found = v.hash_line(line.decode("ascii", "replace"))
        if found is None:
            raise Answer(400, "a line of the proof is no hash in base64\n")
        path.append(found)


class Witness:
    def __init__(self, signer, logs, memory, clock=time.time):
        self.signer, self.logs, self.memory, self.clock = signer, logs, memory, clock

    def add_checkpoint(self, body):
        """The signature line; Answer if there is none. The order is that of tlog-witness."""
        old_size, path, note = parse_request(body)
        try:
            text, signatures = v.parse_note(note)
            origin, size, root = v.parse_head(text)
        except v.Refused as error:
            raise Answer(400, f"{error}\n") from None
        if origin not in self.logs:
            raise Answer(404, "this log is not known here\n")
        signed = any((key.name, key.id) in signatures and
                     v.ed25519_verify(key.key, text.encode(), signatures[key.name, key.id]) for key in self.logs[origin])
        if not signed:
            raise Answer(403, "no key that is known of this log has signed it\n")
        if old_size > size:
            raise Answer(400, "the old size is above the size of the checkpoint\n")
        return self.signer.cosign(text, self.memory.take(origin, old_size, size, root, path, self.clock))


def handler_of(witness, say):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        server_version = "witness"
        sys_version = ""

        def answer(self, status, body, kind=TEXT_TYPE):
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > MAX_BODY:
                self.close_connection = True
                return self.answer(413 if length.isdigit() else 411, "the length is missing or too large\n")
            body = self.rfile.read(int(length))
            if self.path != "/add-checkpoint":
                return self.answer(404, "POST /add-checkpoint\n")
            try:
                return self.answer(200, witness.add_checkpoint(body))
            except Answer as refused:
                say(str(refused))
                return self.answer(refused.status, refused.body, refused.kind)
            except OSError as error:  # nothing was signed: the state could not be written
                say(f"the state cannot be written: {error.strerror}")
                return self.answer(500, "the witness cannot remember it\n")

        def log_message(self, *_):
            pass

    return Handler


def make_key(arguments):
    path = pathlib.Path(arguments.key)
    signer = Signer(arguments.name, os.urandom(32))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{signer.name}\n{signer.seed.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
    print(signer.key_line())


def serve(arguments):
    signer, logs = Signer.load(arguments.key), read_logs(arguments.logs)
    witness = Witness(signer, logs, Memory(arguments.state))
    host, _, port = arguments.listen.rpartition(":")

    def say(text):
        print(text, file=sys.stderr, flush=True)

    with http.server.ThreadingHTTPServer((host, int(port)), handler_of(witness, say)) as server:
        server.daemon_threads = True
        say(f"{signer.key_line()}\nlistening on {server.server_address[0]}:{server.server_address[1]}, {len(logs)} logs known")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    key = commands.add_parser("key", help="make a key, and print its key line")
    key.add_argument("--name", required=True, help="the witness's name, as witness.example.org/w1")
    key.add_argument("--key", required=True, help="the file to make")
    server = commands.add_parser("serve", help="answer")
    server.add_argument("--key", required=True, help="the file of the key")
    server.add_argument("--logs", required=True, help="a file of key lines of logs")
    server.add_argument("--state", required=True, help="the file it remembers in")
    server.add_argument("--listen", default="127.0.0.1:7870", help="host:port (default: 127.0.0.1:7870)")
    parsed = parser.parse_args(arguments)
    try:
        (make_key if parsed.command == "key" else serve)(parsed)
    except (OSError, ValueError, v.Refused) as error:
        sys.exit(f"witness: {error}")


if __name__ == "__main__":
    main()
