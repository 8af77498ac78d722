"""The page: sections in the order in which they are asked for, with style and script inside."""
from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from ..io.files import write_atomic
from ..runs.evidence import Evidence, gather, over
from . import ablation, brief, bundle, classes, facts, objects, parallel, trials, verdict
from .html import Html, breakable, capital, joined, tag, words

REPORT = "report.html"
_HERE = Path(__file__).parent


def write(folder: Path) -> Path:
    """Write a run's report into its folder, whole or not at all, and return its path.

    Raises:
        RunError: When the folder holds no search, or cannot be written.
        DiskError: When the disk is full or fails.
    """
    write_atomic(folder / REPORT, page(gather(folder)).encode())
    return folder / REPORT


def page(evidence: Evidence) -> str:
    """Return the report as one document that fetches nothing: the browser is told to refuse all that it could."""
    style, script = ((_HERE / name).read_text("utf-8") for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    name = evidence.folder.resolve().name
    head = tag("head", None, tag("meta", {"charset": "utf-8"}),
               tag("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
               tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
               tag("meta", {"name": "color-scheme", "content": "light dark"}),
               tag("title", None, f"{name}: report"), tag("style", None, Html(style)))
    sections = _sections(evidence)
    links = [tag("a", {"href": f"#{_anchor(title)}"}, title) for title, _, _ in sections]
    body = tag("body", None, tag("main", None, _opening(evidence, name), tag("nav", {"aria-label": "Contents"}, links),
                                 [_section(*section) for section in sections]),
               tag("div", {"id": "tip", "role": "status", "hidden": ""}), tag("script", None, Html(script)))
    return "<!doctype html>\n" + tag("html", {"lang": "en"}, head, body) + "\n"


def _opening(evidence: Evidence, name: str) -> Html:
    about = str(evidence.space.get("about") or "")
    return tag("header", None, tag("p", {"class": "kicker"}, "autotricks report"), tag("h1", None, breakable(name)),
               brief.subject(evidence), tag("p", {"class": "note"}, about) if about else "",
               verdict.headline(evidence), verdict.tiles(evidence), brief.short(evidence))


def _sections(evidence: Evidence) -> list[tuple[str, str, Html]]:
    """Return title, lead and content of the sections that have something to say."""
    metric = words(evidence.metric)
    pair = tag("div", {"class": "panels two" + trials.MANY * (len(evidence.drawn) > trials.CROWD)},
               trials.progress(evidence), trials.rungs(evidence))
    where = joined(trials.legend_of(evidence), trials.thinned(evidence), pair, parallel.plots(evidence))
    sections = [("How sure is this?", "", joined(verdict.seeds(evidence), verdict.doubts(evidence),
                                                 verdict.candidates(evidence))),
                ("The champion", "", bundle.champion(evidence))]
    if evidence.ablation:
        sections.append(("What each trick brought", "From real trainings, not from a model of the search. An interval "
                         "that holds zero, drawn gray, is no evidence of an effect.", ablation.ablation(evidence)))
    if evidence.confirmed:
        sections.append(("Class by class", f"On test, champion and baseline, over {over(evidence.confirmed)}.",
                         classes.classwise(evidence)))
    found = objects.found(evidence)
    if found:
        sections.append(("What it finds", "On test, champion and baseline.", found))
    if evidence.trials:
        sections += [("Learning curves by rung", f"{capital(metric)} on what the search judges by, after each "
                      "epoch. " + _fidelity(evidence), trials.curves(evidence)),
                     ("Where the trials went", "", joined(where, trials.listing(evidence)))]
    sections += [("The data", "", facts.data(evidence)), ("Files left out", "", facts.bad(evidence)),
                 ("Do it again", "", facts.again(evidence))]
    return sections


def _section(title: str, lead: str, content: Html) -> Html:
    return tag("section", {"id": _anchor(title)}, tag("h2", None, title),
               tag("p", {"class": "lead"}, lead) if lead else "", content)


def _anchor(title: str) -> str:
    return title.lower().strip("?").replace(" ", "-")


def _fidelity(evidence: Evidence) -> str:
    if evidence.space.get("search", {}).get("rungs", {}).get("fidelity") == "prefix":
        return ("A trial that goes on continues its training; those of which a trick has still to open are compared "
                "among themselves.")
    return "At each rung the whole bundle, schedule and all, is trained anew within the rung's epochs."
