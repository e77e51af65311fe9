#!/usr/bin/env python3
"""The independent verifier: standard vectors, the vectors the C++ makes, and everything that is nearly one of them.

usage: verifier_test.py [--seed N] [--long]     (--long: 100,000 mutated texts instead of 4,000)
"""
import argparse
import base64
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "verifier"))
import kimberlite_verify as v  # noqa: E402
from made_logs import CANONICAL, NOT_CANONICAL, Log, Roots  # noqa: E402

GOLDEN = ROOT / "tests/golden/proofs"
BINARY = os.environ["KIMBERLITE"]
PASSED = FAILED = 0


def check(name, truth):
    global PASSED, FAILED
    if truth:
        PASSED += 1
    else:
        FAILED += 1
        print("FAILED:", name)


def refused(what, data, key):
    """The code it is refused with, or None if it is accepted. Anything else than Refused is a crash."""
    try:
        v.CHECKS[what](data, key)
    except v.Refused as error:
        return error.code
    return None


# RFC 8032, section 7.1: public key, message, signature.
ED25519 = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]


def test_primitives():
    for public_key, message, signature in ED25519:
        key, text, sig = map(bytes.fromhex, (public_key, message, signature))
        check("RFC 8032", v.ed25519_verify(key, text, sig))
        check("another text", not v.ed25519_verify(key, text + b"x", sig))
        s = int.from_bytes(sig[32:], "little") + v.L
        check("s beyond the order", not v.ed25519_verify(key, text, sig[:32] + s.to_bytes(32, "little")))
        check("half a signature", not v.ed25519_verify(key, text, sig[:32]))
    check("no point", not v.ed25519_verify(b"\xff" * 32, b"", bytes(64)))
    # FIPS 197, appendix C.3.
    block = v.aes_block(v.aes256_round_keys(bytes(range(32))), bytes.fromhex("00112233445566778899aabbccddeeff"))
    check("FIPS 197", block.hex() == "8ea2b7ca516745bfeafc49904b496089")
    # The GCM specification, test cases 13, 14 and 16.
    check("GCM 13", v.gcm_open(bytes(32), bytes(12), b"", bytes.fromhex("530f8afbc74536b9a963b4f1c4cb738b")) == b"")
    check("GCM 14", v.gcm_open(bytes(32), bytes(12), b"", bytes.fromhex(
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")) == bytes(16))
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    sealed = bytes.fromhex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b")
    aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    text = v.gcm_open(key, nonce, aad, sealed)
    check("GCM 16", text is not None and text.hex().startswith("d9313225f88406e5a55909c5aff5269a"))
    check("GCM 16, changed", v.gcm_open(key, nonce, aad + b"x", sealed) is None)
    # golang.org/x/mod/sumdb/note.
    peter = v.Key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = ("If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
            "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6R"
            "yyBwJnAM=\n").encode()
    text, signatures = v.parse_note(note)
    check("the note of the Go library",
          v.ed25519_verify(peter.key, text.encode(), signatures[("PeterNeumann", peter.id)]))
    check("signed, but no head", refused("head", note, peter) == "integrity.head")


# RFC 6962, section 2.1, as it is written.
def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return v.node_hash(tree(leaves[:k]), tree(leaves[k:]))


def test_all_sizes(rng):
    """Every proof of every size to 300 holds; one with a hash or an index that is not its own does not."""
    leaves = [v.sha256(b"\x00", bytes([n & 255, n >> 8])) for n in range(300)]
    roots = Roots(leaves)
    check("the definition", tree(leaves) == roots.of(0, 300))
    held = mutated = wrong = 0
    for size in range(1, 301):
        root = roots.of(0, size)
        for index in range(size):
            path = roots.path(index, 0, size)
            chain = roots.subproof(index + 1, 0, size, True)
            held += v.verify_inclusion(leaves[index], index, size, path, root)
            held += v.verify_consistency(index + 1, roots.of(0, index + 1), size, root, chain)
            for proof, holds in (
                (path, lambda p: v.verify_inclusion(leaves[index], index, size, p, root)),
                (chain, lambda p: v.verify_consistency(index + 1, roots.of(0, index + 1), size, root, p)),
            ):
                changed = list(proof)
                choice = rng.randrange(3)
                if not changed or choice == 0:
                    changed.insert(rng.randrange(len(changed) + 1), rng.choice(leaves))
                elif choice == 1:
                    changed.pop(rng.randrange(len(changed)))
                else:
                    at = rng.randrange(len(changed))
                    changed[at] = v.sha256(changed[at])
                mutated += 1
                wrong += holds(changed)
            if size > 1:
                other = (index + 1 + rng.randrange(size - 1)) % size
                mutated += 1
                wrong += v.verify_inclusion(leaves[index], other, size, path, root)
    check(f"{held} proofs hold", held == 300 * 301)
    check(f"{mutated} mutated proofs, {wrong} accepted", wrong == 0 and mutated > 100_000)


def golden():
    key = v.Key((GOLDEN / "log.vkey").read_text().strip())
    files = []
    for file in sorted(GOLDEN.iterdir()):
        kind = "receipt" if file.suffix == ".cose" else file.suffix[1:]
        if kind in v.CHECKS:
            files.append((file.name, kind, file.read_bytes()))
    return key, files


def test_golden():
    key, files = golden()
    check("all the vectors are there", len(files) == 10)
    for name, what, data in files:
        check(name, refused(what, data, key) is None)
        for other in v.CHECKS:
            if other != what:
                check(f"{name} as a {other}", refused(other, data, key) is not None)
    found = v.check_receipt((GOLDEN / "5-of-300-item-1.receipt").read_bytes(), key)
    check("COSE says the same", found == v.check_receipt((GOLDEN / "5-of-300-item-1.cose").read_bytes(), key))
    check("its position and size", (found["position"], found["tree_size"]) == (5, 300))
    check("its item", found["opened"]["index"] == 1 and b"payload" in bytes.fromhex(found["opened"]["plaintext"]))
    wrong = v.Key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    for name, what, data in files:
        check(f"{name} under another key", refused(what, data, wrong) == "integrity.signature")


def test_keys():
    line = (GOLDEN / "log.vkey").read_text().strip()
    for at in range(len(line)):
        changed = line[:at] + chr(ord(line[at]) + 1) + line[at + 1:]
        for bad in (changed, line[:at], line[:at] + line[at + 1:]):
            try:
                v.Key(bad)
                check(f"key line {bad}", False)
            except v.Refused as error:
                check("key line", error.code == "usage.key")


def swap_hashes(data):
    lines = data.split(b"\n")
    lines[3:5] = lines[4:5] + lines[3:4]
    return b"\n".join(lines)


def refusals():
    """Inputs that are nearly a vector, each with its own code."""
    receipt = (GOLDEN / "5-of-300-item-1.receipt").read_bytes()
    plain = (GOLDEN / "5-of-300.receipt").read_bytes()
    proof = (GOLDEN / "137-to-300.consistency").read_bytes()
    head = (GOLDEN / "300.head").read_bytes()
    extra_line = receipt.split(b"\n")[1] + b"\n"
    extra = bytearray(base64.b64decode(extra_line[6:-1]))

    def with_extra(at, mask):
        changed = bytearray(extra)
        changed[at] ^= mask
        return receipt.replace(extra_line, b"extra " + base64.b64encode(changed) + b"\n")

    return [
        ("receipt", b"", "integrity.receipt"),
        ("receipt", receipt.replace(b"@v1", b"@v2", 1), "integrity.receipt"),
        ("receipt", receipt.replace(b"index 4", b"index 04"), "integrity.receipt"),
        ("receipt", receipt.replace(b"index 4", b"index 9223372036854775808"), "integrity.receipt"),
        ("receipt", receipt.replace(b"index 4", b"index 5"), "integrity.inclusion"),
        ("receipt", receipt.replace(extra_line, b""), "integrity.receipt"),
        ("receipt", receipt.replace(extra_line, extra_line[:-2] + b"\n"), "integrity.receipt"),
        ("receipt", receipt.replace(extra_line, extra_line * 2), "integrity.receipt"),
        ("receipt", with_extra(0, 3), "unavailable.version"),
        ("receipt", with_extra(4, 1), "integrity.receipt"),
        ("receipt", with_extra(8, 2), "unavailable.version"),
        ("receipt", with_extra(8 + 36, 1), "integrity.entry"),
        ("receipt", with_extra(8 + 48, 1), "integrity.inclusion"),
        ("receipt", with_extra(208, 1), "integrity.seal"),
        ("receipt", with_extra(240, 1), "integrity.inclusion"),
        ("receipt", with_extra(len(extra) - 1, 1), "integrity.inclusion"),
        ("receipt", plain.replace(b"index 4\n", b"index 4\n\n"), "integrity.head"),
        ("receipt", swap_hashes(plain), "integrity.inclusion"),
        ("head", head.replace(b"\n300\n", b"\n301\n"), "integrity.signature"),
        ("head", head.replace(b"\xe2\x80\x94", b"-"), "integrity.note"),
        ("head", head + head.split(b"\n\n")[1], "integrity.note"),
        ("head", head[:-1], "integrity.note"),
        ("head", head + b"x" * v.MAX_NOTE, "integrity.note"),
        ("consistency", proof.replace(b"@v1", b"@v2"), "integrity.consistency"),
        ("consistency", proof.replace(b"\n\n", b"\n", 1), "integrity.consistency"),
        ("consistency", proof[: len(proof) // 2], "integrity.consistency"),
    ]


def test_refusals():
    key, _ = golden()
    for what, data, code in refusals():
        found = refused(what, data, key)
        check(f"{what}: {code}, not {found}", found == code)
        if what == "receipt":
            check(f"the binary: {code}", binary_refuses(data) == code)


def test_items():
    """Sealed and signed as it should be, but not what a writer makes: both refuse it, and open the others."""
    for records, code in ((CANONICAL, None), (NOT_CANONICAL, "integrity.item")):
        log = Log(b"items", records)
        for i in range(len(records)):
            data = log.receipt(i, len(records), True)
            found = refused("receipt", data, v.Key(log.line))
            check(f"item {i}: {code}, not {found}", found == code)
            theirs = binary_refuses(data, log.line)
            check(f"item {i}: the binary {theirs}", theirs == code)


def binary_refuses(data, key=GOLDEN / "log.vkey"):
    """The code `kimberlite receipt check` refuses it with, or None."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        done = subprocess.run([BINARY, "receipt", "check", file.name, "--log-key", key, "--format", "json"],
                              capture_output=True, text=True)
    answer = json.loads(done.stdout)
    code = None if answer["ok"] else answer["error"]["code"]
    expected = 0 if code is None else 4 if code == "unavailable.version" else 3
    return code if done.returncode == expected else f"{code} with exit {done.returncode}"


def test_binary(rng):
    """Both verifiers say the same of every vector and of what is nearly one."""
    key, files = golden()
    receipts = [data for _, what, data in files if what == "receipt"]
    for data in receipts:
        check("the binary accepts", binary_refuses(data) is None)
    for _ in range(100):
        changed = mutate(rng.choice(receipts), rng)
        if changed not in receipts:
            ours, theirs = refused("receipt", changed, key), binary_refuses(changed)
            check(f"both refuse: {ours}, {theirs}", ours is not None and theirs is not None)


def mutate(data, rng):
    at = rng.randrange(len(data))
    choice = rng.randrange(5)
    if choice == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
    if choice == 1:
        return data[:at] + data[at + 1 + rng.randrange(3):]
    if choice == 2:
        return data[:at] + rng.choice([b"A", b"\n", b" ", b"=", b"0", b"\xe2"]) + data[at:]
    if choice == 3:
        return data[:at]
    return data[:at] + data[at: at + 1 + rng.randrange(60)] + data[at:]


def test_mutations(rng, rounds):
    key, files = golden()
    accepted = 0
    for _ in range(rounds):
        name, what, data = rng.choice(files)
        changed = mutate(data, rng)
        if changed != data and refused(what, changed, key) is None:
            accepted += 1
            print("accepted:", name, changed)
    check(f"{rounds} mutated texts, {accepted} accepted", accepted == 0)


def test_command_line():
    def run(*arguments):
        return subprocess.run([sys.executable, ROOT / "verifier/kimberlite_verify.py", *arguments],
                              capture_output=True, text=True)

    key = str(GOLDEN / "log.vkey")
    receipt = str(GOLDEN / "5-of-300.receipt")
    done = run("receipt", receipt, "--log-key", key)
    check("exit 0", done.returncode == 0 and done.stdout.startswith("ok  record 5, in the tree of size 300"))
    done = run("receipt", receipt, "--log-key", (GOLDEN / "log.vkey").read_text().strip(), "--json")
    check("the key as a line", done.returncode == 0 and json.loads(done.stdout)["data"]["position"] == 5)
    done = run("head", receipt, str(GOLDEN / "300.head"), "--log-key", key, "--json")
    first, second = map(json.loads, done.stdout.splitlines())
    check("exit 3", done.returncode == 3 and not first["ok"] and second["ok"])
    done = run("receipt", "no such file", "--log-key", key)
    check("no file", done.returncode == 3 and "not_found.file" in done.stderr)
    check("no key", run("receipt", receipt, "--log-key", "nonsense").returncode == 2)
    check("no command", run().returncode == 2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    test_primitives()
    test_golden()
    test_keys()
    test_refusals()
    test_items()
    test_all_sizes(rng)
    test_binary(rng)
    test_mutations(rng, 100_000 if options.long else 4_000)
    test_command_line()
    print(f"{PASSED} passed, {FAILED} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
