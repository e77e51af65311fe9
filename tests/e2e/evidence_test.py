#!/usr/bin/env python3
"""A medical record's way to a stranger: recorded, proved, backed up, restored, and what is tampered with found.

The rows are patients.csv of ../shared/data/synthea (or $KIMBERLITE_SYNTHEA); without it, a few of its shape.
The Python verifier is run in a directory that holds nothing but itself, the key line and the proofs; its page, in Chromium.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import harness

sys.path.insert(0, str(harness.ROOT / "tests" / "verifier"))
from browser import Browser, missing_programs  # noqa: E402

FOLDER = pathlib.Path(os.environ.get("KIMBERLITE_SYNTHEA", harness.ROOT.parent / "shared" / "data" / "synthea"))
SMALL = "Id,FIRST,LAST,CITY\np1,Ann,Berg,Boston\np2,Maynard,Moss,Boston\np3,Curt,Schmidt,Salem\n"


class Evidence:
    def __init__(self, test):
        self.test, self.db = test, "clinic"
        self.elsewhere = test.top / "elsewhere"
        self.elsewhere.mkdir()

    def record(self):
        source = FOLDER / "patients.csv"
        self.csv = self.test.work / "patients.csv"
        if source.exists():
            shutil.copy(source, self.csv)
        else:
            self.test.skip("medical records", f"{source} is not here; made-up ones take their place")
            self.csv.write_text(SMALL)
        self.test.must("init", self.db)
        self.test.must("import", self.db, self.csv, "--create", "--primary-key", "Id", "--class", "phi", "--quiet")
        row = self.test.rows(self.db, "SELECT Id, CITY FROM patients ORDER BY Id LIMIT 1")[0]
        self.key = row["Id"]
        self.test.must("sql", self.db, "-c", "UPDATE patients SET CITY = 'Salem' WHERE Id = :id WITH REASON 'moved'",
                       "--param", f"id={self.key}", "--quiet")
        verified = self.test.rows(self.db, f"VERIFY SELECT Id, CITY FROM patients WHERE Id = '{self.key}'")[0]
        self.position = verified["__position"]
        self.test.equal("the row that was proved", "Salem", verified["CITY"])
        (self.elsewhere / "verified.receipt").write_text(verified["__receipt"])

    def stranger(self, *arguments):
        """The verifier, where there is no Kimberlite: (exit status, stdout)."""
        done = subprocess.run([sys.executable, "-I", "kimberlite_verify.py", *arguments, "--log-key", "clinic.vkey"],
                              cwd=self.elsewhere, env={"PATH": "/nowhere", "LANG": "C.UTF-8"}, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode()

    def prove(self):
        self.test.must("receipt", "get", self.db, self.position, "--item", "0", "-o", self.elsewhere / "row.receipt", "--quiet")
        self.test.must("receipt", "get", self.db, self.position, "-o", self.elsewhere / "sealed.receipt")
        self.test.must("receipt", "get", self.db, self.position, "--item", "0", "--cose", "-o", self.elsewhere / "row.cose", "--quiet")
        self.test.must("head", "publish", self.db, "-o", self.elsewhere / "first.head")
        shutil.copy(self.test.work / "clinic.vkey", self.elsewhere)
        shutil.copy(harness.ROOT / "verifier" / "kimberlite_verify.py", self.elsewhere)
        size = (self.elsewhere / "row.receipt").stat().st_size
        self.test.say(f"a receipt of one row of patients: {size} bytes, "
                      f"{(self.elsewhere / 'sealed.receipt').stat().st_size} without it, "
                      f"{(self.elsewhere / 'row.cose').stat().st_size} as COSE")
        self.test.check(size < 2500, f"a receipt of one row has {size} bytes")
        for name in ("verified.receipt", "row.receipt", "sealed.receipt", "row.cose"):
            self.test.must("receipt", "check", self.elsewhere / name, "--log-key", "clinic.vkey")
            status, out = self.stranger("receipt", name, "--json")
            self.test.check(status == 0, f"{name} holds for the stranger", out)
        opened = (self.elsewhere / "row.receipt").read_bytes()
        self.test.check(b"Salem" not in opened, "what is disclosed is not in plain text")
        sealed = json.loads(self.test.must("receipt", "show", self.elsewhere / "sealed.receipt", "--format", "jsonl").splitlines()[0])
        self.test.check(sealed["opened_item"] is None, "a receipt discloses nothing unasked")
        self.test.must("sql", self.db, "-c", "UPDATE patients SET CITY = 'Lynn' WHERE Id = :id", "--param", f"id={self.key}", "--quiet")
        self.test.must("head", "prove", self.db, self.elsewhere / "first.head", "-o", self.elsewhere / "since.proof")
        status, out = self.stranger("consistency", "since.proof")
        self.test.check(status == 0, "the log extends what the stranger saw", out)
        status, out = self.stranger("head", "first.head")
        self.test.check(status == 0, "the head is the log's", out)

    def refuse(self):
        """Each changed character of a receipt is refused, by both verifiers with the same code."""
        text = (self.elsewhere / "row.receipt").read_text()
        self.refused = []  # of each changed text the code
        bad = self.elsewhere / "bad.receipt"
        for at in range(0, len(text), max(1, len(text) // 25)):
            changed = "B" if text[at] == "A" else "A"
            bad.write_text(text[:at] + changed + text[at + 1:])
            status, _, errors = self.test.run("receipt", "check", bad, "--log-key", "clinic.vkey")
            code = errors.partition("[")[2].partition("]")[0]
            other, out = self.stranger("receipt", "bad.receipt")
            self.test.check(status == 3 and other == 3 and code in out, f"character {at} changed: {code}", errors + out)
            self.refused.append((bad.read_bytes(), code))
        self.test.must("init", "other", "--key-file", "other.key")
        status, _, errors = self.test.run("receipt", "check", self.elsewhere / "row.receipt", "--log-key", "other.vkey")
        self.test.check(status == 3 and "integrity.signature" in errors, "another log's key", errors)

    def look(self):
        """The page, given the same receipts: what it shows of the row, and what it refuses."""
        if why := missing_programs():
            self.test.skip("the page that checks receipts", why)
            return
        line = (self.elsewhere / "clinic.vkey").read_text().strip()
        with Browser() as browser:
            browser.open()
            browser.type("#key", line)
            browser.type("#file", str(self.elsewhere / "row.receipt"))
            self.test.equal("the page takes the row's receipt", ("ok", ""), browser.verdict())
            text = browser.text()
            self.test.check("Salem" in text and "moved" in text, "and shows what was recorded, and why", text)
            names = ("row.receipt", "sealed.receipt", "row.cose")
            good = browser.check([("receipt", (self.elsewhere / name).read_bytes(), line) for name in names])
            self.test.equal("the page's verdicts", ["ok"] * 3, [answer["verdict"] for answer in good])
            self.test.equal("the page's positions", [str(self.position)] * 3, [str(answer["data"]["position"]) for answer in good])
            bad = browser.check([("receipt", data, line) for data, _ in self.refused])
            self.test.equal("each changed one is refused with the same code", [("refused", code) for _, code in self.refused],
                            [(answer["verdict"], answer["code"]) for answer in bad])

    def survive(self):
        self.test.must("backup", "create", self.db, "repository")
        self.test.must("key", "escrow", self.db, "-o", "clinic.escrow")
        self.test.must("backup", "verify", "repository", "--log-key", "clinic.vkey")
        self.test.must("backup", "drill", self.db, "repository")
        now = self.test.rows(self.db, "SELECT * FROM patients ORDER BY Id")
        then = self.test.rows(self.db, f"SELECT * FROM patients AS OF POSITION {self.position} ORDER BY Id")
        self.test.must("restore", "repository", "again", "--escrow", "clinic.escrow", "--reason", "drill", "--quiet")
        status, _, errors = self.test.run("sql", "again", "-c", "SELECT 1")
        self.test.check(status == 3 and "integrity.new_epoch" in errors, "another log in the place of the one seen", errors)
        self.test.must("head", "trust", "again", "--yes", "--quiet")
        self.test.equal("the rows that were restored", now, self.test.rows("again", "SELECT * FROM patients ORDER BY Id"))
        self.test.equal("the past that was restored", then, self.test.rows(
            "again", f"SELECT * FROM patients AS OF POSITION {self.position} ORDER BY Id"))
        self.test.must("verify", "again", "--projection")
        # The old receipt holds under the old key, the restored log proves the same record under its own.
        self.test.must("receipt", "get", "again", self.position, "-o", "restored.receipt")
        self.test.must("receipt", "check", "restored.receipt", "--log-key", "again.vkey")
        status, _, errors = self.test.run("receipt", "check", "restored.receipt", "--log-key", "clinic.vkey")
        self.test.check(status == 3 and "integrity.signature" in errors, "a restored log is another log", errors)
        self.test.must("restore", "repository", "then", "--escrow", "clinic.escrow", "--until", self.position, "--quiet")
        self.test.must("head", "trust", "then", "--yes", "--quiet")
        self.test.equal("restored to the position", then, self.test.rows("then", "SELECT * FROM patients ORDER BY Id"))

    def tamper(self):
        self.test.must("verify", self.db, "--log-key", "clinic.vkey", "--since", self.elsewhere / "first.head")
        shutil.rmtree(self.test.work / "copy", ignore_errors=True)
        segment = self.test.work / self.db / "tenants/1/data/00000000000000000001.segment"
        whole = segment.read_bytes()
        changed = bytearray(whole)
        changed[len(changed) // 2] ^= 1
        segment.write_bytes(changed)
        status, _, errors = self.test.run("verify", self.db)
        self.test.check(status == 3 and "byte" in errors and "record" in errors, "a changed byte is named", errors)
        segment.write_bytes(whole)
        self.test.must("verify", self.db)


def main():
    test = harness.Test("evidence")
    evidence = Evidence(test)
    for step in (evidence.record, evidence.prove, evidence.refuse, evidence.look, evidence.survive, evidence.tamper):
        test.say(step.__name__)
        step()
    return test.finish()


if __name__ == "__main__":
    sys.exit(main())
