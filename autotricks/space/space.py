"""Space: tricks with domains, from which only legal bundles are drawn."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod

from ..catalog import DEFAULTS
from ..core.bundle import Bundle, Use, Window, window_of
from ..core.domain import Choice, Domain, Float, Int, Value
from ..core.plan import advice, problems
from ..core.slots import Slot
from ..core.trick import Trick

Pick = Callable[[str, Domain], Value]    # a choice's name and domain -> the value chosen
NONE = "none"


@dataclass(frozen=True)
class Entry:
    """One trick of a space: some parameters fixed, the others with a domain; `start` and `stop` are the window's."""

    trick: type[Trick]
    fixed: Mapping[str, Value]
    domains: Mapping[str, Domain]
    always: bool = False

    @property
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
        start = self._edge("start", self.trick.opens, min)
        return Use(self.trick(), Window(start, max(start, self._edge("stop", 1.0, max))))

    def default(self) -> Use:
        """Return the trick with its fixed parameters and, for the rest, its defaults."""
        return self.use(self.fixed)

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
        avoid: Whether to leave out what the literature advises against.
    """

    entries: tuple[Entry, ...]
    frame: Bundle
    avoid: bool = True

    def draw(self, pick: Pick) -> Bundle:
        """Draw one legal bundle; `pick` is asked for each choice and each parameter.

        A single seat is one choice among its tricks and `none`, a place in a shared seat is true or false. Where
        what was chosen before leaves fewer options, the choice has a name of its own, so that one name always means
        one set of options.
        """
        uses = [entry.draw(pick) for entry in self.entries if entry.always]
        for place, candidates in self._seats():
            if candidates[0].single:
                self._fill(place, candidates, uses, pick)
                continue
            for entry in candidates:
                if self._fits(entry, uses) and pick(entry.name, Choice(False, True)):
                    uses.append(entry.draw(pick))
        return replace(self.frame, uses=tuple(uses))

    def constants(self) -> list[Use]:
        """Return the tricks that are always there, at fixed or default values."""
        return [entry.default() for entry in self.entries if entry.always]

    def baseline(self) -> Bundle:
        """Return what the space leaves no choice about, at fixed or default values.

        These are the tricks that are always there and, where listed, the default of a required seat, such as SGD.
        """
        uses = self.constants()
        for entry in self.entries:
            if entry.name in DEFAULTS and not entry.always and not problems([*uses, entry.widest()]):
                uses.append(entry.default())
        return replace(self.frame, uses=tuple(uses))

    def locate(self, bundle: Bundle) -> dict[str, Value] | None:
        """Return the picks that draw `bundle`, or None where the space does not hold it."""
        values = {f"{use.trick.name}.{name}": value for use in bundle.uses
                  for name, value in {"start": use.window.start, "stop": use.window.stop, **use.trick.values()}.items()}
        names, picks = bundle.names(), {}

        def follow(name: str, domain: Domain) -> Value:
            if name in values:
                value: Value = values[name]
            elif domain == Choice(False, True):
                value = name in names
            else:
                assert isinstance(domain, Choice)
                value = next((option for option in domain.options if option in names), NONE)
            if value not in domain:
                raise LookupError(name)
            picks[name] = value
            return value

        try:
            return picks if self.draw(follow).document() == bundle.document() else None
        except LookupError:
            return None

    def choices(self) -> Iterator[dict[str, Value]]:
        """Yield every combination of picks, a range counting as its lower end; the tricks' choices vary fastest."""
        walk = _Walk()
        while True:
            walk.picks = {}
            self.draw(walk.pick)
            yield walk.picks
            if not walk.advance():
                return

    def size(self) -> int:
        """Return the number of combinations of choices, ranges left out.

        Entries that neither quarrel nor need each other multiply; only those that do are enumerated together.
        """
        return prod(sum(1 for _ in replace(self, entries=tuple(part)).choices()) for part in self._parts())

    def endless(self) -> dict[str, str]:
        """Return what a grid cannot walk: `trick.parameter` and why, for every range without steps."""
        return {f"tricks.{entry.name}.{name}": f"a grid cannot walk {domain}. Use choice, quniform or randint."
                for entry in self.entries for name, domain in entry.domains.items()
                if (isinstance(domain, Float) and not domain.step) or (isinstance(domain, Int) and domain.log)}

    def quarrels(self) -> list[str]:
        """Return each pair of listed tricks that can never meet in one bundle, and why."""
        pairs = [(left.widest(), right.widest()) for place, left in enumerate(self.entries)
                 for right in self.entries[place + 1:]]
        return list(dict.fromkeys(line for pair in pairs for line in problems(pair) if " needs " not in line))

    def warnings(self) -> list[str]:
        """Return what the literature advises against among the listed tricks."""
        return list(dict.fromkeys(advice([entry.widest() for entry in self.entries])))

    def _parts(self) -> list[list[Entry]]:
        """Return the entries in groups, such that what is chosen in one never matters in another."""
        parts: list[list[Entry]] = []
        for entry in self.entries:
            tied = [part for part in parts if any(self._tied(entry, other) for other in part)]
            parts = [part for part in parts if part not in tied]
            parts.append([entry, *(other for part in tied for other in part)])
        return parts

    def _tied(self, left: Entry, right: Entry) -> bool:
        pair = (left.widest(), right.widest())
        needs = left.trick.needs & right.trick.brings or right.trick.needs & left.trick.brings
        return (left.place == right.place and left.single) or bool(
            needs or [line for line in problems(pair) if " needs " not in line] or (self.avoid and advice(pair)))

    def _seats(self) -> list[tuple[tuple[Slot, str], list[Entry]]]:
        """Return the optional entries by main seat, in seat order; seats whose tricks need others come last."""
        order = list(Slot)
        seats: dict[tuple[Slot, str], list[Entry]] = {}
        for entry in self.entries:
            if not entry.always:
                seats.setdefault(entry.place, []).append(entry)
        return sorted(seats.items(), key=lambda item: (
            any(entry.trick.needs for entry in item[1]), order.index(item[0][0]), item[0][0].rank(item[0][1])))

    def _fill(self, place: tuple[Slot, str], candidates: list[Entry], uses: list[Use], pick: Pick) -> None:
        """Fill a single seat, again and again as long as windows leave room for one more trick.

        The widest window is chosen first, and what was passed over is not offered again: there is one way to draw a
        bundle.
        """
        slot, seat = place
        name = full = f"{slot.value}.{seat}"
        everyone = [entry.name for entry in candidates]
        listed = slot.seat(seat).required and any(entry.name in DEFAULTS for entry in candidates)
        candidates = sorted(candidates, key=lambda entry: entry.widest().window.start - entry.widest().window.stop)
        while True:
            open_to = [entry for entry in candidates if self._fits(entry, uses)]
            options = [entry.name for entry in open_to]
            if not options:
                return
            if options != everyone:
                name = f"{full}({'|'.join(options)})"
            optional = not listed or options != everyone
            if len(options) + optional == 1:
                chosen: Value = options[0]
            else:
                chosen = pick(name, Choice(*([NONE] if optional else []), *options))
            if chosen == NONE:
                return
            entry = next(entry for entry in open_to if entry.name == chosen)
            uses.append(entry.draw(pick))
            candidates = candidates[candidates.index(entry) + 1:]

    def _fits(self, entry: Entry, uses: list[Use]) -> bool:
        """Return whether the entry, in its widest window, may join the uses."""
        together = [*uses, entry.widest()]
        return not problems(together) and not (self.avoid and set(advice(together)) - set(advice(uses)))


@dataclass
class _Walk:
    """Picks every combination in turn: a trail of domains and which option of each is taken."""

    trail: list[tuple[list[Value], int]] = field(default_factory=list)
    picks: dict[str, Value] = field(default_factory=dict)

    def pick(self, name: str, domain: Domain) -> Value:
        """Take the trail's option, or the first of a choice not met before."""
        if len(self.picks) == len(self.trail):
            self.trail.append((_options(domain), 0))
        options, place = self.trail[len(self.picks)]
        self.picks[name] = options[place]
        return options[place]

    def advance(self) -> bool:
        """Move the last choice that has options left; return False where none has."""
        while self.trail and self.trail[-1][1] + 1 == len(self.trail[-1][0]):
            self.trail.pop()
        if self.trail:
            options, place = self.trail[-1]
            self.trail[-1] = (options, place + 1)
        return bool(self.trail)


def _options(domain: Domain) -> list[Value]:
    """Return the values of a domain that can be counted, or its lower end."""
    if isinstance(domain, Choice):
        return list(domain.options)
    if isinstance(domain, Int):
        return [domain.low] if domain.log else list(range(domain.low, domain.high + 1))
    assert isinstance(domain, Float)
    if domain.step:
        count = int((domain.high - domain.low) / domain.step + 1e-9) + 1
        return [min(domain.low + place * domain.step, domain.high) for place in range(count)]
    return [domain.low]
