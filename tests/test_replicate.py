import json
import math

import numpy as np
import pytest
import torch

from autotricks.cli.views.cards import replicated
from autotricks.core.bundle import Bundle
from autotricks.data import Settings, load
from autotricks.errors import InputError, RunError
from autotricks.trial import run_trial
from autotricks.workflows.replicate import Replication, Row, bundles, replicate, shortened

FILE = """name: {name}
published: {{metric: error, digits_lt_4: {figure}, digits_lt_8: 9.5}}
model: {{name: resnet8}}
training: {{epochs: {epochs}, batch_size: 32}}
tricks: {{sgd: {{lr: 0.1}}{tricks}}}
"""


@pytest.fixture
def folder(tmp_path):
    here = tmp_path / "published"
    here.mkdir()
    (here / "plain.yaml").write_text(FILE.format(name="plain", figure=20.0, epochs=200, tricks=""))
    (here / "mixed.yaml").write_text(FILE.format(name="mixed", figure=10.0, epochs=400, tricks=", mixup: {}"))
    (here / "other.yaml").write_text(FILE.format(name="other", figure=15.0, epochs=200, tricks=", balanced_softmax: {}")
                                     .replace("digits_lt_4: 15.0, ", ""))
    return here


@pytest.fixture
def source(tmp_path):
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 40)
    images = generator.integers(0, 100, (160, 8, 8), dtype=np.uint8) + (labels * 50)[:, None, None].astype(np.uint8)
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images[::4], y_test=labels[::4])
    return f"npz:{tmp_path / 'data.npz'}"


def asked(folder, source, **settings):
    return Replication(folder, source, "digits_lt_4", epochs=4, **settings)


def test_lengths_keep_their_proportion(folder, source):
    found = bundles(asked(folder, source))
    assert {name: figure for name, (_, figure) in found.items()} == {"plain": 20.0, "mixed": 10.0}
    assert shortened(found["plain"][0], asked(folder, source), 3) == Bundle(
        found["plain"][0].uses, "resnet8", 4, 32, 3)
    assert shortened(found["mixed"][0], asked(folder, source), 0).epochs == 8
    assert shortened(found["mixed"][0], Replication(folder, source, "digits_lt_4"), 0).epochs == 400


def test_it_trains_on_all_and_compares_on_test(folder, source, tmp_path):
    told = []
    rows = replicate(asked(folder, source, seeds=2), tmp_path / "out.jsonl", lambda *line: told.append(line))
    assert [(row.name, row.published, row.epochs, len(row.best)) for row in rows] == [
        ("mixed", 10.0, 8, 2), ("plain", 20.0, 4, 2)]
    assert [line[2:] for line in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    data = load(Settings(source, imbalance=4.0), whole=True).dataset
    assert data.counts.tolist() == [40, 25, 15, 10] and torch.equal(data.validation.images, data.test.images)
    bundle, _ = bundles(asked(folder, source))["plain"]
    errors = [100 * (1 - metrics.values["val/accuracy"]) for metrics in run_trial(
        shortened(bundle, asked(folder, source), 1), data).history]
    assert rows[1].last[1] == pytest.approx(errors[-1]) and rows[1].best[1] == pytest.approx(min(errors))


def test_what_is_done_is_not_done_again(folder, source, tmp_path):
    out = tmp_path / "out.jsonl"
    first = replicate(asked(folder, source, only=("plain",)), out, lambda *line: None)
    before = out.read_text()
    told = []
    second = replicate(asked(folder, source, parallel=2), out, lambda *line: told.append(line[0]))  # in processes
    assert out.read_text().startswith(before) and len(out.read_text().splitlines()) == 2
    assert second[1].best == first[0].best and told == ["plain", "mixed"]
    line = json.loads(out.read_text().splitlines()[0])
    assert line["name"] == "plain" and line["setting"] == "digits_lt_4" and len(line["errors"]) == 4


def test_figures_of_other_data_are_refused(folder, source, tmp_path):
    out = tmp_path / "out.jsonl"
    replicate(asked(folder, source, only=("plain",)), out, lambda *line: None)
    other = Replication(folder, source, "digits_lt_8", ("plain",), epochs=4)
    with pytest.raises(RunError, match=r"out\.jsonl: holds figures of other data"):
        replicate(other, out, lambda *line: None)


@pytest.mark.parametrize("content", [b"my thesis\n", b"\x89PNG\r\n", b'{"seq": 0}\n'])
def test_file_of_somebody_else_stays_as_it_is(folder, source, tmp_path, monkeypatch, content):
    monkeypatch.setattr("autotricks.workflows.replicate._train", lambda *rest: pytest.fail("trained for nothing"))
    (tmp_path / "thesis.txt").write_bytes(content)
    with pytest.raises(RunError, match=r"thesis\.txt: is no ledger, and stays as it is\. Name another file"):
        replicate(asked(folder, source), tmp_path / "thesis.txt", lambda *line: None)
    assert (tmp_path / "thesis.txt").read_bytes() == content


@pytest.mark.parametrize(("place", "said"), [
    ("published", "published: is no file"), ("published/plain.yaml/x", "plain.yaml: cannot be written: file exists"),
    ("/proc/x", "/proc: cannot be written")])
def test_place_that_cannot_be_written_is_one_line(folder, source, tmp_path, monkeypatch, place, said):
    monkeypatch.setattr("autotricks.workflows.replicate._train", lambda *rest: pytest.fail("trained for nothing"))
    with pytest.raises(RunError, match=said) as caught:
        replicate(asked(folder, source), tmp_path / place, lambda *line: None)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("settings", "said"), [
    ({"device": "gpu"}, "--device 'gpu': not offered. Write cpu, cuda, or cuda:N"),
    ({"setting": "digits_lt_5"}, "--setting digits_lt_5: no bundle has figures for it. Did you mean digits_lt_4"),
    ({"only": ("plane",)}, "--only plane: no such bundle in .* Did you mean plain?"),
    ({"folder": "nowhere"}, "nowhere: holds no bundle files")])
def test_what_is_not_there_is_one_clear_line(folder, source, tmp_path, settings, said):
    wanted = {"folder": folder, "source": source, "setting": "digits_lt_4", **settings}
    wanted["folder"] = tmp_path / wanted["folder"]
    with pytest.raises(InputError, match=said):
        replicate(Replication(**wanted), tmp_path / "out.jsonl", lambda *line: None)


def test_the_table_has_spread_difference_and_order(folder, source, capsys):
    rows = [Row("a", 10.0, 4, 200, [12.0, 14.0], [15.0, 17.0]), Row("b", 20.0, 4, 200, [22.0, 22.0], [30.0, 30.0])]
    replicated(rows, asked(folder, source, seeds=2), False)
    printed = capsys.readouterr().out
    assert "a                                          10.00    13.00 +- 1.41      +3.00    16.00 +- 1.41" in printed
    assert "rank correlation 1.00" in printed and "Not the published setting" in printed
    replicated(rows, asked(folder, source, seeds=2), True)
    assert json.loads(capsys.readouterr().out)["rows"][1]["best"] == [22.0, 22.0]
    assert math.isnan(Row.spread([1.0])) and Row.spread([1.0, 3.0]) == pytest.approx(2 ** 0.5)
