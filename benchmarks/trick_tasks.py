"""Which trick acts in which task: `python benchmarks/trick_tasks.py [--write]`.

Each cell comes from training steps with and without the trick, as in benchmarks/model_families.py: whether what the
trick is there to change has changed, on data of the task and on `resnet8`, or a detector on it. `--write` puts the
table into docs/tasks.md.
It takes about three minutes of one core.
"""
from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from model_families import ACTS, COUNTS, DONE, FAILS, FILLS, REFUSES, SAME, Cell, cell, data, scenes

from autotricks.core.dataset import Dataset
from autotricks.tasks import TASKS
from autotricks.testing import striped_sets
from autotricks.tricks.catalog import catalog

DOCUMENT = Path(__file__).parents[1] / "docs" / "tasks.md"
BEGIN, END = "<!-- made by benchmarks/trick_tasks.py -->", "<!-- until here -->"
SIDE = 32


@cache
def images(task: str) -> Dataset:
    """Images of a task that stripes can show, three channels of 32 pixels."""
    if task == "classification":
        return data(SIDE)
    if task == "detection":
        return scenes(SIDE)
    assert task == "multilabel", f"make images for {task}"
    made = striped_sets(tuple(count / COUNTS[0] for count in COUNTS), sum(COUNTS), SIDE, 3)
    return replace(made, validation=made.validation.take(torch.arange(0, 40, 4)), test=None)


def table(names: list[str]) -> dict[str, dict[str, Cell]]:
    """Return the cells of each trick by task."""
    return {name: {task: cell(name, "ours", images(task)) for task in TASKS} for name in names}


def written(rows: dict[str, dict[str, Cell]]) -> str:
    """Return the table, with a summary before it."""
    tasks = list(TASKS)
    counts = {task: Counter(cells[task].word for cells in rows.values()) for task in tasks}
    summary = [f"- `{task}`: " + ", ".join(f"{counts[task][word]} {word}" for word in (ACTS, FILLS, DONE, REFUSES))
               + f"; {counts[task][SAME] + counts[task][FAILS]} at fault" for task in tasks]
    lines = [f"| `{name}` | " + " | ".join(cells[task].word for task in tasks) + " |" for name, cells in rows.items()]
    return "\n".join([BEGIN, "", *summary, "", "| trick | " + " | ".join(tasks) + " |",
                      "| --- |" + " --- |" * len(tasks), *lines, "", END])


def main() -> int:
    """Print the table, or write it; return 1 where a cell is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.compile = lambda model: model     # whether it is asked for is what is looked at; to compile takes minutes
    rows = table(list(catalog()))
    for name, cells in rows.items():
        print(f"{name:28}", *(f"{found.word:9}" for found in cells.values()))
        for task, found in cells.items():
            if found.word in (SAME, FAILS):
                print(f"    {task}: {found.why}")
    if given.write:
        text = DOCUMENT.read_text("utf-8")
        start, stop = text.index(BEGIN), text.index(END) + len(END)
        DOCUMENT.write_text(text[:start] + written(rows) + text[stop:], encoding="utf-8")
    return int(any(found.word in (SAME, FAILS) for cells in rows.values() for found in cells.values()))


if __name__ == "__main__":
    sys.exit(main())
