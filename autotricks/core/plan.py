"""Plan: a bundle checked for conflicts and cut into phases at the window edges. Pure; no tensors."""
from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import combinations, pairwise

from ..errors import BundleError
from .bundle import Bundle, Use
from .slots import Slot
from .traits import DataTrait, Trait
from .trick import Trick

SMALL_BATCH = 16    # images below which batch norm is known to suffer


@dataclass(frozen=True)
class Phase:
    """A stretch of training, `[start, stop)`, during which the same uses are active, ordered by their first slot.

    Where several windows open together, what reads the model so enters before what changes it.
    """

    start: float
    stop: float
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class Plan:
    """A checked bundle: what is built once, and its phases in order."""

    bundle: Bundle
    phases: tuple[Phase, ...]
    once: tuple[Use, ...]

    @property
    def active(self) -> tuple[Use, ...]:
        """The uses whose window is not empty."""
        return tuple(use for use in self.bundle.uses if not use.window.empty)


class Kind(Enum):
    """What a conflict is about."""

    SEAT = "two tricks take one seat"
    WINDOW = "a trick that is built once has a window"
    MISSING = "nothing provides what a trick requires"
    EXCLUDED = "a trick excludes what another provides"
    DATA = "a trick does not suit the data"


@dataclass(frozen=True)
class Conflict:
    """Why uses cannot make one bundle.

    Args:
        kind: What it is about.
        tricks: Names of those whom it concerns.
        text: One line for the user, with what to do.
    """

    kind: Kind
    tricks: tuple[str, ...]
    text: str


def seated(uses: Iterable[Use], slot: Slot) -> list[Use]:
    """Return the uses that sit in `slot`, inner to outer, ties by name."""
    here = [use for use in uses if slot in use.trick.seats]
    return sorted(here, key=lambda use: (slot.rank(use.trick.seats[slot]), use.trick.name))


def plan(bundle: Bundle, defaults: Iterable[Trick] = (), data: Container[DataTrait] | None = None) -> Plan:
    """Check a bundle and cut it into phases.

    Args:
        bundle: What to train.
        defaults: Tricks that take their seats wherever and whenever the bundle leaves them empty.
        data: What the data bring; None: whether tricks suit them is not asked.

    Raises:
        BundleError: With one line for each conflict or required seat left empty.
    """
    conflicts = problems(bundle.uses)
    if data is not None:
        conflicts += [conflict.text for use in bundle.uses for conflict in unsuited(type(use.trick), data)]
    if conflicts:
        raise BundleError(conflicts)
    active = [use for use in bundle.uses if not use.window.empty]
    fillers = tuple(Use(trick) for trick in defaults)
    edges = sorted({0.0, 1.0} | {edge for use in active for edge in (use.window.start, use.window.stop)})
    phases = []
    for start, stop in pairwise(edges):
        uses = tuple(use for use in active if use.window.start <= start and stop <= use.window.stop)
        phases.append(Phase(start, stop, _in_slot_order(_filled(uses, fillers, phased=True))))
    return Plan(bundle, tuple(phases), _filled(tuple(active), fillers, phased=False))


def _in_slot_order(uses: Iterable[Use]) -> tuple[Use, ...]:
    positions = {slot: position for position, slot in enumerate(Slot)}
    return tuple(sorted(uses, key=lambda use: (min(positions[slot] for slot in use.trick.seats), use.trick.name)))


def _filled(uses: tuple[Use, ...], fillers: tuple[Use, ...], phased: bool) -> tuple[Use, ...]:
    """Return the uses and, for each seat that they leave empty, its filler; a required seat must have one."""
    required = {(slot, seat.name) for slot in Slot if slot.phased == phased for seat in slot.seats if seat.required}
    here = tuple(use for use in uses if any(slot.phased == phased for slot in use.trick.seats))
    taken = {seat for use in here for seat in use.trick.seats.items()}
    offered = {seat for use in fillers for seat in use.trick.seats.items() if seat[0].phased == phased}
    filling = tuple(use for use in fillers if (offered - taken) & set(use.trick.seats.items()))
    missing = required - taken - offered
    if missing:
        raise BundleError(f"{slot.value}.{seat} must be taken; no trick is there." for slot, seat in sorted(
            missing, key=lambda item: (item[0].value, item[1])))
    return here + filling


def conflicts(uses: Iterable[Use]) -> list[Conflict]:
    """Return each hard conflict: two tricks in one single seat, a window that cannot be, a trait."""
    active = [use for use in uses if not use.window.empty]
    return [*_windows(active), *_seats(active), *_traits(active)]


def clashes(uses: Iterable[Use]) -> list[Conflict]:
    """Return the conflicts that no further trick could end: all but those in which something is missing."""
    return [conflict for conflict in conflicts(uses) if conflict.kind is not Kind.MISSING]


def problems(uses: Iterable[Use]) -> list[str]:
    """Return one line for each hard conflict."""
    return [conflict.text for conflict in conflicts(uses)]


def unsuited(trick: type[Trick], data: Container[DataTrait]) -> list[Conflict]:
    """Return why a trick cannot be used with data that bring these traits, whatever stands beside it."""
    lacking = sorted(trait.value for trait in trick.requires_data if trait not in data)
    unwanted = sorted(trait.value for trait in trick.excludes_data if trait in data)
    lines = [f"{trick.name} requires data with {words}; these have not. Drop it." for words in lacking]
    lines += [f"{trick.name} cannot be used with data that have {words}. Drop it." for words in unwanted]
    return [Conflict(Kind.DATA, (trick.name,), line) for line in lines]


def advice(uses: Iterable[Use], of_data: Container[DataTrait] = ()) -> list[str]:
    """Return one cited line for each advice of the literature that the uses go against, naming all whom it concerns.

    Args:
        uses: Of one bundle.
        of_data: Traits that the data bring.
    """
    return [f"{name}{words}" for name, words in _advised(uses, of_data)]


def joined_advice(uses: Iterable[Use], of_data: Container[DataTrait] = ()) -> list[str]:
    """Return the advice that the uses go against, one line for all tricks that it is the same for; see `advice`."""
    names: dict[str, list[str]] = {}
    for name, words in _advised(uses, of_data):
        names.setdefault(words, []).append(name)
    return [f"{', '.join(together)}{words}" for words, together in names.items()]


def _advised(uses: Iterable[Use], of_data: Container[DataTrait]) -> Iterator[tuple[str, str]]:
    """Yield whom advice of the literature concerns, and what it says, for each advice that the uses go against."""
    active = [use for use in uses if not use.window.empty]
    for use in active:
        for word in use.trick.advice:
            if word.early and use.window.start > 0:
                continue
            others = [other.trick.name for other in active if other is not use and word.trait in other.trick.provides
                      and use.window.overlaps(other.window)]
            if isinstance(word.trait, DataTrait) and word.trait in of_data:
                others.append(f"data of {word.trait.value}")
            if others:
                yield use.trick.name, (f"{' from the start' if word.early else ''} beside {', '.join(others)} is not "
                                       f"advised: {word.reason} ({word.source})")


def warnings(bundle: Bundle) -> list[str]:
    """Return what is likely to go wrong whatever the literature says of the tricks: a batch too small for its norms."""
    if bundle.batch_size >= SMALL_BATCH or any(Trait.SMALL_BATCHES in use.trick.provides for use in bundle.uses):
        return []
    return [f"training.batch_size: {bundle.batch_size} images are few for batch norm, whose statistics become noise; "
            f"raise it to {SMALL_BATCH} or more, or add group_norm, batch_renorm or cross_iteration_bn "
            "(Wu and He 2018, https://arxiv.org/abs/1803.08494, figure 1)"]


def _windows(uses: list[Use]) -> Iterator[Conflict]:
    for use in uses:
        fixed = [slot.value for slot in use.trick.seats if not slot.phased]
        if fixed and not use.window.whole:
            yield Conflict(Kind.WINDOW, (use.trick.name,), f"{use.trick.name} works in {', '.join(fixed)}, which is "
                           "built once; it cannot have a window. Drop its start and stop.")


def _seats(uses: list[Use]) -> Iterator[Conflict]:
    for left, right in combinations(uses, 2):
        for slot in left.trick.seats.keys() & right.trick.seats.keys():
            seat = slot.seat(left.trick.seats[slot])
            if seat.single and seat.name == right.trick.seats[slot] and left.window.overlaps(right.window):
                start = max(left.window.start, right.window.start)
                stop = min(left.window.stop, right.window.stop)
                mend = (f"Drop one, or part their windows ({left.trick.name}.stop: 0.5, {right.trick.name}.start: 0.5)."
                        if slot.phased else "Drop one.")
                names = left.trick.name, right.trick.name
                yield Conflict(Kind.SEAT, names, f"{' and '.join(names)} both take {slot.value}.{seat.name} "
                               f"for {start * 100:g}-{stop * 100:g}% of training. {mend}")


def _traits(uses: list[Use]) -> Iterator[Conflict]:
    for use in uses:
        others = [other for other in uses if other is not use and use.window.overlaps(other.window)]
        for trait in sorted(use.trick.requires, key=lambda trait: trait.name):
            if not any(trait in other.trick.provides for other in others):
                yield Conflict(Kind.MISSING, (use.trick.name,), f"{use.trick.name} requires a trick that provides "
                               f"{_words(trait.name)}; none is active with it.")
        for other in others:
            for trait in sorted(use.trick.excludes & other.trick.provides, key=lambda trait: trait.name):
                names = use.trick.name, other.trick.name
                yield Conflict(Kind.EXCLUDED, names, f"{use.trick.name} excludes {other.trick.name}, which provides "
                               f"{_words(trait.name)}. Drop one.")


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
