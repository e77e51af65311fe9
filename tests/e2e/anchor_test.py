#!/usr/bin/env python3
"""Anchors through the binary: directories, a time stamp authority (`openssl ts`), our witness (verifier/witness.py), by files
and over the network.

One story: a log grows, its heads are put elsewhere; then a copy of the directory goes another way under the same keys, which
`verify` cannot tell, and every place that saw the first history refuses it.
"""
import base64
import hashlib
import http.server
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import harness

sys.path.insert(0, str(harness.ROOT / "verifier"))
import kimberlite_verify as v  # noqa: E402
import witness as w  # noqa: E402

DAY = 86400
OPENSSL = shutil.which("openssl", path="/usr/bin:/bin")


class RunningWitness:
    """verifier/witness.py as a process; `post` is what a log's operator does with curl."""

    def __init__(self, test, logs):
        self.test, self.folder = test, test.work / "witness"
        self.folder.mkdir()
        self.program = [sys.executable, str(harness.ROOT / "verifier/witness.py")]
        self.key_line = subprocess.run([*self.program, "key", "--name", "witness.example/w1", "--key", self.folder / "key"],
                                       check=True, capture_output=True, text=True).stdout.strip()
        (self.folder / "logs").write_text("# the logs that are known\n" + "".join(line + "\n" for line in logs))
        (self.folder / "vkey").write_text(self.key_line + "\n")
        self.process = None

    def command(self):
        return [*self.program, "serve", "--key", self.folder / "key", "--logs", self.folder / "logs",
                "--state", self.folder / "state", "--listen", "127.0.0.1:0"]

    def start(self):
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE, text=True)
        self.process.stderr.readline()
        self.url = "http://" + re.search(r"listening on (\S+),", self.process.stderr.readline()).group(1)
        # What it says from now on must not fill the pipe.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def post(self, body, path="/add-checkpoint"):
        """(status, body, content type)"""
        request = urllib.request.Request(self.url + path, data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers["Content-Type"]

    def heads(self):
        return json.loads((self.folder / "state").read_text())["heads"]


class Service:
    """An HTTP server that gives the answers it is told: (status, content type, body), or the bytes of the whole answer."""

    def __init__(self, answer, certificate=None):
        self.asked = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.asked.append((self.path, self.headers["Content-Type"], body))
                given = answer(body)
                if isinstance(given, bytes):
                    self.wfile.write(given)
                    return
                status, kind, data = given
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # a client that leaves
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Anchors:
    def __init__(self, test):
        self.test = test
        self.db, self.fork = test.work / "clinic", test.work / "fork"
        self.elsewhere = test.work / "elsewhere"
        test.must("init", self.db)
        self.log_key = (test.work / "clinic.vkey").read_text().strip()
        self.key = v.Key(self.log_key)
        test.must("sql", self.db, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)")
        self.rows = 0
        self.witness = None

    def insert(self, count=1, db=None, first=None):
        first = self.rows if first is None else first
        self.test.must("sql", db or self.db, "--quiet", *(
            word for i in range(count) for word in ("-c", f"INSERT INTO t VALUES ({first + i})")))
        if db is None:
            self.rows += count

    def anchor(self, *options, db=None):
        return self.test.run("head", "anchor", db or self.db, *options)

    def must_anchor(self, *options):
        return self.test.must("head", "anchor", self.db, *options, "--format", "jsonl", "--quiet")

    def refused(self, what, answer, code, *words):
        status, out, errors = answer
        exit_status = {"integrity": 3, "usage": 2, "conflict": 6, "constraint": 1, "not_found": 1, "unavailable": 4, "limit": 4,
                       "timeout": 4}[code.split(".")[0]]
        self.test.check(status == exit_status and f"error[{code}]" in errors and all(word in errors for word in words),
                        f"{what}: {code}", f"exit {status} {errors}{out}")

    def doctor(self):
        out = self.test.must("doctor", self.db, "--format", "jsonl", "--quiet")
        return next(row for row in map(json.loads, out.splitlines()) if row.get("check") == "anchor")

    # Files.

    def directory(self):
        test, check = self.test, self.test.check
        row = self.doctor()
        check(row["result"] == "look" and "head anchor" in row["detail"], "doctor: no anchor", str(row))
        check("0 anchors" in test.must("verify", self.db), "verify counts none")
        for _ in range(3):
            self.insert(4)
            row = json.loads(self.must_anchor("--directory", self.elsewhere).splitlines()[0])
            path = self.elsewhere / self.key.name.split("/")[1] / f"{row['size']:020}.head"
            size, root = v.check_head(path.read_bytes(), self.key)
            check((size, root.hex()) == (row["size"], row["root"]), f"{path.name} holds the head of {size}")
        before = {path: path.read_bytes() for path in self.elsewhere.rglob("*.head")}
        self.must_anchor("--directory", self.elsewhere)
        after = {path: path.read_bytes() for path in self.elsewhere.rglob("*.head")}
        check(len(before) == 3 and before == after, "again: nothing is changed")
        one = test.work / "one.head"
        self.must_anchor("--file", one)
        self.insert()
        self.refused("an older head in the file", self.anchor("--file", one), "constraint.exists", str(one))
        row = self.doctor()
        check(row["result"] == "ok", "doctor: an anchor of today", str(row))
        status, out, errors = test.run("verify", self.db, "--projection", "--log-key", test.work / "clinic.vkey")
        check(status == 0 and "5 anchors" in out and "note: the newest anchor of tenant 1, data is" in errors, "verify counts them",
              out + errors)
        out = test.must("status", self.db)
        check(re.search(r"anchors +\| tenant main, data: 5, the newest \d+ seconds? ago: file, head of \d+", out), "status", out)

    # Another history.

    def histories(self):
        """proofs.md, Tamper matrix: rewritten whole, with the signing key."""
        test, check = self.test, self.test.check
        shutil.copytree(self.db, self.fork)
        self.insert(3)
        self.must_anchor("--directory", self.elsewhere)
        newest = str(max(self.elsewhere.rglob("*.head")))
        self.refused("shorter", self.anchor("--directory", self.elsewhere, db=self.fork), "integrity.rollback", newest)
        for more in (3, 2):
            self.insert(more, self.fork, -10 * more)
            self.refused(f"{more} other records", self.anchor("--directory", self.elsewhere, db=self.fork),
                         "integrity.consistency", newest)
        for db in (self.db, self.fork):
            status, out, errors = test.run("verify", db, "--projection", "--log-key", test.work / "clinic.vkey")
            check(status == 0 and out.startswith("ok"), f"verify alone finds nothing in {db.name}", out + errors)
        status, _, errors = test.run("verify", self.fork, "--log-key", test.work / "clinic.vkey", "--since", newest)
        check(status == 3 and "error[integrity.consistency]" in errors, "verify --since a head from elsewhere tells", errors)

    # The witness.

    def witnesses(self):
        test, check = self.test, self.test.check
        self.witness = RunningWitness(test, [self.log_key])
        self.witness.start()
        request, answer, key = test.work / "w.request", test.work / "w.answer", self.witness.folder / "vkey"
        sizes = []
        for _ in range(3):
            test.must("head", "anchor", self.db, "--witness-request", request, "--witness-key", key)
            status, body, _ = self.witness.post(request.read_bytes())
            check(status == 200, "honest growth is cosigned", body.decode())
            answer.write_bytes(body)
            row = json.loads(self.must_anchor("--witness-request", request, "--witness-response", answer,
                                              "--witness-key", self.witness.key_line).splitlines()[0])
            check(row["kind"] == "witness" and row["target"] == "witness.example/w1" and row["attested"], "it is kept", str(row))
            sizes.append(row["size"])
            check(self.witness.heads()[self.key.name] == {"size": row["size"], "root": row["root"]}, "the witness remembers")
            first = request.read_text().split("\n")[0]
            check(first == f"old {sizes[-2] if len(sizes) > 1 else 0}", "the request begins where the last one ended", first)
            self.cosigned(request.read_text(), body.decode())
            self.insert(5)
        rows = test.rows(self.db, "SELECT size, signatures, witnesses, last_anchor_age_s FROM __heads WHERE witnesses > 0 ORDER BY size")
        check([row["size"] for row in rows] == sizes, "__heads says which were cosigned", str(rows))
        check(all(row["witnesses"] == 1 and row["last_anchor_age_s"] >= 0 for row in rows), "by one witness, lately", str(rows))
        check(rows[-1]["signatures"].splitlines()[1:] == body.decode().splitlines(), "with its line", str(rows[-1]))
        self.protocol(request.read_bytes())
        self.witness_refusals(request, answer, key)
        self.witness_restart(request, answer, key)
        self.witness.stop()

    def cosigned(self, request, answer):
        """The answer, checked by nothing but the specification."""
        text = request.split("\n\n")[1] + "\n"
        _, name, encoded = answer.rstrip("\n").split(" ")
        data = base64.b64decode(encoded)
        typed = base64.b64decode(self.witness.key_line.split("+", 2)[2])
        seconds = int.from_bytes(data[4:12], "big")
        message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        key_id = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
        self.test.check(typed[0] == 4 and data[:4] == key_id and abs(seconds - time.time()) < 60
                        and v.ed25519_verify(typed[1:], message, data[12:]), "a cosignature of tlog-cosignature")

    def protocol(self, good):
        """The status codes of tlog-witness; nothing of it moves the state."""
        check, post, before = self.test.check, self.witness.post, self.witness.heads()
        lines = good.split(b"\n")
        head_at = lines.index(b"") + 1

        def changed(at, line):
            return b"\n".join(lines[:at] + [line] + lines[at + 1:])

        stood = before[self.key.name]["size"]
        for what, body, status in (
                ("no request", b"", 400), ("an old size with a zero before it", b"old 0" + good[4:], 400),
                ("a proof that is no hash", changed(1, b"abc"), 400), ("no note", good[:good.index(b"\n\n") + 2], 400),
                ("an old size above the checkpoint", changed(0, b"old 4000"), 400),
                ("64 hashes", good.replace(b"\n\n", b"\n" + b"\n".join([base64.b64encode(bytes(32))] * 64) + b"\n\n", 1), 400),
                ("an unknown log", changed(head_at, b"kimberlite/" + b"0" * 32), 404),
                ("another root, unsigned", changed(head_at + 2, base64.b64encode(bytes(32))), 403),
                ("an old size that is not the state's", changed(0, b"old 1"), 409),
                ("the first request again", changed(0, b"old 0"), 409)):
            got, answer, kind = post(body)
            check(got == status, f"{what}: {status}", f"{got} {answer.decode()}")
            if status == 409:
                check(answer == f"{stood}\n".encode() and kind == "text/x.tlog.size", f"{what}: the size it has", answer.decode())
        check(post(good, "/other")[0] == 404, "another path")
        same = b"old " + str(stood).encode() + b"\n\n" + good.split(b"\n\n", 1)[1]
        got, answer, _ = post(same)
        check(got == 200 and answer.startswith("\u2014 witness.example/w1 ".encode()), "the same head again", answer.decode())
        check(post(same.replace(b"\n\n", b"\n" + base64.b64encode(bytes(32)) + b"\n\n", 1))[0] == 422, "with a proof too many")
        check(self.witness.heads() == before, "none of it changed what the witness remembers")
        # Two at once: the one is taken, the other is told the size.
        self.test.must("head", "anchor", self.db, "--witness-request", self.test.work / "race", "--witness-key", self.witness.key_line)
        body, answers = (self.test.work / "race").read_bytes(), []
        threads = [threading.Thread(target=lambda: answers.append(post(body)[0])) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(sorted(answers) == [200] + [409] * 5, "of six at once, one is taken", str(answers))

    def witness_refusals(self, request, answer, key):
        test, check = self.test, self.test.check
        state = self.witness.heads()[self.key.name]["size"]
        # The witness went on with an answer that was lost: it says where it stands, and the request is made from there.
        test.must("head", "anchor", self.db, "--witness-request", request, "--witness-key", key)
        status, body, _ = self.witness.post(request.read_bytes())
        check(status == 409 and body == f"{state}\n".encode(), "an answer was lost: 409", f"{status} {body.decode()}")
        answer.write_bytes(body)
        with_answer = ("--witness-request", request, "--witness-response", answer, "--witness-key", key)
        self.refused("the size as the answer", self.anchor(*with_answer), "conflict.position", f"--witness-size {state}")
        test.must("head", "anchor", self.db, "--witness-request", request, "--witness-key", key, "--witness-size", state)
        status, body, _ = self.witness.post(request.read_bytes())
        check(status == 200, "made again from there", body.decode())
        answer.write_bytes(body)
        # An answer by another key, for another head, or changed.
        other = w.Signer("witness.example/w1", bytes(32))
        self.refused("another witness's key", self.anchor(*with_answer[:5], other.key_line()), "integrity.signature", str(answer))
        self.refused("the key of a log", self.anchor(*with_answer[:5], self.log_key), "usage.key")
        for at in range(3, len(body) - 1, 11):
            answer.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1:])
            check(self.anchor(*with_answer)[0] == 3, f"byte {at} of the answer")
        answer.write_bytes(body)
        text = request.read_text().split("\n\n")[1] + "\n"
        late = w.Signer("other", bytes(31) + b"\1").cosign(text, 7)
        answer.write_bytes(late.encode() + body)
        self.must_anchor(*with_answer)
        # The other history, to which the witness is a stranger that has seen more, or something else.
        self.refused("it has seen more", self.anchor("--witness-request", request, "--witness-key", key, "--witness-size", 4000,
                                                     db=self.fork), "integrity.rollback")
        test.must("head", "anchor", self.fork, "--witness-request", request, "--witness-key", key)
        status, body, _ = self.witness.post(request.read_bytes())
        check(status == 409, "a rollback is refused", f"{status} {body.decode()}")
        seen = int(body)
        answer.write_bytes(body)
        self.refused("the rolled back log is told", self.anchor(*with_answer, db=self.fork), "integrity.rollback")
        self.insert(seen, self.fork, 1000)
        test.must("head", "anchor", self.fork, "--witness-request", request, "--witness-key", key, "--witness-size", seen)
        check(request.read_text().startswith(f"old {seen}\n"), "a fork that grew beyond it")
        status, body, _ = self.witness.post(request.read_bytes())
        check(status == 422, "a fork is refused", f"{status} {body.decode()}")
        test.must("head", "anchor", self.db, "--witness-request", request, "--witness-key", key)
        status, _, errors = self.anchor(*with_answer, db=self.fork)
        check(status in (1, 3) and "error[" in errors and str(request) in errors, "a request of the other history", errors)

    def witness_restart(self, request, answer, key):
        test, check = self.test, self.test.check
        before = self.witness.heads()
        second = subprocess.run(self.witness.command(), capture_output=True, text=True, timeout=30)
        check(second.returncode != 0 and "another witness has" in second.stderr, "one process has the state", second.stderr)
        self.witness.stop()  # kill -9
        self.witness.start()
        test.must("head", "anchor", self.fork, "--witness-request", request, "--witness-key", key)
        check(self.witness.post(request.read_bytes())[0] == 409, "started again, it refuses what it refused")
        self.insert()
        test.must("head", "anchor", self.db, "--witness-request", request, "--witness-key", key)
        status, body, _ = self.witness.post(request.read_bytes())
        check(status == 200 and self.witness.heads() != before, "and goes on where it was", body.decode())
        answer.write_bytes(body)
        self.must_anchor("--witness-request", request, "--witness-response", answer, "--witness-key", key)
        self.witness.stop()
        state = self.witness.folder / "state"
        whole = state.read_bytes()
        for what, data in (("cut off", whole[:-20]), ("changed", whole.replace(b'"size": ', b'"size": 1', 1)), ("empty", b""),
                           ("gone", None)):
            state.unlink()
            if data is not None:
                state.write_bytes(data)
            else:
                state.touch()
                state.unlink()
            refused = subprocess.run(self.witness.command(), capture_output=True, text=True, timeout=30)
            check(refused.returncode != 0 and "listening" not in refused.stderr, f"a state that is {what}: it does not begin anew",
                  refused.stderr)
            state.write_bytes(whole)

    # Time stamps.

    def timestamps(self):
        test = self.test
        if OPENSSL is None:
            test.skip("time stamps", "there is no openssl command here to be the authority")
            return
        check = test.check
        authority = Authority(test.work / "tsa")
        query, reply = test.work / "now.tsq", test.work / "now.tsr"
        with_answer = ("--timestamp-request", query, "--timestamp-response", reply, "--timestamp-ca", authority.folder / "ca.pem")
        test.must("head", "anchor", self.db, "--timestamp-request", query)
        note = (test.work / "now.tsq.head").read_bytes()
        v.check_head(note, self.key)
        text = subprocess.run([OPENSSL, "ts", "-query", "-in", query, "-text"], capture_output=True, text=True).stdout
        digest = "".join(re.findall(r"(?<= - )[0-9a-f -]{47}", text)).replace(" ", "").replace("-", "")
        check("sha256" in text and "Certificate required: yes" in text and "Nonce: 0x" in text
              and digest == hashlib.sha256(note).hexdigest(), "a request for the whole note", text)
        authority.answer(query, reply)
        self.insert()  # the head it is for is not the present one any more
        row = json.loads(self.must_anchor(*with_answer).splitlines()[0])
        size, root = v.check_head(note, self.key)
        check((row["size"], row["root"], row["kind"]) == (size, root.hex(), "timestamp") and row["attested"], "it is kept", str(row))
        # What openssl says of the file that is kept beside it.
        good = subprocess.run([OPENSSL, "ts", "-verify", "-data", test.work / "now.tsq.head", "-in", reply, "-CAfile",
                               authority.folder / "ca.pem"], capture_output=True, text=True)
        check(good.returncode == 0, "openssl agrees", good.stderr)
        stranger = Authority(test.work / "stranger")
        self.refused("another authority", self.anchor(*with_answer[:5], stranger.folder / "ca.pem"), "integrity.signature", str(reply))
        self.refused("no certificates", self.anchor(*with_answer[:5], query), "usage.key", str(query))
        whole = reply.read_bytes()
        for at in range(0, len(whole), 37):
            reply.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            status = self.anchor(*with_answer)[0]
            check(status in (0, 3), f"byte {at} of the answer: exit {status}")
        reply.write_bytes(whole[:-1])
        self.refused("cut off", self.anchor(*with_answer), "integrity.anchor", str(reply))
        reply.write_bytes(whole)
        second = test.work / "second.tsq"
        test.must("head", "anchor", self.db, "--timestamp-request", second)
        self.refused("the answer to another request", self.anchor("--timestamp-request", second, *with_answer[2:]),
                     "integrity.anchor", str(reply))
        beside = test.work / "second.tsq.head"
        theirs = beside.read_bytes()
        beside.write_bytes(note)
        authority.answer(second, reply)
        self.refused("another head beside the request", self.anchor("--timestamp-request", second, *with_answer[2:]),
                     "integrity.anchor", str(second))
        beside.write_bytes(theirs)
        self.must_anchor("--timestamp-request", second, *with_answer[2:])
        # The other history has no such head.
        status, _, errors = self.anchor("--timestamp-request", second, *with_answer[2:], db=self.fork)
        check(status in (1, 3) and "error[" in errors, "an answer for the other history", errors)
        authority.answer(second, reply, "refusing")
        self.refused("a refusal", self.anchor("--timestamp-request", second, *with_answer[2:]), "integrity.anchor", "refused")

    # What is kept.

    def kept(self):
        test, check = self.test, self.test.check
        path = self.db / "tenants/1/data/anchors"
        whole = path.read_bytes()
        status, out, errors = test.run("inspect", path)
        check(status == 0 and "witness anchor, head of" in out and "file anchor" in out, "inspect", out + errors)
        check(test.run("inspect", self.db / "tenants/1/data/heads")[0] == 0, "inspect heads")
        for at in range(0, len(whole), 131):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:])
            status, out, errors = test.run("verify", self.db)
            check(status == 3 and str(path) in errors, f"byte {at} of anchors: exit {status}", errors)
        path.write_bytes(whole)
        check(test.run("verify", self.db, "--projection")[0] == 0, "put back, verify is clean")
        check(all(str(test.work).encode() not in data and b"elsewhere" not in data for data in (whole,)), "no path is kept")

    # Over the network.

    def evidence(self):
        return (self.db / "tenants/1/data/anchors").read_bytes()

    def asked_witness(self):
        """A witness that is asked over the network, and one that answers what it should not."""
        test, check, key = self.test, self.test.check, self.witness.key_line
        self.witness.start()
        self.insert()
        for url in (self.witness.url, self.witness.url + "/"):
            row = json.loads(self.must_anchor("--witness", url, "--witness-key", key).splitlines()[0])
            check((row["kind"], row["target"], row["size"]) == ("witness", "witness.example/w1", test.head(self.db)[0])
                  and row["attested"], "a witness cosigns", str(row))
        check(self.witness.heads()[self.key.name] == {"size": row["size"], "root": row["root"]}, "and remembers")
        # It went on with an answer that was lost, and says where it stands.
        request = test.work / "lost.request"
        self.insert()
        test.must("head", "anchor", self.db, "--witness-request", request, "--witness-key", key)
        check(self.witness.post(request.read_bytes())[0] == 200, "an answer is lost")
        self.insert()
        replies = []

        def forward(body):
            status, answer, kind = self.witness.post(body)
            replies.append(status)
            return status, kind, answer

        with Service(forward) as proxy:
            self.must_anchor("--witness", proxy.url + "/a/path", "--witness-key", key)
        check(replies == [409, 200] and {path for path, _, _ in proxy.asked} == {"/a/path/add-checkpoint"},
              "asked again from there", str(replies))
        before = self.evidence()
        self.refused("a fork", self.anchor("--witness", self.witness.url, "--witness-key", key, db=self.fork),
                     "integrity.consistency", self.witness.url, "two histories")
        unknown = test.work / "unknown"
        test.must("init", unknown)
        test.must("sql", unknown, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)")
        self.refused("a log it does not know", self.anchor("--witness", self.witness.url, "--witness-key", key, db=unknown),
                     "unavailable.service", "404")
        self.witness.stop()
        self.refused("nobody listens", self.anchor("--witness", self.witness.url, "--witness-key", key), "unavailable.network")
        signer = w.Signer.load(self.witness.folder / "key")
        stood = self.witness.heads()[self.key.name]["size"]
        plain, size_type = "text/plain; charset=utf-8", "text/x.tlog.size"
        text = lambda body: (body.split(b"\n\n")[1] + b"\n").decode()  # noqa: E731
        older = text(request.read_bytes())
        cosigned = lambda body: signer.cosign(text(body), 1_700_000_000).encode()  # noqa: E731
        sizes = iter(range(3, 100))
        for what, answer, code in (
                ("garbage", lambda _: (200, plain, b"garbage\n"), "integrity.anchor"),
                ("nothing", lambda _: (200, plain, b""), "integrity.anchor"),
                ("bytes", lambda _: (200, plain, bytes(range(256))), "integrity.anchor"),
                ("another key's cosignature", lambda body: (
                    200, plain, w.Signer(signer.name, bytes(32)).cosign(text(body), 7).encode()), "integrity.signature"),
                ("a cosignature of another checkpoint", lambda _: (200, plain, signer.cosign(older, 7).encode()),
                 "integrity.signature"),
                ("a size that is no size", lambda _: (409, size_type, b"12"), "unavailable.service"),
                ("a 409 of another type", lambda _: (409, plain, b"3\n"), "unavailable.service"),
                ("always another size", lambda _: (409, size_type, b"%d\n" % next(sizes)), "conflict.position"),
                ("the same size, another root", lambda _: (409, size_type, b"%d\n" % stood), "integrity.consistency"),
                ("more than there is", lambda _: (409, size_type, b"4000\n"), "integrity.rollback"),
                ("422", lambda _: (422, plain, b"no\n"), "integrity.consistency"),
                ("403", lambda _: (403, plain, b"no\n"), "unavailable.service"),
                ("500", lambda _: (500, plain, b"no\n"), "unavailable.service"),
                ("elsewhere", lambda _: (301, plain, b"no\n"), "unavailable.service"),
                ("too much", lambda _: (200, plain, bytes(300_000)), "limit.reply"),
                ("too much, without a length", lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + bytes(300_000), "limit.reply"),
                ("too large a header", lambda _: b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000, "limit.reply"),
                ("a closed connection", lambda _: b"", "unavailable.network"),
                ("half an answer", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf", "unavailable.network"),
                ("no HTTP", lambda _: b"SSH-2.0-OpenSSH\r\n", "unavailable.service")):
            with Service(answer) as service:
                self.refused(what, self.anchor("--witness", service.url, "--witness-key", key), code)
        quiet = socket.create_server(("127.0.0.1", 0))
        self.refused("no answer", self.anchor("--witness", f"http://127.0.0.1:{quiet.getsockname()[1]}", "--witness-key", key,
                                              "--timeout", "200ms"), "timeout.network")
        quiet.close()
        for url in ("witness.example", "ftp://witness.example", "http://ann@witness.example", "http://a b", ""):
            self.refused(f"{url!r} as a URL", self.anchor("--witness", url, "--witness-key", key), "usage.option")
        self.refused("no name of a host", self.anchor("--witness", "http://nowhere.invalid", "--witness-key", key),
                     "unavailable.network")
        check(self.evidence() == before, "none of it is kept")
        with Service(lambda body: (200, plain, cosigned(body))) as service:
            self.must_anchor("--witness", service.url, "--witness-key", key)
        check(self.evidence() != before, "a good answer is")

    def asked_authority(self):
        test, check = self.test, self.test.check
        if OPENSSL is None:
            test.skip("time stamps over the network", "there is no openssl command here to be the authority")
            return
        authority, stranger = Authority(test.work / "tsa-online"), Authority(test.work / "tsa-stranger")
        reply_type, given = "application/timestamp-reply", []

        def stamp(body, section="granting"):
            (test.work / "asked.tsq").write_bytes(body)
            authority.answer(test.work / "asked.tsq", test.work / "given.tsr", section)
            given.append((test.work / "given.tsr").read_bytes())
            return 200, reply_type, given[-1]

        ca = ("--timestamp-ca", authority.folder / "ca.pem")
        with Service(stamp) as service:
            row = json.loads(self.must_anchor("--timestamp", service.url + "/tsr", *ca).splitlines()[0])
            check((row["kind"], row["target"], row["size"]) == ("timestamp", "1.2.3.4.1", test.head(self.db)[0])
                  and row["attested"], "an authority stamps", str(row))
            check([(path, kind) for path, kind, _ in service.asked] == [("/tsr", "application/timestamp-query")], "it is asked so")
            before = self.evidence()
            self.refused("another authority", self.anchor("--timestamp", service.url, "--timestamp-ca", stranger.folder / "ca.pem"),
                         "integrity.signature", service.url)
        for what, answer, code in (
                ("garbage", lambda _: (200, reply_type, b"garbage"), "integrity.anchor"),
                ("the answer to another request", lambda _: (200, reply_type, given[0]), "integrity.anchor"),
                ("a refusal", lambda body: stamp(body, "refusing"), "integrity.anchor"),
                ("another type", lambda body: (200, "text/html", stamp(body)[2]), "unavailable.service"),
                ("no type", lambda body: (200, None, stamp(body)[2]), "unavailable.service"),
                ("404", lambda body: (404, reply_type, stamp(body)[2]), "unavailable.service"),
                ("too much", lambda body: (200, reply_type, stamp(body)[2] + bytes(70_000)), "limit.reply")):
            with Service(answer) as service:
                self.refused(what, self.anchor("--timestamp", service.url, *ca), code)
        certificate = test.work / "server.pem"
        subprocess.run([OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", certificate, "-out",
                        test.work / "server.crt"], check=True, capture_output=True)
        with open(certificate, "ab") as file:
            file.write((test.work / "server.crt").read_bytes())
        trusting = {**test.environment, "SSL_CERT_FILE": str(test.work / "server.crt")}

        def ask(url, environment):
            return test.run("head", "anchor", self.db, "--timestamp", url, *ca, env=environment)

        with Service(stamp, certificate) as service:
            self.refused("https, not trusted", ask(service.url, test.environment), "unavailable.network", "certificate")
            self.refused("https of another host", ask(service.url.replace("127.0.0.1", "localhost"), trusting),
                         "unavailable.network", "certificate")
            status, _, errors = ask(service.url.replace("https", "http"), trusting)
            check(status == 4 and "error[unavailable." in errors, "http to what speaks https", errors)
            check(self.evidence() == before and not service.asked, "nothing was sent, and none of it is kept")
            status, _, errors = ask(service.url, trusting)
            check(status == 0 and self.evidence() != before, "https, trusted", errors)
        with Service(stamp) as service:
            self.refused("https of what speaks http", ask(service.url.replace("http", "https"), trusting), "unavailable.network")

    def age(self):
        """An anchor of two days ago, by the witness's own clock."""
        test, check = self.test, self.test.check
        self.db = test.work / "aged"
        test.must("init", self.db)
        test.must("sql", self.db, "--quiet", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)")
        line = (test.work / "aged.vkey").read_text().strip()
        signer = w.Signer("slow", bytes(32))
        slow = w.Witness(signer, {v.Key(line).name: [v.Key(line)]}, w.Memory(test.work / "slow.state"), lambda: time.time() - 2 * DAY - 60)
        request, answer = test.work / "slow.request", test.work / "slow.answer"
        test.must("head", "anchor", self.db, "--witness-request", request, "--witness-key", signer.key_line())
        answer.write_text(slow.add_checkpoint(request.read_bytes()))
        test.must("head", "anchor", self.db, "--witness-request", request, "--witness-response", answer, "--witness-key", signer.key_line())
        row = self.doctor()
        check(row["result"] == "look" and "2 days old" in row["detail"], "doctor: older than a day", str(row))
        check("the newest 2 days ago: witness" in test.must("status", self.db), "status says how old")
        self.must_anchor("--file", test.work / "aged.head")
        check(self.doctor()["result"] == "ok", "a younger one counts")
        for words in ([], ["--file", "a", "--directory", "b"], ["--timestamp-response", "a"], ["--witness-request", "a"],
                      ["--timestamp-request", "a", "--timestamp-response", "b"], ["--file", "a", "--witness-size", "1"],
                      ["--witness", "http://a"], ["--timestamp", "http://a"], ["--witness", "http://a", "--file", "a"],
                      ["--witness-response", "a", "--witness-key", "b"]):
            self.refused(" ".join(words) or "no place", self.anchor(*words), "usage.option")


class Authority:
    """A time stamp authority made by `openssl ts`."""

    CONFIGURATION = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[tsa]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[granting]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/ca.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
clock_precision_digits = 3
ess_cert_id_alg = sha256
[refusing]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha512
ess_cert_id_alg = sha256
"""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "cnf").write_text(self.CONFIGURATION.format(folder=folder, name=folder.name))
        (folder / "serial").write_text("01\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-config", "cnf", "-extensions", "ca")
        self.run("req", *key, "-keyout", "tsa.key", "-out", "tsa.csr", "-config", "cnf")
        self.run("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "tsa.pem",
                 "-days", "30", "-extfile", "cnf", "-extensions", "tsa")

    def run(self, *words):
        subprocess.run([OPENSSL, *map(str, words)], cwd=self.folder, check=True, capture_output=True)

    def answer(self, query, reply, section="granting"):
        self.run("ts", "-reply", "-config", "cnf", "-section", section, "-queryfile", query, "-out", reply)


def main():
    test = harness.Test("anchor")
    # Who attacks here remembers nothing.
    test.environment["KIMBERLITE_HEADS_FILE"] = "off"
    anchors = Anchors(test)
    try:
        for part in ("directory", "histories", "witnesses", "timestamps", "kept", "asked_witness", "asked_authority", "age"):
            getattr(anchors, part)()
            test.say(part)
    finally:
        if anchors.witness is not None:
            anchors.witness.stop()
    sys.exit(test.finish())


if __name__ == "__main__":
    main()
