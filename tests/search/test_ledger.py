import csv
import hashlib
import json
import math
import os
import resource
import signal
import tracemalloc

import pytest
from hypothesis import given, settings, strategies as st

from autotricks.errors import DiskError, RunError
from autotricks.runs.ledger import Ledger, finished, read, records
from autotricks.runs.table import write as write_table

# Judy and 1e-05: one flipped bit makes a line feed of J, and 1E-05, the same number, of 1e-05.
LINES = [("trial", {"trial": 0, "label": "Judy", "lr": 1e-05}), ("rung", {"trial": 0, "rung": 0, "score": 0.25}),
         ("end", {"trial": 0, "reason": "finished", "detail": "J é\n"})]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.jsonl"


def written(path) -> bytes:
    ledger = Ledger(path)
    for kind, fields in LINES:
        ledger.append(kind, **fields)
    ledger.close()
    return path.read_bytes()


def test_lines_come_back_as_they_were_appended(path):
    content = written(path)
    lines, torn = read(path)
    assert not torn
    assert [line["seq"] for line in lines] == [0, 1, 2]
    assert [line["kind"] for line in lines] == ["trial", "rung", "end"]
    assert [{key: line[key] for key in fields} for line, (_, fields) in zip(lines, LINES)] == [f for _, f in LINES]
    assert content.count(b"\n") == 3 and content.endswith(b"\n")


def test_check_is_the_hash_of_what_stands_before_it(path):
    for text in written(path).splitlines():
        body, check = text.split(b',"check":"')
        assert check == hashlib.sha256(body).hexdigest()[:16].encode() + b'"}'
        assert json.loads(text)["check"] == check[:16].decode()


@pytest.mark.parametrize(("body", "found"), [
    (b'{"seq":0,"kind":"trial"', ([{"seq": 0, "kind": "trial"}], False)),
    (b'{"seq":0,"kind":"trial","n":[', ([], True)),
    (b'{"seq":0,"kind":"trial","n":' + b"[" * 200_000, ([], True))])
def test_a_seal_alone_makes_no_line(path, body, found):
    path.write_bytes(body + b',"check":"' + hashlib.sha256(body).hexdigest()[:16].encode() + b'"}\n')
    assert read(path) == found


def test_sequence_goes_on_in_an_old_ledger(path):
    written(path)
    ledger = Ledger(path)
    assert not ledger.torn and len(ledger.lines) == 3
    assert ledger.append("trial", trial=1)["seq"] == 3
    ledger.close()
    assert [line["seq"] for line in read(path)[0]] == [0, 1, 2, 3]


def test_line_is_on_disk_before_append_returns(path, monkeypatch):
    synced, fsync = [], os.fsync

    def spy(descriptor):
        fsync(descriptor)
        assert os.fstat(descriptor).st_ino == path.stat().st_ino
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", spy)
    ledger = Ledger(path)
    for count, (kind, fields) in enumerate(LINES, 1):
        assert len(ledger.lines) == count - 1
        ledger.append(kind, **fields)
        assert len(synced) == count
        assert synced[-1] == path.read_bytes() and synced[-1].count(b"\n") == count
    ledger.close()


def full(descriptor):
    raise OSError(28, "No space left on device")


def test_failed_sync_records_nothing(path, monkeypatch):
    ledger = Ledger(path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"trials\.jsonl: no space left on device\. Make room"):
        ledger.append("trial", trial=0)
    assert ledger.lines == []


def test_lines_written_together_are_on_disk_after_one_wait_or_gone(path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (fsync(descriptor), synced.append(path.read_bytes())))
    ledger = Ledger(path)
    for kind, fields in LINES:
        ledger.write(kind, **fields)
    assert synced == [] and len(ledger.lines) == len(LINES)
    ledger.sync()
    ledger.sync()       # nothing is left to wait for
    assert synced == [path.read_bytes()] and len(read(path)[0]) == len(LINES)
    ledger.write("trial", trial=8)
    ledger.write("trial", trial=9)
    with monkeypatch.context() as broken, pytest.raises(DiskError, match=r"trials\.jsonl: no space left on device"):
        broken.setattr(os, "fsync", full)
        ledger.sync()
    assert path.read_bytes() == synced[0] and len(ledger.lines) == len(LINES)
    assert ledger.append("trial", trial=8)["seq"] == len(LINES)
    ledger.close()


def test_every_truncation_leaves_whole_lines(path):
    content = written(path)
    lines, _ = read(path)
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        whole = content[:size].count(b"\n")
        assert read(path) == (lines[:whole], size > 0 and content[size - 1:size] != b"\n")


def test_every_flipped_bit_is_noticed(path):
    content = written(path)
    lines, _ = read(path)
    last = content[:-1].rindex(b"\n") + 1
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1:])
            if place >= last:
                assert read(path) == (lines[:2], True)
                continue
            with pytest.raises(RunError) as caught:
                read(path)
            number = content[:place].count(b"\n") + 1
            assert str(caught.value).startswith(f"{path}:{number}  ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("order", [(0, 2), (0, 2, 1), (1, 2), (0, 1, 1), (0, 1, 2, 2)])
def test_missing_or_repeated_line_is_refused(path, order):
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[place] for place in order))
    number = next(place for place, seq in enumerate([*order, None]) if seq != place) + 1
    with pytest.raises(RunError, match=f"jsonl:{number}  "):
        Ledger(path)


@pytest.mark.parametrize("tail", [b"", b"{", b'{"seq":3,"kind":"tri', b"\0" * 40, b"\n\n", b"[1]\n", b"3\n", b'"a"\n'])
def test_line_after_a_torn_one_stands_alone(path, tail):
    content = written(path)
    path.write_bytes(content + tail)
    ledger = Ledger(path)
    assert ledger.torn == bool(tail)
    ledger.append("trial", trial=7)
    ledger.close()
    lines, torn = read(path)
    assert not torn and len(lines) == 4 and lines[3]["trial"] == 7
    assert path.read_bytes().startswith(content)


@pytest.mark.parametrize("curve", [{}, {"curve": [{"epoch": 1}]}])
def test_a_field_within_another_may_be_called_curve(path, curve):
    given = {**curve, "bundle": {"a": 1, "curve": [2], "detail": ',"curve":[3'}}
    ledger = Ledger(path)
    ledger.append("rung", **given)
    ledger.close()
    (line,), _ = read(path)
    assert line == {"seq": 0, "kind": "rung", **given}


def test_empty_file_is_an_empty_ledger(path):
    path.write_bytes(b"")
    ledger = Ledger(path)
    assert ledger.lines == [] and not ledger.torn
    ledger.close()


def test_what_is_not_finite_becomes_null(path):
    ledger = Ledger(path)
    line = ledger.append("rung", trial=0, metrics={"a": math.nan, "b": math.inf, "c": 1.5}, curve=[(-math.inf, 2)])
    ledger.close()
    assert line["metrics"] == {"a": None, "b": None, "c": 1.5}
    assert line["curve"] == [[None, 2]]
    assert b"NaN" not in path.read_bytes() and b"Infinity" not in path.read_bytes()
    assert read(path)[0] == [line]


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                      | st.text(st.characters(codec="utf-8")), lambda inner: st.lists(inner) |
                      st.dictionaries(st.text(st.characters(codec="utf-8")), inner), max_leaves=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_any_values_round_trip(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("ledger") / "trials.jsonl"
    ledger = Ledger(path)
    for value in values:
        ledger.append("rung", trial=0, value=value)
    ledger.close()
    assert [line["value"] for line in read(path)[0]] == values


def test_full_disk_leaves_whole_lines(path):
    """The kernel refuses every byte beyond 2,000: the ledger says so and what it had taken stays readable."""
    ledger, (soft, hard) = Ledger(path), resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN      # Python's default: an error in its place
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        with pytest.raises(DiskError):
            for _ in range(10):
                ledger.append("rung", trial=0, text="x" * 300)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    taken = len(ledger.lines)
    ledger.close()
    ledger = Ledger(path)
    assert len(ledger.lines) == taken == 5
    assert not ledger.torn and path.read_bytes().endswith(b"\n")
    ledger.append("rung", trial=0)
    ledger.close()
    assert len(read(path)[0]) == 6


def story(path) -> Ledger:
    """Three trials: one trained to the end at its second attempt, one stopped, one under way."""
    ledger = Ledger(path)
    bundle = {"model": {"name": "resnet8"}, "tricks": {"cosine": {}, "sgd": {"lr": 0.1}}, "training": {"epochs": 9}}
    begin = {"bundle": bundle, "hash": "aa", "seed": 0, "picks": {"sgd.lr": 0.1}}
    ledger.append("trial", trial=1, label="", **begin)
    ledger.append("trial", trial=0, label="baseline", **begin | {"picks": None})
    rung = {"curve": [], "seconds": 1.5, "attempt": 1, "hash": "aa"}
    ledger.append("rung", trial=0, rung=0, budget=3, epochs=3.5, metrics={"score": 0.5}, **rung)
    ledger.append("rung", trial=1, rung=0, budget=3, epochs=3.0, metrics={"score": None}, **rung)
    ledger.append("end", trial=1, reason="diverged", score=None, detail="", hash="aa", seed=0)
    ledger.append("trial", trial=0, label="baseline", **begin | {"picks": None})
    ledger.append("rung", trial=0, rung=1, budget=9, epochs=9.0, metrics={"score": 0.25}, **rung)
    ledger.append("end", trial=0, reason="finished", score=0.25, detail="", hash="aa", seed=0)
    ledger.append("trial", trial=2, label="", **begin)
    ledger.close()
    return ledger


def test_records_tell_each_trial_once(path):
    trials = records(story(path).lines)
    assert [(trial.number, trial.label, trial.end, trial.attempts) for trial in trials] == [
        (0, "baseline", "finished", 2), (1, "", "diverged", 1), (2, "", None, 1)]
    assert [trial.epochs for trial in trials] == [12.5, 3.0, 0.0]
    assert [trial.score("score") for trial in trials] == [0.25, None, None]
    assert trials[0].score("other") is None
    assert [[line["budget"] for line in trial.rungs] for trial in trials] == [[3, 9], [3], []]
    assert [trial.picks for trial in trials] == [None, {"sgd.lr": 0.1}, {"sgd.lr": 0.1}]
    assert [trial.number for trial in finished(trials)] == [0]


def test_table_has_one_row_a_trial(path, tmp_path):
    write_table(tmp_path / "trials.csv", records(story(path).lines))
    assert b"\r\n" in (tmp_path / "trials.csv").read_bytes() and not (tmp_path / "trials.csv.partial").exists()
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("trial", "end", "budget", "epochs_spent", "seconds", "score", "sgd.lr", "cosine")
    shown = [{name: row[name] for name in names} for row in rows]
    assert shown == [
        {"trial": "0", "end": "finished", "budget": "9", "epochs_spent": "12.5", "seconds": "3.0", "score": "0.25",
         "sgd.lr": "0.1", "cosine": "True"},
        {"trial": "1", "end": "diverged", "budget": "3", "epochs_spent": "3.0", "seconds": "1.5", "score": "",
         "sgd.lr": "0.1", "cosine": "True"},
        {"trial": "2", "end": "", "budget": "0", "epochs_spent": "0.0", "seconds": "0", "score": "", "sgd.lr": "0.1",
         "cosine": "True"}]


EVIL = ["=HYPERLINK(A1)", "+1", "-1+1", "@sum(1)", "\t=1", "\r=1"]


def test_no_text_of_the_table_is_a_formula(path, tmp_path):
    ledger = Ledger(path)
    for number, text in enumerate(EVIL):
        ledger.append("trial", trial=number, label=text, hash="-aa", picks=None,
                      bundle={"tricks": {"sgd": {"lr": -0.5, "name": text}, text: {}}})
    ledger.close()
    write_table(tmp_path / "trials.csv", records(ledger.lines))
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [row["sgd.name"] for row in rows] == [f"'{text}" for text in EVIL]
    assert {row["hash"] for row in rows} == {"'-aa"} and {row["sgd.lr"] for row in rows} == {"-0.5"}, "numbers stay"
    assert [row[f"'{text}"] for row, text in zip(rows, EVIL)] == ["True"] * len(EVIL)


def test_a_curve_is_read_when_it_is_looked_at(path):
    rows = [{"epoch": 1, "val/accuracy": 0.25}, {"epoch": 2, "val/accuracy": 0.5}]
    ledger = Ledger(path)
    ledger.append("rung", trial=0, curve=rows)
    ledger.append("rung", trial=1, curve=rows[:1])
    ledger.close()
    assert all("curve" not in line for line in ledger.lines)
    first, second = (line["curve"] for line in read(path)[0])
    assert first == rows and second == rows[:1] and first != second
    assert list(first) == rows and len(first) == 2 and first[-1] == rows[1] and first[:1] == second
    path.write_bytes(path.read_bytes()[5:])
    with pytest.raises(RunError, match=r"jsonl: was changed while it was read\. Give the command again"):
        len(first)


def test_reading_holds_one_curve_at_a_time(path, monkeypatch):
    """50 curves of 200 epochs, parsed, would be ten times the file; a parsed one is a fifth of it."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    ledger = Ledger(path)
    for number in range(50):
        ledger.append("rung", trial=number, curve=[{"epoch": 1, "val": 0.5}] * 200)
    ledger.close()
    tracemalloc.start()
    try:
        read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size
