"""Run folders written by hand, and a reader of the report."""
import json
from html.parser import HTMLParser

import yaml

from autotricks.runs.ledger import Ledger

METRIC = "val/balanced_accuracy"
EVIL = "<script>alert(1)</script>"
TRAINING = {"epochs": 9, "batch_size": 8, "seed": 0}
SPACE = f"""
name: made
about: 'a space {EVIL}'
objective: {{metric: {METRIC}, mode: max}}
search: {{seed: 7, parallel: 2, rungs: {{first: 3, reduction: 3, fidelity: compressed}}}}
"""
FINISHED = ((3, "stopped", 0.5), (9, "finished", 0.75))   # rungs as (budget, end, score)


def bundle(**tricks):
    return {"model": {"name": "resnet8"}, "tricks": {"cosine": {"final": 0.0}, **tricks}, "training": TRAINING}


def folder(path, trials=(), **documents):
    """Write a run's folder; a trial is (label, bundle, scores by rung, end)."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "space.yaml").write_text(SPACE)
    ledger = Ledger(path / "trials.jsonl")
    if not trials:
        ledger.append("search", space=yaml.safe_load(SPACE))
    for number, (label, document, _, _) in enumerate(trials):
        ledger.append("trial", trial=number, label=label, bundle=document, hash=f"h{number}", seed=0, picks=None)
    for number, (_, _, scores, end) in enumerate(trials):
        for rung, score in enumerate(scores):
            budget, last = 3 * 3 ** rung, rung == len(scores) - 1
            curve = [{"epoch": epoch, METRIC: score and score * epoch / budget} for epoch in range(1, budget + 1)]
            ledger.append("rung", trial=number, rung=rung, budget=budget, epochs=float(budget), seconds=2.0, attempt=1,
                          metrics={METRIC: score}, curve=curve, hash=f"h{number}",
                          end=end if last and end in ("finished", "diverged") else None)
        if end:
            ledger.append("end", trial=number, reason=end, score=None, detail="", hash=f"h{number}", seed=0)
    ledger.close()
    for name, content in documents.items():
        (path / name.replace("_", ".")).write_text(json.dumps(content))   # JSON is YAML
    return path


def searched(path, **documents):
    """A search of a baseline, a better trial, one that was stopped and one that diverged."""
    trials = [("baseline", bundle(sgd={"lr": 0.1}), [0.4, 0.625], "finished"),
              ("", bundle(sgd={"lr": 0.2}, mixup={"alpha": 0.5}), [0.5, 0.875], "finished"),
              ("", bundle(sgd={"lr": 0.3}, cutmix={"alpha": 0.5}), [0.25], "stopped"),
              (EVIL, bundle(sgd={"lr": 0.9}), [None], "diverged")]
    return folder(path, trials, data_json=data(), **documents)


def data():
    return {"source": EVIL, "fingerprint": "f" * 64, "classes": ["cat", EVIL], "image_shape": [1, 8, 8],
            "imbalance": 5.0, "counts": {"train": [50, 10], "validation": [20, 20], "test": [40, 20]},
            "duplicates": {"train_test": 2, "train_validation": 0}, "bad": [{"path": EVIL + ".png", "reason": EVIL}]}


def confirmed(**changes):
    """What confirmation writes, for two seeds; champion is trial 1."""
    def spread(*values):
        return {"mean": sum(values) / len(values), "deviation": 0.0625, "values": list(values)}
    classes = {number: {"by_class": {"recall": [spread(0.5, 1.0), spread(*second)]}, "confusion": [[60, 20], [5, 35]],
                        "calibration": {"temperature": 1.25, "error": 0.09375, "scaled_error": 0.03125},
                        "thresholds": None}
               for number, second in (("1", (0.75, 1.0)), ("0", (0.25, 0.5)))}
    return {"metric": "balanced_accuracy", "seeds": [1000, 1001], "candidates": [1], "champion": 1, "baseline": 0,
            "searched": 0.875, "validation": {"1": spread(0.75, 0.875), "0": spread(0.5, 0.625)},
            "test": {"1": spread(0.6875, 0.9375), "0": spread(0.375, 0.75)},
            "difference": {"mean": 0.25, "low": 0.03125, "high": 0.46875}, "optimism": 0.0625,
            "figures": {"1": {"balanced_accuracy": 0.8125, "calibration_error": 0.09375},
                        "0": {"balanced_accuracy": 0.5625, "calibration_error": 0.015625}},
            "verdict": "better than the baseline", "method": "paired differences", "classes": classes, **changes}


def addition(start=0, name="baseline", verdict="added to the baseline", mean=0.125, low=0.0625, high=0.1875):
    """What confirmation writes of what the search added to the best start bundle."""
    return {"start": start, "name": name, "verdict": verdict, "difference": {"mean": mean, "low": low, "high": high}}


class Page(HTMLParser):
    """What a report shows: elements with their attributes, the text of each, figures, and text by section."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.values, self.sections = [], [], {"": ""}
        self._open, self._section = [], ""
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "data":
            self.values.append(float(dict(attributes)["value"]))
        self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, text):
        if self._open[-1:] == ["h2"]:
            self._section = text
            self.sections[text] = ""
        elif not {"script", "style"} & set(self._open):
            self.sections[self._section] += text

    @property
    def text(self):
        return "\n".join(self.sections.values())

    def marks(self, tag, kind):
        """The attributes of all elements of a class."""
        return [found for name, found in self.elements if name == tag and kind in found.get("class", "").split()]
