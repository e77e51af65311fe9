#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks receipts, signed heads and consistency proofs of Kimberlite logs, offline.

One file, Python 3.9 or later, standard library only. It shares no code with the database: it was
written from the format documents (docs/proofs.md), and from RFC 6962, RFC 8032, FIPS 197, SP 800-38D
RFC 9052 and 9942, and the C2SP documents signed-note, tlog-checkpoint, tlog-proof and
XAES-256-GCM. A receipt may be text or COSE.

    kimberlite_verify.py receipt FILE... --log-key KEY
    kimberlite_verify.py head FILE... --log-key KEY
    kimberlite_verify.py consistency FILE... --log-key KEY

KEY is the log's public key, a line like kimberlite/<log id>+<8 digits>+<base64>, or a file that
holds it. It must have come to you another way than the file you check. Exit status: 0 if everything
holds, 3 if anything does not, 2 for a wrong command line.
"""
import argparse
import base64
import binascii
import datetime
import hashlib
import json
import os
import struct
import sys

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


def ghash(h, data):
    h = int.from_bytes(h, "big")
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i : i + 16], "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


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
    out = bytearray()
    for i in range(0, len(text), 16):
        stream = aes_block(keys, nonce + struct.pack(">I", 2 + i // 16))
        out += bytes(a ^ b for a, b in zip(text[i : i + 16], stream))
    return bytes(out)


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
    return {"index": index, "kind": kind, "count": count, "plaintext": text.hex()}


def check_receipt(data, key):
    if len(data) > MAX_RECEIPT:
        refuse("it is larger than a receipt may be")
    if data[:1] == b"\xd2":
        return check_cose_receipt(data, key)
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
    size, root = check_head(head, key)
    entry = Entry(recorded.entry)
    if entry.position != index + 1:
        raise Refused("integrity.inclusion", "the record has another position than its index says")
    if not verify_inclusion(entry.leaf, index, size, path, root):
        raise Refused("integrity.inclusion", "the record's path does not lead to the signed root")
    return describe(key, entry, size, root, recorded)


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
        opened = open_item(entry, *recorded.item)
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


def sentence(what, found):
    if what == "receipt":
        return (f"ok  record {found['position']}, in the tree of size {found['tree_size']}; it proves what "
                "was recorded, not that it is the latest")
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
    parser.add_argument("what", choices=sorted(CHECKS))
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
            with open(name, "rb") as file:
                data = file.read(MAX_RECEIPT + 1)
            found = CHECKS[options.what](data, key)
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
