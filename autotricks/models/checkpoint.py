"""Reading files of weights: safetensors, and what torch.save wrote, without running what is in them."""
from __future__ import annotations

import argparse
import hashlib
import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from ..errors import ModelError

# Of what training scripts keep beside weights, what only holds values; numpy's makers also by their names of old.
_MAKERS = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
HARMLESS: list[Any] = [
    argparse.Namespace, pathlib.PosixPath, pathlib.PurePosixPath, pathlib.WindowsPath, np.dtype, np.ndarray,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64, np.bool_)),
    *((maker, f"{module}.multiarray.{name}") for module in ("numpy._core", "numpy.core")
      for name, maker in _MAKERS.items())]
AVERAGED = ("ema", "teacher")       # in the keys under which training scripts keep averaged weights
CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f-\x9f]+")   # colors of a terminal, and what it would obey
UNPICKLER = "WeightsUnpickler error:"       # after which torch says what stopped it, past advice of many lines
PIECE = 2 ** 20     # bytes that are hashed at a time
FORMATS = ("Give a .safetensors file, or a state dict that torch.save wrote; a file that runs code when it is read is "
           "not taken.")


def read(path: Path, name: str = "pretrained.weights") -> dict[str, Tensor]:
    """Return weights by name from a safetensors file, or from a state dict or checkpoint that torch.save wrote.

    Where a file holds more than weights, those are taken that stand together and are most; of a model and its average,
    the average, as timm does.

    Args:
        path: Of the file; what it is, is told by its content.
        name: Of what names the file, for messages.

    Raises:
        ModelError: When the file is missing, damaged, or holds something else.
    """
    try:
        held = load_file(path) if _is_safetensors(path) else _unpickled(path)
    except FileNotFoundError:
        raise ModelError(f"{name}: {path}: no such file. Paths are taken from the folder in which the command "
                         "runs.") from None
    except Exception as error:  # what unpickling refuses or stumbles over is of many classes
        raise ModelError(f"{name}: {path}: cannot be read as weights: {_why(error)}. {FORMATS}") from None
    states = list(_states(held))
    if not states:
        raise ModelError(f"{name}: {path}: holds {_contents(held)}, not weights by name. Give a state dict: "
                         "torch.save(model.state_dict(), path).")
    return _bare(max(states, key=lambda state: (len(state[1]), any(word in state[0] for word in AVERAGED)))[1])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins as one of safetensors does: the length of a JSON header, then the header."""
    with path.open("rb") as file:
        begin = file.read(9)
    return path.suffix == ".safetensors" or begin[8:] == b"{"


def _unpickled(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
        if unpacked > path.stat().st_size:  # torch.save neither compresses a record nor lists it twice
            raise ValueError(f"it unpacks to {unpacked:,} bytes, more than it has")
    with safe_globals(HARMLESS):
        return torch.load(path, map_location="cpu", weights_only=True)


def _why(error: Exception) -> str:
    """Return in a few words why a file could not be read."""
    text = str(error)
    if "GLOBAL " in text:
        return "it holds " + CONTROL.sub("", text.split("GLOBAL ")[-1].split()[0]) + ", which would run code"
    lines = CONTROL.sub("\n", text.rpartition(UNPICKLER)[2]).split("\n")
    return next((line.strip(" .") for line in lines if line.strip(" .")), type(error).__name__)[:120]


def _states(held: Any, key: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the tensors that stand together in a file, however deep, with the keys that they stand under."""
    if not isinstance(held, Mapping):
        return
    tensors = {name: value for name, value in held.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield key, tensors
    for name, value in held.items():
        yield from _states(value, f"{key}.{name}")


def _bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights without the prefixes of torch.nn.parallel and torch.compile, in whichever order."""
    for prefix in ("_orig_mod.", "module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _contents(held: Any) -> str:
    if isinstance(held, Mapping) and held:
        names = ", ".join(repr(name) for name in list(held)[:4])
        return f"{names}{' and more' if len(held) > 4 else ''}"
    return type(held).__name__
