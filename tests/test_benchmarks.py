import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import augmentation
import machine
import pytest
import torch
import waits

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_trainers_benchmark_runs_and_writes_what_it_found(tmp_path):
    file = tmp_path / "trainer.json"
    ended = subprocess.run([sys.executable, "benchmarks/trainer.py", "--quick", "--settings", "digits", "resnet8",
                            "--json", str(file)], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(file.read_text(encoding="utf-8"))
    here, part = result["machine"], result["parts"]["trainer"]
    assert here["threads"] == 1 and here["versions"]["torch"] and len(here["load_average"]) == 3
    assert {row["setting"] for row in part["rows"]} == {"digits", "resnet8"}
    measured = {(row["setting"], row["what"]): row for row in part["rows"] if row["figure"]}
    assert measured["digits", "trainer / bare step"]["target"] == {"least": 0.9}
    assert {("digits", "trainer + crop + flip / DataLoader + v2"), ("resnet8", "trainer + crop + flip / timm"),
            ("digits", "tricks / bare step")} <= measured.keys()
    for row in measured.values():
        figure, (ours, theirs) = row["figure"], row["details"]["seconds"].values()
        ratios = sorted(their[0] / our[0] for our, their in zip(ours, theirs, strict=True))
        assert figure["repeats"] == len(ratios) == 2 and ratios[0] > 0
        assert math.isclose(figure["median"], sum(ratios) / 2) and (figure["low"], figure["high"]) == tuple(ratios)
        least = (row["target"] or {}).get("least")
        assert row["verdict"] == ("" if least is None else "reached" if figure["median"] >= least else "missed")


@pytest.mark.slow
@pytest.mark.timeout(620)
def test_one_command_runs_every_part(tmp_path):
    file = tmp_path / "bench.json"
    parts = ("augmentation", "precision", "waits", "gpu")
    ended = subprocess.run([sys.executable, "benchmarks/run.py", "--quick", "--json", str(file), "--parts", *parts],
                           cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(file.read_text(encoding="utf-8"))["parts"]
    assert tuple(found) == parts and found["augmentation"]["rows"][0]["target"] == {"least": 15.0}
    if not torch.cuda.is_available():
        assert [row["note"] for row in found["gpu"]["rows"]] == ["there is none here"]


@pytest.mark.slow
def test_boxes_are_set_against_torchvisions_for_each_operation(tmp_path):
    file = tmp_path / "boxes.json"
    ended = subprocess.run([sys.executable, "benchmarks/box_augmentation.py", "--quick", "--json", str(file)], cwd=ROOT,
                           capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(file.read_text(encoding="utf-8"))["parts"]["boxes"]["rows"]
    asked = [row["what"] for row in rows if row["target"] == {"least": 10.0}]
    assert asked == [f"{what}: ours / v2" for what in ("flip", "affine", "crop", "resized crop", "scale jitter",
                                                       "IoU crop")]
    assert {"batch alone / v2", "mosaic / crop", "copy_paste / crop"} == {row["what"] for row in rows} - {*asked}
    assert all(row["figure"]["median"] > 0 for row in rows)


def test_crop_and_flip_draw_every_offset_and_side_alike_as_torchvision_does():
    """222.2 is the value of chi-square with 161 degrees of freedom at p = 0.001; the seeds are fixed."""
    ours, theirs = augmentation.drawn_by_us(100_000, seed=1), augmentation.drawn_by_v2(10_000, seed=1)
    assert len(ours) == len(theirs) == 162 and ours.sum() == 100_000 and theirs.sum() == 10_000
    expected = 100_000 / 162
    assert float(((ours - expected) ** 2 / expected).sum()) < 222.2
    pooled = (ours + theirs) / 110_000
    parted = sum(((seen - pooled * seen.sum()) ** 2 / (pooled * seen.sum())).sum() for seen in (ours, theirs))
    assert float(parted) < 222.2
    found = augmentation.p_values(ours, theirs)
    assert min(found.values()) > 0.001
    assert augmentation.p_values(ours + 30 * torch.arange(162).eq(80), theirs)["ours ~ uniform"] > 0.001
    assert augmentation.p_values(ours + 300 * torch.arange(162).eq(80), theirs)["ours ~ uniform"] < 1e-9


def test_cells_tell_offset_and_side():
    image = augmentation.atlas(1)[0].float()
    padded = torch.nn.functional.pad(image, (4,) * 4)
    seen = [padded[:, 0:16, 8:24], padded[:, 0:16, 8:24].flip(2), padded[:, 4:20, 4:20], padded[:, 8:24, 0:16]]
    assert augmentation.cells(torch.stack(seen)).tolist() == [16, 17, (4 * 9 + 4) * 2, 8 * 9 * 2]


def test_spread_is_order_statistics():
    """For 9 repeats the interval runs from the 2nd to the 8th: binomial, 1 - 2 * (1 + 9) / 2^9 = 0.961."""
    found = machine.spread([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0])
    assert (found.median, found.lower_quartile, found.upper_quartile, found.low, found.high) == (5, 3, 7, 2, 8)
    assert machine.spread([3.0]) == machine.SeedStatistics(3, 3, 3, 3, 3, 1)


@pytest.mark.parametrize(("target", "figure", "verdict"), [
    (machine.Target(least=0.95), 0.95, "reached"), (machine.Target(least=0.95), 0.949, "missed"),
    (machine.Target(most=20), 20.1, "missed"), (machine.Target(most=20), 3.0, "reached"),
    (machine.Target(most=20), math.nan, "missed"), (None, 1.0, "")])
def test_a_row_says_reached_or_missed(target, figure, verdict):
    assert machine.Row("any", "one / other", machine.spread([figure]), target=target).verdict == verdict


def stranger(command):
    """Start a process that is nobody's child here and return its number."""
    ctypes.CDLL(None).prctl(machine.SUBREAPER, 0, 0, 0, 0)
    started = subprocess.run(["sh", "-c", '"$@" > /dev/null 2>&1 & echo $!', "sh", *command],
                             capture_output=True, text=True)
    return int(started.stdout)


def test_what_orphans_use_is_our_own():
    """A process leaves another behind that computes for a second: others have not used it."""
    before = machine.Watch._used()
    code = "import time\nwhile time.process_time() < 1: pass"
    subprocess.run(["sh", "-c", '"$@" &', "sh", sys.executable, "-c", code], check=True)
    deadline = time.monotonic() + 60
    while (used := machine.Watch._used() - before) < 0.9 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert used >= 0.9


def test_a_busy_machine_concludes_nothing(tmp_path, capsys, monkeypatch):
    """A real process burns a core meanwhile; then none does, but for the others whose machine this is."""
    given = machine.parser("Any.").parse_args(["--json", str(tmp_path / "bench.json")])
    burning = stranger([sys.executable, "-c", "while True: pass"])
    try:
        with machine.Watch() as watch:
            time.sleep(0.5)
        assert not watch.quiet and watch.others > machine.QUIET
        assert machine.conclude({"part": lambda quick: pytest.fail("it was measured")}, given) == 3
    finally:
        os.kill(burning, signal.SIGKILL)
    assert "no conclusion: other processes use" in capsys.readouterr().out and not given.json.exists()
    monkeypatch.setattr(machine, "QUIET", 10**6)
    monkeypatch.setattr(machine, "FIRST_LOOK", 0.0)
    for figure, code in ((2.0, 0), (0.5, 1)):
        row = machine.Row("any", "one / other", machine.spread([figure]), target=machine.Target(least=1.0))
        assert machine.conclude({"part": lambda quick, row=row: [row]}, given) == code
        assert json.loads(given.json.read_text())["parts"]["part"]["rows"][0]["figure"]["median"] == figure


@pytest.mark.parametrize(("act", "names"), [
    (lambda x: x.sum().item(), ["_local_scalar_dense"]), (lambda x: bool(x[0] > 0), ["_local_scalar_dense"]),
    (lambda x: x[x > 0], ["index"]), (lambda x: x.nonzero(), ["nonzero"]),
    (lambda x: x[torch.tensor([0, 1])] + x.mean(), [])])
def test_what_would_wait_for_a_device_is_counted(act, names):
    with waits.Reads() as reads:
        act(torch.tensor([1.0, -2.0, 3.0]))
    assert reads.names == names


@pytest.mark.parametrize("names", [(), ("crop", "flip", "mixup", "label_smoothing", "class_balanced")])
def test_no_step_waits(names):
    assert waits.waits(names, "cpu") == ()


def test_a_step_that_waits_is_found(monkeypatch):
    plain = waits.Unevaluated.step

    def reading(trainer, rows):
        loss = plain(trainer, rows)
        float(loss)
        return loss
    monkeypatch.setattr(waits.Unevaluated, "step", reading)
    assert waits.waits((), "cpu") == ("_local_scalar_dense",) * 8


@pytest.mark.slow
@pytest.mark.parametrize("study", ["nothing", "planted", "coverage", "choosing"])
def test_the_studies_of_honesty_run_and_say_what_came_out(tmp_path, study):
    """With a few trainings of two epochs, so that they conclude nothing; the second time nothing is trained."""
    def run():
        ended = subprocess.run([sys.executable, "benchmarks/honesty.py", study, "--quick", "--out", str(tmp_path)],
                               cwd=ROOT, capture_output=True, text=True, timeout=230, check=False)
        assert ended.returncode == 0, ended.stderr
        return json.loads((tmp_path / "honesty.json").read_text(encoding="utf-8"))[study], ended.stdout

    found, said = run()
    assert {"criterion", "right", "of", "met", "said"} <= found.keys() and found["criterion"] in said
    assert found["right"] <= found["of"]
    if "rows" in found:
        assert [row["search"] for row in found["rows"]] == [0, 1]
        for row in found["rows"]:
            home = tmp_path / study / f"{row['search']:03}"
            held = json.loads(next(home.glob("*/confirm.json")).read_text("utf-8"))
            assert (row["verdict"], row["mean"]) == (held["verdict"], held["difference"]["mean"])
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jsonl")}
    again, _ = run()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jsonl")} == files
    assert again["right"] == found["right"]
