#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks receipts, signed heads and consistency proofs of Kimberlite logs, offline.

One file, Python 3.9 or later, standard library only. It shares no code with the database: it was
written from the format documents (docs/proofs.md), and from RFC 6962, RFC 8032, FIPS 197, SP 800-38D
RFC 9052 and 9942, and the C2SP documents signed-note, tlog-checkpoint, tlog-proof and
XAES-256-GCM. A receipt may be text or COSE; DIR is what `kimberlite export --receipts` wrote, and was
written from docs/storage-format.md too.

    kimberlite_verify.py receipt FILE... --log-key KEY
    kimberlite_verify.py head FILE... --log-key KEY
    kimberlite_verify.py consistency FILE... --log-key KEY
    kimberlite_verify.py export DIR... --log-key KEY

KEY is the log's public key, a line like kimberlite/<log id>+<8 digits>+<base64>, or a file that
holds it. It must have come to you another way than the file you check. Exit status: 0 if everything
holds, 3 if anything does not, 2 for a wrong command line.
"""
import argparse
import base64
import binascii
import collections
import datetime
import hashlib
import json
import os
import re
import struct
import sys
from decimal import Decimal

MAX_NOTE = 256 * 1024
MAX_RECEIPT = 16 * 1024 * 1024
MAX_SIGNATURES = 64
MAX_PATH = 64
MAX_SIZE = 2**63 - 1


class Refused(Exception):
    """What does not hold: a stable code, and why."""

    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why


# ---- Ed25519 verification (RFC 8032, section 5.1.7) ----------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


# Points as (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def decode_point(data):
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verify(public_key, message, signature):
    if len(public_key) != 32 or len(signature) != 64:
        return False
    a = decode_point(public_key)
    r = decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    h = int.from_bytes(digest, "little") % L
    left = multiply(s, BASE)
    right = add(r, multiply(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


# ---- RFC 6962 trees -------------------------------------------------------------------------------


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def node_hash(left, right):
    return sha256(b"\x01", left, right)


def root_of_inclusion(leaf, index, size, path):
    """The root the path leads to, or None; RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        return None
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, p)
        fn >>= 1
        sn >>= 1
    return r if sn == 0 else None


def verify_inclusion(leaf, index, size, path, root):
    return root_of_inclusion(leaf, index, size, path) == root


def verify_consistency(old_size, old_root, size, root, path):
    """RFC 9162, section 2.1.4.2."""
    if not 1 <= old_size <= size:
        return False
    if old_size == size:
        return not path and old_root == root
    path = list(path)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr = node_hash(c, fr)
            sr = node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    return sn == 0 and fr == old_root and sr == root


# ---- AES-256-GCM (FIPS 197, SP 800-38D): only to open the one item a receipt discloses -----------


def make_sbox():
    sbox, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        sbox[p] = 0x63 ^ q
        for shift in (1, 2, 3, 4):
            sbox[p] ^= (q << shift | q >> (8 - shift)) & 0xFF
        if p == 1:
            break
    sbox[0] = 0x63
    return sbox


SBOX = make_sbox()


def xtime(b):
    return (b << 1 ^ (0x1B if b & 0x80 else 0)) & 0xFF


def aes256_round_keys(key):
    words = [list(key[i : i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        word = list(words[-1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = xtime(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[i : i + 4], []) for i in range(0, 60, 4)]


def aes_block(round_keys, block):
    state = [a ^ b for a, b in zip(block, round_keys[0])]
    for number in range(1, 15):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number != 14:
            mixed = []
            for c in range(0, 16, 4):
                a = state[c : c + 4]
                every = a[0] ^ a[1] ^ a[2] ^ a[3]
                mixed += [a[i] ^ every ^ xtime(a[i] ^ a[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, round_keys[number])]
    return bytes(state)


def times_x(v):
    return v >> 1 ^ (0xE1 << 120 if v & 1 else 0)


def make_reductions():
    """What the last byte of an element becomes when it is multiplied by x^8."""
    table = []
    for v in range(256):
        for _ in range(8):
            v = times_x(v)
        table.append(v)
    return table


REDUCTIONS = make_reductions()


def ghash(h, data):
    # The products of h and every first byte; the others follow by Horner's rule.
    products, v = [0] * 256, int.from_bytes(h, "big")
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        products[bit] = v
        v = times_x(v)
    for byte in range(256):
        low = byte & -byte
        products[byte] = products[low] ^ products[byte ^ low] if byte ^ low else products[byte]
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i : i + 16], "big")
        z = 0
        for byte in y.to_bytes(16, "little"):
            z = z >> 8 ^ REDUCTIONS[z & 255] ^ products[byte]
        y = z
    return y.to_bytes(16, "big")


# For a byte k of a round key: x to S(x ^ k), and to the double of that.
SUBSTITUTIONS = [bytes(SBOX[x ^ k] for x in range(256)) for k in range(256)]
DOUBLED = [bytes(xtime(y) for y in table) for table in SUBSTITUTIONS]


def counter_stream(keys, nonce, blocks):
    """The key stream of so many blocks, from counter 2 on. All blocks go through a round together:
    a plane is one byte of the state of every block."""
    counters = b"".join(struct.pack(">I", 2 + i) for i in range(blocks))
    planes = [bytes([nonce[i]]) * blocks for i in range(12)] + [counters[i::4] for i in range(4)]
    order = [(i + 4 * (i % 4)) % 16 for i in range(16)]  # ShiftRows
    for number in range(13):
        once = [int.from_bytes(planes[i].translate(SUBSTITUTIONS[keys[number][i]]), "big") for i in order]
        twice = [int.from_bytes(planes[i].translate(DOUBLED[keys[number][i]]), "big") for i in order]
        planes = []
        for i in range(16):
            b, c, d = (i & 12 | (i + n) % 4 for n in (1, 2, 3))
            mixed = twice[i] ^ twice[b] ^ once[b] ^ once[c] ^ once[d]
            planes.append(mixed.to_bytes(blocks, "big"))
    out = bytearray(16 * blocks)
    for i in range(16):
        last = planes[order[i]].translate(SUBSTITUTIONS[keys[13][order[i]]])
        out[i::16] = bytes(x ^ keys[14][i] for x in last)
    return bytes(out)


def gcm_open(key, nonce, associated, sealed):
    """The text, or None if it is not what was sealed so."""
    if len(sealed) < 16:
        return None
    text, tag = sealed[:-16], sealed[-16:]
    keys = aes256_round_keys(key)

    def padded(data):
        return data + bytes(-len(data) % 16)

    lengths = struct.pack(">QQ", len(associated) * 8, len(text) * 8)
    digest = ghash(aes_block(keys, bytes(16)), padded(associated) + padded(text) + lengths)
    mask = aes_block(keys, nonce + b"\0\0\0\1")
    if bytes(a ^ b for a, b in zip(digest, mask)) != tag:
        return None
    stream = counter_stream(keys, nonce, (len(text) + 15) // 16)[: len(text)]
    return (int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(text), "big")


# ---- Texts ----------------------------------------------------------------------------------------


def strict_base64(text):
    """The bytes, or None unless `text` is their one encoding."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def decimal(text):
    """A number up to 2^63 - 1 without leading zeros, or None."""
    if not text or not all("0" <= c <= "9" for c in text) or len(text) > 19:
        return None
    if len(text) > 1 and text[0] == "0":
        return None
    value = int(text)
    return value if value <= MAX_SIZE else None


def hash_line(text):
    data = strict_base64(text)
    return data if data is not None and len(data) == 32 else None


def is_name(name):
    return bool(name) and "+" not in name and not any(c.isspace() or ord(c) < 32 for c in name)


class Key:
    """A log's public key, from its line."""

    def __init__(self, line):
        parts = line.split("+", 2)
        if len(parts) != 3:
            raise Refused("usage.key", "a key line has three parts with + between")
        data = strict_base64(parts[2])
        if not is_name(parts[0]) or data is None or len(data) != 33 or data[0] != 1:
            raise Refused("usage.key", "the key is not an Ed25519 key of 32 bytes under a name")
        self.name = parts[0]
        self.key = data[1:]
        self.id = sha256(self.name.encode(), b"\n", data)[:4]
        if self.id.hex() != parts[1]:
            raise Refused("usage.key", "the key id is not that of the name and the key")


def parse_note(data):
    """The text of a signed note, and its signatures by (name, key id)."""

    def refuse(why):
        raise Refused("integrity.note", why)

    if len(data) > MAX_NOTE:
        refuse("it is larger than a note may be")
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError:
        refuse("it is not UTF-8 text")
    if any(ord(c) < 32 and c != "\n" for c in note):
        refuse("it holds a control character")
    gap = note.rfind("\n\n")
    if gap < 0 or not note.endswith("\n"):
        refuse("it has no empty line before its signatures, or its last line does not end")
    text, lines = note[: gap + 1], note[gap + 2 :].split("\n")[:-1]
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        refuse("it has no signature, or too many")
    signatures = {}
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not is_name(parts[1]):
            refuse("a signature line is not a dash, a name and a signature")
        signature = strict_base64(parts[2])
        if signature is None or len(signature) <= 4:
            refuse("a signature is not in base64")
        name_and_id = (parts[1], signature[:4])
        if name_and_id in signatures:
            refuse("one key signed it twice")
        signatures[name_and_id] = signature[4:]
    return text, signatures


def parse_head(text):
    """The origin, size and root of a head's text."""
    lines = text.split("\n")
    if len(lines) != 4 or not is_name(lines[0]):
        raise Refused("integrity.head", "it is not three lines that begin with the log's name")
    size, root = decimal(lines[1]), hash_line(lines[2])
    if not size:
        raise Refused("integrity.head", "its second line is no size from 1 to 2^63 - 1")
    if root is None:
        raise Refused("integrity.head", "its third line is no hash in base64")
    return lines[0], size, root


def check_head(data, key):
    """The size and root of a signed head."""
    text, signatures = parse_note(data)
    signature = signatures.get((key.name, key.id))
    if signature is None:
        raise Refused("integrity.signature", "there is no signature by the key that was given")
    if not ed25519_verify(key.key, text.encode(), signature):
        raise Refused("integrity.signature", "the signature does not fit the text")
    origin, size, root = parse_head(text)
    if origin != key.name:
        raise Refused("integrity.head", "it is signed by the key of another log")
    return size, root


def take_path(rest):
    """The hashes up to the first empty line, and what comes behind it; or None."""
    path = []
    while True:
        line, newline, rest = rest.partition(b"\n")
        if not newline:
            return None
        if not line:
            return path, rest
        digest = hash_line(line.decode("utf-8", "replace"))
        if digest is None or len(path) == MAX_PATH:
            return None
        path.append(digest)


ENTRY = struct.Struct("<HHI16sIIIIQQ16s16s16s16s32s32s8s")
ITEM_HEADER = struct.Struct("<BBHIIIQQQ24s32s")


class Entry:
    """The 192 bytes that are the leaf of the tree."""

    def __init__(self, data):
        (version, self.kind, self.flags, self.log_id, self.catalog_version, self.body_size,
         self.item_count, zero, self.position, self.timestamp, self.actor, self.session,
         self.request_id, self.correlation, self.body_commitment, self.previous,
         zeros) = ENTRY.unpack(data)
        if version > 1:
            raise Refused("unavailable.version", "an entry of a later version")
        if version != 1 or zero or any(zeros):
            raise Refused("integrity.entry", "its version or its padding is not right")
        if self.position == 0 or self.item_count == 0:
            raise Refused("integrity.entry", "it has no position or no items")
        if self.position == 1 and any(self.previous):
            raise Refused("integrity.entry", "the first record names one before it")
        self.leaf = sha256(b"\x00", data)


def refuse(why):
    raise Refused("integrity.receipt", why)


class Recorded:
    """The entry a receipt carries, and the item it may disclose: index, key, path, bytes."""

    def __init__(self, extra):
        if len(extra) < 8 + 192:
            refuse("what it carries is too short")
        version, flags, zero = struct.unpack_from("<HHI", extra)
        if version > 1:
            raise Refused("unavailable.version", "a receipt of a later version")
        if version != 1 or flags > 1 or zero:
            refuse("what it carries has flags or padding that is not right")
        self.entry = extra[8:200]
        self.item = None
        rest = extra[200:]
        if not flags:
            if rest:
                refuse("what it carries has not the right size")
            return
        if len(rest) < 40:
            refuse("its item is cut off")
        index, hashes = struct.unpack_from("<II", rest)
        if hashes > MAX_PATH or len(rest) < 40 + 32 * hashes:
            refuse("its item's path is too long")
        path = [rest[40 + 32 * i : 72 + 32 * i] for i in range(hashes)]
        self.item = (index, rest[8:40], path, rest[40 + 32 * hashes :])


def open_item(entry, index, key, path, item):
    """The kind, number of parts and text of an item, and its parts; refuses what no writer makes."""
    if len(item) <= 96 + 16:
        raise Refused("integrity.receipt", "its item is cut off")
    header = ITEM_HEADER.unpack_from(item)
    kind, flags, zero16, count, size, zero32, key_id, stream, first, nonce, commitment = header
    if (kind not in (1, 2, 3, 4) or flags > 1 or zero16 or zero32 or key_id == 0
            or (count != 0 or flags != 1 if kind == 4 else count == 0)
            or (stream == 0 if kind == 2 else stream != 0 or first != 0)
            or size < 16 + 64 or (size - 16) % 64 != 0):
        raise Refused("integrity.item", "the header of its item is not canonical")
    if size != len(item) - 96:
        raise Refused("integrity.receipt", "its item has not the size its header gives")
    if not verify_inclusion(sha256(b"\x10", item), index, entry.item_count, path,
                            entry.body_commitment):
        raise Refused("integrity.inclusion", "its item is not one the record commits to")
    if sha256(b"\x12", key) != commitment:
        raise Refused("integrity.seal", "the key is not the one the record commits to")
    associated = struct.pack("<H", 1) + entry.log_id + item[:40]
    text = gcm_open(key, nonce[12:], associated, item[96:])
    if text is None:
        raise Refused("integrity.seal", "the item does not open under its key")
    return kind, count, text, decode_item(item, text)


def check_receipt(data, key):
    if len(data) > MAX_RECEIPT:
        refuse("it is larger than a receipt may be")
    if data[:1] == b"\xd2":
        return check_cose_receipt(data, key)
    entry, recorded, size, root = check_record(data, lambda head: check_head(head, key))
    return describe(key, entry, size, root, recorded)


def check_record(data, head_of):
    """The entry a receipt of text proves, what it carries, and the size and root of its tree;
    `head_of` gives these of its head, or refuses it."""
    first, _, rest = data.partition(b"\n")
    if first != b"c2sp.org/tlog-proof@v1":
        refuse("its first line is not c2sp.org/tlog-proof@v1")
    extra, _, rest = rest.partition(b"\n")
    index, _, rest = rest.partition(b"\n")
    if not extra.startswith(b"extra ") or not index.startswith(b"index "):
        refuse("its second and third line are not extra and index")
    extra = strict_base64(extra[6:].decode("utf-8", "replace"))
    if extra is None:
        refuse("its extra line is not in base64")
    recorded = Recorded(extra)
    index = decimal(index[6:].decode("utf-8", "replace"))
    if index is None:
        refuse("its index is no number below 2^63")
    taken = take_path(rest)
    if taken is None:
        refuse("its lines up to the first empty one are not hashes in base64")
    path, head = taken
    parse_head(parse_note(head)[0])
    size, root = head_of(head)
    entry = Entry(recorded.entry)
    if entry.position != index + 1:
        raise Refused("integrity.inclusion", "the record has another position than its index says")
    if not verify_inclusion(entry.leaf, index, size, path, root):
        raise Refused("integrity.inclusion", "the record's path does not lead to the signed root")
    return entry, recorded, size, root


# ---- COSE (RFC 9052, RFC 9942), in the deterministic encoding of RFC 8949, section 4.2 ------------


def cbor_head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for low, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if value < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | low]) + struct.pack(form, value)
    raise ValueError(value)


def cbor(value):
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, str):
        return cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(map(cbor, value))
    return cbor_head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


class Cbor:
    """Reads what is expected; what is not is refused."""

    def __init__(self, data):
        self.rest = data

    def head(self, major):
        if not self.rest or self.rest[0] >> 5 != major or self.rest[0] & 31 > 27:
            refuse("it is no COSE_Sign1 of one inclusion proof, as RFC 9942 has it")
        low, self.rest = self.rest[0] & 31, self.rest[1:]
        if low < 24:
            return low
        width = 1 << low - 24
        if len(self.rest) < width:
            refuse("it is cut off")
        value, self.rest = int.from_bytes(self.rest[:width], "big"), self.rest[width:]
        return value

    def bytes(self):
        size = self.head(2)
        if size > len(self.rest):
            refuse("it is cut off")
        value, self.rest = self.rest[:size], self.rest[size:]
        return value

    def take(self, encoded):
        if not self.rest.startswith(encoded):
            refuse("it is no COSE_Sign1 of one inclusion proof, as RFC 9942 has it")
        self.rest = self.rest[len(encoded) :]


def check_cose_receipt(data, key):
    reader = Cbor(data)
    reader.take(b"\xd2\x84")
    protected = reader.bytes()
    reader.take(b"\xa2" + cbor(396) + b"\xa1" + cbor(-1) + b"\x81")
    proof = Cbor(reader.bytes())
    reader.take(cbor(-65537))
    extra = reader.bytes()
    reader.take(b"\xf6")
    signature = reader.bytes()
    proof.take(b"\x83")
    size, index = proof.head(0), proof.head(0)
    hashes = proof.head(4)
    if hashes > MAX_PATH:
        refuse("its inclusion proof is none")
    path = [proof.bytes() for _ in range(hashes)]
    header = Cbor(protected)
    header.take(b"\xa4" + cbor(1) + cbor(-8) + cbor(4))
    origin = header.bytes()
    again = {1: -8, 4: origin, 395: 1, -65538: size}
    if protected != cbor(again) or proof.rest or any(len(p) != 32 for p in path):
        refuse("its header or its inclusion proof is not in its one form")
    unprotected = {396: {-1: [cbor([size, index, path])]}, -65537: extra}
    if data != b"\xd2" + cbor([protected, unprotected, None, signature]) or len(signature) != 64:
        refuse("it is not in its one encoding")
    try:
        named = is_name(origin.decode("utf-8"))
    except UnicodeDecodeError:
        named = False
    if size > MAX_SIZE or not named:
        refuse("its log or its size is none")
    recorded = Recorded(extra)
    if origin != key.name.encode():
        raise Refused("integrity.signature", "it is not of the log of the key that was given")
    entry = Entry(recorded.entry)
    if entry.position != index + 1:
        raise Refused("integrity.inclusion", "the record has another position than its index says")
    root = root_of_inclusion(entry.leaf, index, size, path)
    if root is None:
        raise Refused("integrity.inclusion", "the record's path does not lead to the signed root")
    if not ed25519_verify(key.key, cbor(["Signature1", protected, b"", root]), signature):
        raise Refused("integrity.signature", "the root is not signed by the key that was given")
    return describe(key, entry, size, root, recorded)


def describe(key, entry, size, root, recorded):
    """What a receipt says, once its record is known to be in the tree; opens its item."""
    opened = None
    if recorded.item is not None:
        kind, count, text, _ = open_item(entry, *recorded.item)
        opened = {"index": recorded.item[0], "kind": kind, "count": count, "plaintext": text.hex()}
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=min(entry.timestamp, 2**57))
    return {
        "log": key.name,
        "position": entry.position,
        "timestamp": when.isoformat(timespec="microseconds") + "Z",
        "kind": entry.kind,
        "actor": entry.actor.hex(),
        "request_id": entry.request_id.hex(),
        "leaf": entry.leaf.hex(),
        "tree_size": size,
        "root": root.hex(),
        "opened": opened,
    }


# ---- What an opened item holds (docs/storage-format.md, Plaintext of an item) ---------------------


class Parts:
    """Reads fields one behind the other; what is not there, or not canonical, is refused."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bad(self):
        raise Refused("integrity.item", "an opened item is not in its canonical form")

    def take(self, size):
        if size > len(self.data) - self.at:
            self.bad()
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def flag(self):
        value = self.number(1)
        return bool(value) if value < 2 else self.bad()

    def sized(self):
        return self.take(self.number(4))

    def text(self):
        try:
            text = self.sized().decode("utf-8")
        except UnicodeDecodeError:
            self.bad()
        return text if "\0" not in text else self.bad()

    def list(self, read):
        count = self.number(4)
        return [read() for _ in range(count)] if count <= len(self.data) - self.at else self.bad()

    def value(self):
        tag = self.number(1)
        if tag == 0:
            return None
        if tag == 1:
            return int.from_bytes(self.take(8), "little", signed=True)
        if tag == 2:
            number = struct.unpack("<d", self.take(8))[0]
            if number != number or (number == 0 and str(number) == "-0.0"):
                self.bad()
            return number
        if tag == 3:
            return self.text()
        return self.sized() if tag == 4 else self.bad()

    def values(self):
        return [self.value() for _ in range(self.number(2))]

    def meta(self):
        kinds = (int, str, bytes, str, str, str, bytes)
        for i, kind in enumerate(kinds):
            value = self.value()
            if (value is None and i > 0) or type(value) is kind:
                if i == 0 and value < 0:
                    self.bad()
                continue
            self.bad()


class Change:
    """A row change: what it says of which row."""

    def __init__(self, parts):
        self.ordinal, self.table, self.operation = parts.number(4), parts.number(4), parts.number(1)
        parts.number(8)  # of the version replaced
        self.key, self.image = parts.values(), parts.values()
        if self.operation not in (1, 2, 3) or not self.key or (self.operation == 3) != (not self.image):
            parts.bad()


def read_event(parts):
    kind, payload = parts.value(), parts.value()
    return (kind, payload) if isinstance(kind, str) else parts.bad()


def decode_item(item, plaintext):
    """The row changes, events or control payloads of an opened item; the meta is read and not given."""
    kind, flags, _, count, _, _, _, _, _, _, _ = ITEM_HEADER.unpack_from(item)
    parts = Parts(plaintext)
    if flags:
        parts.meta()
    if count > len(plaintext) - parts.at:  # a part is at least one byte
        parts.bad()
    read = {1: lambda: Change(parts), 2: lambda: read_event(parts), 3: parts.sized}.get(kind)
    found = [read() for _ in range(count)]  # of kind 4 there are none
    padding = plaintext[parts.at :]
    if len(plaintext) % 64 or len(padding) >= 64 or any(padding):
        parts.bad()
    return found


# ---- The schema, from its changes (docs/storage-format.md, Changes of the schema) -----------------

TYPES = ("SMALLINT", "INTEGER", "BIGINT", "REAL", "DOUBLE", "DECIMAL", "TEXT", "VARCHAR", "CHAR", "BOOLEAN",
         "DATE", "TIME", "TIMESTAMP", "INTERVAL", "UUID", "JSON", "BYTES")


class Column:
    def __init__(self, parts):
        self.id, self.name, kind = parts.number(4), parts.text(), parts.number(1)
        precision, scale = parts.number(2), parts.number(2)
        if not 1 <= kind <= len(TYPES):
            parts.bad()
        self.kind = self.type = TYPES[kind - 1]
        if precision and self.kind == "DECIMAL":
            self.type = f"DECIMAL({precision},{scale})"
        elif precision and self.kind in ("VARCHAR", "CHAR"):
            self.type = f"{self.kind}({precision})"
        parts.flag(), parts.flag()  # NOT NULL, identity
        self.default = parts.text() if parts.flag() else None
        self.generated = parts.text() if parts.flag() else None

    def named(self, name):
        other = object.__new__(Column)
        other.__dict__.update(self.__dict__, name=name)
        return other

    def constant(self):
        """What rows have in it that were there before it: nothing, or a default that is a plain constant."""
        text = self.default
        if text is None or text == "NULL":
            return None
        if self.kind == "BOOLEAN" and text in ("TRUE", "FALSE"):
            return int(text == "TRUE")
        if self.kind in ("SMALLINT", "INTEGER", "BIGINT"):
            if re.fullmatch("-?(0|[1-9][0-9]{0,18})", text):
                return int(text)
        elif self.kind in ("REAL", "DOUBLE"):
            try:
                if print_double(float(text)) == text:
                    return float(text)
            except (ValueError, OverflowError):
                pass
        elif self.kind not in ("BOOLEAN", "BYTES") and len(text) > 1 and text[0] == text[-1] == "'":
            inner = text[1:-1]
            if "'" not in inner.replace("''", ""):
                return inner.replace("''", "'")
        raise Refused("integrity.export", "a row is older than a column whose default is no plain constant")


class Table:
    """A table under one version of the schema."""

    def __init__(self, table, name, columns, key):
        self.id, self.name, self.columns, self.key = table, name, columns, key

    def recorded(self):
        return [column for column in self.columns if column.generated is None]


def read_table(parts):
    table, name = parts.number(4), parts.text()
    columns = parts.list(lambda: Column(parts))
    key = parts.list(lambda: parts.number(4))
    parts.list(lambda: (parts.text(), parts.list(lambda: parts.number(4))))  # UNIQUE
    parts.list(lambda: (parts.text(), parts.text()))  # CHECK
    parts.list(lambda: foreign_key(parts))
    if parts.number(1) > 6:
        parts.bad()
    if parts.flag():
        parts.flag(), parts.text(), parts.number(4)  # the subject
    parts.text()  # the retention
    return Table(table, name, columns, key)


def foreign_key(parts):
    parts.text(), parts.list(lambda: parts.number(4)), parts.number(4), parts.list(lambda: parts.number(4))
    if not 0 <= parts.number(1) <= 4 or not 0 <= parts.number(1) <= 4:
        parts.bad()
    parts.flag()


class Schema:
    """Every version of every table, by the changes in their order."""

    def __init__(self):
        self.version, self.tables = 0, {}

    def at(self, table, version):
        """The table under a version of the schema; None if it was not there."""
        found = None
        for since, state in self.tables.get(table, ()):
            if since > version:
                break
            found = state
        return found

    def apply(self, payload):
        parts = Parts(payload)
        if parts.number(2) != 1 or parts.number(2) != 3:
            parts.bad()
        self.version += 1
        tag = parts.number(1)
        if 7 <= tag <= 10:  # indexes and views: no row depends on them
            return
        if tag == 1:
            made = read_table(parts)
            if made.id in self.tables:
                parts.bad()
        else:
            made = self.change(parts, tag)
        table = made if isinstance(made, int) else made.id
        self.tables.setdefault(table, []).append((self.version, None if isinstance(made, int) else made))
        if parts.at != len(payload):
            parts.bad()

    def change(self, parts, tag):
        """The table as the change makes it; its id if it is dropped."""
        old = self.at(parts.number(4), self.version)
        if old is None or not 2 <= tag <= 6:
            parts.bad()
        if tag == 2:
            return old.id
        name, columns = old.name, list(old.columns)
        if tag == 3:
            name = parts.text()
        elif tag == 4:
            columns.append(Column(parts))
            parts.list(lambda: (parts.text(), parts.text()))
            parts.list(lambda: foreign_key(parts))
        else:
            at = [column.id for column in columns].index(parts.number(4)) if columns else parts.bad()
            columns[at : at + 1] = [] if tag == 5 else [columns[at].named(parts.text())]
        return Table(old.id, name, columns, old.key)


# ---- Rows as the export prints them ----------------------------------------------------------------

ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
ESCAPED = re.compile('["\\\\\x00-\x1f\x7f]')


def json_string(text):
    return '"' + ESCAPED.sub(lambda m: ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", text) + '"'


def json_integer(value):
    return str(value) if abs(value) <= 2**53 else f'"{value}"'


def print_double(value):
    """The shortest text that reads back as the value: fixed unless scientific is shorter."""
    number = Decimal(repr(value)).normalize()
    sign, digits, exponent = number.as_tuple()
    slack = 1 if len(digits) == 1 else 0  # one digit has no point in the scientific form
    if -(len(digits) + 3) + slack <= exponent <= 5 - slack:
        text = str(int(value)) if exponent >= 0 else format(number, "f")
    else:
        power = exponent + len(digits) - 1
        text = "".join(map(str, digits))
        text = text[0] + ("." + text[1:] if text[1:] else "") + f"e{'-' if power < 0 else '+'}{abs(power):02d}"
        text = "-" * sign + text
    return text if any(c in text for c in ".ein") else text + ".0"


def json_value(value, kind):
    if value is None:
        return "null"
    if isinstance(value, int):
        if kind == "BOOLEAN":
            return "true" if value else "false"
        return json_integer(value)
    if isinstance(value, float):
        return print_double(value)
    return json_string(value if isinstance(value, str) else base64.b64encode(value).decode())


INTERVAL = re.compile(r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?"
                      r"(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d+))?S)?)?", re.ASCII)


def order_key(value, kind):
    """What a key of the type is ordered by."""
    if value is None:
        return (0, 0)
    if isinstance(value, str) and kind == "DECIMAL":
        return (1, Decimal(value))
    if isinstance(value, str) and kind == "INTERVAL":
        parts = INTERVAL.fullmatch(value)
        if parts is None:
            raise ValueError(value)
        years, months, days, hours, minutes = (int(part or 0) for part in parts.groups()[:5])
        seconds = int(parts[7] or 0) * 10**6 + int((parts[8] or "0").ljust(6, "0"))
        whole = ((years * 12 + months) * 30 + days) * 86_400 + hours * 3600 + minutes * 60
        return (1, whole * 10**6 + (-seconds if parts[6] else seconds))
    if isinstance(value, str):
        # The Z would stand before or behind a fraction.
        return (1, (value[:-1] if kind == "TIMESTAMP" else value).encode())
    return (1, value)


# ---- A package of an export: rows, and what proves each --------------------------------------------

MAX_MANIFEST = 16 * 1024 * 1024
MAX_LINE = 2 * MAX_RECEIPT
KEPT_ITEMS = 32 * 1024 * 1024  # bytes of receipts whose opened items are kept


def wrong(why):
    raise Refused("integrity.export", why)


def lines_of(file):
    while True:
        line = file.readline(MAX_LINE)
        if not line:
            return
        if not line.endswith(b"\n"):
            wrong("a file has a line without an end, or one that is too long")
        yield line


def shaped(value, shape):
    """Whether parsed JSON has the members and types of the shape, and no others."""
    if isinstance(shape, list):
        return type(value) is list and all(shaped(each, shape[0]) for each in value)
    if isinstance(shape, dict):
        return type(value) is dict and list(value) == list(shape) and all(
            shaped(value[name], part) for name, part in shape.items())
    return type(value) is shape and (shape is not int or 0 <= value <= 2**53)


MANIFEST = {
    "format": str, "log": str, "position": int, "tree_size": int,
    "tables": [{"name": str, "file": str, "table": int, "columns": [{"id": int, "name": str, "type": str}],
                "primary_key": [int], "rows": int}],
    "files": [{"name": str, "sha256": str}],
}


def json_text(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_string(k)}:{json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json_string(value) if isinstance(value, str) else str(value)


def read_manifest(data):
    try:
        manifest = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        wrong("the manifest is not JSON")
    if type(manifest) is dict and str(manifest.get("format", "")).startswith("kimberlite/export@v") and (
            manifest["format"] != "kimberlite/export@v1"):
        raise Refused("unavailable.version", "a package of a later version")
    if not shaped(manifest, MANIFEST) or manifest["format"] != "kimberlite/export@v1":
        wrong("the manifest has not the members that it must have")
    if (json_text(manifest) + "\n").encode("utf-8", "surrogatepass") != data:
        wrong("the manifest is not in its one form")
    return manifest


def file_stem(table):
    plain = re.fullmatch("[A-Za-z0-9_]{1,100}", table.name) and table.name.lower() not in ("schema", "receipts")
    return table.name if plain else f"table-{table.id}"


class Package:
    """A directory that `kimberlite export --receipts` wrote."""

    def __init__(self, folder, key):
        self.folder, self.key = folder, key
        self.schema, self.places, self.used = Schema(), {}, set()
        self.kept, self.kept_bytes = collections.OrderedDict(), 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name, limit):
        with open(self.path(name), "rb") as file:
            data = file.read(limit + 1)
        return data if len(data) <= limit else wrong(f"{name} is too large")

    def check(self):
        self.manifest = read_manifest(self.read("manifest.json", MAX_MANIFEST))
        self.position = self.manifest["position"]
        self.check_files()
        self.head = self.read("head", MAX_NOTE)
        self.size, self.root = check_head(self.head, self.key)
        if (self.manifest["log"], self.manifest["tree_size"]) != (self.key.name, self.size):
            wrong("the manifest names another log or size than the head")
        self.check_schema()
        self.index_receipts()
        left_out = []
        with open(self.path("receipts.jsonl"), "rb") as receipts:
            self.receipts = receipts
            for entry in self.manifest["tables"]:
                table = self.table_of(entry)
                left_out += [f"{table.name}.{c.name}" for c in table.columns if c.generated is not None]
                self.check_rows(entry, table)
        if len(self.used) != len(self.places):
            wrong("there is a receipt that no row needs")
        tables = [{"name": e["name"], "rows": e["rows"]} for e in self.manifest["tables"]]
        return {"log": self.key.name, "position": self.position, "tree_size": self.size, "root": self.root.hex(),
                "schema_version": self.schema.version, "tables": tables, "items": len(self.places),
                "left_out": left_out}

    def check_files(self):
        ids = [entry["table"] for entry in self.manifest["tables"]]
        if ids != sorted(set(ids)):
            wrong("its tables are not in order, or one is there twice")
        stems = [entry["file"] for entry in self.manifest["tables"]]
        if any(not re.fullmatch("[A-Za-z0-9_]{1,100}|table-[0-9]{1,10}", stem) for stem in stems):
            wrong("a table's file has no name of such a file")
        names = ["head", "as-of.receipt", "schema.jsonl"]
        names += [stem + end for stem in stems for end in (".jsonl", ".proofs")] + ["receipts.jsonl"]
        if [file["name"] for file in self.manifest["files"]] != names or len(set(names)) != len(names):
            wrong("the manifest lists other files than those of its tables")
        if sorted(os.listdir(self.folder)) != sorted(names + ["manifest.json"]):
            wrong("the directory holds other files than the manifest lists")
        for file in self.manifest["files"]:
            if not os.path.isfile(self.path(file["name"])):
                wrong(f"{file['name']} is no file")
            digest = hashlib.sha256()
            with open(self.path(file["name"]), "rb") as data:
                for piece in iter(lambda: data.read(1 << 20), b""):
                    digest.update(piece)
            if digest.hexdigest() != file["sha256"]:
                wrong(f"{file['name']} has another hash than the manifest says")

    def head_of(self, head):
        return (self.size, self.root) if head == self.head else wrong("a receipt leads to another head")

    def record(self, data):
        """The entry a receipt proves, and the item it opens: index, kind and parts; or None."""
        if len(data) > MAX_RECEIPT:
            refuse("it is larger than a receipt may be")
        entry, recorded, _, _ = check_record(data, self.head_of)
        if entry.position > self.position:
            wrong("a receipt is of a record behind the position")
        if recorded.item is None:
            return entry, None
        kind, _, _, parts = open_item(entry, *recorded.item)
        return entry, (recorded.item[0], kind, parts)

    def receipt_line(self, line):
        try:
            parsed = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            wrong("a line of receipts is not JSON")
        if not shaped(parsed, {"position": int, "receipt": str}) or (
                (json_text(parsed) + "\n").encode("utf-8", "surrogatepass") != line):
            wrong("a line of receipts is not in its one form")
        entry, item = self.record(parsed["receipt"].encode("utf-8", "surrogatepass"))
        if entry.position != parsed["position"]:
            wrong("a line of receipts has another position than its receipt")
        return entry, item if item is not None else wrong("a receipt opens no item")

    def check_schema(self):
        """A record that changes the schema stands under the version it makes, each the next one."""
        last, item = self.record(self.read("as-of.receipt", MAX_RECEIPT))
        if last.position != self.position or item is not None:
            wrong("as-of.receipt is not that of the record at the position")
        before = 0
        with open(self.path("schema.jsonl"), "rb") as file:
            for line in lines_of(file):
                entry, (_, kind, payloads) = self.receipt_line(line)
                if entry.kind != 3 or kind != 3 or len(payloads) != 1 or entry.position <= before or (
                        entry.catalog_version != self.schema.version + 1):
                    wrong("schema.jsonl does not hold every change of the schema, in order")
                before = entry.position
                self.schema.apply(payloads[0])
        if self.schema.version != last.catalog_version:
            wrong("schema.jsonl does not end with the schema as of the position")

    def index_receipts(self):
        """Checks each receipt, and keeps where it stands."""
        before = (0, 0)
        with open(self.path("receipts.jsonl"), "rb") as file:
            at = 0
            for line in lines_of(file):
                entry, (index, kind, changes) = self.receipt_line(line)
                if kind != 1 or (entry.position, index) <= before:
                    wrong("receipts.jsonl is not of items with rows, in order")
                before = (entry.position, index)
                self.places[before] = at
                self.keep(before, entry.catalog_version, changes, len(line))
                at += len(line)

    def keep(self, place, version, changes, size):
        last = {}
        for change in changes:
            # Of several of one row, only what stands after the record.
            last[change.table, repr(change.key)] = change.ordinal
        found = version, {change.ordinal: change for change in changes}, last
        self.kept[place] = (found, size)
        self.kept_bytes += size
        while self.kept_bytes > KEPT_ITEMS and len(self.kept) > 1:
            _, (_, dropped) = self.kept.popitem(last=False)
            self.kept_bytes -= dropped
        return found

    def item(self, place):
        if place in self.kept:
            self.kept.move_to_end(place)
            return self.kept[place][0]
        self.receipts.seek(self.places[place])
        line = self.receipts.readline(MAX_LINE)
        entry, (index, _, changes) = self.receipt_line(line)
        if (entry.position, index) != place:
            wrong("receipts.jsonl was changed while it was read")
        return self.keep(place, entry.catalog_version, changes, len(line))

    def table_of(self, entry):
        """The table that the manifest means, by the schema in the log."""
        table = self.schema.at(entry["table"], self.schema.version)
        if table is None:
            wrong("the manifest names a table that was not there at the position")
        columns = [{"id": c.id, "name": c.name, "type": c.type} for c in table.recorded()]
        found = (entry["name"], entry["file"], entry["columns"], entry["primary_key"])
        if found != (table.name, file_stem(table), columns, table.key):
            wrong("the manifest describes a table otherwise than the log")
        return table

    def check_rows(self, entry, table):
        count, before = 0, None
        with open(self.path(entry["file"] + ".jsonl"), "rb") as rows, (
                open(self.path(entry["file"] + ".proofs"), "rb")) as proofs:
            proof_lines = lines_of(proofs)
            for row in lines_of(rows):
                proof = next(proof_lines, None)
                if proof is None:
                    wrong("a row has no proof")
                count += 1
                key = self.check_row(table, row, proof, f"row {count} of {entry['file']}")
                if before is not None and key <= before:
                    wrong(f"row {count} of {entry['file']} is not behind the row before it, by its key")
                before = key
            if next(proof_lines, None) is not None:
                wrong("a proof has no row")
        if count != entry["rows"]:
            wrong("a table has not as many rows as the manifest says")

    def check_row(self, table, row, proof, label):
        """The row's key, once a change in the log says just this row."""
        numbers = [decimal(part) for part in proof[:-1].decode("utf-8", "replace").split(" ")]
        if len(numbers) != 3 or None in numbers:
            wrong(f"{label}: its proof is not a position, an item and a change")
        place = (numbers[0], numbers[1])
        if place not in self.places:
            wrong(f"{label}: there is no receipt of its record")
        self.used.add(place)
        version, changes, last = self.item(place)
        change = changes.get(numbers[2])
        if change is None or change.table != table.id or change.operation == 3:
            wrong(f"{label}: its change is none of a row of the table")
        if last[change.table, repr(change.key)] != change.ordinal:
            wrong(f"{label}: a later change of its record says another row")
        then = self.schema.at(table.id, version)
        layout = [column.id for column in then.recorded()] if then else []
        if len(layout) != len(change.image):
            wrong(f"{label}: its record has other columns than its table had")
        image = dict(zip(layout, change.image))
        values = {c.id: image[c.id] if c.id in image else c.constant() for c in table.recorded()}
        printed = ",".join(f"{json_string(c.name)}:{json_value(values[c.id], c.kind)}" for c in table.recorded())
        if ("{" + printed + "}\n").encode() != row:
            wrong(f"{label}: it is not what its record says")
        kinds = {c.id: c.kind for c in table.columns}
        if not table.key:
            if len(change.key) != 1 or type(change.key[0]) is not int:
                wrong(f"{label}: its record has another key than its table")
            return [(1, change.key[0])]
        if [repr(values[part]) for part in table.key] != [repr(value) for value in change.key]:
            wrong(f"{label}: its record has another key than the row")
        return [order_key(values[part], kinds[part]) for part in table.key]


def check_export(folder, key):
    try:
        return Package(folder, key).check()
    except (ValueError, KeyError, IndexError, TypeError, ArithmeticError, RecursionError):
        # What no log has that obeys its own rules: a key that its type does not spell, and the like.
        raise Refused("integrity.export", "its records hold what no record of such a table can") from None


def check_head_file(data, key):
    size, root = check_head(data, key)
    return {"log": key.name, "tree_size": size, "root": root.hex()}


def check_consistency(data, key):
    def refuse(why):
        raise Refused("integrity.consistency", why)

    if len(data) > 3 * MAX_NOTE:
        refuse("it is larger than a proof may be")
    first, _, rest = data.partition(b"\n")
    if first != b"kimberlite/consistency@v1":
        refuse("its first line is not kimberlite/consistency@v1")
    taken = take_path(rest)
    if taken is None:
        refuse("its lines up to the first empty one are not hashes in base64")
    path, heads = taken
    gap = heads.find(b"\n\n")
    end = heads.find(b"\n\n", gap + 1) if gap >= 0 else -1
    if end < 0:
        refuse("it does not hold two heads")
    old_size, old_root = check_head(heads[: end + 1], key)
    size, root = check_head(heads[end + 2 :], key)
    if not verify_consistency(old_size, old_root, size, root, path):
        refuse("the newer tree does not begin with the older one")
    return {"log": key.name, "from": old_size, "to": size, "from_root": old_root.hex(),
            "to_root": root.hex()}


CHECKS = {"receipt": check_receipt, "head": check_head_file, "consistency": check_consistency}


def check_named(what, name, key):
    if what == "export":
        return check_export(name, key)
    with open(name, "rb") as file:
        return CHECKS[what](file.read(MAX_RECEIPT + 1), key)


def sentence(what, found):
    if what == "receipt":
        return (f"ok  record {found['position']}, in the tree of size {found['tree_size']}; it proves what "
                "was recorded, not that it is the latest")
    if what == "export":
        rows = sum(table["rows"] for table in found["tables"])
        left_out = f"; computed, and not in it: {', '.join(found['left_out'])}" if found["left_out"] else ""
        tables = len(found["tables"])
        return (f"ok  {rows} row{'s' * (rows != 1)} of {tables} table{'s' * (tables != 1)} as of position {found['position']}, in the tree of "
                f"size {found['tree_size']}; it proves that each was recorded so, not that none is missing nor that it "
                f"is the latest{left_out}")
    if what == "head":
        return f"ok  head of {found['log']}, size {found['tree_size']}"
    return f"ok  the tree of size {found['to']} begins with the tree of size {found['from']}"


def read_key(argument):
    text = argument
    if os.path.exists(argument):
        with open(argument, encoding="utf-8") as file:
            text = file.read()
    return Key(text[:-1] if text.endswith("\n") else text)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted([*CHECKS, "export"]))
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--log-key", required=True, metavar="KEY")
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    options = parser.parse_args(arguments)
    try:
        key = read_key(options.log_key)
    except Refused as refused:
        print(f"error[{refused.code}]: {refused.why}", file=sys.stderr)
        return 2
    failed = False
    for name in options.files:
        try:
            found = check_named(options.what, name, key)
            answer = {"file": name, "ok": True, "data": found, "error": None}
            line = sentence(options.what, found)
        except Refused as refused:
            failed = True
            answer = {"file": name, "ok": False, "data": None,
                      "error": {"code": refused.code, "why": refused.why}}
            line = f"error[{refused.code}]: {name}: {refused.why}"
        except OSError as error:
            failed = True
            answer = {"file": name, "ok": False, "data": None,
                      "error": {"code": "not_found.file", "why": error.strerror}}
            line = f"error[not_found.file]: {name}: {error.strerror}"
        print(json.dumps(answer) if options.json else line,
              file=sys.stdout if options.json or answer["ok"] else sys.stderr)
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
