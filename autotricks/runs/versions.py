"""Versions: what a search ran with, kept in its folder for whoever repeats it."""
from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

import torch

from ..system.workers import cores
from ..tricks.catalog import ENTRY_POINTS
from .folder import VERSIONS, read_json, write_json

LIBRARIES = ("autotricks", "torch", "torchvision", "timm", "ray", "optuna", "mlflow", "numpy", "scikit-learn", "pillow")


def versions() -> dict[str, str]:
    """Return the versions of Python, of libraries that matter and of packages with tricks, and the kind of machine."""
    installed = {"python": platform.python_version()}
    owners = {entry.dist.name for entry in entry_points(group=ENTRY_POINTS) if entry.dist}
    for name in (*LIBRARIES, *sorted(owners)):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {**installed, "system": f"{platform.system()} {platform.machine()}", "cores": str(cores()),
            "gpus": ", ".join(gpus) or "none"}


def note(folder: Path) -> None:
    """Write the versions of this sitting of a search into its folder, unless they are the last sitting's."""
    path = folder / VERSIONS
    sittings = read_json(path, "sittings")["sittings"] if path.exists() else []
    if versions() not in sittings[-1:]:
        write_json(path, {"sittings": [*sittings, versions()]})
