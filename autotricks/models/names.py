"""The parts of a model's name: `timm:resnet50.a1_in1k?img_size=64`, `timm:hf-hub:USER/MODEL`, `torchvision:NAME`.

Before the name of a backbone stands `fcos:` where it is a detector's.
"""
from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ModelError

HUB = "hf-hub:"
DETECTOR = "fcos"       # before the name of a backbone; see `dense`
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_WORD = re.compile(r"[A-Za-z_]\w*")
# Of a library's arguments, what data decide, what fetches or reads files, and what makes no classifier.
RESERVED = frozenset({"num_classes", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "weights",
                      "checkpoint_path", "cache_dir", "features_only", "out_indices", "scriptable", "exportable"})


@dataclass(frozen=True)
class ModelName:
    """What a name says.

    Args:
        library: `timm` or `torchvision`; empty for a model of ours or the user's own.
        architecture: Which function builds the model; empty where only the hub knows.
        tag: Which of the published weights; empty for the library's own choice.
        repository: On the hub, `USER/MODEL`, that holds the weights; empty where the library knows.
        arguments: For the function that builds the model.
        head: `fcos` where the rest is the backbone of a detector; empty for a classifier.
    """

    library: str
    architecture: str
    tag: str = ""
    repository: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    head: str = ""

    def __str__(self) -> str:
        """Return the name that says this."""
        return f"{self.head}:" * bool(self.head) + self._inner

    @property
    def _inner(self) -> str:
        if not self.library:
            return self.architecture
        name = self.architecture + (f".{self.tag}" if self.tag else "")
        if self.repository:
            name = f"{name}@{self.repository}" if name else HUB + self.repository
        options = "&".join(f"{word}={_written(value)}" for word, value in self.arguments.items())
        return f"{self.library}:{name}" + (f"?{options}" if options else "")


def parse(name: str) -> ModelName:
    """Take a model's name apart.

    Raises:
        ModelError: When an argument or a repository is not written as it must be.
    """
    if name.startswith(f"{DETECTOR}:"):
        return replace(parse(name.removeprefix(f"{DETECTOR}:")), head=DETECTOR)
    whole, _, options = name.partition("?")
    library, _, rest = whole.partition(":")
    if library not in ("timm", "torchvision"):
        return ModelName("", whole)
    arguments = dict(_argument(name, text) for text in options.split("&")) if options else {}
    if rest.startswith(HUB):
        return ModelName(library, "", "", _repository(name, rest.removeprefix(HUB)), arguments)
    architecture, at, repository = rest.partition("@")
    architecture, _, tag = architecture.partition(".")
    return ModelName(library, architecture, tag, _repository(name, repository) if at else "", arguments)


def _repository(name: str, repository: str) -> str:
    if name.startswith("torchvision:"):
        raise ModelError(f"model.name: {name}: torchvision has no repositories; write torchvision:NAME.WEIGHTS.")
    if not _REPOSITORY.fullmatch(repository):
        raise ModelError(f"model.name: {name}: {repository!r} is no repository; write timm:hf-hub:USER/MODEL.")
    return repository


def _argument(name: str, text: str) -> tuple[str, Any]:
    word, equals, value = text.partition("=")
    if not equals or not value or not _WORD.fullmatch(word):
        raise ModelError(f"model.name: {name}: {text!r} is no argument; write timm:NAME?patch_size=8&qk_norm=true.")
    if word in RESERVED:
        raise ModelError(f"model.name: {name}: {word} is not for a name to say. Leave it out; model.pretrained brings "
                         "weights.")
    return word, _read(value)


def _read(value: str) -> Any:
    """Return what is written: a truth value, a number, several in parentheses, else text."""
    if value in ("true", "false"):
        return value == "true"
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _written(value: Any) -> str:
    """Return what is read as this value again; text in quotes where it would be read as something else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value).replace(" ", "")
    plain = value and _read(value) == value and not set(value) & set(" &")
    return value if plain else repr(value).replace(" ", "\\x20").replace("&", "\\x26")
