"""The stages of a model: the parts after which its images are smaller, or the thirds of a sequence of equal blocks."""
from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from torch import nn

SEQUENCES = (nn.Sequential, nn.ModuleList)
HOLDERS = ("stages", "trunk_output", "layers", "blocks", "features")   # what sequences of blocks are called
STEMS = ("stem", "act", "bn", "norm", "conv", "relu", "pool")
POOLS = ("neck", "global_pool", "avgpool")


def stages(model: nn.Module) -> list[nn.Module]:
    """Return the last module of each stage, first to last; nothing where none is found.

    A timm model says itself which they are, in `feature_info`. Of others they are `layer1`, `layer2`, ..., or `stage1`,
    `stage2`, ...; else the parts of a sequence by a usual name, parted before each that has a stride. Where all blocks
    see as many pixels, as in a vision transformer, thirds of them are taken for stages.
    """
    for owner in model.modules():
        known = _said(owner) or _numbered(owner, "layer") or _numbered(owner, "stage")
        for name in HOLDERS:
            parts = getattr(owner, name, None)
            if not known and isinstance(parts, SEQUENCES):
                known = _parted(list(parts.children()), name == "features")
        if known:
            return known
    return []


def pooling(model: nn.Module) -> list[nn.Module]:
    """Return what pools the last stage, or stands behind it, by a usual name; nothing where there is none."""
    named = [(name.count("."), module) for word in POOLS for name, module in model.named_modules()
             if name.split(".")[-1] == word]
    return [min(named, key=itemgetter(0))[1]] if named else []      # deeper ones pool inside a block


def _said(owner: nn.Module) -> list[nn.Module]:
    """Return what timm's `feature_info` names, without the stem."""
    info = getattr(owner, "feature_info", None)
    if not isinstance(info, list) or not info:
        return []
    modules = dict(owner.named_modules())
    named = [(str(entry["module"]), entry.get("reduction")) for entry in info if entry.get("module") in modules]
    if named and any(word.startswith(STEMS) for word in named[0][0].lower().split(".")):
        named = named[1:]
    known = [modules[name] for name, _ in named]
    return _thirds(known) if len(known) > 1 and len({reduction for _, reduction in named}) == 1 else known


def _numbered(owner: nn.Module, word: str) -> list[nn.Module]:
    named = dict(owner.named_children())
    return [named[f"{word}{number}"] for number in range(1, 9) if f"{word}{number}" in named]


def _parted(parts: list[nn.Module], has_stem: bool) -> list[nn.Module]:
    """Return the last part before each that has a stride, and the last of all."""
    groups = list(_groups(parts))
    blocks = [group for group in groups if any(any(True for _ in part.children()) for part in group)]
    if has_stem and len(blocks) > 1:
        groups = blocks[1:] if blocks[0] == parts[:1] else blocks
    return [group[-1] for group in groups] if len(groups) > 1 else _thirds(parts)


def _groups(parts: list[nn.Module]) -> Iterator[list[nn.Module]]:
    group: list[nn.Module] = []
    for part in parts:
        if group and _shrinks(part):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _shrinks(part: nn.Module) -> bool:
    """Return whether a part has a stride, or merges patches."""
    return any(getattr(module, "stride", 1) not in (1, (1, 1), None) or "Merging" in type(module).__name__
               for module in part.modules())


def _thirds(blocks: list[nn.Module]) -> list[nn.Module]:
    return [blocks[round(len(blocks) * part / 3) - 1] for part in (1, 2, 3)] if len(blocks) >= 3 else blocks
