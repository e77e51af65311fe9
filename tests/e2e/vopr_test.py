#!/usr/bin/env python3
"""The simulator as a command: digests, exit statuses, formats, timelines, and plans made smaller.

usage: vopr_test.py [--seeds N]
"""
import argparse
import json
import pathlib
import signal
import subprocess
import sys
import xml.etree.ElementTree

import harness

KEYS = {"seeds", "events", "faults", "digest", "simulated_ms", "views", "commits", "acknowledged", "compared", "refused",
        "incidents", "probes", "never_taken"}


def summaries(test, seeds):
    """The same seeds twice, in two formats: one digest."""
    test.say(f"{seeds} seeds, twice")
    table = test.must("vopr", "run", "--count", seeds, "--quiet")
    last = table.splitlines()[-1]
    document = json.loads(test.must("vopr", "run", "--count", seeds, "--format", "json", "--quiet"))
    data = document["data"]
    test.check(document["ok"] and document["error"] is None, "a run without findings is ok")
    test.check(KEYS <= set(data), "the document has all counts", str(KEYS - set(data)))
    test.equal("one life a seed", seeds, len(data["lives"]))
    test.check(f"digest {data['digest']}" in last, "both runs have one digest", f"{last}\n  {data['digest']}")
    test.check(f"{data['events']:,} events" in last and f"{data['faults']:,} faults" in last, "and the same counts", last)
    test.check(data["faults"] > seeds and data["acknowledged"] > 20 * seeds, "something happened", str(data["incidents"]))
    test.check(data["probes"]["consensus.status.primary"] > 0, "a probe that every life takes was taken")
    lines = test.must("vopr", "run", "--count", 2, "--format", "jsonl", "--quiet").splitlines()
    lives = [json.loads(line) for line in lines[:-1]]
    test.equal("jsonl: the lives of the document", data["lives"][:2], lives)
    test.equal("jsonl: a summary at the end", 2, json.loads(lines[-1])["summary"]["seeds"])
    rows = harness.parse_csv(test.must("vopr", "run", "--count", 2, "--format", "csv", "--quiet"))
    test.equal("csv: the digests of the document", [life["digest"] for life in data["lives"][:2]],
               [row[rows[0].index("digest")] for row in rows[1:]])
    other = json.loads(test.must("vopr", "run", "--seed", 2, "--count", 1, "--format", "json", "--quiet"))["data"]
    test.check(other["digest"] != data["digest"], "other seeds have another digest")


def interrupted(test):
    """Ctrl-C in the middle of many lives: what the lives before it came to."""
    process = test.popen("vopr", "run", "--count", 100000, "--format", "jsonl", "--quiet", stdout=subprocess.PIPE)
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    lines = process.communicate(timeout=60)[0].splitlines()
    test.equal("stopped: exit", 9, process.returncode)
    test.equal("stopped: the lives before are summed up", len(lines), json.loads(lines[-1])["summary"]["seeds"])
    test.equal("stopped: it began with seed 1", 1, first["seed"])


def timed_out(test):
    """--timeout in the middle of many lives, of one life, and of stories."""
    asked = ("vopr", "run", "--count", 100000, "--timeout", "1s", "--quiet", "--format")
    status, out, _ = test.run(*asked, "jsonl")
    lines = out.splitlines()
    test.equal("out of time: exit", 4, status)
    test.equal("out of time: the lives before are summed up", len(lines) - 1, json.loads(lines[-1])["summary"]["seeds"])
    document = json.loads(test.run(*asked, "json")[1])
    test.equal("out of time: the document", (False, "timeout.statement"), (document["ok"], document["error"]["code"]))
    for command in (("repro", "--seed", 1), ("minimise", "--seed", 1), ("stats", "--count", 100)):
        status, _, errors = test.run("vopr", *command, "--timeout", "20ms", "--quiet")
        test.equal(f"{command[0]} out of time: exit", 4, status)
        test.check("error[timeout.statement]" in errors, f"{command[0]} out of time: says so", errors)
    story = pathlib.Path(__file__).parents[1] / "scenarios/the-primary-dies.scn"
    document = json.loads(test.run("vopr", "run", "--scenario", story, "--timeout", "1ms", "--format", "json")[1])
    test.equal("a story out of time", "timeout.statement", document["error"]["code"])


def repro(test, life):
    """One life, told and drawn."""
    test.say("one life")
    told = test.must("vopr", "repro", "--seed", 1, "--svg", "life.svg", "--quiet")
    test.check(f"{life['events']:,} events" in told.splitlines()[-1], "it is the life of the run", told[-200:])
    test.check(len(told.splitlines()) > 50, "its story is told")
    root = xml.etree.ElementTree.parse(test.work / "life.svg").getroot()
    lanes = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.text.startswith("replica ")]
    test.equal("the picture has a lane a replica", life["replicas"], len(lanes))
    part = json.loads(test.must("vopr", "repro", "--seed", 1, "--steps", "0-9", "--incidents", "none", "--format", "json"))
    test.check(0 < part["data"]["acknowledged"] < 20, "a part of a life is a life", str(part["data"]))


def stats(test):
    rows = harness.parse_csv(test.must("vopr", "stats", "--count", 1, "--format", "csv", "--quiet"))
    test.equal("stats: columns", ["probe", "hits"], rows[0])
    hits = {name: int(count) for name, count in rows[1:]}
    test.check(len(hits) > 40 and sum(hits.values()) > 0, "stats: probes by name", str(len(hits)))
    status, _, errors = test.run("vopr", "run", "--count", 1, "--require-probes")
    test.equal("one seed does not take every branch: exit", 3, status)
    test.check("never taken: " in errors, "and they are named", errors[-300:])


def stories(test):
    """Scenarios: listed, told, and one that does not hold."""
    test.say("stories")
    directory = harness.ROOT / "tests/scenarios"
    rows = harness.parse_csv(test.must("vopr", "scenarios", "--directory", directory, "--format", "csv", "--quiet"))
    files = {file.stem for file in directory.glob("*.scn")}
    test.equal("every file is listed", files, {row[0] for row in rows[1:]})
    file = directory / "votes-are-lost.scn"
    told = [json.loads(test.must("vopr", "run", "--scenario", file, "--format", "json", "--quiet"))["data"] for _ in range(2)]
    test.equal("a story is the same each time", told[0], told[1])
    other = test.work / "other.scn"
    other.write_text(file.read_text() + "expect view of 0 > 1000\n")
    status, _, errors = test.run("vopr", "run", "--scenario", other)
    test.equal("a story that does not hold: exit", 3, status)
    test.check("expect view of 0 > 1000" in errors, "and its step is named", errors[-300:])
    status, out, _ = test.run("vopr", "run", "--scenario", file, "--scenario", other, "--format", "json")
    document = json.loads(out)
    test.equal("of two, as json: exit, and ok", (3, False), (status, document["ok"]))
    test.equal("of two, as json: both are told", 2, len(document["data"]["statements"][0]["rows"]))
    test.check(str(other) in document["error"]["next"], "and how to tell it again", str(document["error"]))
    other.write_text(file.read_text() + "sing\n")
    status, _, errors = test.run("vopr", "run", "--scenario", other)
    test.check(status == 2 and "other.scn" in errors, "no story: exit, and where", f"{status} {errors}")


def beyond(test):
    """More damage than redundancy: no wrong answer, and the smallest plan that makes it refuse."""
    test.say("beyond the redundancy")
    refused = None
    for seed in range(1, 13):
        life = json.loads(test.must("vopr", "repro", "--seed", seed, "--replicas", 3, "--beyond", "--format", "json"))["data"]
        if life["refused"]:
            refused = seed
            break
    if not test.check(refused is not None, "some life beyond is refused"):
        return
    whole = json.loads(test.must("vopr", "minimise", "--seed", refused, "--replicas", 3, "--beyond", "--lives", 25,
                                 "--svg", "smallest.svg", "--format", "json", "--quiet"))["data"]
    test.equal("what is left ends alike", "refused", whole["end"])
    test.check(whole["incidents"] < 40, "and is smaller", str(whole))
    xml.etree.ElementTree.parse(test.work / "smallest.svg")
    again = json.loads(test.must(*whole["repro"].split()[1:], "--format", "json"))["data"]
    test.check(again["refused"], "the command printed lives it again", whole["repro"])
    good = test.must("vopr", "minimise", "--seed", 1, "--replicas", 3)
    test.equal("a good life has nothing to be looked for", "", good)


def refusals(test):
    story = harness.ROOT / "tests/scenarios/votes-are-lost.scn"
    for arguments in (["repro", "--replicas", "4"], ["repro", "--steps", "1-"], ["repro", "--incidents", "x"],
                      ["repro", "--seed", "x"], ["repro", "--seed", "-1"], ["repro", "--seed", str(2**64)],
                      ["repro", "--steps", "99999"], ["repro", "--incidents", "99999"], ["run", "--count", "0"],
                      ["run", "--count", "-1"], ["run", "extra"], ["run", "--scenario", story, "--svg", "x.svg"],
                      ["run", "--scenario", story, "--seed", "2"], ["stats", "--count", "0"], ["minimise", "--lives", "0"]):
        status, out, errors = test.run("vopr", *arguments)
        test.check(status == 2 and "usage.option" in errors and not out, f"refused: {arguments}", errors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    test = harness.Test("vopr")
    summaries(test, options.seeds)
    interrupted(test)
    timed_out(test)
    life = json.loads(test.must("vopr", "run", "--count", 1, "--format", "json", "--quiet"))["data"]["lives"][0]
    repro(test, life)
    stats(test)
    stories(test)
    beyond(test)
    refusals(test)
    return test.finish()


if __name__ == "__main__":
    sys.exit(main())
