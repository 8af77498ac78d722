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
    ended = subprocess.run([sys.executable, "benchmarks/trainer.py", "--quick", "--anyway", "--json", str(file)],
                           cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result.keys() == {"machine", "seconds", "settings", "target", "quiet", "rows"}
    assert result["machine"].keys() == {"processor", "cores", "load_average", "others_cores", "torch", "python",
                                        "threads", "autotricks"}
    assert result["machine"]["threads"] == 1
    assert [setting["name"] for setting in result["settings"]] == ["resnet20", "digits", "tricks"]
    measured = {(row["setting"], row["arm"], row["against"]) for row in result["rows"]}
    assert {(setting, "trainer", "loop") for setting in ("resnet20", "digits", "tricks")} <= measured
    assert {(setting, "trainer NHWC", "trainer") for setting in ("resnet20", "digits", "tricks")} <= measured
    for row in result["rows"]:
        figures = [*row["cpu_ratios"], *row["cpu_ratio"].values(), *row["wall_ratio"].values(),
                   row["images_per_cpu_second"], row["images_per_second"]]
        assert all(math.isfinite(figure) and figure > 0 for figure in figures), row
        low, median, high = (row["cpu_ratio"][name] for name in ("interval_low", "median", "interval_high"))
        assert len(row["cpu_ratios"]) == row["rounds"] == 2 and low <= median <= high
        assert f"{row['setting']:9} {row['arm']:13}" in ended.stdout


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
