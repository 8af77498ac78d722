"""Which published training tricks help on your images, how sure are we, and the file that trains it.

>>> import autotricks
>>> space = autotricks.load_space("long_tail.yaml", ["search.engine=local"])
>>> bundle = space.start["baseline"]
>>> data = autotricks.load_data(space.document.data.settings())
>>> data.facts["counts"]["train"][0], data.facts["counts"]["train"][-1]
(100, 2)
>>> result = autotricks.run_trial(bundle.rescaled(2), data.dataset)
>>> result.end, len(result.history), sorted(result.metrics)[:2]
(<End.FINISHED: 'finished'>, 2, ['train/accuracy', 'train/balanced_accuracy'])

`autotricks.search(space)` runs the whole search, as `autotricks search` does. Nothing heavy is imported before it is
used.
"""
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.batch import Batch as Batch
    from .core.bundle import Bundle as Bundle, Use as Use, Window as Window
    from .core.domain import (
        Above as Above,
        Between as Between,
        Choice as Choice,
        Float as Float,
        Int as Int,
        Text as Text,
        tunable as tunable,
    )
    from .core.run import Run as Run
    from .core.slots import (
        Augment as Augment,
        Average as Average,
        Build as Build,
        Gradients as Gradients,
        Groups as Groups,
        Load as Load,
        Loss as Loss,
        Mix as Mix,
        Model as Model,
        Order as Order,
        Output as Output,
        Predict as Predict,
        Schedule as Schedule,
        Slot as Slot,
    )
    from .core.targets import Targets as Targets
    from .core.traits import DataTrait as DataTrait, Trait as Trait
    from .core.trick import Advice as Advice, Trick as Trick
    from .errors import AutotricksError as AutotricksError
    from .space import load_space as load_space
    from .space.load import load_bundle_file as load_bundle  # noqa: F401
    from .system.devices import set_threads as set_threads
    from .trial import run_trial as run_trial
    from .tricks.catalog import catalog as catalog
    from .workflows.draw import draw as draw
    from .workflows.predict import predict as predict
    from .workflows.script import load_data as load_data, save_bundle as save_bundle
    from .workflows.search import Options as Options, search as search

__version__ = "0.1.0"

_WHERE = {
    # a search, and what comes of it
    "load_space": "space", "load_bundle": "space:load_bundle_file", "load_data": "workflows.script",
    "search": "workflows.search", "Options": "workflows.search", "run_trial": "trial",
    "save_bundle": "workflows.script", "predict": "workflows.predict", "draw": "workflows.draw",
    "set_threads": "system.devices",
    "AutotricksError": "errors",
    # bundles
    "Bundle": "core.bundle", "Use": "core.bundle", "Window": "core.bundle", "catalog": "tricks.catalog",
    # a trick of one's own
    "Trick": "core.trick", "Advice": "core.trick", "Trait": "core.traits", "DataTrait": "core.traits",
    "Run": "core.run", "Batch": "core.batch", "Targets": "core.targets", "Slot": "core.slots",
    "tunable": "core.domain", "Float": "core.domain", "Int": "core.domain", "Choice": "core.domain",
    "Above": "core.domain", "Between": "core.domain", "Text": "core.domain",
    # what its slots take and give
    "Groups": "core.slots", "Model": "core.slots", "Build": "core.slots", "Schedule": "core.slots",
    "Average": "core.slots", "Output": "core.slots", "Predict": "core.slots", "Order": "core.slots",
    "Load": "core.slots",
    "Augment": "core.slots", "Mix": "core.slots", "Loss": "core.slots", "Gradients": "core.slots",
}
_HOOKS = {"_load_pyfunc": "inference.pyfunc"}   # what MLflow calls to load a registered model

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    target = _WHERE.get(name) or _HOOKS.get(name)
    if target is None:
        raise AttributeError(f"module 'autotricks' has no attribute {name!r}")
    module, _, attribute = target.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute or name)


def __dir__() -> list[str]:
    return __all__
