"""benchmarks/gpu.py, as far as it can be held to its word without a GPU."""
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import deque
from pathlib import Path

import gpu
import pytest
import torch
from gpu_pieces import budget, contract, grouped, long_tail_rows, results
from gpu_pieces.told import Told
from gpu_pieces.worker import Lost, Worker
from machine import Row, Target, spread
from torch import nn
from trainer import Setting

from autotricks.core.bundle import Window
from autotricks.core.reporting import Metrics, Verdict
from autotricks.space.load import load_bundle_file
from autotricks.testing import synchronizing
from autotricks.tricks.catalog import catalog

ROOT = Path(__file__).parents[1]


def piece_of(name, share=1.0):
    return budget.Piece(name, share, "nowhere:nothing")


def test_what_a_piece_does_not_use_the_others_get():
    pieces = [piece_of("a", 3), piece_of("b", 1), piece_of("c", 1)]
    assert budget.limit(pieces, 100) == 60
    assert budget.limit(pieces[1:], 90) == 45      # a took 10 of its 60


def test_a_piece_that_fails_hangs_or_dies_is_noted_and_the_next_one_begins(tmp_path, monkeypatch):
    """Real processes; what a piece has found before is kept, and what it started ends with it."""
    monkeypatch.setattr(budget, "LEAST", 0.5)
    file = tmp_path / "gpu.jsonl"

    def measured(piece, seconds):
        results.append_row(file, piece.name, Row("any", "figure", spread([seconds])))
        if piece.name == "raises":
            raise ValueError("what went wrong")
        if piece.name == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if piece.name == "hangs":
            (tmp_path / "child").write_text(str(subprocess.Popen(["sleep", "60"]).pid))
            time.sleep(60)
    names = ("raises", "dies", "hangs", "ends", "late")
    pieces = [piece_of(name) for name in names]
    assert not budget.spend(pieces[:2], time.monotonic() + 50, file, measured)
    assert not budget.spend(pieces[2:3], time.monotonic() + 1, file, measured)
    assert budget.spend(pieces[3:4], time.monotonic() + 50, file, measured)
    assert not budget.spend(pieces[4:], time.monotonic(), file, measured)
    lines = results.read(file)
    ends = {line["piece"]: line for line in lines if line["kind"] == "piece"}
    assert [ends[name]["outcome"] for name in names] == [
        "failed, exit code 1", "failed, exit code -9", "over its share", "done", "not reached"]
    assert "ValueError: what went wrong" in ends["raises"]["traceback"]
    assert "in measured" in ends["hangs"]["traceback"]      # where it stood
    assert [piece for piece, _ in results.rows(lines)] == [*names[:4]]
    orphan = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    assert not orphan.exists() or orphan.read_text().split()[2] == "Z"


def test_what_was_written_is_read_again_and_told_as_a_table(tmp_path):
    file = tmp_path / "gpu.jsonl"
    results.append_row(file, "old", Row("of a run before", "figure", None))
    results.append(file, "begin", {"minutes": 8, "quick": False})
    row = Row("resnet32", "trainer / loop", spread([2.0, 4.0, 3.0]), "x", Target(least=3.0), "a | b", {"more": [1]})
    results.append_row(file, "speed", row)
    results.append_row(file, "bounds", Row("", "bf16", spread([7e14]), "operations/s"))
    results.append(file, "piece", {"piece": "speed", "outcome": "over its share", "seconds": 31.2, "limit": 30.0,
                                   "traceback": "it stood here"})
    with file.open("a") as opened:
        opened.write('{"kind": "row", "piece": "speed", "sett')      # the machine was taken away
    lines = results.read(file)
    assert results.rows(lines)[0] == ("speed", row) and results.bounds(lines) == {"bf16": 7e14}
    said = results.table(lines)
    assert "| speed | resnet32 | trainer / loop | 3.000 x | 2.000 to 4.000 | 3 | >= 3 | reached | a / b |" in said
    assert "| speed | over its share | 31 | 30 |" in said and "```\nit stood here\n```" in said
    assert "of a run before" not in said


def double(number):
    return 2 * number


def sleep(seconds):
    time.sleep(seconds)


def test_a_worker_answers_or_is_lost():
    worker = Worker()
    worker.begin(double, 21)
    assert worker.answer(30) == 42
    worker.begin(double, None)
    with pytest.raises(Lost, match="TypeError: unsupported operand"):
        worker.answer(30)
    worker.begin(double, 1)         # an error of what it did is none of its own
    assert worker.answer(30) == 2
    worker.begin(sleep, 60)
    with pytest.raises(Lost, match="no answer in 0 s"):
        worker.answer(0.05)
    worker = Worker()
    worker.begin(os._exit, 3)
    with pytest.raises(Lost, match="exit code 3"):
        worker.answer(30)
    worker.end()


def pretended(case, device):
    """What a trick may do to the process in which it is judged."""
    if case.trick == "dies":
        os._exit(3)
    return {"fails": ["trains: ValueError"], "poisons": [f"trains: CUDA error: {os.getpid()}"],
            "tells": [str(os.getpid())]}.get(case.trick, [])


def test_a_trick_that_takes_its_process_along_takes_no_other(monkeypatch):
    monkeypatch.setattr(contract, "broken", pretended)
    names = ["tells", "fails", "tells", "poisons", "tells", "dies", "keeps"]
    told = Told("cpu", True, time.monotonic() + 60)
    found = list(contract.judged(deque(contract.Case(name, "classification", "fp32") for name in names), told, 1))
    lines = [lines for _, lines in found]
    assert [case.trick for case, _ in found] == names
    assert lines[1] == ["trains: ValueError"] and lines[6] == [] and "exit code 3" in lines[5][0]
    assert lines[0] == lines[2] and lines[3] == [f"trains: CUDA error: {lines[0][0]}"]
    assert lines[4] != lines[0]     # after an error of CUDA a process is of no use
    late = deque([contract.Case("keeps", "classification", "fp32")])
    assert list(contract.judged(late, Told("cpu", True, 0.0), 1)) == [] and len(late) == 1


def test_every_trick_is_asked_for_in_each_precision_and_task_that_suits_it():
    asked = contract.cases(False)
    assert len(set(asked)) == len(asked) and {case.trick for case in asked} == set(catalog())
    of_cutmix = {(case.task, case.precision) for case in asked if case.trick == "cutmix"}
    assert of_cutmix == {(task, precision) for task in ("classification", "multilabel")
                        for precision in ("fp32", "bf16", "fp16")}
    assert ("detection", "bf16") in {(case.task, case.precision) for case in asked if case.trick == "mosaic"}
    assert {case.precision for case in asked if case.trick == "fp16"} == {"fp32"}
    assert {case.precision for case in asked[:100]} == {"fp32"}


def test_where_a_gpu_makes_the_host_wait_is_told_by_line(monkeypatch):
    """The warning is that of torch, which only CUDA gives."""
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with synchronizing() as sites:
        warnings.warn("called a synchronizing CUDA operation (Triggered internally)", stacklevel=1)
        line = sys._getframe().f_lineno - 1
        warnings.warn("anything else", stacklevel=1)
    assert sites == [f"test_gpu_benchmark.py:{line}"] and modes == ["warn", "default"]


@pytest.mark.parametrize("name", long_tail_rows.ROWS)
def test_the_rows_are_those_that_were_published(name):
    published = load_bundle_file(name)
    ours = long_tail_rows.bundle_of(name, {})
    assert (ours.uses, ours.model, ours.epochs, ours.batch_size) == (
        published.bundle.uses, published.bundle.model, published.bundle.epochs, published.bundle.batch_size)
    assert long_tail_rows.PUBLISHED[name] == published.document.published["cifar10_lt_100"]
    assert all(use.window == Window() for use in ours.uses)


def test_a_row_without_time_says_what_it_would_have_taken():
    """Its first epoch, which compiles, took 40 s, the two after it 2 s each; ten would take 58 s."""
    clock = long_tail_rows.Clock(1e9)
    clock.ends = [140.0, 142.0, 144.0]
    assert clock.whole(begun=100.0, epochs=10) == 58.0
    clock.ends = [140.0]
    assert math.isnan(clock.whole(100.0, 10))
    late = long_tail_rows.Clock(time.monotonic() - 1)
    assert late(Metrics(1, {})) is Verdict.STOP and long_tail_rows.Clock(1e12)(Metrics(1, {})) is Verdict.CONTINUE


def test_the_long_tail_has_the_papers_sizes():
    """12,406 images: Cui et al. 2019 and all after them."""
    assert sum(long_tail_rows.sizes()) == 12_406 and long_tail_rows.sizes()[::9] == [5000, 50]


def test_a_file_of_cifar_is_cut_to_its_long_tail(tmp_path, monkeypatch):
    monkeypatch.setattr(long_tail_rows, "LARGEST", 100)
    numpy = pytest.importorskip("numpy")
    labels = numpy.arange(1000) % 10
    images = numpy.zeros((1000, 32, 32, 3), numpy.uint8)
    images[:, 0, 0, 1] = numpy.arange(1000) // 10       # which one of its class an image is
    numpy.savez(tmp_path / "c.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20, None])
    read = long_tail_rows.read(tmp_path / "c.npz")
    assert read.counts.tolist() == long_tail_rows.sizes() == [100, 59, 35, 21, 12, 7, 4, 2, 1, 1]
    assert read.train.images[:, 1, 0, 0].tolist() == [place for size in read.counts.tolist() for place in range(size)]
    assert len(read.validation) == 20 and read.mean[0] == 0 < read.mean[1]


class Small(nn.Module):
    """A convolution, a batch norm and a classifier."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm, self.classifier = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)

    def forward(self, images):
        return self.classifier(self.norm(self.convolution(images)).relu().mean((2, 3)))


def test_copies_that_are_stacked_train_as_each_would_alone(monkeypatch):
    """Three steps of three models, batch norm's running statistics included."""
    monkeypatch.setattr(grouped, "fresh_model", lambda setting: Small())
    setting = Setting("small", "none", (3, 8, 8), 6, 18, 1)
    images, labels = grouped.batches(setting, "cpu", 3)
    single, together = (grouped.models(setting, "cpu", 3) for _ in range(2))
    assert not torch.equal(single[0].classifier.weight, single[1].classifier.weight)
    turns = grouped.in_turn([grouped.single_step(model, images[place], labels[place])
                             for place, model in enumerate(single)])
    stacked, state = grouped.stacked_step(together, images, labels)
    before = state["classifier.weight"].clone()
    for _ in range(3):
        turns()
        stacked()
    assert not torch.equal(before, state["classifier.weight"])
    for name, value in state.items():
        torch.testing.assert_close(value, torch.stack([model.state_dict()[name] for model in single]))


def test_without_a_gpu_it_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2 and "--device cpu --quick runs all of it" in capsys.readouterr().err


GONE = ("ray", "optuna", "mlflow", "pydantic", "pydantic_core", "pandas", "sklearn", "scipy", "yaml", "typer", "rich",
        "pyarrow", "pytorch_optimizer", "pytorch_lightning", "psutil")
BLOCK = f"""
import sys
class Without:
    def __init__(self, finder): self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {GONE!r} else self.finder.find_spec(name, path, target)
    def __getattr__(self, name): return getattr(self.finder, name)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


@pytest.mark.slow
@pytest.mark.timeout(620)
@pytest.mark.parametrize("gone", [(), GONE], ids=["with everything", "with torch, torchvision and timm alone"])
def test_all_of_it_runs_small_on_a_cpu(tmp_path, gone):
    """Every process is without what is not there, those that it starts too."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK if gone else "")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    if gone:
        asked = f"import importlib.util; print([name for name in {GONE!r} if importlib.util.find_spec(name)])"
        said = subprocess.run([sys.executable, "-c", asked], env={**os.environ, "PYTHONPATH": path}, text=True,
                              capture_output=True, check=True)
        assert said.stdout == "[]\n"
    file = tmp_path / "gpu.jsonl"
    ended = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--quick", "--minutes", "9", "--out", str(file)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600, check=False)
    lines = results.read(file)
    assert ended.returncode == 0, ended.stderr + results.table(lines)
    assert [line["piece"] for line in lines if line["kind"] == "piece"] == [piece.name for piece in gpu.PIECES]
    rows = results.rows(lines)
    assert {piece for piece, _ in rows} == {piece.name for piece in gpu.PIECES}
    unmeasured = [(piece, row.note) for piece, row in rows if row.figure is None
                  and row.note != "RuntimeError: CUDA alone has graphs"]
    lacking = [name for name in ("yaml", "optuna") if not importlib.util.find_spec(name) or name in gone]
    assert [(piece, note.partition(":")[0]) for piece, note in unmeasured] == (
        [("largest_batch", "left out"), ("search", "left out")] if lacking else [])
    measured = {(piece, row.what): row for piece, row in rows if row.figure}
    assert {("resnet32", "trainer bf16 NHWC / plain loop"), ("resnet50", "trainer bf16 NHWC / bare bf16 NHWC"),
            ("resnet32", "augmentation / trainer bf16 NHWC"), ("resnet50", "share of the bound by memory"),
            ("vit_s", "bare fp32 NCHW"), ("detector", "evaluation"), ("side_by_side", "2 at a time"),
            ("row", "cross_entropy, 2 epochs"), ("more_rows", "balanced_softmax, 2 epochs"),
            ("grouped", "processes"), ("bounds", "copying")} <= measured.keys()
    assert all(row.figure.median == 0 for (piece, _), row in measured.items() if piece == "contract")
    assert all(row.figure.median > 0 for (piece, _), row in measured.items() if piece != "contract")
    assert "operations" in measured["resnet32", "bare fp32 NHWC"].note
    said = file.with_suffix(".md").read_text(encoding="utf-8")
    assert said in ended.stdout and "quick: concludes nothing" in said and "| contract | done |" in said
    assert json.loads(file.read_text().splitlines()[0])["minutes"] == 9
