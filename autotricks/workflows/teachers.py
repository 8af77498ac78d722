"""Teachers and files that a space names: seen to before anything trains, on the machine that searches."""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .. import export
from ..core.dataset import Dataset
from ..errors import InputError
from ..inference.predictor import teacher
from ..space import packing, paths
from ..space.load import LoadedSpace

FOLDER = "teachers"     # of a run


def check_and_fetch(loaded: LoadedSpace, dataset: Dataset, store: str, trust: bool) -> dict[str, Path]:
    """See that what the space's tricks name can be used; return the folders of registered models, by address.

    Args:
        loaded: Its paths are absolute.
        dataset: Its classes and images must be those of teachers.
        store: Address of the registry.
        trust: Whether a model of the form `my.module:function` may be imported.

    Raises:
        InputError: With a line for each that cannot be used.
    """
    fetched: dict[str, Path] = {}
    wrong = []
    for entry in loaded.space.entries:
        for parameter, address in paths.named(entry):
            try:
                if paths.kind(entry.name, parameter) != "bundle":
                    _check_file(address)
                    continue
                if address.startswith(paths.REGISTERED):
                    from ..tracking.model_registry import fetch

                    fetched[address] = fetch(address, store)
                teacher(str(fetched.get(address, address)), dataset, "cpu", trust)
            except InputError as error:
                wrong += [loaded.tree.problem(("tricks", entry.name, parameter), line) for line in error.problems]
    if wrong:
        raise InputError(wrong)
    return fetched


def kept(loaded: LoadedSpace, fetched: Mapping[str, Path], folder: Path, whole: bool = False) -> LoadedSpace:
    """Copy registered teachers into a run's folder and return the space with these in place of their addresses.

    An alias may move on while the search lasts, and a worker knows no registry: all learn from the copy. Where `whole`,
    everything else that tricks name is copied too: what a job of a cluster was sent is gone when the job is.
    """
    own = {}
    for address, source in fetched.items():
        target = (folder / FOLDER / re.sub(r"[^\w.@-]", "-", address.removeprefix(paths.REGISTERED))).absolute()
        export.copy(source, target)
        own[address] = str(target)
    loaded = loaded.moved(lambda name: own.get(name, name)) if own else loaded
    if whole:
        inside = (folder / FOLDER).absolute()
        taken = packing.of_space(loaded, stay=(paths.REGISTERED, str(inside)))
        taken.unpack(inside)
        loaded = loaded.moved(taken.below(inside)) if taken.moves else loaded
    return loaded


def _check_file(path: str) -> None:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. Paths are taken from the folder in which the command runs.")
