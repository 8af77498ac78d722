"""Published weights: which a model's name means, and their file, from the hub's cache or the network."""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor

from ..core.weights import DEFAULT, Weights
from ..errors import HubError, ModelError
from .build import AUXILIARY
from .checkpoint import read, sha256_of
from .names import RESERVED, ModelName, parse

FILES = ("model.safetensors", "pytorch_model.bin")      # of a repository; the first that is there
CONFIG = "config.json"
OURS = RESERVED | {"img_size"}      # of the arguments that the hub has for a model, what data decide or nobody needs
_SHA256 = 64
_SHA1 = 40      # digits of the checksums that the hub names files by: its large ones, and those that git holds


@dataclass(frozen=True)
class Published:
    """Weights that somebody has published for a model.

    Args:
        name: The model, with an architecture and arguments that the weights go with.
        repository: On the hub; empty where they lie at an address.
        address: Of the file; empty where they lie on the hub.
        mean: Of each channel, which images must be normalized with; empty where nothing is stated.
        std: Standard deviation of each channel.
        side: Of the images that they were trained on, in pixels; None where nothing is stated.
        licence: As it is stated; empty where nothing is.
    """

    name: ModelName
    repository: str
    address: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    side: int | None = None
    licence: str = ""

    @property
    def source(self) -> str:
        """Where the weights lie, in one word."""
        return self.repository or self.address


@dataclass(frozen=True)
class Pin:
    """Which weights a run began with: what must be found again.

    Args:
        source: A repository of the hub, or an address.
        sha256: Of the file.
        revision: Commit of the repository; empty for an address.
        licence: As the source states it.
    """

    source: str
    sha256: str
    revision: str = ""
    licence: str = ""


def published(model: str, revision: str = "") -> Published:
    """Return the weights that a model's name means; nothing is fetched but, from the hub, a model's description.

    Args:
        model: `timm:NAME`, `timm:NAME.TAG`, `timm:hf-hub:USER/MODEL`, `torchvision:NAME` or `torchvision:NAME.WEIGHTS`;
            of a detector, with `fcos:` before it, those of its backbone.
        revision: Of a repository of the hub; empty for its newest.

    Raises:
        ModelError: When nothing is published for it, or the hub must be asked and cannot be reached.
    """
    name = parse(model)
    if name.library == "timm":
        found = _of_repository(name, revision) if name.repository else _of_timm(name)
        return replace(found, side=None) if name.head else found    # objects are as large as their images have them
    if name.library == "torchvision":
        return _of_torchvision(name)
    raise ModelError(f"model.pretrained: nobody has published weights for {model}. Take a model of timm or "
                     "torchvision, or name a file: tricks.pretrained.weights.")


def load_weights(model: str, weights: str = DEFAULT, pin: Pin | None = None) -> Weights:
    """Return the published weights of a model, from the cache or the network, or those of a file.

    Args:
        model: See `published`.
        weights: `default`, or the path of a file.
        pin: Which published ones they must be; None takes the newest.

    Raises:
        ModelError: When they cannot be had, are damaged, or are not those that were pinned.
    """
    if weights != DEFAULT:
        path = Path(weights).expanduser()
        return Weights(str(path), _full(read(path)), sha256_of(path))
    origin = published(model, pin.revision if pin else "")
    path, revision = fetch(origin, pin.revision if pin else "")
    digest = sha256_of(path)
    _require_whole(path, digest, origin)
    if pin and digest != pin.sha256:
        raise ModelError(f"model.name: {model}: the weights of {origin.source} have the checksum {digest[:12]}, the "
                         f"run began with {pin.sha256[:12]}. Start a new search.")
    licence = pin.licence if pin else origin.licence or _licence(origin, revision)
    return Weights(origin.source, _full(read(path, "model.name")), digest, revision, licence, origin.mean, origin.std)


def _full(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in float32, as models are built, where they were kept in fewer bits."""
    return {name: value.float() if value.is_floating_point() and value.element_size() < 4 else value
            for name, value in tensors.items()}


def fetch(origin: Published, revision: str = "") -> tuple[Path, str]:
    """Return the file of published weights and the commit it is of; it is fetched where the cache lacks it.

    Raises:
        ModelError: When it is neither in the cache nor to be had.
    """
    if origin.repository:
        for file in FILES:
            path = _of_hub(origin.repository, file, revision, origin.name)
            if path:
                return path, _commit(path)
        raise ModelError(f"model.name: {origin.name}: {origin.repository} holds none of {', '.join(FILES)}.")
    return _downloaded(origin), ""


def cached(origin: Published, revision: str = "") -> bool:
    """Return whether the weights are on this machine."""
    if not origin.repository:
        return _kept(origin.address).exists()
    from huggingface_hub import try_to_load_from_cache

    return any(isinstance(try_to_load_from_cache(origin.repository, file, revision=revision or None), str)
               for file in FILES)


def _of_timm(name: ModelName) -> Published:
    import timm

    try:
        known = timm.get_pretrained_cfg(name.architecture + f".{name.tag}" * bool(name.tag), allow_unregistered=True)
    except RuntimeError:        # which timm raises of a tag that it does not know
        known = None
    if known is None:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name.architecture}.*")]
        raise ModelError(f"model.name: {name}: timm has no such weights. It has {', '.join(tags) or 'none'}.")
    repository = str(known.hf_hub_id or "")
    if repository.endswith("/"):
        repository += f"{known.architecture}.{known.tag}"
    if not (repository or known.url):
        raise ModelError(f"model.pretrained: timm has no weights for {name}. Take another model, or name a file: "
                         "tricks.pretrained.weights.")
    return Published(name, repository, "" if repository else str(known.url), tuple(known.mean), tuple(known.std),
                     known.input_size[-1], known.license or "")


def _of_torchvision(name: ModelName) -> Published:
    import torchvision.models as zoo

    options = zoo.get_model_weights(name.architecture)
    if name.tag and name.tag not in options.__members__:
        raise ModelError(f"model.weights: torchvision has no weights {name.tag!r} for {name.architecture}. It has "
                         f"{', '.join(option.name for option in options) or 'none'}.")
    if not len(options):
        raise ModelError(f"model.pretrained: torchvision has no weights for {name.architecture}. Take another model.")
    chosen = options[name.tag] if name.tag else options.DEFAULT
    images = chosen.transforms()
    if not hasattr(images, "crop_size"):
        raise ModelError(f"model.name: {name} is no classifier of images. Take another model.")
    half = (0.5,) * len(images.mean)    # torchvision normalizes these once more, inside the model
    mean, std = (half, half) if name.architecture in AUXILIARY else (tuple(images.mean), tuple(images.std))
    return Published(name, "", chosen.url, mean, std, images.crop_size[0])


def _of_repository(name: ModelName, revision: str) -> Published:
    """Return what a repository of the hub says of its model, as timm writes it."""
    path = _of_hub(name.repository, CONFIG, revision, name)
    try:
        described: Mapping[str, Any] = json.loads(path.read_text("utf-8")) if path else {}
        about = described.get("pretrained_cfg", described)
        arguments = {key: value for key, value in described.get("model_args", {}).items() if key not in OURS}
        side = about.get("input_size", [None])[-1]
        whole = replace(name, architecture=name.architecture or described["architecture"],
                        arguments={**arguments, **name.arguments})
        if parse(str(whole)) != whole:
            raise ValueError(f"no name can say {whole.architecture!r} with {whole.arguments}")
        mean, std = (tuple(map(float, about.get(word, ()))) for word in ("mean", "std"))
        return Published(whole, name.repository, "", mean, std, side if side is None else int(side),
                         str(about.get("license") or ""))
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"model.name: {name}: {name.repository} has no {CONFIG} that timm would write: "
                         f"{type(error).__name__}: {error}. Take a repository of timm's models.") from None


def _of_hub(repository: str, file: str, revision: str, name: ModelName) -> Path | None:
    """Return a file of a repository, None where the repository does not hold it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with _reached(repository, name):
        try:
            return Path(hf_hub_download(repository, file, revision=revision or None))
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return None
    return None


@contextmanager
def _reached(repository: str, name: ModelName) -> Iterator[None]:
    """Say in one line why the hub did not give what was asked for."""
    from huggingface_hub import errors

    reasons: list[tuple[type[Exception], Callable[[Exception], str]]] = [
        (errors.GatedRepoError, lambda error: "its terms must be accepted on the hub first, and HF_TOKEN set"),
        (errors.RepositoryNotFoundError, lambda error: "the hub has no such repository; a private one needs HF_TOKEN"),
        (errors.RevisionNotFoundError, lambda error: "the repository has no such revision any more"),
        (errors.HFValidationError, lambda error: "that is no name of a repository"),
        (errors.LocalEntryNotFoundError, lambda error: _offline(str(name))),
        (Exception, _first_line)]       # of a line that breaks off, whatever the hub's library uses raises
    try:
        yield
    except Exception as error:
        why = next(say(error) for kind, say in reasons if isinstance(error, kind))
        raise HubError(f"model.name: {name}: {repository}: {why}.") from None


def _offline(name: str) -> str:
    asked = "HF_HUB_OFFLINE is set" if _is_offline() else "the hub cannot be reached"
    return (f"not on this machine, and {asked}. Where there is a network: autotricks fetch '{name}', then copy the "
            "cache, or set HF_HOME to a folder that both see")


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__


def _commit(path: Path) -> str:
    """Return the commit that a file of the hub's cache is of: the name of its snapshot."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts else ""


def _require_whole(path: Path, digest: str, origin: Published) -> None:
    """Refuse a file that is not what was published: the caches name files by their checksum."""
    named = path.resolve().name
    right = True
    if origin.repository and len(named) == _SHA256:
        right = named == digest
    elif origin.repository and len(named) == _SHA1:
        content = path.read_bytes()
        right = named == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    elif not origin.repository:
        right = digest.startswith(_prefix(origin.address))
    if not right:
        raise ModelError(f"model.name: {origin.name}: {path} is damaged: it is not what {origin.source} gave. Delete "
                         f"it, then: autotricks fetch '{origin.name}'.")


def _prefix(address: str) -> str:
    """Return the digits of the checksum in a file's name, as torchvision has them: resnet18-f37072fd.pth."""
    stem = address.rpartition("/")[2].partition(".")[0]
    digits = stem.rpartition("-")[2]
    return digits if len(digits) >= 8 and not set(digits) - set("0123456789abcdef") else ""


def _kept(address: str) -> Path:
    from torch.hub import get_dir

    return Path(get_dir(), "checkpoints", address.rpartition("/")[2])


def _downloaded(origin: Published) -> Path:
    """Return the file of an address, in the cache that torchvision uses too."""
    from torch.hub import download_url_to_file

    path = _kept(origin.address)
    if path.exists():
        return path
    if _is_offline():
        raise ModelError(f"model.name: {origin.name}: {origin.address}: {_offline(str(origin.name))}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(origin.address, os.fspath(path), _prefix(origin.address) or None, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        why = _offline(str(origin.name)) if isinstance(error, URLError) else _first_line(error)
        raise ModelError(f"model.name: {origin.name}: {origin.address}: {why}.") from None
    return path


def _licence(origin: Published, revision: str) -> str:
    """Return the licence that a repository's page states; empty where it states none or cannot be had."""
    if not origin.repository:
        return ""
    from huggingface_hub import metadata_load

    try:
        page = _of_hub(origin.repository, "README.md", revision, origin.name)
        return str((metadata_load(page) or {}).get("license", "")) if page else ""
    except (ModelError, ValueError):
        return ""
