"""Where the files of a table lie: the folders where its paths begin, and the suffix that they may lack."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import DataError
from ..decode import display_name
from ..settings import Table
from .files import PICTURES, existing, is_folder, visible

SAMPLE = 20             # paths by which it is found out
DEPTH = 2               # of folders that are looked into
MOST = 200              # folders
SUFFIXES = ("", *(form for suffix in PICTURES for form in (suffix, suffix.upper())))


@dataclass(frozen=True)
class Places:
    """Where to look for a file.

    Args:
        folders: Where paths begin.
        suffix: That is added where a path has none.
        slashes: Whether a path that is not there may be written with backslashes.
        notices: What was found out and is not plain.
    """

    folders: tuple[Path, ...]
    suffix: str = ""
    slashes: bool = False
    notices: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, table: Table, names: Sequence[str]) -> Places:
        """Return where the files of a table lie: as the user says, beside it, or where all of a sample is found.

        Raises:
            DataError: When a folder is not there, or no file of the sample is.
        """
        folders = tuple(existing(path.parent / Path(name).expanduser()) for name in table.folder)
        sample = [names[index * len(names) // SAMPLE] for index in range(SAMPLE)] if len(names) > SAMPLE else names
        places = cls(folders or (path.parent,), table.suffix or "", any("\\" in name for name in sample))
        if any(map(places.has, sample)) or not sample:
            return places._noted(sample)
        found = list(_guesses(places, path.parent, table, sample))
        if len(found) == 1:
            return found[0]._noted(sample)
        keys = " and ".join(name for name, given in (("data.folder", folders), ("data.suffix", table.suffix))
                            if not given) or "data.folder, data.suffix"
        if found:
            could = " or ".join(sorted({display_name(folder) for one in found for folder in one.folders}))
            raise DataError(f"data.source: the files of {display_name(path)} could lie in {could}. Set {keys}.")
        raise DataError(f"data.source: none of the files that {display_name(path)} names is there, such as "
                        f"{display_name(places.find(sample[0]))}. Set {keys}, or mend the paths.")

    def find(self, name: str) -> Path:
        """Return where a file is; where it would be in the first folder if it is in none."""
        if len(self.folders) == 1 and not self.suffix and not self.slashes:
            return self.folders[0] / name
        paths = [folder / form for form in self._forms(name) for folder in self.folders]
        return next((path for path in paths if len(paths) > 1 and path.exists()), paths[0])

    def has(self, name: str) -> bool:
        """Return whether a file is there."""
        try:
            return self.find(name).is_file()
        except ValueError:      # a zero in a name
            return False

    def _forms(self, name: str) -> Iterator[str]:
        suffix = "" if name.lower().endswith(self.suffix.lower()) else self.suffix
        yield name + suffix
        if self.slashes and "\\" in name:
            yield name.replace("\\", "/") + suffix

    def _noted(self, sample: Sequence[str]) -> Places:
        read = self.slashes and any("\\" not in str(self.find(name)) for name in sample)
        return replace(self, notices=(*self.notices, "paths with backslashes are read as with slashes")
                       ) if read else self


def _guesses(places: Places, root: Path, table: Table, sample: Sequence[str]) -> Iterator[Places]:
    """Yield where the whole sample is found: with other suffixes, or in folders below."""
    folders = places.folders if table.folder else (root, *below(root))
    known = set[str]()
    ended = {suffix for suffix in SUFFIXES if suffix and all(name.lower().endswith(suffix.lower()) for name in sample)}
    for suffix in [one for one in SUFFIXES if one not in ended] if table.suffix is None else [table.suffix]:
        guess = replace(places, suffix=suffix)
        for chosen in _holding(guess, folders, sample) if suffix.lower() not in known else ():
            known.add(suffix.lower())       # names in other letters are the same file on some systems
            names = ", ".join(display_name(folder.name) for folder in chosen)
            where = f"in {names}" if chosen != places.folders else ""
            ending = f"with {suffix}" if suffix and table.suffix is None else ""
            yield replace(guess, folders=chosen, notices=(
                f"the files were found {' '.join(filter(None, (where, ending)))}; data.folder and data.suffix say "
                "otherwise",))


def _holding(guess: Places, folders: Sequence[Path], sample: Sequence[str]) -> list[tuple[Path, ...]]:
    """Return the folders that hold the whole sample; if none does, those that hold it together, each file once."""
    held = {folder: {name for name in sample if replace(guess, folders=(folder,)).has(name)} for folder in folders}
    full: list[tuple[Path, ...]] = [(folder,) for folder in folders if held[folder] == {*sample}]
    parts = tuple(folder for folder in folders if held[folder])
    together = set[str]().union(*held.values())
    once = sum(map(len, held.values())) == len(together)
    return full or ([parts] if once and together == {*sample} else [])


def below(root: Path, depth: int = DEPTH) -> list[Path]:
    """Return the folders below a folder, the nearest first."""
    level = [root]
    found: list[Path] = []
    for _ in range(depth):
        level = [path for folder in level for path in visible(folder)[:10_000] if not path.suffix and is_folder(path)]
        found += level
        if len(found) > MOST:
            break
    return found[:MOST]
