"""docs/metrics.md names every metric, with the direction that it has."""
import re
from pathlib import Path

import pytest

from autotricks.tasks import TASKS

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text("utf-8")
HEADS = {"classification": "One label an image", "multilabel": "Several labels an image", "detection": "Objects"}


@pytest.mark.parametrize("task", TASKS)
def test_the_page_has_every_metric_with_its_direction_and_no_other(task):
    section = PAGE.split(f"## {HEADS[task]}\n")[1].split("\n## ")[0]
    rows = [row.split(" | ") for row in section.splitlines() if row.startswith("| `")]
    told = {name: row[2] for row in rows for name in re.findall(r"`val/(.+?)`", row[0])}
    told.pop("log_loss", None)        # another name of the loss
    assert told == {metric.name: "more" if metric.maximize else "less" for metric in TASKS[task].metrics}
