"""The table of tricks by tasks: a sample of its cells here, the whole of it among the slow tests."""
import pytest
import torch
import trick_tasks
from model_families import ACTS, FAILS, FILLS, REFUSES, SAME, cell
from trick_tasks import images, table

from autotricks.tasks import TASKS
from autotricks.tricks.catalog import catalog


@pytest.mark.parametrize(("name", "task", "word"), [
    ("mixup", "multilabel", ACTS), ("asymmetric", "multilabel", ACTS), ("asymmetric", "classification", ACTS),
    ("repeat_factor", "multilabel", ACTS), ("class_balanced", "multilabel", ACTS), ("focal", "multilabel", REFUSES),
    ("binary_cross_entropy", "multilabel", FILLS), ("cross_entropy", "multilabel", REFUSES),
    ("cross_entropy", "detection", REFUSES), ("dense_focal", "detection", FILLS), ("sam", "detection", ACTS),
    ("layer_decay", "detection", ACTS), ("flip", "detection", ACTS), ("giou", "classification", REFUSES)])
def test_a_sample_of_the_cells(name, task, word):
    found = cell(name, "ours", images(task))
    assert found.word == word, found
    needed = "boxes" if task == "classification" else "one label an image"
    assert (f"requires data with {needed}" in found.why) == (word == REFUSES)


def test_every_trick_has_its_line_in_the_document():
    text = trick_tasks.DOCUMENT.read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.partition(trick_tasks.BEGIN)[2].splitlines()
            if line.startswith("| `")}
    assert list(rows) == list(catalog())
    assert all(line.count("|") == len(TASKS) + 2 and SAME not in line and FAILS not in line for line in rows.values())


@pytest.mark.slow
def test_every_trick_acts_or_says_why_not(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    found = table(list(catalog()))
    at_fault = {name: cells for name, cells in found.items() if {each.word for each in cells.values()} & {SAME, FAILS}}
    assert at_fault == {}
