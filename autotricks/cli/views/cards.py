"""What a person sees of a trick, a training run and this machine."""
from __future__ import annotations

import inspect
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ...core.reporting import Metrics, Reporter, Verdict
from ...core.slots import Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...core.weights import DEFAULT
from ...io.yaml_tree import one_line
from ...space.load import LoadedBundle, LoadedSpace
from ...tasks import metric as metric_of
from ...tricks.catalog import catalog, find
from .search import clock, to_json

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from ...probes.bottleneck import Finding
    from ...trial import TrialResult
    from ...workflows.replicate import Replication, Row
    from ...workflows.train import Production

FIRST = 2       # figures of an epoch that are shown
TRAITS = ("requires", "provides", "excludes", "requires_data", "excludes_data")


def tricks(as_json: bool) -> None:
    """Print every trick by slot and seat."""
    rows = [(slot.value, seat, name, _first_line(trick)) for slot in Slot
            for name, trick in catalog().items() for trick_slot, seat in trick.seats.items() if trick_slot is slot]
    if as_json:
        to_json([dict(zip(("slot", "seat", "name", "summary"), row)) for row in rows])
        return
    for slot, seat, name, summary in rows:
        single = Slot(slot).seat(seat).single
        print(f"{slot + '.' + seat + ('!' if single else ''):<20} {name:<18} {summary}")
    print("\n! holds one trick at a time.  Next: autotricks tricks show NAME")


def trick(name: str, as_json: bool) -> None:
    """Print a trick's card."""
    kind = find(one_line(name))
    if as_json:
        to_json(card(kind))
        return
    print(f"{kind.name}\n")
    print(inspect.getdoc(kind))
    if kind.declared():
        print("\nParameters:")
    width = max([14, *map(len, kind.declared())])
    for parameter, about in kind.declared().items():
        unit = f"  ({about.unit})" if about.unit else ""
        print(f"  {parameter:<{width}} default {kind.defaults()[parameter]!s:<8} search {about.search}; "
              f"legal {about.legal}{unit}")
    window = "may have a window (start, stop)" + (f", which opens at {kind.opens:g} unless told" if kind.opens else "")
    for slot, seat in kind.seats.items():
        print(f"\nSeat: {slot.value}.{seat}, {'one trick at a time' if slot.seat(seat).single else 'shared'}; "
              f"{window if slot.phased else 'for the whole training'}.")
    for word, traits in (("Requires", kind.requires), ("Provides", kind.provides), ("Excludes", kind.excludes)):
        if traits:
            print(f"{word}: {', '.join(sorted(map(_words, traits)))}.")
    for verb, of_data in (("must have", kind.requires_data), ("must not have", kind.excludes_data)):
        if of_data:
            print(f"Data {verb} {', '.join(sorted(trait.value for trait in of_data))}.")
    for advice in kind.advice:
        trait = advice.trait
        what = f"data of {trait.value}" if isinstance(trait, DataTrait) else f"what {_words(trait)}"
        early = " from the start" if advice.early else ""
        print(f"Not advised{early} beside {what}: {advice.reason} ({advice.source}).")
    print(f"\nIn a space:  {kind.name}: {{}}")


def _words(trait: Trait) -> str:
    return trait.name.lower().replace("_", " ")


def card(kind: type[Trick]) -> dict[str, Any]:
    """Return a trick's card as plain data."""
    return {"name": kind.name, "summary": _first_line(kind), "doc": inspect.getdoc(kind),
            "seats": {slot.value: seat for slot, seat in kind.seats.items()},
            "parameters": {name: {"default": kind.defaults()[name], "search": str(about.search),
                                  "legal": str(about.legal), "unit": about.unit}
                           for name, about in kind.declared().items()},
            **{word: sorted(trait.name for trait in getattr(kind, word)) for word in TRAITS},
            "advice": [{"beside": advice.trait.name, "reason": advice.reason, "source": advice.source,
                        "early": advice.early}
                       for advice in kind.advice]}


def transfer(loaded: LoadedSpace, as_json: bool, trust: bool) -> None:
    """Print how to use the pretrained weights that a space names for each of its models, the best first."""
    from ...probes.transfer import advise

    advices = advise(loaded, trust)
    if as_json:
        to_json([{**asdict(each), "avoided": each.avoided, "rule": each.rule} for each in advices])
        return
    for each in advices:
        name = each.model if each.weights == DEFAULT else each.weights
        alike = "so the data are alike" if each.alike else "so the data are not alike"
        print(f"{name}: a classifier alone reaches {each.accuracy:.1%} on validation, on random features "
              f"{each.random:.1%}: it avoids {each.avoided:.0%} of the errors, {alike}.\n"
              f"{each.per_class:.0f} training images a class are {'much' if each.much else 'little'}. Rule of thumb: "
              f"{each.rule}.")
    print("Rules of thumb are where to begin, not what is true of your data: search what they say beside the others.")


def epochs(loaded: LoadedBundle, as_json: bool) -> Reporter:
    """Return a reporter that prints one line an epoch: the loss and the first figures of the task."""
    total = loaded.bundle.epochs

    def printed(metrics: Metrics) -> Verdict:
        if not as_json:
            values = metrics.values
            first = [name for name in values if name.startswith("val/")][:FIRST]
            print(f"epoch {metrics.epoch:>4}/{total}  loss {values['train/loss']:.4f}  "
                  + "  ".join(f"{metric_of(name).words} {values[name]:.4f}" for name in first), flush=True)
        return Verdict.CONTINUE
    return printed


def trained(result: TrialResult, loaded: LoadedBundle, out: Path, how: Production, as_json: bool) -> None:
    """Print what a training run reached, against what the search had measured where that is the same figure."""
    recorded = loaded.document.result
    metric, before = (None, None) if how.all_data else (recorded.get("metric"), recorded.get("score"))
    now = result.metrics.get(metric) if metric else None
    if as_json:
        to_json({"end": result.end.value, **how.measured(result), "seconds": result.seconds, "out": str(out),
                 "metric": metric, "searched": before, "trained": now, "repeated": now == before})
        return
    print(f"\n{result.end.value} after {clock(result.seconds)}; bundle and weights are in {out}")
    if now is not None and before is not None:
        same = "the same" if now == before else f"it differs by {now - before:+.4f}"
        print(f"{metric} {now:.6f}; the search had measured {before:.6f}: {same}.")
    print(f"On {'test' if how.all_data else 'validation'}: " + ", ".join(
        f"{metric_of(name).words} {value:.4f}" for name, value in result.metrics.items()
        if name.startswith("val/")))


def training(as_json: bool) -> Callable[[str, dict[str, Any], int, int], None]:
    """Return what prints one line for each training of a replication."""
    def on_progress(name: str, record: dict[str, Any], done: int, total: int) -> None:
        if not as_json:
            print(f"[{done}/{total}] {name}: error {record['errors'][-1]:.2f} %, best {min(record['errors']):.2f} %, "
                  f"{clock(record['seconds'])}", flush=True)
    return on_progress


def replicated(rows: Sequence[Row], asked: Replication, as_json: bool) -> None:
    """Print published against obtained test errors, and how well their orders agree."""
    from scipy.stats import spearmanr

    obtained = [fmean(row.best) for row in rows]
    rank = float(spearmanr([row.published for row in rows], obtained).statistic) if len(rows) > 1 else float("nan")
    if as_json:
        to_json({"setting": asked.setting, "model": asked.model, "rank_correlation": rank,
                 "rows": [asdict(row) for row in rows]})
        return
    print(f"\nTest error in percent, {asked.setting}, {asked.seeds} seed{'s' * (asked.seeds > 1)}; +- is the standard "
          "deviation over seeds.")
    print(f"{'bundle':<38} {'published':>9} {'best epoch':>16} {'difference':>10} {'last epoch':>16}  epochs")
    for row, best in zip(rows, obtained):
        print(f"{row.name:<38} {row.published:>9.2f} {best:>8.2f} +-{row.spread(row.best):>5.2f} "
              f"{best - row.published:>+10.2f} {fmean(row.last):>8.2f} +-{row.spread(row.last):>5.2f}  "
              f"{row.epochs} of {row.published_epochs}")
    print(f"\nOrder of the rows: rank correlation {rank:.2f} (Spearman).")
    if asked.model or asked.epochs:
        print("Not the published setting: compare the order, not the values.")


def doctor(as_json: bool) -> bool:
    """Print versions, devices and memory; return whether all is there."""
    needed = _needed()
    installed = {name: _version(name) for name in needed}
    old = [name for name, have in installed.items()
           if have is None or not needed[name].specifier.contains(have, prereleases=True)]
    import torch

    facts = {"autotricks": _version("autotricks"), "python": platform.python_version(), **installed,
             "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
             "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
             "disk_free_gib": round(shutil.disk_usage(".").free / 2**30, 1),
             "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]}
    if as_json:
        to_json({**facts, "missing": old})
        return not old
    for name, value in facts.items():
        mark = "   <- too old or missing" if name in old else ""
        print(f"{name:<18} {value if value not in (None, []) else 'none'}{mark}")
    if old:
        print(f"\nInstall: pip install {' '.join(repr(str(needed[name])) for name in old)}")
    return not old


def profiled(finding: Finding, as_json: bool) -> None:
    """Print what the parts of a training step cost, and the advice."""
    parts = finding.profile.parts
    step = finding.profile.step
    if as_json:
        to_json({"seconds": parts, "step": step, "steps": finding.profile.steps, "advice": finding.advice,
                 "images_per_second": finding.images_per_second, "bottleneck": finding.bottleneck})
        return
    for name, value in [*parts.items(), ("step", step)]:
        print(f"{name:<13} {1000 * value:9.2f} ms {value / step:6.1%}")
    print(f"\n{finding.images_per_second:,.0f} images a second; the bottleneck is {finding.bottleneck}.\n"
          f"{finding.advice}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _needed() -> dict[str, Requirement]:
    """Return what the installed package asks for without an extra, by name; the package itself where it is missing."""
    from packaging.requirements import Requirement

    try:
        asked = [Requirement(line) for line in requires("autotricks") or []]
    except PackageNotFoundError:
        asked = [Requirement("autotricks")]
    return {each.name: each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})}


def _first_line(kind: type[Trick]) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]
