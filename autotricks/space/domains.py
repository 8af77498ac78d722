"""The tricks of a file: plain values and domain words to entries, with every problem found."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.bundle import EDGES, Use, Window
from ..core.domain import Choice, Domain, Float, Int, Legal, Parameter, Value
from ..core.plan import Kind, clashes, conflicts
from ..core.trick import Trick
from ..io.yaml_tree import Path, Tree
from ..tricks.catalog import catalog
from .space import Entry

WORDS = {"choice": "[a, b, ...]", "uniform": "[low, high]", "loguniform": "[low, high]",
         "quniform": "[low, high, step]", "randint": "[low, high), whole", "lograndint": "[low, high), whole"}
SEARCH = "search"      # in place of a value: the trick's own domain


def entries(tricks: Mapping[str, Any], tree: Tree, searched: bool = True) -> tuple[list[Entry], list[str]]:
    """Return an entry for each trick listed, and one line for each problem.

    Args:
        tricks: Trick names to mappings of parameters.
        tree: Where each stands.
        searched: Whether domains are allowed, as in a space; a bundle has plain values only.
    """
    result = []
    errors = []
    for name, values in tricks.items():
        path: Path = ("tricks", name)
        if name not in catalog():
            errors.append(tree.problem(path, f"no such trick.{tree.hint(name, catalog(), path[:1])} "
                                             "'autotricks tricks list' shows all."))
        elif values is not None and not isinstance(values, dict):
            errors.append(tree.problem(path, f"{values!r} is not a mapping; write {{}} for the trick's own domains."))
        else:
            entry = _entry(catalog()[name], values or {}, tree, searched, errors)
            if entry:
                result.append(entry)
    present = [entry.widest() for entry in result if entry.always or not searched]
    met = clashes(present) if errors else conflicts(present)     # a trick that is wrong may be what another needs
    errors += [tree.problem(("tricks",), conflict.text) for conflict in met]
    return result, errors


def _entry(trick: type[Trick], values: dict[str, Any], tree: Tree, searched: bool, errors: list[str]) -> Entry | None:
    """Return the entry of one trick; append what is wrong with it."""
    path: Path = ("tricks", trick.name)
    before = len(errors)
    known = trick.declared()
    always = values.get("always", False)
    if not isinstance(always, bool) or ("always" in values and not searched):
        errors.append(tree.problem((*path, "always"), f"{always!r} is not allowed; always must be true or false"
                                                      f"{'' if searched else ', and only in a space'}."))
    domains: dict[str, Domain] = {name: known[name].search for name in known} if searched and not values else {}
    fixed: dict[str, Value] = {}
    for name, given in values.items():
        if name == "always":
            continue
        if name not in known and name not in EDGES:
            meant = tree.hint(name, [*known, *EDGES, "always"], path)
            errors.append(tree.problem((*path, name), f"no such parameter.{meant} {trick.name} has "
                                                      f"{', '.join([*known, *EDGES])}."))
            continue
        parameter = known.get(name) or EDGES[name]
        if searched and (isinstance(given, dict) or given == SEARCH):
            domain = _domain(parameter, name, given, (*path, name), tree, errors)
            if domain is not None:
                domains[name] = domain
        elif isinstance(given, dict):
            errors.append(tree.problem((*path, name), "a bundle holds plain values; only a space has domains."))
        else:
            problem = parameter.problem(name, given)
            if problem:
                errors.append(tree.problem((*path, name), problem))
            if len(errors) == before:
                fixed[name] = type(parameter.default)(given)
    if len(errors) > before:
        return None
    entry = Entry(trick, fixed, domains, always)
    if EDGES.keys() & values.keys():
        narrower = Use(trick(), Window(0.0, 0.5))
        errors += [tree.problem(path, conflict.text) for conflict in conflicts([narrower])
                   if conflict.kind is Kind.WINDOW]
    if entry.widest().window.empty:
        errors.append(tree.problem(path, "its window is empty: stop must be after start."))
    elif entry.may_be_empty():
        late, early = entry.narrowest()
        errors.append(tree.problem(path, f"its window is empty where start is {late:g} and stop {early:g}; every stop "
                                         "must be after every start."))
    return entry if len(errors) == before else None


def _domain(parameter: Parameter, name: str, given: Any, path: Path, tree: Tree, errors: list[str]) -> Domain | None:
    """Return the domain that a mapping such as `{uniform: [0, 1]}` means; append what is wrong with it."""
    default = parameter.default
    if given == SEARCH:
        return parameter.search
    if len(given) != 1 or next(iter(given)) not in WORDS:
        word = str(next(iter(given), ""))
        here = (*path, word) if len(given) == 1 else path
        errors.append(tree.problem(here, f"expected one domain word, got {', '.join(map(str, given)) or 'none'}."
                                         f"{tree.hint(word, WORDS)} Domain words: {', '.join(WORDS)}."))
        return None
    word, arguments = next(iter(given.items()))
    here = (*path, word)
    if not isinstance(arguments, list):
        errors.append(tree.problem(here, f"{arguments!r} is not a list; write {word}: {WORDS[word]}."))
        return None
    if word == "choice":
        lines = [tree.problem((*here, *index), text) for *index, text in _choice_problems(parameter, name, arguments)]
        errors += lines
        return None if lines else Choice(*[type(default)(option) for option in arguments])
    problem = _range_problem(word, arguments, default, parameter.legal)
    if problem:
        errors.append(tree.problem(here, problem))
        return None
    return _range(word, arguments)


def _choice_problems(parameter: Parameter, name: str, options: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield what is wrong with a list of options, after the index of the option that it is about."""
    if not options:
        yield ("has no options; list at least one.",)
    kind: Callable[[Any], Value] = type(parameter.default)
    seen: set[Value] = set()
    for index, option in enumerate(options):
        if isinstance(option, (list, dict)) or option is None:
            yield index, "options must be plain values."
            continue
        problem = parameter.problem(name, option)
        if problem:
            yield index, problem
            continue
        if kind(option) in seen:
            yield index, "an option stands twice. Drop one."
        seen.add(kind(option))


def _range_problem(word: str, arguments: list[Any], default: Value, legal: Legal) -> str | None:
    """Return what is wrong with a range, or None."""
    count = 3 if word == "quniform" else 2
    if len(arguments) != count or not all(_is_number(value) for value in arguments):
        return f"{arguments!r} is not {WORDS[word]} with finite numbers."
    if isinstance(default, (bool, str)):
        return f"takes {'true or false' if isinstance(default, bool) else 'words'}; use choice."
    low = arguments[0]
    high = arguments[1]
    whole = word.endswith("randint")
    if isinstance(default, int) and not whole:
        return f"takes whole numbers; use {'lograndint' if word == 'loguniform' else 'randint'} or choice."
    if whole and not all(value == int(value) for value in arguments):
        return f"{arguments!r}: both ends must be whole numbers."
    if low > high:
        return f"low {low:g} is greater than high {high:g}. Swap them."
    if low == high or (whole and low == high - 1):
        return f"holds one value only; write {low:g} for a fixed value."
    if word.startswith("log") and low <= 0:
        return f"low {low:g} is not allowed; a logarithmic range starts above 0."
    if count == 3 and not 0 < arguments[2] <= high - low:
        return f"step {arguments[2]:g} is not allowed; it must be above 0 and at most {high - low:g}."
    if count == 3 and not math.isclose((high - low) / arguments[2], round((high - low) / arguments[2])):
        last = low + (high - low) // arguments[2] * arguments[2]
        return f"steps of {arguments[2]:g} from {low:g} do not meet {high:g}; end it at {last:g}."
    outside = [end for end in (low, high - whole) if end not in legal]
    return f"{outside[0]:g} is not allowed; values must be {legal}." if outside else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _range(word: str, arguments: list[Any]) -> Domain:
    low = arguments[0]
    high = arguments[1]
    if word.endswith("randint"):
        return Int(int(low), int(high) - 1, log=word.startswith("log"))
    return Float(float(low), float(high), log=word == "loguniform", step=arguments[2] if len(arguments) == 3 else None)
