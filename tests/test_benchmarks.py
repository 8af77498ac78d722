import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

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
