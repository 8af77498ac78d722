"""The table of tricks by families of models: a sample of its cells here, the whole of it among the slow tests."""
import model_families
import pytest
import torch
from model_families import ACTS, DONE, FAILS, FAMILIES, FILLS, REFUSES, SAME, cell, written

from autotricks.core.run import Run
from autotricks.core.slots import Groups, Loss, Mix, Slot
from autotricks.core.trick import Trick
from autotricks.tricks.catalog import catalog


class Idle(Trick):
    """Sit in seats and change nothing.

    Paper: none, https://example.org.
    Cost: none.
    """

    seats = {Slot.LOSS: "term", Slot.BATCH: "mix", Slot.PARAMETERS: "decay"}

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss as it is."""
        return inner

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return the batch as it is."""
        return inner

    def parameters(self, inner: Groups, run: Run) -> Groups:
        """Return the groups as they are."""
        return inner


def test_a_trick_that_changes_nothing_is_found(monkeypatch):
    monkeypatch.setattr(model_families, "catalog", lambda: {**catalog(), "idle": Idle})
    found = cell("idle", "ours")
    assert (found.word, found.why) == (SAME, "nothing changes in loss, batch, parameters")


def test_what_is_not_all_that_it_should_be_is_found(monkeypatch):
    """As it was before: of torch's attention and of what no layer holds, weights were not drawn anew."""
    monkeypatch.setattr("autotricks.nn.initialization.matrices", lambda layer: (
        ["weight"] if isinstance(layer, torch.nn.Conv2d) else []))
    assert cell("xavier", "ViT").word == SAME and "is not drawn anew" in cell("xavier", "ViT").why


@pytest.mark.parametrize(("name", "family", "word"), [
    ("no_bias_decay", "Swin", ACTS), ("no_bias_decay", "DeiT", ACTS), ("kaiming", "ViT", ACTS),
    ("manifold_mixup", "ConvNeXt", ACTS), ("cam_sampling", "ConvNeXt", ACTS), ("cam_sampling", "ViT", REFUSES),
    ("progressive", "ours", ACTS), ("group_norm", "ViT", REFUSES), ("layer_decay", "Swin", ACTS),
    ("no_bias_before_bn", "ours", DONE), ("sgd", "ours", FILLS), ("label_smoothing", "ViT", ACTS)])
def test_a_sample_of_the_cells(name, family, word):
    found = cell(name, family)
    assert found.word == word, found
    assert bool(found.why) == (word in (REFUSES, DONE))


def test_every_trick_has_its_line_in_the_document():
    text = model_families.DOCUMENT.read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert list(rows) == list(catalog())
    assert all(line.count("|") == len(FAMILIES) + 2 and SAME not in line and FAILS not in line
               for line in rows.values())


def test_faults_are_counted_where_the_table_is_written():
    cells = dict.fromkeys(FAMILIES, model_families.Cell(ACTS)) | {"ViT": model_families.Cell(SAME, "why | not")}
    text = written({"mixup": cells})
    assert f"{len(FAMILIES)} cells" in text and "in 1 nothing changes" in text
    assert model_families.read(text) == {"mixup": cells}
    assert "| `mixup` | no change [1](#1) | acts" in text and '1. <a id="1"></a>why \\| not' in text


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_trick_acts_or_says_why_not(family, part, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    found = {name: cell(name, family) for name in list(catalog())[part::4]}
    assert {name: each for name, each in found.items() if each.word in (SAME, FAILS)} == {}
