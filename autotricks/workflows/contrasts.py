"""Changes: what a bundle has that another has not, taken out of the one or put into the other. Pure; no tensors."""
from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import combinations

from ..core.bundle import Bundle, Use
from ..core.plan import clashes, problems
from ..core.traits import Trait


@dataclass(frozen=True)
class Change:
    """A comparison of bundles: the effect is the sum of their scores, each times its sign.

    Args:
        trick: Whose effect it is.
        kind: `without` (taken out of the champion), `alone` (put into the baseline) or `pair` (how two interact).
        terms: Signs and bundles; empty where the comparison cannot be made.
        note: What else had to change with the trick, or why it cannot be.
    """

    trick: str
    kind: str
    terms: tuple[tuple[int, Bundle], ...]
    note: str = ""


def changed(champion: Bundle, baseline: Bundle) -> dict[str, str]:
    """Return what tells two bundles apart, trick by trick, and what to call each.

    A trick of the baseline that gave its seat to one of the champion's is no difference of its own. One that is never
    active is none at all.
    """
    ours = _by_name(champion)
    theirs = _by_name(baseline)
    differing = {name: f"{name}: other values" if name in theirs else name for name, use in ours.items()
                 if use != theirs.get(name) and not (use.window.empty and name not in theirs)}
    lacking = {name: f"no {name}" for name, use in theirs.items() if name not in ours and not use.window.empty
               and not any(_clash(use, other) for other in champion.uses)}
    return {**differing, **lacking}


def without(champion: Bundle, baseline: Bundle, names: Collection[str]) -> tuple[Bundle, tuple[str, ...]]:
    """Return the champion without some of what tells it from the baseline, and what had to leave with them.

    What the baseline has in their place comes back; what needed them goes too.
    """
    gone = set(names)
    while True:
        kept = [use for use in champion.uses if use.trick.name not in gone]
        uses = [*kept, *_returning(champion, baseline, gone, kept)]
        orphans = _orphans(uses)
        more = {use.trick.name for use in orphans if use in kept}
        if not more:
            break
        gone |= more
    return (replace(champion, uses=tuple(use for use in uses if use not in orphans)),
            tuple(sorted(gone - set(names))))


def alone(champion: Bundle, baseline: Bundle, name: str) -> tuple[Bundle, tuple[str, ...], tuple[str, ...]]:
    """Return the baseline with one of the champion's tricks, what had to join it, and what made room for them.

    For a trick that the champion lacks it is the baseline without it.
    """
    ours = _by_name(champion)
    joined = [ours[name]] if name in ours else []
    while True:
        here = {use.trick.name for use in joined} | {name}
        kept = [use for use in baseline.uses if use.trick.name not in here
                and not any(_clash(use, other) for other in joined)]
        missing = [(use, trait) for use in joined for trait in _unmet(use, [*joined, *kept])]
        able = [other for use, trait in missing for other in champion.uses if other not in joined
                and trait in other.trick.provides and other.window.overlaps(use.window)]
        if not able:
            break
        joined.append(able[0])
    while orphans := [use for use in _orphans([*joined, *kept]) if use in kept]:
        kept = [use for use in kept if use not in orphans]
    room = {use.trick.name for use in baseline.uses} - here - {use.trick.name for use in kept}
    return replace(baseline, uses=(*joined, *kept)), tuple(sorted(here - {name})), tuple(sorted(room))


def singles(champion: Bundle, baseline: Bundle) -> list[Change]:
    """Return the champion against itself without each trick, and the baseline with each against itself."""
    ours = _by_name(champion)
    changes = []
    idle = [name for name, use in ours.items() if use.window.empty and name not in _by_name(baseline)]
    for name, label in changed(champion, baseline).items():
        less, along = without(champion, baseline, [name])
        back = sorted(set(less.names()) - set(ours) - {name})
        changes.append(_change(label, "without", champion, less, _words(
            (along, f"taken out with it, for want of {name}"), (back, "back in its place"))))
        more, joined, room = alone(champion, baseline, name)
        changes.append(_change(label, "alone", more, baseline, _words(
            (joined, f"put in with it, for {name} needs it"), (room, "made room for it"))))
    return [*changes, *(Change(name, kind, (), "never active: its window is empty") for name in idle
                        for kind in ("without", "alone"))]


def pairs(champion: Bundle, baseline: Bundle, names: Iterable[str]) -> list[Change]:
    """Return, for each two of some tricks, what one brings beside the other less what it brings without it."""
    changes = []
    for left, right in combinations(names, 2):
        label = f"{left} x {right}"
        (one, along), (other, beside) = (without(champion, baseline, [name]) for name in (left, right))
        if right in along or left in beside:
            first, second = (right, left) if right in along else (left, right)
            changes.append(Change(label, "pair", (), f"cannot be parted: {first} needs {second}"))
            continue
        neither = without(champion, baseline, [left, right])[0]
        changes.append(Change(label, "pair", ((1, champion), (-1, one), (-1, other), (1, neither))))
    return changes


def _change(label: str, kind: str, more: Bundle, less: Bundle, note: str) -> Change:
    wrong = [*problems(more.uses), *problems(less.uses)]
    return Change(label, kind, (), f"cannot be compared: {wrong[0]}") if wrong else Change(
        label, kind, ((1, more), (-1, less)), note)


def _words(*parts: tuple[Collection[str], str]) -> str:
    return "; ".join(f"{' + '.join(names)} {what}" for names, what in parts if names)


def _by_name(bundle: Bundle) -> dict[str, Use]:
    return {use.trick.name: use for use in bundle.uses}


def _returning(champion: Bundle, baseline: Bundle, gone: Collection[str], kept: list[Use]) -> list[Use]:
    """Return what the baseline has in the place of what is gone."""
    ours = _by_name(champion)
    left = [use for name, use in ours.items() if name in gone]
    return [use for use in baseline.uses if not any(_clash(use, other) for other in kept)
            and (use.trick.name in gone
                 or (use.trick.name not in ours and any(_clash(use, other) for other in left)))]


def _orphans(uses: list[Use]) -> list[Use]:
    return [use for use in uses if not use.window.empty and _unmet(use, uses)]


def _unmet(use: Use, uses: list[Use]) -> list[Trait]:
    """Return the traits that a use needs and none of the others brings while it is active."""
    return [trait for trait in sorted(use.trick.requires, key=lambda trait: trait.name) if not any(
        trait in other.trick.provides and other is not use and other.window.overlaps(use.window) for other in uses)]


def _clash(left: Use, right: Use) -> bool:
    return bool(clashes((left, right)))
