"""Published weights as the command line fetches and shows them."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...models import fetch as fetched, load_weights
from ...models.published import published
from ...space.load import load_space
from .search import to_json

SUFFIXES = (".yaml", ".yml")    # of a space, in place of a model


def fetch(names: Sequence[str], as_json: bool) -> None:
    """Fetch the published weights of models, or of those that spaces name, and say where they lie."""
    listed = []
    for name in _models(names):
        weights = load_weights(name)
        path, _ = fetched(published(name), weights.revision)
        listed.append({"model": name, **weights.facts(), "path": str(path)})
        if as_json:
            continue
        revision = f", revision {weights.revision[:12]}" if weights.revision else ""
        print(f"{name}: {weights.source}{revision}, {path.stat().st_size / 2**20:.1f} MiB, "
              f"licence {weights.licence or 'not stated'}")
        print(f"  {path}")
    if as_json:
        to_json(listed)


def _models(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name.endswith(SUFFIXES):
            yield from load_space(name).document.model.names
        else:
            yield name
