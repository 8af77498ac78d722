"""Space: tricks with domains, from which only legal bundles are drawn."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import combinations

from ..core.bundle import Bundle, Use, Window, window_of
from ..core.domain import Choice, Domain, Float, Int, Value, nearest
from ..core.plan import Kind, advice, clashes, joined_advice, problems, warnings
from ..core.slots import Slot
from ..core.task import Task
from ..core.traits import DataTrait, Trait
from ..core.trick import Trick
from ..tricks.catalog import catalog
from .enumeration import Walk, size

MODEL = "model.name"     # the choice of a model, which no trick is called
Pick = Callable[[str, Domain], Value]    # a choice's name and domain -> the value chosen
Wish = Mapping[str, Mapping[str, Value]]    # tricks, and what is wished for of their parameters


@dataclass(frozen=True, init=False)
class Taken(Choice):
    """Whether a seat is taken by one of the tricks named in `by`: as often as not, however many they are."""

    by: tuple[str, ...]

    def __init__(self, by: tuple[str, ...]):
        super().__init__(False, True)
        object.__setattr__(self, "by", by)


def typical(name: str, domain: Domain) -> Value:
    """Return a parameter's default where its domain holds it, else what is nearest; of a choice the first option."""
    trick, _, parameter = name.rpartition(".")
    if trick in catalog():
        values = {**catalog()[trick].defaults(), "start": catalog()[trick].opens, "stop": 1.0}
        if parameter in values:
            return nearest(values[parameter], domain)
    assert isinstance(domain, Choice)
    return domain.options[0]


@dataclass(frozen=True)
class Entry:
    """One trick of a space: some parameters fixed, the others with a domain; `start` and `stop` are the window's.

    What is `always` there keeps out whatever cannot meet it, unless it `yields`: then it is there wherever it may be.
    """

    trick: type[Trick]
    fixed: Mapping[str, Value]
    domains: Mapping[str, Domain]
    always: bool = False
    yields: bool = False

    @cached_property
    def name(self) -> str:
        """The trick's name."""
        return self.trick.name

    @property
    def place(self) -> tuple[Slot, str]:
        """The main slot and seat: the first that the trick names."""
        return next(iter(self.trick.seats.items()))

    @property
    def single(self) -> bool:
        """Whether the main seat holds one trick at a time."""
        slot, seat = self.place
        return slot.seat(seat).single

    def widest(self) -> Use:
        """Return the trick at its defaults in the widest window that it may get."""
        return self._widest

    @cached_property
    def _widest(self) -> Use:
        start = self._edge("start", self.trick.opens, min)
        return Use(self.trick(), Window(start, max(start, self._edge("stop", 1.0, max))))

    def narrowest(self) -> tuple[float, float]:
        """Return the latest start and the earliest stop that it may get."""
        return self._edge("start", self.trick.opens, max), self._edge("stop", 1.0, min)

    def may_be_empty(self) -> bool:
        """Return whether it may get a window that stops when it starts or before."""
        edges = [self.domains.get(name) for name in ("start", "stop")]
        late, early = self.narrowest()
        even = any(isinstance(edge, Float) and not edge.step for edge in edges)    # of which no end is ever drawn
        return early < late or (early == late and not even)

    def default(self) -> Use:
        """Return the trick with its fixed parameters and, for the rest, its defaults, or what comes nearest to them."""
        return self.use({**self.fixed, **{name: typical(f"{self.name}.{name}", domain)
                                          for name, domain in self.domains.items()}})

    def draw(self, pick: Pick) -> Use:
        """Return the trick with a value picked from every domain."""
        drawn = {name: pick(f"{self.name}.{name}", domain) for name, domain in self.domains.items()}
        return self.use({**self.fixed, **drawn})

    def use(self, values: Mapping[str, Value]) -> Use:
        """Return the trick with these values; a window that stops before it starts is empty."""
        parameters = {name: type(default)(values[name]) for name, default in self.trick.defaults().items()
                      if name in values}
        return Use(self.trick(**parameters), window_of(self.trick, values))

    def _edge(self, name: str, otherwise: float, best: Callable[[list[float]], float]) -> float:
        domain = self.domains.get(name)
        if isinstance(domain, Choice):
            return best([float(option) for option in domain.options])
        if isinstance(domain, (Float, Int)):
            return best([domain.low, domain.high])
        return float(self.fixed.get(name, otherwise))


@dataclass(frozen=True)
class Space:
    """A set of bundles: entries by seat, around what all trials share.

    Args:
        entries: The tricks listed.
        frame: A bundle without tricks: model, epochs, batch size and seed of every trial.
        task: What is to be learned; it says which tricks take the required seats by default.
        avoid: Whether to leave out what the literature advises against.
        models: Of which each trial takes one; none, or one, is the frame's.
    """

    entries: tuple[Entry, ...]
    frame: Bundle
    task: Task
    avoid: bool = True
    models: tuple[str, ...] = ()

    def draw(self, pick: Pick) -> Bundle:
        """Draw one legal bundle; `pick` is asked for each choice and each parameter.

        A single seat is taken or not, and then by one of its tricks; a place in a shared seat is taken or not. Where
        what was chosen before leaves fewer options, the choice has a name of its own, so that one name always means
        one set of options. A trick that needs another brings it along.
        """
        model = str(pick(MODEL, Choice(*self.models))) if len(self.models) > 1 else self.frame.model
        uses = [entry.draw(pick) for entry in self.entries if entry.always and not entry.yields]
        left = [entry for entry in self.entries if not entry.always]   # those not asked for yet
        for slot_seat, candidates in self._seats:
            if candidates[0].single:
                self._fill(slot_seat, candidates, uses, left, pick)
                continue
            for entry in candidates:
                if entry in left:
                    left.remove(entry)
                    if self._fits(entry, uses, left) and pick(entry.name, Choice(False, True)):
                        self._join(entry, uses, left, pick)
        return self.completed(replace(self.frame, uses=tuple(uses), model=model))

    def completed(self, bundle: Bundle) -> Bundle:
        """Return a bundle with what yields to all else, as far as nothing there speaks or is advised against it."""
        added = tuple(entry.default() for entry in self.entries if entry.yields
                      and entry.name not in bundle.names()
                      and not any(clash(use, entry.widest(), avoid=True) for use in bundle.uses))
        return replace(bundle, uses=(*bundle.uses, *added)) if added else bundle

    def constants(self) -> list[Use]:
        """Return the tricks that are always there, at fixed or default values, or what comes nearest to these."""
        return [entry.default() for entry in self.entries if entry.always and not entry.yields]

    def baseline(self) -> Bundle:
        """Return what the space leaves no choice about, at fixed or default values.

        These are the tricks that are always there and, where listed, the default of a required seat, such as SGD.
        """
        uses = self.constants()
        for entry in self.entries:
            if entry.name in self.task.defaults and not entry.always and not problems([*uses, entry.widest()]):
                uses.append(entry.default())
        return self.completed(replace(self.frame, uses=tuple(uses)))

    def locate(self, bundle: Bundle) -> dict[str, Value] | None:
        """Return the picks that draw `bundle`, or None where the space does not hold it."""
        values = {f"{use.trick.name}.{name}": value for use in bundle.uses
                  for name, value in {"start": use.window.start, "stop": use.window.stop, **use.trick.values()}.items()}
        names = bundle.names()
        values[MODEL] = bundle.model
        picks = {}

        def follow(name: str, domain: Domain) -> Value:
            if name in values:
                value: Value = values[name]
            elif isinstance(domain, Taken):
                value = any(one in names for one in domain.by)
            elif domain == Choice(False, True):
                value = name in names
            else:
                assert isinstance(domain, Choice)
                value = next((option for option in domain.options if option in names), "")
            if value not in domain:
                raise LookupError(name)
            picks[name] = value
            return value

        try:
            drawn = replace(self.draw(follow), seed=bundle.seed)
            return picks if drawn.document() == bundle.document() else None
        except LookupError:
            return None

    def closest(self, wish: Wish, fill: Pick = typical) -> Bundle:
        """Draw the legal bundle that comes closest to a wish.

        Where tricks that are wished for cannot meet, the one that is drawn first stays; what a trick needs comes with
        it; a value outside its domain becomes the nearest inside.

        Args:
            wish: Tricks, each with the values of those parameters that are wished for.
            fill: Asked for each parameter that the wish does not name, and for each choice that it leaves open.
        """
        listed = {entry.name for entry in self.entries}

        def follow(name: str, domain: Domain) -> Value:
            trick, _, parameter = name.rpartition(".")
            if trick in listed or name == MODEL:
                values = wish.get(trick, {})
                return nearest(values[parameter], domain) if parameter in values else fill(name, domain)
            if isinstance(domain, Taken):
                return any(one in wish for one in domain.by)
            if domain == Choice(False, True):
                return name in wish
            assert isinstance(domain, Choice)
            wanted = [option for option in domain.options if option in wish]
            return wanted[0] if wanted else fill(name, domain)

        return self.draw(follow)

    def choices(self) -> Iterator[dict[str, Value]]:
        """Yield every combination of picks, a range counting as its lower end; the tricks' choices vary fastest."""
        walk = Walk()
        while True:
            walk.picks = {}
            self.draw(walk.pick)
            yield walk.picks
            if not walk.advance():
                return

    def size(self) -> tuple[int, bool]:
        """Return the number of combinations of choices, ranges left out, and whether it was counted or estimated.

        Entries that neither quarrel nor need each other multiply; only those that do are walked together.
        """
        return size([replace(self, entries=tuple(part)) for part in self._parts()])

    def endless(self) -> dict[str, str]:
        """Return what a grid cannot walk: `trick.parameter` and why, for every range without steps."""
        return {f"tricks.{entry.name}.{name}": f"a grid cannot walk {domain}. Use choice, quniform or randint."
                for entry in self.entries for name, domain in entry.domains.items()
                if (isinstance(domain, Float) and not domain.step) or (isinstance(domain, Int) and domain.log)}

    def quarrels(self) -> list[str]:
        """Return which listed tricks can never meet in one bundle: a line a seat, and a line a trick that excludes."""
        seats: dict[str, dict[str, None]] = {}
        excluded: dict[str, dict[str, None]] = {}
        for left, right in combinations([entry.widest() for entry in self.entries if not entry.yields], 2):
            for conflict in clashes((left, right)):
                if conflict.kind is Kind.EXCLUDED:
                    excluded.setdefault(conflict.tricks[0], {})[conflict.tricks[1]] = None
                elif conflict.kind is Kind.SEAT:
                    shared = next(f"{slot.value}.{seat}" for slot, seat in left.trick.seats.items()
                                  if right.trick.seats.get(slot) == seat and slot.seat(seat).single)
                    seats.setdefault(shared, {}).update(dict.fromkeys(conflict.tricks))
        return [*(f"{seat} holds one of {', '.join(names)}" for seat, names in seats.items()),
                *(f"{name} excludes {', '.join(others)}" for name, others in excluded.items())]

    def warnings(self) -> list[str]:
        """Return what the literature advises against among the listed tricks, whatever the data are."""
        uses = [entry.widest() for entry in self.entries if not entry.yields]
        lines = [*warnings(replace(self.frame, uses=tuple(uses))), *joined_advice(uses, frozenset(DataTrait))]
        return list(dict.fromkeys(lines))

    def _parts(self) -> list[list[Entry]]:
        """Return the entries in groups, such that what is chosen in one never matters in another."""
        parts: list[list[Entry]] = []
        for entry in (entry for entry in self.entries if not entry.yields):
            tied = [part for part in parts if any(self._tied(entry, other) for other in part)]
            parts = [part for part in parts if part not in tied]
            parts.append([entry, *(other for part in tied for other in part)])
        return parts

    def _tied(self, left: Entry, right: Entry) -> bool:
        pair = (left.widest(), right.widest())
        requires = left.trick.requires & right.trick.provides or right.trick.requires & left.trick.provides
        return (left.place == right.place and left.single) or bool(
            requires or clashes(pair) or (self.avoid and advice(pair)))

    @cached_property
    def _seats(self) -> list[tuple[tuple[Slot, str], list[Entry]]]:
        """Return the optional entries by main seat: first where tricks need others, then where most may sit.

        What is asked first quarrels with nothing yet, so that the seats with most tricks should be.
        """
        order = list(Slot)
        seats: dict[tuple[Slot, str], list[Entry]] = {}
        for entry in self.entries:
            if not entry.always:
                seats.setdefault(entry.place, []).append(entry)
        return sorted(seats.items(), key=lambda item: (
            not any(entry.trick.requires for entry in item[1]), -len(item[1]) if item[1][0].single else 0,
            order.index(item[0][0]), item[0][0].rank(item[0][1])))

    def _fill(self, slot_seat: tuple[Slot, str], candidates: list[Entry], uses: list[Use], left: list[Entry],
              pick: Pick) -> None:
        """Fill a single seat, again and again as long as windows leave room for one more trick.

        The widest window is chosen first, and what was passed over is not offered again: there is one way to draw a
        bundle.
        """
        slot, seat = slot_seat
        open_ = {entry.name for entry in left}
        candidates = [entry for entry in candidates if entry.name in open_]
        if not candidates:
            return
        passed = {entry.name for entry in candidates}
        left[:] = [entry for entry in left if entry.name not in passed]
        name = full = f"{slot.value}.{seat}"
        everyone = [entry.name for entry in candidates]
        listed = slot.seat(seat).required and any(entry.name in self.task.defaults for entry in candidates)
        candidates = sorted(candidates, key=lambda entry: entry.widest().window.start - entry.widest().window.stop)
        while True:
            open_to = [entry for entry in candidates if self._fits(entry, uses, left)]
            options = [entry.name for entry in open_to]
            if not options:
                return
            if options != everyone:
                name = f"{full}({'|'.join(options)})"
            optional = not listed or options != everyone
            if optional and not pick(f"{name} taken", Taken(tuple(options))):
                return
            chosen = options[0] if len(options) == 1 else pick(name, Choice(*options))
            entry = next(entry for entry in open_to if entry.name == chosen)
            self._join(entry, uses, left, pick)
            candidates = candidates[candidates.index(entry) + 1:]

    def _join(self, entry: Entry, uses: list[Use], left: list[Entry], pick: Pick) -> None:
        """Draw an entry, and with it what brings the traits that it needs and nobody has brought."""
        uses.append(entry.draw(pick))
        for trait in self._missing(entry, uses):
            able = [other for other in left if trait in other.trick.provides and self._fits(other, uses, left)]
            names = [other.name for other in able]
            chosen = names[0] if len(able) == 1 else pick(f"{entry.name} with ({'|'.join(names)})", Choice(*names))
            other = able[names.index(str(chosen))]
            left.remove(other)
            self._join(other, uses, left, pick)

    def _missing(self, entry: Entry, uses: list[Use]) -> list[Trait]:
        if not entry.trick.requires:
            return []
        brought = {trait for use in uses if use.trick.name != entry.name for trait in use.trick.provides
                   if use.window.overlaps(entry.widest().window)}
        return sorted(entry.trick.requires - brought, key=lambda trait: trait.name)

    def _fits(self, entry: Entry, uses: list[Use], left: list[Entry]) -> bool:
        """Return whether the entry, in its widest window, may join the uses, with what it needs of those left."""
        whole = entry.widest()
        if any(clash(use, whole, self.avoid) for use in uses):
            return False
        missing = self._missing(entry, uses)
        if not missing:
            return True
        rest = [other for other in left if other is not entry]
        return all(any(trait in other.trick.provides and not clash(whole, other.widest(), self.avoid)
                       and self._fits(other, uses, rest) for other in rest) for trait in missing)


def clash(left: Use, right: Use, avoid: bool) -> bool:
    """Return whether two uses may not meet in one bundle; where `avoid`, what is not advised is a clash too."""
    # windows as plain pairs, which hash without a call of ours: this is asked a thousand times for one proposal
    window = left.window.start, left.window.stop
    other = right.window.start, right.window.stop
    return _clash(type(left.trick), window, type(right.trick), other, avoid)  # type: ignore[arg-type]


@lru_cache(maxsize=100_000)
def _clash(left: type[Trick], window: tuple[float, float], right: type[Trick], other: tuple[float, float],
           avoid: bool) -> bool:
    pair = (Use(left(), Window(*window)), Use(right(), Window(*other)))
    return bool(clashes(pair)) or (avoid and bool(advice(pair)))
