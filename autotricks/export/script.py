"""The training script: a bundle as Python that one can read, run and change, with every value written out."""
from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..core.bundle import Bundle, Use

SCRIPT = "train.py"
_WIDTH = 120
_WORDS = "AutotricksError, Bundle, Use, catalog, load_data, run_trial, save_bundle, set_threads"
_SCRIPT = '''"""Train {name}: the bundle of tricks that a search found best, with every value written out.

Run it with: python {script}

It writes champion.yaml and champion.safetensors to OUT. With the same versions on the same kind of machine its scores
and weights are those of `autotricks train champion.yaml`, bit for bit.
"""
from autotricks import {words}

OUT = "trained"
DEVICE = "cpu"          # cuda: faster, other bits
THREADS = {threads}             # sums over another number of threads round differently
TRUST = {trust}           # whether my.module:function may be imported

DATA = {{
{data}
}}{weights}

TRICK = catalog()
BUNDLE = Bundle(
    model={model!r},
    epochs={epochs},
    batch_size={batch_size},
    seed={seed},
    uses=(
{uses}
    ),
)


def tell(epoch):
    """Print the figures of an epoch."""
    print(epoch.epoch, *(f"{{name}} {{value:.6f}}" for name, value in epoch.values.items()), flush=True)


def main():
    """Train the bundle epoch by epoch, and keep it."""
    set_threads(THREADS)
    data = load_data(DATA, TRUST{given})
    result = run_trial(BUNDLE, data.dataset, tell, DEVICE, TRUST)
    save_bundle(OUT, {name!r}, DATA, data, result)
    print(f"{{result.end.value}}; bundle and weights are in {{OUT}}")


if __name__ == "__main__":
    try:
        main()
    except AutotricksError as error:
        raise SystemExit(str(error)) from None
'''
_PINNED = '''

WEIGHTS = {{      # published ones with which the model begins
{weights}
}}'''


def script(name: str, bundle: Bundle, data: Mapping[str, Any], threads: int, trust: bool,
           weights: Mapping[str, Any] | None = None) -> str:
    """Return a Python program that trains a bundle.

    Args:
        name: Of the bundle.
        bundle: What is trained.
        data: The data section of a bundle file.
        threads: CPU threads.
        trust: Whether the program may import `my.module:function`.
        weights: Which published ones the model begins with: the weights section of a bundle file.
    """
    return _SCRIPT.format(
        name=name, script=SCRIPT, threads=threads, trust=trust,
        words=_WORDS + ", Window" * any(map(_window, bundle.uses)),
        data="\n".join(f"    {key!r}: {value!r}," for key, value in data.items()),
        weights=_PINNED.format(model=bundle.model, weights="\n".join(
            f"    {key!r}: {value!r}," for key, value in weights.items())) if weights else "",
        given=", {BUNDLE.model: WEIGHTS}" if weights else "",
        model=bundle.model, epochs=bundle.epochs, batch_size=bundle.batch_size,
        seed=bundle.seed, uses="\n".join(line for use in bundle.uses for line in _use(use)))


def _use(use: Use) -> list[str]:
    """Return what a trick does and its constructor, on one line where it fits."""
    about = (inspect.getdoc(type(use.trick)) or use.trick.name).splitlines()[0].replace("`", "")
    values = [f"{key}={value!r}" for key, value in use.trick.values().items()]
    kind = f"TRICK[{use.trick.name!r}]"
    indent = " " * 8
    line = f"{indent}Use({kind}({', '.join(values)}){_window(use)}),"
    if len(line) > _WIDTH:
        inner = [f"{indent}    {value}," for value in values]
        line = "\n".join([f"{indent}Use({kind}(", *inner, f"{indent}){_window(use)}),"])
    return [f"{indent}# {about}"[:_WIDTH], line]


def _window(use: Use) -> str:
    """Return the window as an argument, nothing where the trick has it unsaid."""
    return "" if use == Use(use.trick) else f", Window({use.window.start!r}, {use.window.stop!r})"
