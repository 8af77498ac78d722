"""The models of a file and what they begin with: what is wrong with them, and the trick that brings their weights."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.traits import Trait
from ..core.weights import DEFAULT
from ..errors import ModelError
from ..io.yaml_tree import Tree
from ..models import OWN, check
from ..models.names import parse
from ..tricks.catalog import catalog
from .sections import ModelSection
from .space import Entry

TRICK = next(name for name, trick in catalog().items() if Trait.PRETRAINED in trick.provides)
WEIGHTS = "weights"     # its parameter


def tricks_of(tricks: Mapping[str, Any], model: ModelSection, always: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tricks of a file, with the one that brings published weights where the model section asks for them.

    Args:
        tricks: As the file lists them.
        model: Its model section.
        always: What a trick has that every trial uses.
    """
    if not model.begins or TRICK in tricks:
        return dict(tricks)
    return {TRICK: {WEIGHTS: DEFAULT, **always}, **tricks}


def problems(model: ModelSection, listed: Sequence[Entry], tree: Tree, trust: bool,
             objects: bool | None) -> list[str]:
    """Return a line for each thing that is wrong with a model section, beside the tricks of its file.

    Args:
        model: The section.
        listed: The tricks.
        tree: The file.
        trust: Whether `my.module:function` may be imported.
        objects: Whether the models are to find objects; None where that is not known yet.
    """
    path = ("model", "name")
    errors = []
    entry = next((entry for entry in listed if entry.name == TRICK), None)
    if entry and model.begins and tree.marks.get(("tricks", TRICK)):
        errors.append(tree.problem(("tricks", TRICK), "model.pretrained says it already. Drop the key to search "
                                                      "whether to begin with published weights, or drop the trick."))
    default = entry is not None and DEFAULT in values(entry)
    for name in model.names:
        try:
            check(name, trust, objects)
            parts = parse(name)
        except ModelError as error:
            errors += [tree.problem(path, line.removeprefix("model.name: ")) for line in error.problems]
            continue
        if default and not parts.library:
            what = "is one of ours" if parts.architecture in OWN else "is code of yours"
            errors.append(tree.problem(path, f"{name} {what}, for which nobody has published weights. Take a model of "
                                             f"timm or torchvision, or name a file: tricks.{TRICK}.{WEIGHTS}."))
        if (parts.tag or parts.repository) and entry is None:
            whole = parts.repository or f"{parts.architecture}.{parts.tag}"
            errors.append(tree.problem(path, f"{name} names the weights {whole}, and trainings would begin with "
                                             "others, at random. Set model.pretrained: true, or leave that name out."))
    return errors


def values(entry: Entry) -> list[Any]:
    """Return every value that the trick's weights may have."""
    domain = entry.domains.get(WEIGHTS)
    options = getattr(domain, "options", None)
    return list(options) if options else [entry.fixed.get(WEIGHTS, "")]
