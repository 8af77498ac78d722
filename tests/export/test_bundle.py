import re

import pytest
import torch
import yaml
from torch import nn

from autotricks import export
from autotricks.errors import DiskError, RunError

DOCUMENT = {"name": "x", "classes": ["0", "no", "1e3", "ä", "a: b"],
            "images": {"mean": [0.1, 1e-05], "shape": [1, 8, 8]}, "model": {"name": "resnet8"},
            "training": {"epochs": 1}, "tricks": {"cosine": {}, "mixup": {"alpha": 0.2, "stop": 0.9}},
            "result": {"score": 0.1 + 0.2}}


class Shared(nn.Module):
    """Two names for one weight, a buffer, and a weight that is a view."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 2)
        self.second = self.first
        self.third = nn.Parameter(torch.arange(12.0).view(3, 4).t())
        self.register_buffer("count", torch.tensor(7))


def test_document_comes_back_as_it_was(tmp_path):
    export.write(tmp_path, DOCUMENT, export.weights_of(Shared()), "two\nlines")
    content = (tmp_path / export.BUNDLE).read_text("utf-8")
    assert re.match("# two\n# lines\n# check: [0-9a-f]{16}\nname: x\n", content)
    back = yaml.safe_load(content)
    digest = back["result"].pop("weights")
    assert back == DOCUMENT
    assert len(digest) == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == [export.WEIGHTS, export.BUNDLE]


def test_lists_of_numbers_stand_on_one_line_and_nothing_is_an_alias():
    same = [1, 2, 3]
    assert export.text({"a": same, "b": {"c": same}}) == "a: [1, 2, 3]\nb:\n  c: [1, 2, 3]\n"


def test_weights_come_back_bit_for_bit(tmp_path):
    model = Shared()
    export.write(tmp_path, DOCUMENT, export.weights_of(model))
    digest = yaml.safe_load((tmp_path / export.BUNDLE).read_text())["result"]["weights"]
    weights = export.read_weights(tmp_path / export.WEIGHTS, digest)
    expected = model.state_dict()
    assert weights.keys() == expected.keys() and "second.weight" in weights
    assert all(torch.equal(weights[name], expected[name]) for name in weights)
    assert weights["count"].dtype == torch.int64


def test_interrupted_write_leaves_the_old_files(tmp_path, monkeypatch):
    export.write(tmp_path, DOCUMENT, export.weights_of(nn.Linear(2, 2)))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskError, match=r"champion\.safetensors: no space left on device\. Make room"):
        export.write(tmp_path, DOCUMENT, export.weights_of(nn.Linear(3, 3)))
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_every_damage_to_the_weights_is_noticed(tmp_path):
    export.write(tmp_path, DOCUMENT, export.weights_of(nn.Linear(2, 2)))
    digest = yaml.safe_load((tmp_path / export.BUNDLE).read_text())["result"]["weights"]
    path = tmp_path / export.WEIGHTS
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1:])
        with pytest.raises(RunError, match=export.WEIGHTS) as caught:
            export.read_weights(path, digest)
        assert "\n" not in str(caught.value)
        path.write_bytes(content[:place])
        with pytest.raises(RunError, match="the weights cannot be read"):
            export.read_weights(path)
    path.unlink()
    with pytest.raises(RunError, match="no such file"):
        export.read_weights(path)


def test_copy_takes_both_files(tmp_path):
    with pytest.raises(RunError, match=r"holds no champion\.yaml"):
        export.copy(tmp_path, tmp_path / "out")
    weights = export.weights_of(nn.Linear(2, 2))
    export.write(tmp_path, DOCUMENT, weights)
    assert [path.name for path in export.copy(tmp_path, tmp_path / "out" / "deep")] == [export.BUNDLE, export.WEIGHTS]
    assert (tmp_path / "out" / "deep" / export.WEIGHTS).read_bytes() == weights
    (tmp_path / export.BUNDLE).write_text((tmp_path / export.BUNDLE).read_text().replace("0.9", "0.8"))
    with pytest.raises(RunError, match=r"champion\.yaml: changed since it was written"):
        export.copy(tmp_path, tmp_path / "out")
