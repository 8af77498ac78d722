"""A search of the local engine with four trials on one GPU: the long-tailed digits, `resources.gpus: 0.25`."""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec

from machine import Row, spread

from .told import Told

NEEDED = ("optuna", "pydantic", "yaml", "sklearn", "scipy", "pandas", "typer", "rich", "filelock")
TRIALS = 12


def measure(told: Told) -> Iterator[Row]:
    """Yield what a search came to, or in one line what is not here for it."""
    missing = [name for name in NEEDED if not find_spec(name)]
    if missing:
        yield Row("digits", "search", None, note=f"left out: {', '.join(missing)} cannot be imported here")
        return
    gpus = 0.25 if told.device == "cuda" else 0
    changes = ("search.engine=local", f"resources.gpus={gpus}", f"search.trials={3 if told.quick else TRIALS}",
               *(["training.epochs=3", "search.rungs.first=1"] if told.quick else []))
    with tempfile.TemporaryDirectory() as root:
        words = ["search", "--space", "long_tail.yaml", "--json", "--no-confirm", "--tracking", "off",
                 "--root", root, *[word for one in changes for word in ("--set", one)]]
        ended = subprocess.run([sys.executable, "-m", "autotricks", *words], capture_output=True, text=True,
                               check=False)
    if ended.returncode:
        raise RuntimeError(f"the search ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    said = json.loads(ended.stdout)
    yield Row("digits", f"search, gpus: {gpus:g}", spread([said["searching_seconds"]]), "s",
              note=f"{said['training_seconds']:.0f} s of training, best {said['best']:.4f}", details=said)
