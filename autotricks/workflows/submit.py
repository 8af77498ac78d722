"""The service: searches that a cluster runs by itself, from their files to their results."""
from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import export
from ..errors import InputError
from ..io import class_hierarchy
from ..models import checkpoint
from ..space import load_space, packing, paths
from ..space.load import LoadedSpace
from ..tracking.address import check
from ..tuning.engines.ray_jobs import Jobs

SPACE = "space.yaml"
FILES = "files"
LARGEST = 64 * 2**20    # bytes of what travels with a search
WORDS = re.compile(r"[^a-zA-Z0-9_-]+")


@dataclass(frozen=True)
class Submission:
    """A search to be run by a cluster.

    Args:
        space: A space file, or the name of one that ships; empty to resume.
        overrides: `key.key=value` for the space.
        resume: The run to go on with, by its name on the cluster.
        root: Folder of all runs, as the cluster sees it.
        flags: What else the search is told, such as `--time 30m`.
        trust: Whether `my.module:function`, which the cluster must have, may be named.
        tracking: MLflow's address, as the cluster sees it; empty leaves it to the cluster.
    """

    space: str
    overrides: Sequence[str] = ()
    resume: str = ""
    root: str = "~/runs"
    flags: Sequence[str] = ()
    trust: bool = False
    tracking: str = ""


def submit(asked: Submission, address: str) -> str:
    """Send a search to a cluster, once its space has been checked here; return the job's name.

    What travels is the space with every default and override filled in, and the bundles and files that its tricks
    name. Data never do: `data.source` is read where the search runs.

    Raises:
        InputError: When space, address or token cannot be used; nothing has been sent then.
    """
    if asked.tracking and asked.tracking != "off":
        check(asked.tracking)
    with tempfile.TemporaryDirectory() as folder:
        name = WORDS.sub("-", Path(asked.resume).name)
        if asked.space:
            loaded = load_space(asked.space, [*asked.overrides, "search.engine=ray"], asked.trust)
            name = loaded.document.name
            pack(loaded, Path(folder))
        return Jobs(address).submit(command(asked), Path(folder), name)


def pack(loaded: LoadedSpace, folder: Path) -> None:
    """Write into a folder what a cluster needs to search a space: the space, and what its tricks name.

    Raises:
        InputError: When a file is missing or not what the trick takes, or all together are more than should travel.
    """
    own = [name for name in loaded.start if Path(name).is_file()]
    if own:
        raise InputError(f"start: {own[0]} is a file of this machine, which does not travel with a search. Start with "
                         "published bundles, or run the search with --address on a machine of the cluster.")
    taken = packing.of_space(loaded, LARGEST)
    for trick, parameter, path in packing.named(loaded):   # a space of a stranger's may name any file of this machine
        kind = paths.kind(trick, parameter)
        if kind == "weights":
            checkpoint.read(Path(path).expanduser())
        elif kind == "table":
            class_hierarchy.read(Path(path).expanduser(), f"tricks.{trick}.{parameter}")
    taken.unpack(folder / FILES)
    (folder / SPACE).write_text(export.text(loaded.moved(taken.below(Path(FILES))).resolved), "utf-8")


def command(asked: Submission) -> str:
    """Return the line that the cluster's shell runs."""
    what = ["--resume", asked.resume] if asked.resume else ["--space", SPACE]
    changes = [word for text in asked.overrides for word in ("--set", text)] if asked.resume else []
    flags = [*asked.flags, *["--trust"] * asked.trust, *(["--tracking", asked.tracking] if asked.tracking else [])]
    words = ["python", "-m", "autotricks", "search", *what, *changes, "--address", "auto", *flags]
    return f"{shlex.join(words)} --root {_home(asked.root)}"


def _home(root: str) -> str:
    """Return a path quoted for a shell, which still puts its user's home folder in place of a leading `~/`."""
    return f"~/{shlex.quote(root[2:])}" if root.startswith("~/") and len(root) > 2 else shlex.quote(root)
