"""The registry: confirmed champions as versions of a registered model, without pickle, and which of them stands."""
from __future__ import annotations

import contextlib
import getpass
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..core.objective import SPEED
from ..errors import RunError
from ..stats.intervals import paired, unpaired
from .address import redacted
from .store import FILE, client, default_uri

LOADER = "autotricks"    # the package itself: models in the registry outlive the names of its modules
REGISTERED = "models:/"
CHAMPION = "champion"
CHALLENGER = "challenger"
CARD = "MODEL_CARD.md"
DESCRIPTION = 5000    # characters that a registry's database keeps


@dataclass(frozen=True)
class Entry:
    """A confirmed champion on its way into the registry.

    Args:
        name: Of the registered model: the search's.
        files: Bundle file and weights.
        shape: (D, H, W) of an image.
        card: The model card, in Markdown.
        columns: What is told of an image, by name, and whether it is a text (str), a number (float) or a list of
            objects (list).
        tags: `hash` of the bundle, `run`, `fingerprint` of the data, `metric` and `mode`, `costs` where mistakes have
            costs of their own, `seeds`, `folds` (how many; 0 where seeds alone differ) and `test`: the confirmed
            figures on test, one a seed or fold; and what else is worth reading.
    """

    name: str
    files: Sequence[Path]
    shape: Sequence[int]
    card: str
    columns: Mapping[str, type]
    tags: Mapping[str, str]


def register(client: Any, run_id: str | None, entry: Entry) -> tuple[str, str]:
    """Make an entry a version of its model, or bring the version that it is already up to date; and set its alias.

    The model is a `python_function` whose data are the bundle file, safetensors and the card: MLflow loads it through
    `autotricks._load_pyfunc`.

    Returns:
        The version's number, and one line that says which alias it has and why.
    """
    known = client.search_model_versions(f"name='{entry.name}' and run_id='{run_id}'")
    same = [str(one.version) for one in known if one.tags.get("hash") == entry.tags["hash"]]
    number = same[0] if same else _logged(client, run_id, entry)
    for name, value in entry.tags.items():
        client.set_model_version_tag(entry.name, number, name, value)
    client.update_model_version(entry.name, number, _short(entry.card))
    return number, _placed(client, entry, number)


def _logged(client: Any, run_id: str | None, entry: Entry) -> str:
    """Log the model to the run and create a version of it."""
    import mlflow
    import numpy as np

    depth, height, width = entry.shape
    with tempfile.TemporaryDirectory() as parent, mlflow.start_run(run_id=run_id):
        data = Path(parent) / "bundle"
        data.mkdir()
        for file in entry.files:
            shutil.copy2(file, data)
        (data / CARD).write_text(entry.card, "utf-8")
        info = mlflow.pyfunc.log_model(
            name="champion", loader_module=LOADER, data_path=str(data), signature=_signature(entry.columns),
            input_example={"images": np.zeros((1, height, width, depth), np.uint8).tolist()},
            pip_requirements=[f"autotricks=={version('autotricks')}"])
    with contextlib.suppress(mlflow.MlflowException):  # it is there already
        client.create_registered_model(entry.name)
    model = client.create_model_version(entry.name, info.model_uri, run_id, dict(entry.tags), model_id=info.model_id)
    return str(model.version)


def _signature(columns: Mapping[str, type]) -> Any:
    """Return what goes into a model and comes out, in MLflow's words; all probabilities too, where it names classes."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array, Map, Object, Property

    anything: Any = AnyType     # one column takes pixels as well as files
    figures = [Property(name, DataType.double) for name in ("probability", "left", "top", "right", "bottom")]
    objects: Any = Array(Object([Property("class", DataType.string), *figures]))
    kinds = {str: DataType.string, float: DataType.double, list: objects}
    told: list[Any] = [ColSpec(kinds[kind], name) for name, kind in columns.items()]
    if list not in columns.values():
        told.append(ColSpec(Map(DataType.double), "probabilities"))
    return ModelSignature(Schema([ColSpec(anything(), "images")]), Schema(told),
                          ParamSchema([ParamSpec("topk", DataType.long, 1)]))


def _short(card: str) -> str:
    """Return a card as far as a database keeps it, cut at the end of a line."""
    more = f"\n\n(cut; the whole card is {CARD} among the version's files)\n"
    return card if len(card) <= DESCRIPTION else card[:DESCRIPTION - len(more)].rpartition("\n")[0] + more


def _placed(client: Any, entry: Entry, number: str) -> str:
    """Give a version the alias that it deserves and say why in one line."""
    aliases = _aliases(client, entry.name)
    ours = f"{entry.name}/{number}"
    present = aliases.get(CHAMPION)
    if present == number:
        return f"{ours} is the champion."
    if present is None:
        client.set_registered_model_alias(entry.name, CHAMPION, number)
        return f"{ours} is the champion: there was none."
    better, why = compared(entry.tags, client.get_model_version(entry.name, present).tags,
                           f"{entry.name}/{present}")
    client.set_registered_model_alias(entry.name, CHAMPION if better else CHALLENGER, number)
    if better and aliases.get(CHALLENGER) == number:
        client.delete_registered_model_alias(entry.name, CHALLENGER)
    return f"{ours} is {'the champion' if better else 'a challenger'}: {why}"


def _aliases(client: Any, name: str) -> dict[str, str]:
    return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}


def compared(ours: Mapping[str, str], theirs: Mapping[str, str], champion: str) -> tuple[bool, str]:
    """Return whether a version is better than the champion, and why, from their tags.

    Figures of the same seeds are paired, and so are those over the same folds; those of other seeds are two groups.
    """
    if ours["fingerprint"] != theirs.get("fingerprint"):
        return False, (f"its data has the fingerprint {ours['fingerprint'][:12]}, that of the champion {champion} has "
                       f"{theirs.get('fingerprint', 'none')[:12]}; figures on other data do not compare.")
    for name in ("metric", "mode", "test", "seeds"):
        if name not in theirs or (name in ("metric", "mode") and ours[name] != theirs[name]):
            return False, (f"the champion {champion} has {name} {theirs.get(name, 'unknown')}, this one has "
                           f"{ours[name]}; they do not compare.")
    if ours.get("costs") != theirs.get("costs"):
        return False, f"the champion {champion} counts other costs of mistakes than this one; they do not compare."
    if ours["metric"] == SPEED:
        return False, f"speeds do not compare with those of the champion {champion}: another machine, or another load."
    one, other = (json.loads(tags["test"]) for tags in (ours, theirs))
    folds, before = (int(tags.get("folds", 0)) for tags in (ours, theirs))
    same = (ours["seeds"], folds) == (theirs["seeds"], before)
    if not same and max(folds, before):
        return False, ("figures over folds compare with those of the same folds alone, and the champion "
                       f"{champion} was confirmed otherwise.")
    sign = -1 if ours["mode"] == "min" else 1
    gain = paired(sign, one, other, folds) if same else unpaired(
        [sign * value for value in one], [sign * value for value in other])
    each = "folds" if folds else "seeds"
    seeds = f"paired, {len(one)} {each}" if same else f"unpaired, {len(one)} and {len(other)} seeds"
    span = (f"95% interval {gain.low:+.4f} to {gain.high:+.4f}" if math.isfinite(gain.low)
            else "no interval from a single seed")
    return gain.low > 0, (f"{'better' if gain.low > 0 else 'not shown to be better'} than the champion {champion} on "
                          f"the same test images: {ours['metric']} {gain.mean:+.4f}, {span} ({seeds}).")


def promote(client: Any, what: str, by: str = "") -> str:
    """Give a version the alias `champion` because a person says so; return one line that says what was done.

    Args:
        client: Of the registry.
        what: `NAME/VERSION`, or the name of a run, whose newest version is meant.
        by: Who decides; the user of this machine if empty.

    Raises:
        RunError: When there is no such version.
    """
    name, number = _meant(client, what.removeprefix("models:/"))
    before = _aliases(client, name).get(CHAMPION)
    who = by or getpass.getuser()
    client.set_registered_model_alias(name, CHAMPION, number)
    client.set_model_version_tag(name, number, "promoted_by", who)
    client.set_model_version_tag(name, number, "promoted_at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    if _aliases(client, name).get(CHALLENGER) == number:
        client.delete_registered_model_alias(name, CHALLENGER)
    instead = f" in place of {name}/{before}" if before not in (None, number) else ""
    return f"{name}/{number} is the champion{instead}, as {who} says."


def _meant(client: Any, what: str) -> tuple[str, str]:
    """Return name and number of the version that is meant."""
    versions = [(one.name, str(one.version), one.tags.get("run")) for one in client.search_model_versions()]
    matches = [(name, number) for name, number, run in versions if what in (f"{name}/{number}", run)]
    if not matches:
        known = ", ".join(f"{name}/{number}" for name, number, _ in versions) or "none"
        raise RunError(f"{what}: neither a version in the registry nor a run that has one; versions: {known}. "
                       "Only confirmed champions are registered: autotricks confirm RUN.")
    return max(matches, key=lambda one: int(one[1]))


def fetch(uri: str, store: str) -> Path:
    """Return a folder with the bundle file and weights of a registered model, `models:/NAME@ALIAS`.

    Args:
        uri: The model.
        store: Address of the registry.

    Raises:
        RunError: When the registry has no such model or cannot be reached.
    """
    where = f"{uri}: the registry at {redacted(store)}"
    name_it = "Name another with --tracking or MLFLOW_TRACKING_URI."
    if store.startswith(FILE) and not Path(store.removeprefix(FILE)).exists():
        raise RunError(f"{where} does not exist. {name_it}")    # MLflow would make an empty one
    client(store)
    import mlflow

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri)) / "data" / "bundle"
    except (mlflow.MlflowException, OSError) as error:
        why = redacted(str(error).splitlines()[0]).rstrip(".")
        raise RunError(f"{where} does not give it: {why}. {name_it}") from None


@cache
def local_folder(address: str, root: Path = Path("runs")) -> str:
    """Return the folder of a trained bundle; one that is registered is fetched once a process.

    Args:
        address: A path, or `models:/NAME@ALIAS` of MLflow's registry at MLFLOW_TRACKING_URI, or that of the searches
            in `root`.
        root: Folder of all runs.

    Raises:
        RunError: When the registry has no such model or cannot be reached.
    """
    if not address.startswith(REGISTERED):
        return address
    return str(fetch(address, os.environ.get("MLFLOW_TRACKING_URI") or default_uri(root)))
