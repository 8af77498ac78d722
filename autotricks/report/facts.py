"""The data, the files that could not be read, and how to do it all again."""
from __future__ import annotations

import yaml

from ..runs.evidence import Evidence, over
from ..tasks.classification import CLASSIFICATION
from .html import Html, command, joined, table, tag
from .plot import Scale
from .rows import Track, chart, row

CLASSES = 60
FILES = 200
SPLITS = ("train", "validation", "test")


def data(evidence: Evidence) -> Html:
    """Return what was learned from, and the images of each class."""
    facts = evidence.data
    if not facts:
        return tag("p", None, "data.json is missing.")
    counts = facts["counts"]
    train = counts["train"]
    rows = [("Source", facts.get("source", "")),
            ("Images", f"{len(facts['classes'])} classes{_pixels(facts.get('image_shape'))}"),
            ("Training images", f"{evidence.images['train']:,} ({max(train)} to {min(train)}{kind_of(evidence)} a "
             f"class, imbalance {facts.get('imbalance', 0):.3g})"),
            ("Validation, seen by the search", f"{evidence.images['validation']:,}"),
            ("Test, set aside", f"{evidence.images['test']:,}"),
            *([("Groups, each in one split", f"{facts['groups']:,}")] if facts.get("groups") else []),
            ("Same image in two splits", ", ".join(f"{name.replace('_', ' and ')} {count}" for name, count in
                                                   facts.get("duplicates", {}).items()) or "not counted"),
            *((("Worth knowing", "; ".join(facts["notices"])),) if facts.get("notices") else ()),
            ("Fingerprint", tag("code", None, str(facts.get("fingerprint", ""))[:16]))]
    return joined(table(("", ""), rows, "facts"), _histogram(facts["classes"], counts, evidence.counted))


def kind_of(evidence: Evidence) -> str:
    """Return what the counts of classes are of, where that is not images."""
    return "" if evidence.counted == CLASSIFICATION.counted else f" {evidence.counted}"


def _pixels(shape: list[int] | None) -> str:
    """Return the size and kind of the images."""
    if not shape:
        return ""
    depth, height, width = shape
    kind = {1: "gray", 3: "color"}.get(depth, f"{depth} channels")
    return f", {width} × {height} pixels, {kind}"


def _histogram(names: list[str], counts: dict[str, list[int]], counted: str) -> Html:
    """Return how many training images or objects each class has, as bars."""
    order = sorted(range(len(names)), key=lambda index: -counts["train"][index])[:CLASSES]
    track = Track(Scale(0, max(counts["train"]) or 1, 0, 100), "images")
    rows = [row(names[index], [track.span(0, counts["train"][index], "bar")],
                tag("data", {"value": counts["train"][index]}, f"{counts['train'][index]:,}")) for index in order]
    more = f", the {CLASSES} largest of {len(names)} classes" if len(names) > CLASSES else ""
    return tag("figure", None, tag("figcaption", None, f"Training {counted} of each class{more}"), chart(rows, "dense"))


def bad(evidence: Evidence) -> Html:
    """Return the files that were left out, with reasons."""
    files = evidence.data.get("bad", [])
    if not files:
        return tag("p", None, "None: every file could be read.")
    more = f" The first {FILES} are listed; data.json has all." if len(files) > FILES else ""
    return joined(tag("p", None, f"{len(files)} file{'s' * (len(files) > 1)} left out of every split.{more}"), table(
        ("File", "Reason"), [(one.get("path", ""), one.get("reason", "")) for one in files[:FILES]], "files"))


def again(evidence: Evidence) -> Html:
    """Return the commands that repeat everything, the versions, and the space as it was searched."""
    name = evidence.place
    search = evidence.space.get("search", {})
    seeds = [f"search seed {search.get('seed', 'unknown')}",
             f"trials' seeds {', '.join(sorted({str(trial.bundle['training']['seed']) for trial in evidence.trials}))}"]
    if evidence.confirmed:
        folds = f" of {over(evidence.confirmed)}" if evidence.confirmed.get("folds") else ""
        seeds.append(f"fresh seeds{folds} {', '.join(map(str, evidence.confirmed['seeds']))}")
    if evidence.ablated.get("seeds"):
        seeds.append(f"ablation's seeds {', '.join(map(str, evidence.ablated['seeds']))}")
    commands = [(f"autotricks search --space {evidence.typed('space.yaml')}", "search the same space again"),
                (f"autotricks confirm {evidence.typed()}", "train the best again with fresh seeds"),
                (f"autotricks ablate {evidence.typed()}", "train the champion without each of its tricks"),
                (f"autotricks train {evidence.typed('champion.yaml')}", "train the champion"),
                (f"autotricks report {evidence.typed()}", "make this page again")]
    space = tag("details", {"class": "long"}, tag("summary", None, "The space as searched"), tag(
        "pre", None, yaml.safe_dump(evidence.space, sort_keys=False, allow_unicode=True, width=100)))
    return joined(tag("p", {"class": "note"}, f"Run these in the folder that holds {name.split('/')[0]}/."),
                  *(joined(command(text), tag("p", {"class": "note"}, why)) for text, why in commands),
                  tag("p", None, "; ".join(seeds) + ". "
                      + ("With several trials at a time the order in which they end, and with it what is tried next, "
                         "may differ." if search.get("parallel") != 1 else "")),
                  _versions(evidence), space)


def _versions(evidence: Evidence) -> Html:
    if not evidence.versions:
        return tag("p", {"class": "note"}, "Versions were not recorded by the version that ran this search.")
    names = dict.fromkeys(name for one in evidence.versions for name in one)
    sittings = [""] if len(evidence.versions) == 1 else [f"sitting {index + 1}"
                                                         for index in range(len(evidence.versions))]
    return tag("details", None, tag("summary", None, "Versions"), table(("", *sittings), [
        (name.replace("_", " "), *(str(one.get(name, "")) for one in evidence.versions)) for name in names]))
