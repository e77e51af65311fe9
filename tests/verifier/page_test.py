#!/usr/bin/env python3
"""verifier/index.html in Chromium: it must say of everything what kimberlite_verify.py says, and fetch nothing.

usage: page_test.py [--seed N] [--screenshot FILE]

Drives the browser through chromedriver (https://www.w3.org/TR/webdriver2/). Without one it tests nothing, and says so.
"""
import argparse
import base64
import functools
import hashlib
import http.server
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("KIMBERLITE", str(ROOT / "build/dev/kimberlite"))
sys.path[:0] = [str(ROOT / "verifier"), str(ROOT / "tests/verifier")]
import kimberlite_verify as v  # noqa: E402
import verifier_test as t  # noqa: E402
from browser import PAGE, Browser, missing_programs  # noqa: E402
from made_logs import (  # noqa: E402
    CANONICAL, MARKUP, NOT_CANONICAL, ONE, ROWS, TURNED, Log, encode_point, key_line, note, padded)

GOLDEN = t.GOLDEN
check = t.check

# The same signatures are asked for again and again, and slow in Python.
v.ed25519_verify = functools.lru_cache(maxsize=None)(v.ed25519_verify)


# ---- What the two say ------------------------------------------------------------------------------


def python_says(what, data, line):
    """Verdict, code and facts, the integers as text."""
    try:
        facts = v.CHECKS[what](data, v.Key(line))
    except v.Refused as refused:
        return "refused", refused.code, None
    for name in ("position", "tree_size", "from", "to"):
        if name in facts:
            facts[name] = str(facts[name])
    return "ok", "", facts


def same(answer, said):
    """Whether the page's answer has the verdict, the code and at least the facts of Python's."""
    verdict, code, facts = said
    if (answer["verdict"], answer["code"]) != (verdict, code):
        return False
    if facts is None:
        return answer["data"] is None
    got = dict(answer["data"])
    if facts.get("opened"):
        got["opened"] = {name: got["opened"][name] for name in facts["opened"]}
    return all(got[name] == fact for name, fact in facts.items())


def compare(name, browser, cases, accepted=None):
    """Both say the same of every case; of how many, and how many of them are accepted, if that is known."""
    different = accepted_count = 0
    for case, answer in zip(cases, browser.check(cases)):
        said = python_says(*case)
        accepted_count += answer["verdict"] == "ok"
        if not same(answer, said):
            different += 1
            if different < 4:
                print(f"{name}: the page: {str(answer)[:500]}\n  Python: {str(said)[:500]}\n  of {str(case)[:2000]}")
    check(f"{name}: {len(cases)} cases, {different} are different", different == 0 and len(cases) > 0)
    if accepted is not None:
        check(f"{name}: {accepted_count} accepted, not {accepted}", accepted_count == accepted)


def golden_line():
    return (GOLDEN / "log.vkey").read_text().strip()


# ---- The tests --------------------------------------------------------------------------------------


def test_source():
    """What can be seen without a browser."""
    text = PAGE.read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for tag in ("script", "style"):
        found = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.S)
        wanted = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
        check(f"the {tag} is the one with the hash sha256-{wanted}",
              len(found) == 1 and directives.pop(f"{tag}-src") == f"'sha256-{wanted}'")
    check("nothing else is let in", directives == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'",
                                                   "require-trusted-types-for": "'script'"})
    check("it names nowhere to go", re.findall(r"https?:[^\"\s]*", text) == ["http://www.w3.org/2000/svg"])
    check("it makes no markup of anything", not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|\bfetch\b|XMLHttp|import\(", text))


def test_golden(browser):
    """Every vector by the entry point, with its facts, and by the file input; and under another key."""
    line, files = golden_line(), t.golden()[1]
    wrong = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    compare("vectors", browser, [(what, data, line) for _, what, data in files], len(files))
    compare("another key", browser, [(what, data, wrong) for _, what, data in files], 0)
    compare("as something else", browser,
            [(what, data, line) for _, kind, data in files for what in v.CHECKS if what != kind], 0)
    guessed = browser.check([(None, data, line) for _, _, data in files])
    check("what they are is found out", [a["what"] for a in guessed] == [what for _, what, _ in files])
    browser.open()
    check("nothing was asked yet", browser.run("return document.getElementById('verdict').dataset.verdict") == "")
    browser.type("#file", str(GOLDEN / "5-of-300.receipt"))
    check("without a key", browser.verdict() == ("unchecked", ""))
    check("and it says so", "key is missing" in browser.text() and "OK" not in browser.text())
    browser.type("#key-file", str(GOLDEN / "log.vkey"))
    check("the key as a file", browser.verdict() == ("ok", ""))
    for name, what, data in files:
        browser.open()
        browser.type("#key", line)
        browser.type("#file", str(GOLDEN / name))
        check(f"{name} in the file input", browser.verdict() == ("ok", ""))
        facts, text = python_says(what, data, line)[2], browser.text()
        shown = [fact for name, fact in facts.items() if isinstance(fact, str) and name != "timestamp"]
        check(f"{name}: what is shown", all(fact in text for fact in shown) and "It does not prove" in text)
        if "timestamp" in facts:
            check(f"{name}: the time", facts["timestamp"].replace("T", " ")[:-1] + " UTC" in text)
        if facts.get("opened"):
            check(f"{name}: the item", re.search(r"payload\s+payload", text))
        check(f"{name}: the key", "578aa919" in text and "another way" in text)


def test_keys(browser):
    line, head = golden_line(), (GOLDEN / "300.head").read_bytes()
    lines = [line[:at] + chr(ord(line[at]) + 1) + line[at + 1:] for at in range(len(line))]
    lines += [line[:at] for at in range(len(line))] + [line[:at] + line[at + 1:] for at in range(len(line))]
    compare("keys", browser, [("head", head, bad) for bad in lines], 0)
    names = [f"a{c}b" for c in "+ \t\n\r\x0b\x1c\x1f\x85\xa0\u1680\u2000\u200a\u2028\u202f\u205f\u3000\u200b\ufeff\u180e\x7f"]
    public_key = v.Key(line).key
    compare("types", browser, [("head", head, key_line(line.split("+")[0], public_key, kind)) for kind in range(6)], 1)
    compare("names", browser, [("head", head, key_line(name, bytes(32))) for name in names], 0)


def test_mutations(browser, rng):
    line, files = golden_line(), t.golden()[1]
    compare("refusals", browser, [(what, data, line) for what, data, _ in t.refusals()], 0)
    cases = []
    while len(cases) < 4000:
        _, what, data = rng.choice(files)
        changed = t.mutate(data, rng)
        if changed != data:
            cases.append((what, changed, line))
    compare("mutated texts", browser, cases, 0)
    # Behind the base64, where a changed bit is a changed field and not a wrong letter.
    receipt = (GOLDEN / "5-of-300-item-1.receipt").read_bytes()
    extra_line = receipt.split(b"\n")[1]
    extra = base64.b64decode(extra_line[6:])
    cases = [("receipt", receipt.replace(extra_line, b"extra " + base64.b64encode(t.mutate(extra, rng))), line)
             for _ in range(1000)]
    compare("mutated items", browser, [case for case in cases if case[1] != receipt], 0)


def test_limits(browser):
    """Files of the largest size there may be, and a byte more."""
    line, head = golden_line(), (GOLDEN / "300.head").read_bytes()
    text, signed = head.split(b"\n\n")
    proof, receipt = (GOLDEN / "137-to-300.consistency").read_bytes(), (GOLDEN / "5-of-300.receipt").read_bytes()
    other = b"\xe2\x80\x94 other AAAA" + b"A" * (v.MAX_NOTE - len(head) - 17 & ~3)
    witness = lambda n: "\u2014 w{} AAAAAAA=\n".format(n).encode()  # noqa: E731
    path = base64.b64encode(bytes(32)) + b"\n"
    compare("limits", browser, [("head", data, line) for data in (
        head + other + b"\n", head + other + b"AAAA\n", head + b"".join(map(witness, range(63))),
        head + b"".join(map(witness, range(64))))] + [
        ("receipt", receipt.replace(b"index 4\n", b"index 4\n" + path * 55), line),
        ("receipt", receipt.replace(b"index 4\n", b"index 4\n" + path * 56), line),
        ("consistency", proof + b"x" * 3 * v.MAX_NOTE, line), ("receipt", receipt + b"x" * v.MAX_RECEIPT, line)], 2)


def changed(proof, log, rng):
    """The proof with a hash too many, too few, or another one."""
    other, choice = list(proof), rng.randrange(3)
    if not other or choice == 0:
        other.insert(rng.randrange(len(other) + 1), rng.choice(log.roots.leaves))
    elif choice == 1:
        other.pop(rng.randrange(len(other)))
    else:
        at = rng.randrange(len(other))
        other[at] = v.sha256(other[at])
    return other


def test_larger_trees(browser, rng):
    """Of trees of up to 300 records a sample of proofs, and of each several that are not quite it."""
    log = Log(b"larger", [({}, padded(ONE))] * 300)
    cases, mutated = [], []
    for size in sorted({300, 257, 256, 255, *rng.sample(range(34, 300), 30)}):
        for index in {0, size - 1, *rng.sample(range(size), 6)}:
            path = log.roots.path(index, 0, size)
            cases.append(("receipt", log.receipt(index, size), log.line))
            mutated += [("receipt", log.receipt(index, size, path=changed(path, log, rng)), log.line) for _ in range(4)]
        for old in rng.sample(range(1, size), 3):
            chain = log.roots.subproof(old, 0, size, True)
            cases.append(("consistency", log.consistency(old, size), log.line))
            mutated += [("consistency", log.consistency(old, size, changed(chain, log, rng)), log.line) for _ in range(4)]
    compare("proofs of larger trees", browser, cases, len(cases))
    compare("mutated proofs of larger trees", browser, mutated, 0)


def test_proofs(browser, rng):
    """Every proof of small trees, the same with a hash too many, too few or another one; and trees that lie about
    their size."""
    log = Log(b"proofs", [({}, padded(ONE))] * 33)
    cases, mutated = [], []
    for size in range(1, 34):
        for index in range(size):
            path, chain = log.roots.path(index, 0, size), log.roots.subproof(index + 1, 0, size, True)
            cases += [("receipt", log.receipt(index, size), log.line),
                      ("consistency", log.consistency(index + 1, size), log.line)]
            mutated += [("receipt", log.receipt(index, size, path=changed(path, log, rng)), log.line),
                        ("consistency", log.consistency(index + 1, size, changed(chain, log, rng)), log.line)]
    compare("proofs", browser, cases, len(cases))
    compare("mutated proofs", browser, mutated, 0)
    cases = []
    for _ in range(60):
        index, size = rng.randrange(33), rng.choice([rng.randrange(1, 80), rng.randrange(1, 2**63)])
        path, root = log.roots.path(index, 0, 33), log.roots.of(0, 33)
        cases += [("receipt", log.receipt(index, 33, head=log.head(size, root)), log.line),
                  ("receipt", log.cose(index, size, root, path), log.line)]
    for size in (1, 2, 31, 33):
        for index in range(size):
            path, root = log.roots.path(index, 0, size), log.roots.of(0, size)
            cases.append(("receipt", log.cose(index, size, root, path), log.line))
    for size in (0, 2**63 - 1, 2**63, 2**64 - 1):
        cases.append(("receipt", log.cose(0, size, bytes(32), [bytes(32)] * 63), log.line))
    compare("sizes", browser, cases)
    cases = []
    for _ in range(60):
        old, size = rng.randrange(1, 33), rng.choice([rng.randrange(1, 80), rng.randrange(1, 2**63)])
        heads = log.head(old, log.roots.of(0, old)), log.head(size, log.roots.of(0, 33))
        cases.append(("consistency", log.consistency(old, 33, heads=heads), log.line))
    for old, size in ((1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 2), (4, 3), (8, 4)):
        for roots in ((0, 0), (0, 1)):
            heads = log.head(old, log.roots.leaves[roots[0]]), log.head(size, log.roots.leaves[roots[1]])
            cases.append(("consistency", log.consistency(old, size, [], heads), log.line))
    compare("sizes of two", browser, cases)
    newer = log.head(33, log.roots.of(0, 33))
    compare("another older root", browser, [
        ("consistency", log.consistency(old, 33, heads=(log.head(old, log.roots.of(1, 33)), newer)), log.line)
        for old in range(1, 33)], 0)
    renamed = key_line("kimberlite/" + "00" * 16, log.public_key)
    compare("the same key of another log", browser, [
        ("receipt", log.cose(0, 33, log.roots.of(0, 33), log.roots.path(0, 0, 33)), renamed),
        ("receipt", log.receipt(0, 33), renamed), ("head", newer, renamed)], 0)
    shifted = Log(b"shifted", [({}, padded(ONE))] * 3, first=2)
    path, root = shifted.roots.path(1, 0, 3), shifted.roots.of(0, 3)
    compare("another position than the index says", browser, [
        ("receipt", shifted.receipt(1, 3), shifted.line), ("receipt", shifted.cose(1, 3, root, path), shifted.line)], 0)


def test_heads(browser):
    """Signed as it should be, and no head; and what Ed25519 accepts or not, at its edges."""
    log = Log(b"heads", [({}, padded(ONE))])
    root = base64.b64encode(log.roots.of(0, 1)).decode()
    sign = lambda text: note(text, log.name, log.public_key, log.sign(text.encode()))  # noqa: E731
    texts = [f"{log.name}\n{size}\n{root}\n" for size in ("1", 0, "", "01", "+1", "1 ", "\u0661", 2**63 - 1, 2**63, 2**64)]
    texts += [f"{log.name}\n1\n{root}\nmore\n", f"{log.name}\n1\n", f"{log.name}\n1\n{root[:-4]}\n", f"other\n1\n{root}\n",
              f"{log.name}\n1\n{root[:-2]}F=\n", f"{log.name} \n1\n{root}\n", f"\ufeff{log.name}\n1\n{root}\n", "\n", "x\n"]
    compare("no heads", browser, [("head", sign(text), log.line) for text in texts], 2)
    text = texts[0].encode()
    good = log.sign(text)
    signed = lambda name, key, signature: ("head", note(f"{name}\n1\n{root}\n", name, key, signature),  # noqa: E731
                                           key_line(name, key))
    s = int.from_bytes(good[32:], "little")
    cases = [signed(log.name, log.public_key, signature) for signature in (
        good, good[:32] + (s + v.L).to_bytes(32, "little"), good[:-1], good + b"\0", good[32:] + good[:32], bytes(64))]
    # Under the neutral point as a key, (B, 1) and (the neutral point, 0) sign everything.
    base, identity = encode_point(v.BASE), (1).to_bytes(32, "little")
    again, negative = (v.P + 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little")
    minus, minus_negative = (v.P - 1).to_bytes(32, "little"), (v.P - 1 | 1 << 255).to_bytes(32, "little")
    no_point = next(y for y in (n.to_bytes(32, "little") for n in range(2, 99)) if v.decode_point(y) is None)
    for key in (identity, again, negative, minus, minus_negative, no_point, b"\xff" * 32, bytes(32)):
        for signature in (base + identity, base + v.L.to_bytes(32, "little"), identity + bytes(32), again + bytes(32),
                          negative + bytes(32), minus_negative + bytes(32), no_point + bytes(32)):
            cases.append(signed("edge", key, signature))
    compare("edges of Ed25519", browser, cases)


def test_items(browser):
    """What the page shows of items of every kind; and that it refuses, as the database does, what no writer makes."""
    log = Log(b"items", CANONICAL)
    size = len(CANONICAL)
    cases = [("receipt", log.receipt(i, size, True), log.line) for i in range(size)]
    compare("items", browser, cases, size)
    other = Log(b"other key", [({"committed": bytes(32)}, padded(ONE))])
    compare("another key committed to", browser, [("receipt", other.receipt(0, 1, True), other.line)], 0)
    answers = [answer["data"]["opened"]["content"] for answer in browser.check(cases)]
    check("the meta", [m["value"] for m in answers[0]["meta"]] == [
        "2", "as the patient asked", "0102", "UPDATE t SET a = ?", "", "", "ff"])
    update, removal = answers[0]["changes"]
    check("an update", (update["operation"], update["previous"], update["table"]) == (2, "41", 12)
          and [(i["type"], i["value"]) for i in update["key"] + update["image"]] == [
              ("integer", "-5"), ("integer", "-9223372036854775808"), ("double", "2.5"), ("text", MARKUP), ("bytes", "dead"),
              ("null", ""), ("text", "x" * 300)])
    check("a removal", removal["operation"] == 3 and removal["image"] == [] and len(removal["key"]) == 2)
    events = [(event["kind"], event["payload"]["value"]) for event in answers[1]["events"]]
    check("events", events == [("admitted", TURNED), ("left", "1")])
    check("control", answers[2]["controls"] == ["cafe00"])
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder, f"{i}.receipt") for i in range(size)]
        for path, (_, data, _) in zip(paths, cases):
            path.write_bytes(data)
        browser.open()
        browser.type("#key", log.line)
        browser.type("#file", "\n".join(map(str, paths)))
        check("several files", browser.verdict() == ("ok", ""))
        text = browser.text()
        check("markup is shown as text", MARKUP in text and browser.run("return document.title") != "run")
        check("what turns text is shown by its number", "abc\u27e8U+202E\u27e9def\u27e8U+0007\u27e9" in text)
        check("what was said of it", "as the patient asked" in text and "the version of position 41" in text)
        bad = Log(b"bad", NOT_CANONICAL)
        data = [bad.receipt(i, len(NOT_CANONICAL), True) for i in range(len(NOT_CANONICAL))]
        compare("not canonical", browser, [("receipt", each, bad.line) for each in data], 0)


DROP = """const data = new DataTransfer();
for (const [name, base64] of arguments[0]) {
  data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
}
const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
document.querySelector(arguments[1]).dispatchEvent(event);
return event.defaultPrevented;"""


def test_hands(browser):
    """What a person does: drops, pastes, changes the key; the old verdict never stays."""
    golden = lambda *names: [(n, base64.b64encode((GOLDEN / n).read_bytes()).decode()) for n in names]  # noqa: E731
    receipt = (GOLDEN / "5-of-300.receipt").read_bytes()
    bad = ("bad.receipt", base64.b64encode(receipt.replace(b"index 4", b"index 5")).decode())
    browser.open()
    check("a drop does not leave the page", browser.run(DROP, golden("log.vkey", "1-of-1.cose"), "body") is True)
    check("a key and a receipt dropped", browser.verdict() == ("ok", ""))
    browser.run(DROP, [bad], "h1")
    check("a bad one dropped", browser.verdict() == ("refused", "integrity.inclusion"))
    check("nothing of it is shown", "1970" not in browser.text() and "OK" not in browser.text())
    browser.run(DROP, golden("300.head") + [bad], "h1")
    check("one bad one among good ones", browser.verdict() == ("refused", "integrity.inclusion"))
    browser.run(f"""window.said = [];
        const output = document.getElementById("verdict");
        new MutationObserver(() => said.push(output.dataset.verdict)).observe(output, {{ attributes: true }});
        const drop = function () {{ {DROP} }};
        drop(arguments[0], "body");
        drop(arguments[1], "body");""", golden("300.head"), [bad])
    check("of two drops the later counts", browser.verdict() == ("refused", "integrity.inclusion"))
    said = browser.run("return said")
    check(f"and the earlier is never answered: {said}", "refused" in said and "ok" not in said)
    other = [("other.vkey", base64.b64encode(Log(b"other", []).line.encode()).decode())]
    browser.run(DROP, other + golden("300.head"), "body")
    check("a dropped key does not replace another", browser.verdict() == ("ok", "") and "was not used" in browser.text())
    browser.run(DROP, other, "#key")
    check("but it does on the key's field", browser.verdict() == ("refused", "integrity.signature"))
    cleared = browser.run("""const key = document.getElementById("key");
        key.value = ""; key.dispatchEvent(new Event("input"));
        const { dataset } = document.getElementById("verdict");
        return document.getElementById("results").childElementCount + dataset.verdict""")
    check("with the key the verdict goes", cleared == "0" and browser.verdict() == ("unchecked", ""))
    browser.type("#key", golden_line()[:-1])
    check("half a key", browser.verdict()[1] == "usage.key")
    browser.type("#key", golden_line()[-1])
    check("a typed key", browser.verdict() == ("ok", ""))
    browser.click("summary")
    text = (GOLDEN / "1-to-300.consistency").read_text().rstrip()
    browser.run("document.getElementById('text').value = arguments[0]", text)
    browser.click("#check-text")
    time.sleep(0.2)
    check("pasted, its last newline lost", browser.verdict() == ("ok", "") and "end of its last line" in browser.text())
    many = [(f"{i}.head", golden("300.head")[0][1]) for i in range(21)]
    browser.run(DROP, many, "body")
    check("too many", browser.verdict() == ("ok", "") and "first 20 files" in browser.text())


def test_browsers_that_lack_it(browser):
    """A browser that cannot check says so, and says ok to nothing."""
    line, files = golden_line(), t.golden()[1]
    refuse = "() => Promise.reject(new DOMException('no', 'NotSupportedError'))"
    for name, script, every in [
        ("no WebCrypto", "Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined })", True),
        ("no Ed25519", "const whole = SubtleCrypto.prototype.importKey; SubtleCrypto.prototype.importKey = function (...a) {"
         f"return a[2] === 'Ed25519' ? ({refuse})() : whole.apply(this, a); }}", True),
        ("says yes to everything", "SubtleCrypto.prototype.verify = async () => true", True),
        ("says no to everything", "SubtleCrypto.prototype.verify = async () => false", True),
        ("no AES", f"SubtleCrypto.prototype.decrypt = {refuse}", False),
    ]:
        added = browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
        browser.open()
        answers = browser.check([(what, data, line) for _, what, data in files])
        unchecked = ["item" in name or every for name, _, _ in files]
        check(f"{name}: unchecked", [a["verdict"] == "unchecked" and a["data"] is None for a in answers] == unchecked)
        browser.type("#key", line)
        browser.type("#file", str(GOLDEN / "5-of-300-item-1.receipt"))
        check(f"{name}: it says so", browser.verdict() == ("unchecked", "") and "OK" not in browser.text()
              and ("Chrome" in browser.text()) == every)
        browser.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    # One that lets everything pass but what it is tried with: what the page then refuses, it refused by itself.
    lax = "SubtleCrypto.prototype.verify = async (name, key, signature, text) => text.length !== 1 || text[0] !== 0x73"
    added = browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=lax)["identifier"]
    browser.open()
    point, one, beyond = encode_point(v.BASE), (1).to_bytes(32, "little"), (2**255 - 1).to_bytes(32, "little")
    no_x = (1 | 1 << 255).to_bytes(32, "little")
    cases = [(point, point + one, ""), (point, point + v.L.to_bytes(32, "little"), "integrity.signature"),
             (point, point + (v.L - 1).to_bytes(32, "little"), ""), (point, point + one[:-1], "integrity.signature")]
    for odd in (beyond, v.P.to_bytes(32, "little"), no_x, (v.P - 1 | 1 << 255).to_bytes(32, "little")):
        cases += [(odd, point + one, "integrity.signature"), (point, odd + one, "integrity.signature")]
    text = f"edge\n1\n{base64.b64encode(bytes(32)).decode()}\n"
    answers = browser.check([("head", note(text, "edge", key, signature), key_line("edge", key))
                             for key, signature, _ in cases])
    for (key, signature, code), answer in zip(cases, answers):
        check(f"a lax browser, {key.hex()}, {signature.hex()}: {answer['code']}",
              (answer["code"], answer["verdict"]) == (code, "refused" if code else "ok"))
    browser.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    browser.open()


def test_narrow(browser, screenshot):
    """No line is wider than the window, whatever is in it; and the colours can be told apart."""
    log = Log(b"narrow", [ROWS])
    with tempfile.NamedTemporaryFile(suffix=".receipt") as file:
        file.write(log.receipt(0, 1, True))
        file.flush()
        for scheme in ("light", "dark"):
            browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            for width in (320, 900):
                browser.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                                 mobile=False)
                browser.open()
                browser.type("#key", log.line)
                browser.type("#file", file.name)
                check("ok", browser.verdict() == ("ok", ""))
                browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
                inside = browser.run("const e = document.documentElement; return e.scrollWidth <= e.clientWidth")
                check(f"{scheme}, {width} wide: nothing sticks out", inside)
                worst = browser.run(CONTRAST)
                check(f"{scheme}, {width} wide: contrast {worst}", worst[0] >= 4.5)
                if screenshot:
                    browser.screenshot(f"{screenshot}-{scheme}-{width}.png")
    browser.devtools("Emulation.clearDeviceMetricsOverride")


# The lowest contrast of a text to what is behind it (WCAG 2.2, 1.4.3), and the text.
CONTRAST = """const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => rgb(color).slice(0, 3).map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => {
  while (rgb(getComputedStyle(e).backgroundColor)[3] === 0) e = e.parentElement;
  return getComputedStyle(e).backgroundColor;
};
let worst = [99, ""];
for (const e of document.querySelectorAll("body *")) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  if (["SCRIPT", "NOSCRIPT"].includes(e.tagName)) continue;
  const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < worst[0]) worst = [contrast, e.textContent.slice(0, 40)];
}
return worst;"""

# Every way out there is; each must end in an error or in nothing that reached anyone.
WAYS_OUT = """(async (url) => {
  const told = [];
  document.addEventListener("securitypolicyviolation", (event) => told.push(event.effectiveDirective));
  const refused = [];
  const attempt = async (name, way) => {
    try { await way(); } catch { refused.push(name); }
  };
  await attempt("fetch", () => fetch(url, { mode: "no-cors" }));
  await attempt("markup", () => { document.createElement("p").innerHTML = "<b>"; });
  await attempt("request", () => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.onload = resolve; request.onerror = reject;
    request.open("GET", url); request.send();
  }));
  navigator.sendBeacon(url);
  new Image().src = url;
  const tags = [["link", { rel: "stylesheet", href: url }], ["iframe", { src: url }], ["video", { src: url }]];
  for (const [tag, names] of tags) {
    document.body.append(Object.assign(document.createElement(tag), names));
  }
  const form = Object.assign(document.createElement("form"), { action: url });
  document.body.append(form);
  form.submit();
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { refused, told: [...new Set(told)].sort() };
})(arguments[0])"""


def test_network(browser):
    """The policy lets nothing out; the same page without it does."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    errors = [entry["message"] for entry in browser.logged("browser") if entry["level"] == "SEVERE"]
    check(f"the browser had nothing to complain of: {errors}", not errors)
    urls = set()
    for entry in browser.logged("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            urls.add(message["params"]["request"]["url"])
    check(f"of all that was done, only the page was loaded: {urls}", urls == {PAGE.as_uri()})
    browser.open()
    found = browser.wait_for(WAYS_OUT, url + "policy")
    check(f"refused: {found}", found["refused"] == ["fetch", "markup", "request"])
    wanted = {"connect-src", "img-src", "style-src-elem", "frame-src", "media-src", "form-action"}
    check("and said", wanted <= set(found["told"]))
    check(f"no request came: {asked}", asked == [])
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder, "index.html")
        page.write_text(re.sub(r"<meta http-equiv.*>", "", PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        browser.open(page)
        browser.wait_for("fetch(arguments[0], { mode: 'no-cors' }).then(() => 1)", url + "control")
        check("without the policy it would", asked == ["/control"])
    server.shutdown()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--screenshot", help="the beginning of the names of four pictures")
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"skipped: page: {missing}")
        print("0 passed, 0 failed")
        return 0
    rng = random.Random(options.seed)
    test_source()
    with Browser() as browser:
        browser.open()
        browser.logged("performance")  # of the page a browser begins with
        check("it works from a file", browser.run("return [isSecureContext, location.protocol]") == [True, "file:"])
        test_golden(browser)
        test_keys(browser)
        test_mutations(browser, rng)
        test_limits(browser)
        test_proofs(browser, rng)
        test_larger_trees(browser, rng)
        test_heads(browser)
        test_items(browser)
        test_hands(browser)
        test_browsers_that_lack_it(browser)
        test_narrow(browser, options.screenshot)
        test_network(browser)
    print(f"{t.PASSED} passed, {t.FAILED} failed")
    return 1 if t.FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
