"""Which published training tricks help on your images, how sure are we, and the file that trains it.

>>> import autotricks
>>> space = autotricks.load_space("long_tail.yaml", ["search.engine=local"])
>>> bundle = space.start["baseline"]
>>> data = autotricks.load_data(space.document.data.settings())
>>> data.facts["counts"]["train"][0], data.facts["counts"]["train"][-1]
(100, 2)
>>> result = autotricks.run_trial(bundle.squeezed(2), data.dataset)
>>> result.end, len(result.history), sorted(result.metrics)[:2]
(<End.FINISHED: 'finished'>, 2, ['train/accuracy', 'train/balanced_accuracy'])

`autotricks.search(space)` runs the whole search, as `autotricks search` does. Nothing heavy is imported before it is
used.
"""
from importlib import import_module
from typing import Any

__all__ = ["AutotricksError", "Bundle", "Options", "Trick", "Use", "Window", "catalog", "load_bundle", "load_data",
           "load_space", "run_trial", "save_bundle", "search", "set_threads", "tunable"]
__version__ = "0.1.0"

_WHERE = {"AutotricksError": "errors", "Bundle": "core.bundle", "Use": "core.bundle", "Window": "core.bundle",
          "Trick": "core.trick", "tunable": "core.domain", "catalog": "tricks.catalog", "load_space": "space",
          "load_bundle": "space:load_bundle_file", "load_data": "workflows.script", "save_bundle": "workflows.script",
          "run_trial": "trial", "search": "workflows.search", "Options": "workflows.search",
          "set_threads": "system.devices",
          "_load_pyfunc": "inference.pyfunc"}    # what MLflow calls to load a registered model


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module 'autotricks' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute or name)


def __dir__() -> list[str]:
    return __all__
