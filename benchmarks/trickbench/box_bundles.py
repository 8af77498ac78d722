"""The bundles of TrickBench for objects: the same tricks on every data set with boxes.

Plain training at several rates, each trick added to it and to a stronger bundle, and draws of a few tricks, all from
`detection.yaml`.
"""
from __future__ import annotations

import random
from collections.abc import Iterator

from autotricks.core.bundle import Bundle
from autotricks.space.load import load_space
from autotricks.space.space import Space

from .bundles import Wishes, changed, different, drawn, wish

STRONG: Wishes = {"adamw": {"lr": 0.01}, "center_sampling": {"radius": 1.2}, "gradient_clipping": {}}
STEPS = {"adamw.lr": (0.005, 0.01, 0.02, 0.03), "adamw.weight_decay": (0.1,), "center_sampling.radius": (0.6, 0.8, 1.2)}
ALSO = {"giou": (0.5, 2.0), "ciou": (2.0,)}        # weights of losses that are added with others than their own
ONE = {"giou": "weight", "ciou": "weight"}
DRAWS = 12


def box_bundles() -> dict[str, Bundle]:
    """Return each bundle by its label, those that tell most first."""
    loaded = load_space("detection.yaml", ["training.precision=fp32"])
    return dict(different(_all(loaded.space, wish(loaded.start["baseline"]))))


def _all(space: Space, plain: Wishes) -> Iterator[tuple[str, Bundle]]:
    yield "baseline", space.closest(plain)
    strong = wish(changed(space, plain, STRONG))
    yield "strong", space.closest(strong)
    for path, values in STEPS.items():
        trick, _, name = path.partition(".")
        for value in values:
            yield f"baseline {path}={value:g}", changed(space, plain, {trick: {name: value}})
    yield "strong - gradient_clipping", changed(space, plain, {name: STRONG[name] for name in [*STRONG][:2]})
    for entry in space.entries:
        if entry.name not in strong:
            yield f"strong + {entry.name}", changed(space, strong, {entry.name: {}})
    for entry in space.entries:
        if entry.name not in plain:
            yield f"baseline + {entry.name}", changed(space, plain, {entry.name: {}})
    for trick, values in ALSO.items():
        for value in values:
            yield f"strong + {trick}, {value:g}", changed(space, strong, {trick: {ONE[trick]: value}})
    for place in range(DRAWS):
        yield f"draw-{place:03d}", drawn(space, random.Random(f"trickbench/{place}"))
