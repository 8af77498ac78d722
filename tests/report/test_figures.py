"""Every figure on the page is one that ledger, confirmation or ablation hold, or follows from them by hand."""
import json
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from statistics import fmean

import pytest
import yaml

from autotricks.report import write

from .made import METRIC, bundle, confirmed, folder, searched

MINUS = "\N{MINUS SIGN}"


class Figures(HTMLParser):
    """The figures of a page, as (whole number, what is read), and the numbers that marks carry."""

    def __init__(self, source):
        super().__init__()
        self.shown, self.marked, self._value = [], [], None
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "data":
            self._value = given["value"]
        if "data-value" in given:
            self.marked.append(float(given["data-value"]))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_data(self, text):
        if self._value is not None:
            self.shown.append((float(self._value), text))
            self._value = None


def lines(path, name):
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def document(path, name):
    return json.loads((path / name).read_text()) if (path / name).exists() else {}


def numbers(content):
    """Every number of a document."""
    if isinstance(content, dict):
        return {value for part in content.values() for value in numbers(part)}
    if isinstance(content, list):
        return {value for part in content for value in numbers(part)}
    return {float(content)} if isinstance(content, (int, float)) and not isinstance(content, bool) else set()


def of_the_ledger(path):
    """Scores where trials ended, results at every rung, epochs, trials and the best at each rung."""
    rungs = [line for line in lines(path, "trials.jsonl") if line["kind"] == "rung"]
    scores = [line["metrics"][METRIC] for line in rungs]
    found = {score for score in scores if score is not None} | {float(sum(line["epochs"] for line in rungs))}
    for budget in {line["budget"] for line in rungs}:
        found.add(float(sum(line["budget"] == budget for line in rungs)))
    return found


def of_the_confirmation(path):
    """What stands in confirm.json, and gains, differences, precisions and the optimism of every candidate."""
    content = document(path, "confirm.json")
    found = numbers(content)
    last = {line["trial"]: line["metrics"][METRIC] for line in lines(path, "trials.jsonl") if line["kind"] == "rung"}
    found |= {last[int(number)] - spread["mean"] for number, spread in content.get("validation", {}).items()}
    results = content.get("classes", {})
    if results:
        one, other = (results[str(content[role])] for role in ("champion", "baseline"))
        found |= {best["mean"] - base["mean"] for best, base in zip(
            one["by_class"]["recall"], other["by_class"]["recall"]) if best and base}
        ours, theirs = (content["figures"][str(content[role])] for role in ("champion", "baseline"))
        found |= {ours[name] - theirs[name] for name in ours}
        columns = list(zip(*one["confusion"]))
        found |= {column[place] / sum(column) for place, column in enumerate(columns) if sum(column)}
    return found


def of_the_data(path):
    return numbers(document(path, "data.json"))


def read_as(value, text):
    """Whether a figure reads as its number, in percent or points, in plain or in thousands, as precise as it stands."""
    plain = text.replace(MINUS, "-").replace(",", "")
    number = re.match(r"[+-]?[\d.]+(e[+-]?\d+)?", plain.replace("±", "").strip())
    assert number, text
    places = len(number[0].partition(".")[2].partition("e")[0])
    step = 10.0 ** -places if "e" not in number[0] else abs(float(number[0])) * 10.0 ** -places
    return any(abs(value * factor - float(number[0])) <= step * 0.5000001 for factor in (1, 100))


def held(found, known):
    return any(math.isclose(found, value, rel_tol=1e-9, abs_tol=1e-12) for value in known)


def compared(path):
    source = write(path).read_text("utf-8")
    page = Figures(source)
    known = of_the_ledger(path) | of_the_confirmation(path) | numbers(document(path, "ablation.json")) | of_the_data(
        path)
    strange = [(value, text) for value, text in page.shown if not held(value, known)]
    assert not strange, "figures that no file holds"
    assert not [value for value in page.marked if not held(value, known)]
    assert not [(value, text) for value, text in page.shown if not read_as(value, text)]
    return {value for value, _ in page.shown} | set(page.marked)


def effect(trick, kind, mean, low, high, note=""):
    return {"trick": trick, "kind": kind, "mean": mean, "low": low, "high": high, "seconds_with": 3.0,
            "seconds_without": 2.0, "seconds_ratio": 1.5, "seeds": 2, "note": note}


def spread(mean):
    return {"mean": mean, "deviation": 0.0625, "values": [mean]}


ABLATION = {"metric": METRIC, "trial": 1, "champion": spread(0.8125), "baseline": spread(0.5625), "seeds": [1000, 1001],
            "comparisons": 4, "pair_comparisons": 1, "method": "by hand", "effects": [
                effect("mixup", "without", 0.21875, 0.15625, 0.28125),
                effect("mixup", "alone", -0.0390625, -0.0703125, -0.0078125),
                effect("mixup x sgd", "pair", 0.046875, -0.109375, 0.203125),
                effect("sgd", "without", None, None, None, "broke down: 1 of 2 with it")],
            "importance": {"method": "PED-ANOVA", "meaning": "a surrogate's view", "weights": [
                {"name": "mixup", "share": 0.6875, "trials": 3}]}}


def test_figures_are_those_of_the_files(tmp_path):
    champion = {**bundle(sgd={"lr": 0.2}, mixup={"alpha": 0.5}), "result": {"trial": 1}}
    path = searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion, ablation_json=ABLATION)
    found = compared(path)
    said = document(path, "confirm.json")
    wanted = {said["difference"][name] for name in ("mean", "low", "high")} | {said["optimism"], said["searched"]}
    wanted |= {said["test"][number]["mean"] for number in "01"} | {0.4, 0.5, 0.625, 0.875, 0.25, 30.0}
    wanted |= {line[name] for line in ABLATION["effects"] for name in ("mean", "low", "high") if line["mean"]}
    wanted |= {1.5, 0.6875}
    assert wanted <= found
    source = (path / "report.html").read_text("utf-8")
    assert "broke down: 1 of 2 with it" in source and "a surrogate&#x27;s view" in source and "4 intervals" in source


def test_an_ablation_of_an_earlier_champion_is_named_so(tmp_path):
    path = searched(tmp_path, ablation_json={**ABLATION, "trial": 2}, confirm_json=confirmed())
    assert "Of an earlier champion, </b>trial 2" in write(path).read_text("utf-8")


def test_of_many_trials_a_choice_is_drawn_and_all_are_counted(tmp_path, monkeypatch):
    """2,000 trials, every tenth trained to the end, the very best among them last."""
    monkeypatch.setattr(os, "fsync", lambda file: None)     # thousands of times, and nothing is to survive a crash
    trials = [("baseline", bundle(sgd={"lr": 0.1}), [0.25, 0.5], "finished")]
    trials += [("", bundle(sgd={"lr": 0.1 + place / 4000}), [0.125, 0.5 + place / 8192][:1 + (place % 10 == 9)],
                "finished" if place % 10 == 9 else "stopped") for place in range(1, 2000)]
    found = compared(folder(tmp_path, trials))
    assert {2000.0, 201.0, 2000 * 3.0 + 201 * 9.0, 0.5 + 1999 / 8192} <= found
    source = (tmp_path / "report.html").read_text("utf-8")
    drawn = set(re.findall(r'data-trial="(\d+)"', source))
    assert 300 <= len(drawn) <= 402 and {"0", "1999"} <= drawn and "of 2,000 trials" in source
    assert {str(place) for place in range(1009, 2000, 10)} <= drawn, "the hundred best"
    assert len(source) < 1_000_000


@pytest.mark.slow
def test_figures_of_a_real_search_are_those_of_its_files(tmp_path):
    """A search on the digits with its confirmation and ablation, by the command line."""
    def run(*words):
        ended = subprocess.run([sys.executable, "-m", "autotricks", *words], capture_output=True, text=True,
                               timeout=400, check=False)
        assert ended.returncode == 0, ended.stderr
    run("search", "--space", "long_tail.yaml", "--root", str(tmp_path), "--tracking", "off", "--trials", "8",
        *(word for text in ("search.engine=local", "search.parallel=2", "training.epochs=10", "confirm.seeds=2")
          for word in ("--set", text)))
    path, = (found.parent for found in tmp_path.glob("*/confirm.json"))
    run("ablate", str(path), "--pairs", "2")
    found = compared(path)
    said, ablated = document(path, "confirm.json"), document(path, "ablation.json")
    assert {said["difference"][name] for name in ("mean", "low", "high")} <= found
    assert {line["mean"] for line in ablated["effects"] if line["mean"] is not None} <= found
    assert fmean(said["test"][str(said["champion"])]["values"]) in found
    assert yaml.safe_load((path / "champion.yaml").read_text())["result"]["trial"] == said["champion"]
