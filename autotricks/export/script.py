"""The training script: a bundle as Python that one can read, run and change, with every value written out."""
from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.bundle import Bundle, Use
from ..core.trick import Trick

SCRIPT = "train.py"
_WIDTH = 120
_SCRIPT = '''"""Train {name}: the bundle of tricks that a search found best, with every value written out.

Run it with: python {script}

It writes champion.yaml and champion.safetensors to OUT. With the same versions on the same kind of machine its scores
and weights are those of `autotricks train champion.yaml`, bit for bit.
"""
from pathlib import Path

import torch

from autotricks import {words}
from autotricks.champion import bundle_document
from autotricks.data import load
from autotricks.export import weights_of, write
from autotricks.space.sections import DataSection
from autotricks.trial import prepare
{imports}

OUT = Path("trained")
DEVICE = "cpu"          # cuda: faster, other bits
THREADS = {threads}             # sums over another number of threads round differently
TRUST = {trust}           # whether my.module:function may be imported

DATA = DataSection(
{data}
)

BUNDLE = Bundle(
    model={model!r},
    epochs={epochs},
    batch_size={batch_size},
    seed={seed},
    uses=(
{uses}
    ),
)


def main() -> None:
    """Train the bundle epoch by epoch, and keep it."""
    torch.set_num_threads(THREADS)
    data = load(DATA.settings(), TRUST)
    trainer = prepare(BUNDLE, data.dataset, DEVICE, TRUST)
    for epoch in trainer.epochs():
        print(epoch.epoch, *(f"{{name}} {{value:.6f}}" for name, value in epoch.values.items()), flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    settings = DATA.model_dump(mode="json", exclude_none=True)
    document = bundle_document({name!r}, settings, data, BUNDLE, {{"metrics": trainer.figures}})
    write(OUT, document, weights_of(trainer.evaluated))
    print(f"{{trainer.end.value}}; bundle and weights are in {{OUT}}")


if __name__ == "__main__":
    main()
'''


def script(name: str, bundle: Bundle, data: Mapping[str, Any], threads: int, trust: bool) -> str:
    """Return a Python program that trains a bundle.

    Args:
        name: Of the bundle.
        bundle: What is trained.
        data: The data section of a bundle file.
        threads: CPU threads.
        trust: Whether the program may import `my.module:function`.
    """
    return _SCRIPT.format(
        name=name, script=SCRIPT, threads=threads, trust=trust,
        words="Bundle, Use" + ", Window" * any(map(_window, bundle.uses)),
        imports="\n".join(_imports(use.trick for use in bundle.uses)),
        data="\n".join(f"    {key}={value!r}," for key, value in data.items()),
        model=bundle.model, epochs=bundle.epochs, batch_size=bundle.batch_size,
        seed=bundle.seed, uses="\n".join(line for use in bundle.uses for line in _use(use)))


def _imports(tricks: Iterable[Trick]) -> list[str]:
    """Return one import for each class, in the order of their modules."""
    found = {(type(trick).__module__, type(trick).__name__) for trick in tricks}
    return [f"from {module} import {name}" for module, name in sorted(found)]


def _use(use: Use) -> list[str]:
    """Return what a trick does and its constructor, on one line where it fits."""
    about = (inspect.getdoc(type(use.trick)) or use.trick.name).splitlines()[0].replace("`", "")
    values = [f"{key}={value!r}" for key, value in use.trick.values().items()]
    kind, indent = type(use.trick).__name__, " " * 8
    line = f"{indent}Use({kind}({', '.join(values)}){_window(use)}),"
    if len(line) > _WIDTH:
        inner = [f"{indent}    {value}," for value in values]
        line = "\n".join([f"{indent}Use({kind}(", *inner, f"{indent}){_window(use)}),"])
    return [f"{indent}# {about}"[:_WIDTH], line]


def _window(use: Use) -> str:
    """Return the window as an argument, nothing where the trick has it unsaid."""
    return "" if use == Use(use.trick) else f", Window({use.window.start!r}, {use.window.stop!r})"
