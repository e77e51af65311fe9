"""Logs that are made here, to sign what no log would: records with one item each, under a key of their own."""
import base64
import functools
import hashlib
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "verifier"))
import kimberlite_verify as v  # noqa: E402


class Roots:
    """The roots of any range, each computed once."""

    def __init__(self, leaves):
        self.leaves, self.known = leaves, {}

    def of(self, begin, end):
        if (begin, end) not in self.known:
            if end - begin == 1:
                self.known[begin, end] = self.leaves[begin]
            else:
                k = 1 << (end - begin - 1).bit_length() - 1
                self.known[begin, end] = v.node_hash(self.of(begin, begin + k), self.of(begin + k, end))
        return self.known[begin, end]

    def path(self, m, begin, end):
        if end - begin == 1:
            return []
        k = begin + (1 << (end - begin - 1).bit_length() - 1)
        if m < k:
            return self.path(m, begin, k) + [self.of(k, end)]
        return self.path(m, k, end) + [self.of(begin, k)]

    def subproof(self, m, begin, end, whole):
        if m == end:
            return [] if whole else [self.of(begin, end)]
        k = begin + (1 << (end - begin - 1).bit_length() - 1)
        if m <= k:
            return self.subproof(m, begin, k, whole) + [self.of(k, end)]
        return self.subproof(m, k, end, False) + [self.of(begin, k)]


def encode_point(point):
    inverse = pow(point[2], v.P - 2, v.P)
    x, y = point[0] * inverse % v.P, point[1] * inverse % v.P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def key_line(name, public_key, kind=1):
    data = bytes([kind]) + public_key
    return f"{name}+{v.sha256(name.encode(), bytes([10]), data)[:4].hex()}+{base64.b64encode(data).decode()}"


def note(text, name, public_key, signature):
    signed = v.sha256(name.encode(), b"\n\x01", public_key)[:4] + signature
    return f"{text}\n\u2014 {name} {base64.b64encode(signed).decode()}\n".encode()


class Log:
    """A log of records with one item each, and its key (RFC 8032, section 5.1.5)."""

    def __init__(self, seed, records, first=1):
        digest = bytearray(hashlib.sha512(seed).digest())
        digest[0] &= 248
        digest[31] = digest[31] & 127 | 64
        self.scalar, self.prefix = int.from_bytes(digest[:32], "little"), bytes(digest[32:])
        self.public_key = encode_point(v.multiply(self.scalar, v.BASE))
        self.id = hashlib.sha256(seed).digest()[:16]
        self.name = "kimberlite/" + self.id.hex()
        self.line = key_line(self.name, self.public_key)
        self.items = [self.item(make) for make in records]
        self.entries, previous = [], bytes(32)
        for position, (item, _) in enumerate(self.items, first):
            self.entries.append(self.entry(position, v.sha256(b"\x10", item), previous, len(item)))
            previous = v.sha256(b"\x00", self.entries[-1])
        self.roots = Roots([v.sha256(b"\x00", entry) for entry in self.entries])

    def sign(self, message):
        r = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % v.L
        point = encode_point(v.multiply(r, v.BASE))
        h = int.from_bytes(hashlib.sha512(point + self.public_key + message).digest(), "little")
        return point + ((r + h * self.scalar) % v.L).to_bytes(32, "little")

    def item(self, make):
        """Header fields by name, and a plaintext, sealed; with the key."""
        fields, text = make
        key = v.sha256(b"key", text)
        nonce = v.sha256(b"nonce", text)[:24]
        header = struct.pack("<BBHIIIQQQ", fields.get("kind", 1), fields.get("flags", 0), 0, fields.get("count", 1),
                             len(text) + 16, 0, fields.get("key", 3), fields.get("stream", 0), fields.get("first", 0))
        sealed = gcm_seal(key, nonce[12:], struct.pack("<H", 1) + self.id + header, text)
        return header + nonce + v.sha256(b"\x12", fields.get("committed", key)) + sealed, key

    def entry(self, position, commitment, previous, size):
        return v.ENTRY.pack(1, 1, 0, self.id, 7, size, 1, 0, position, 1_700_000_000_000_000 + position, b"a" * 16,
                            b"s" * 16, b"r" * 16, b"c" * 16, commitment, previous, bytes(8))

    @functools.lru_cache(maxsize=None)
    def head(self, size, root):
        text = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        return note(text, self.name, self.public_key, self.sign(text.encode()))

    def extra(self, index, with_item):
        item, key = self.items[index]
        disclosed = struct.pack("<II", 0, 0) + key + item if with_item else b""
        return struct.pack("<HHI", 1, with_item, 0) + self.entries[index] + disclosed

    def receipt(self, index, size, with_item=False, path=None, head=None):
        path = self.roots.path(index, 0, size) if path is None else path
        lines = ["c2sp.org/tlog-proof@v1", "extra " + base64.b64encode(self.extra(index, with_item)).decode(),
                 f"index {index}", *(base64.b64encode(p).decode() for p in path)]
        return "".join(line + "\n" for line in lines).encode() + b"\n" + (head or self.head(size, self.roots.of(0, size)))

    def consistency(self, old, size, path=None, heads=None):
        path = self.roots.subproof(old, 0, size, True) if path is None else path
        lines = ["kimberlite/consistency@v1", *(base64.b64encode(p).decode() for p in path)]
        older, newer = heads or (self.head(old, self.roots.of(0, old)), self.head(size, self.roots.of(0, size)))
        return "".join(line + "\n" for line in lines).encode() + b"\n" + older + b"\n" + newer

    def cose(self, index, size, root, path):
        header = v.cbor({1: -8, 4: self.name.encode(), 395: 1, -65538: size})
        signature = self.sign(v.cbor(["Signature1", header, b"", root]))
        return b"\xd2" + v.cbor([header, {396: {-1: [v.cbor([size, index, path])]}, -65537: self.extra(index, 1)}, None,
                                 signature])


def gcm_seal(key, nonce, associated, text):
    """The same way as gcm_open: a stream that is its own inverse, then the tag."""
    keys = v.aes256_round_keys(key)
    sealed = b""
    for i in range(0, len(text), 16):
        stream = v.aes_block(keys, nonce + struct.pack(">I", 2 + i // 16))
        sealed += bytes(a ^ b for a, b in zip(text[i:i + 16], stream))
    pad = lambda data: data + bytes(-len(data) % 16)  # noqa: E731
    lengths = struct.pack(">QQ", len(associated) * 8, len(sealed) * 8)
    digest = v.ghash(v.aes_block(keys, bytes(16)), pad(associated) + pad(sealed) + lengths)
    return sealed + bytes(a ^ b for a, b in zip(digest, v.aes_block(keys, nonce + b"\0\0\0\1")))


def value(of):
    if of is None:
        return b"\x00"
    if isinstance(of, int):
        return b"\x01" + struct.pack("<q", of)
    if isinstance(of, float):
        return b"\x02" + struct.pack("<d", of)
    data = of.encode() if isinstance(of, str) else of
    return (b"\x03" if isinstance(of, str) else b"\x04") + struct.pack("<I", len(data)) + data


def values(*of):
    return struct.pack("<H", len(of)) + b"".join(map(value, of))


def change(ordinal, operation, previous, key, image):
    return struct.pack("<IIBQ", ordinal, 12, operation, previous) + values(*key) + values(*image)


def padded(text):
    return text + bytes(-len(text) % 64 if text else 64)


MARKUP = "<img src=x onerror=\"document.title='run'\"><b>bold</b>"
TURNED = "abc\u202edef\u0007"
META = b"".join(map(value, [2, "as the patient asked", b"\x01\x02", "UPDATE t SET a = ?", None, None, b"\xff"]))
ROWS = {"kind": 1, "flags": 1, "count": 2}, padded(
    META + change(0, 2, 41, [-5], [-2**63, 2.5, MARKUP, b"\xde\xad", None, "x" * 300]) + change(1, 3, 7, ["k", 9], []))
EVENTS = {"kind": 2, "count": 2, "stream": 8, "first": 5}, padded(
    value("admitted") + value(TURNED) + value("left") + value(1))
CONTROL = {"kind": 3, "count": 1}, padded(struct.pack("<I", 3) + b"\xca\xfe\x00")
ALONE = {"kind": 4, "flags": 1, "count": 0}, padded(META)
CANONICAL = [ROWS, EVENTS, CONTROL, ALONE]

ONE = change(0, 1, 0, [1], [1])
# Sealed and signed as it should be, and not what a writer makes.
NOT_CANONICAL = [
    ({"count": 0}, padded(ONE)), ({"count": 2}, padded(ONE)), ({"key": 0}, padded(ONE)), ({"stream": 1}, padded(ONE)),
    ({"first": 1}, padded(ONE)), ({"kind": 2}, padded(value("a") + value("b"))),
    ({"kind": 4, "flags": 0, "count": 0}, padded(META)), ({"kind": 4, "flags": 1, "count": 1}, padded(META)),
    ({}, padded(ONE) + bytes(64)), ({}, padded(ONE)[:-1] + b"\1"), ({}, padded(ONE)[:-1]), ({}, padded(b"")),
    ({"count": 2**32 - 1}, padded(ONE)), ({"flags": 1}, padded(ONE)), ({"flags": 1}, padded(value(-1) + META[9:] + ONE)),
    ({"flags": 1}, padded(value("1") + META[9:] + ONE)), ({}, padded(change(0, 0, 0, [1], [1]))),
    ({}, padded(change(0, 4, 0, [1], [1]))), ({}, padded(change(0, 3, 0, [1], [1]))), ({}, padded(change(0, 1, 0, [1], []))),
    ({}, padded(change(0, 1, 0, [], [1]))), ({}, padded(change(0, 1, 0, [1], [-0.0]))),
    ({}, padded(change(0, 1, 0, [1], [float("nan")]))), ({}, padded(change(0, 1, 0, [1], ["a\0b"]))),
    ({}, padded(change(0, 1, 0, [1], []) [:-2] + struct.pack("<H", 1) + b"\x05" + bytes(8))),
    ({}, padded(change(0, 1, 0, [1], []) [:-2] + struct.pack("<H", 1) + b"\x03\x01\x00\x00\x00\xff")),
    ({}, padded(change(0, 1, 0, [1], []) [:-2] + struct.pack("<H", 1) + b"\x04\xff\xff\xff\xff")),
    ({"kind": 2, "stream": 1}, padded(value(1) + value("b"))), ({"kind": 3}, padded(struct.pack("<I", 2**31))),
]
