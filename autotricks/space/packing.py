"""Carried: the files and bundles that tricks name, taken along to machines that do not have them."""
from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..core.bundle import Use
from ..core.weights import DEFAULT
from ..errors import InputError, RunError
from ..export import BUNDLE, WEIGHTS
from ..io.files import writing
from . import paths
from .load import LoadedSpace


@dataclass(frozen=True)
class Carried:
    """What tricks name, as it is where the search runs.

    Args:
        moves: Where each location lies below the folder into which everything is unpacked.
        files: Their contents, by path below that folder.
    """

    moves: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def unpack(self, folder: Path) -> None:
        """Write everything below a folder."""
        for name, content in self.files.items():
            with writing(folder / name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)

    def below(self, folder: Path) -> paths.Change:
        """Return what changes a location into where it lies when it is unpacked in `folder`."""
        return lambda location: str(folder / self.moves[location]) if location in self.moves else location


def of_space(loaded: LoadedSpace, most: float = math.inf, stay: tuple[str, ...] = (paths.REGISTERED,),
             weights: bool = True) -> Carried:
    """Return what a space's tricks and its start bundles name, but for places that begin with one of `stay`.

    Files of weights are left out unless `weights`: they travel with the data.

    Raises:
        InputError: When a file is missing, or all together are more than `most` bytes.
    """
    listed = [one for one in named(loaded) if weights or paths.kind(*one[:2]) != "weights"]
    return _read(listed, most, stay)


def named(loaded: LoadedSpace) -> list[tuple[str, str, str]]:
    """Return (trick, parameter, location) of every place that a space's tricks and its start bundles name."""
    listed = [(entry.name, *pair) for entry in loaded.space.entries for pair in paths.named(entry)]
    return [*listed, *_named(use for bundle in loaded.start.values() for use in bundle.uses)]


def of_uses(uses: Iterable[Use]) -> Carried:
    """Return what uses name, but for files of weights, which travel with the data."""
    return _read([one for one in _named(uses) if paths.kind(*one[:2]) != "weights"], math.inf, (paths.REGISTERED,))


def _named(uses: Iterable[Use]) -> list[tuple[str, str, str]]:
    return [(use.trick.name, parameter, str(value)) for use in uses for parameter, value in use.trick.values().items()
            if value not in ("", DEFAULT) and paths.kind(use.trick.name, parameter)]


def _read(listed: Iterable[tuple[str, str, str]], most: float, stay: tuple[str, ...]) -> Carried:
    """Return the files of (trick, parameter, location); a registered model is fetched by who needs it."""
    carried = Carried()
    left = most
    for trick, parameter, location in listed:
        if location.startswith(stay) or location in carried.moves:
            continue
        source = Path(location).expanduser()
        if paths.kind(trick, parameter) == "bundle":
            source = source.parent if source.suffix in (".yaml", ".yml") else source
            inside = [source / name for name in (BUNDLE, WEIGHTS)]
        else:
            inside = [source]
        target = Path(f"{len(carried.moves)}-{source.name}")
        for path in inside:
            try:
                left -= path.stat().st_size
                if left < 0:
                    raise InputError(f"tricks.{trick}.{parameter}: {location}: with it, bundles and files are more "
                                     f"than the {most / 2**20:.0f} MiB that travel with a search. Register the teacher "
                                     "and write models:/NAME@ALIAS.")
                carried.files[str(target / path.name if len(inside) > 1 else target)] = path.read_bytes()
            except OSError as error:
                raise RunError(f"tricks.{trick}.{parameter}: {path}: {(error.strerror or 'cannot be read').lower()}. "
                               "Paths are taken from the folder in which the command runs.") from None
        carried.moves[location] = str(target)
    return carried
