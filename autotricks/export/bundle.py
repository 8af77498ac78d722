"""Bundle files: `champion.yaml` and its weights in safetensors, written whole or not at all."""
from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ..errors import RunError, SpaceError
from ..io.checksum import CHANGED, damaged, stamped
from ..io.files import ensure_folder, write_atomic
from ..io.yaml_tree import LARGE, NUMBER, WHOLE, parse

BUNDLE = "champion.yaml"
WEIGHTS = "champion.safetensors"
_FLAT = 100   # characters of a line within which a mapping stays on one line


class _Dumper(yaml.SafeDumper):
    """Writes short lists on one line, quotes text that YAML 1.2 takes for a number, and never uses aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", WHOLE, list("+-0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("+-.0123456789"))
_Dumper.add_representer(list, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))


def text(document: Mapping[str, Any], header: str = "") -> str:
    """Return a bundle or space document as YAML with a comment above it."""
    comment = "".join(f"# {line}\n" for line in header.splitlines())
    return comment + yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, width=_FLAT, allow_unicode=True)


def flow(value: Any) -> str:
    """Return a mapping or list on one line of YAML."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=math.inf,
                     allow_unicode=True).rstrip("\n")


def write(folder: Path, document: Mapping[str, Any], weights: bytes, header: str = "") -> None:
    """Write the weights, then the bundle file with their SHA-256 among its results."""
    result = {**document.get("result", {}), "weights": hashlib.sha256(weights).hexdigest()}
    write_atomic(folder / WEIGHTS, weights)
    write_atomic(folder / BUNDLE, stamped(text({**document, "result": result}, header).encode()))


def read(path: Path) -> dict[str, Any]:
    """Return what the file of a trained bundle holds, after its checksum is verified.

    Raises:
        RunError: When the file is missing, damaged, or not that of a trained bundle.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGE.bytes + 1)
        document = parse(content, str(path), limits=LARGE).value
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}.") from None
    except SpaceError as error:
        raise RunError([f"{path}: {CHANGED}"] if damaged(content) else error.problems) from None
    if damaged(content):
        raise RunError(f"{path}: {CHANGED}")
    wanted = ("model", "tricks", "training", "classes", "images", "result")
    if not isinstance(document, dict) or not document.keys() >= set(wanted):
        raise RunError(f"{path}: not a trained bundle; a search or 'autotricks train' writes {', '.join(wanted)}.")
    return document


def copy(run: Path, target: Path) -> list[Path]:
    """Copy a run's champion, bundle and weights, into a folder; return the files written.

    Raises:
        RunError: When the run has no champion, or a file of it is damaged.
    """
    if not (run / BUNDLE).exists():
        raise RunError(f"{run}: holds no {BUNDLE}; no trial of this search was trained to the end.")
    read_weights(run / WEIGHTS, read(run / BUNDLE)["result"].get("weights", ""))
    ensure_folder(target)
    for name in (WEIGHTS, BUNDLE):
        write_atomic(target / name, (run / name).read_bytes())
    return [target / BUNDLE, target / WEIGHTS]


def weights_of(model: nn.Module) -> bytes:
    """Return a model's weights and buffers in the safetensors format."""
    return save({name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()})


def read_weights(path: Path, sha256: str = "") -> dict[str, Tensor]:
    """Return the weights of a safetensors file, which has the checksum `sha256` if one is known.

    Raises:
        RunError: When the file is missing, damaged or another one.
    """
    try:
        content = path.read_bytes()
        weights = load(content)
    except FileNotFoundError:
        raise RunError(f"{path}: no such file. The weights lie beside the bundle file.") from None
    except (SafetensorError, OSError, KeyError) as error:      # a type that torch has not is a KeyError
        raise RunError(f"{path}: the weights cannot be read: {str(error)[:100]}.") from None
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(f"{path}: damaged, or not the weights of the bundle file beside it: its checksum differs. "
                       "Copy both again, or train the bundle.")
    return weights
