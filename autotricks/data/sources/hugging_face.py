"""hf: data sets of the Hugging Face hub, or of a folder that its library reads."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..decode import Bad, display_name, error_text
from ..settings import SPLITS, Settings
from ..storage import Stored
from . import arrow_tables
from .arrow_tables import Piece
from .files import Listing, images_of
from .naming import parse
from .raw import MORE_WORDS, Raw

ARGUMENTS = ("config", "revision")
SAVED = ("dataset_dict.json", "state.json")     # what save_to_disk leaves in its folder


def read(argument: str, settings: Settings) -> Raw:
    """Decode the images of a data set, or leave them where memory does not hold them.

    Raises:
        DataError: When it cannot be had, or has no column of images or labels.
    """
    return images_of(listing(argument, settings), settings)


def listing(argument: str, settings: Settings) -> Listing:
    """List the images of USER/NAME of the hub, or of a folder with Parquet files, images or what save_to_disk wrote.

    The library `datasets` fetches it, keeps it in its own cache, as Arrow files, and heeds HF_HOME and HF_HUB_OFFLINE.
    Images are read from those files without it. No code of a data set is run.

    Raises:
        DataError: When it cannot be had, or has no column of images or labels.
    """
    name, options = parse("hf", argument, ARGUMENTS)
    where = f"hf:{name}"
    sets = _loaded(where, name, options)
    chosen = _splits(where, list(sets), settings)
    skipped = [Bad(f"{where} {word}", f"a split that is none of {', '.join(SPLITS)}; data.splits says otherwise")
               for word in sets if word not in chosen]
    pieces: list[Piece] = []
    image = ""
    for word, split in chosen.items():
        schema = sets[word].features.arrow_schema
        image = arrow_tables.image_column(where, schema, settings)
        pieces.append(_piece(f"{where} {word}", split, sets[word], image))
    listed = arrow_tables.listing(where, image, pieces, settings)
    return replace(listed, skipped=(*skipped, *listed.skipped),
                   origin={split: f"split {word}" for word, split in chosen.items()})


def _loaded(where: str, name: str, options: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the data set's splits.

    Raises:
        DataError: With what to do, when the library is not there, or cannot have the data set.
    """
    if not find_spec("datasets"):
        raise DataError(f"data.source: {where} needs the library datasets: pip install 'autotricks[hf]'.")
    import datasets

    folder = Path(name).expanduser()
    if name[:1] in (".", "/", "~") and not folder.exists():
        raise DataError(f"data.source: {display_name(name)}: no such folder.")
    saved = any((folder / one).is_file() for one in SAVED)
    if saved and options:
        raise DataError(f"data.source: {where} was written by save_to_disk, which knows no {' or '.join(options)}. "
                        "Leave it out.")
    try:
        if saved:
            loaded = datasets.load_from_disk(str(folder), keep_in_memory=False)
        else:
            loaded = datasets.load_dataset(str(folder) if folder.exists() else name, options.get("config"),
                                           revision=options.get("revision"), keep_in_memory=False)
    except Exception as error:  # of the network, the hub and damaged files: of many classes, some of other libraries
        raise _refusal(where, folder.exists(), error) from error
    return loaded if isinstance(loaded, dict) else {"train": loaded}


def _refusal(where: str, local: bool, error: Exception) -> DataError:
    """Put into one line why a data set cannot be had."""
    import huggingface_hub.errors as hub

    text = error_text(error)
    causes = list(_causes(error))
    if "Config name is missing" in str(error) or "BuilderConfig" in text:
        return DataError(f"data.source: {where}: which configuration to take is not clear: "
                         f"{' '.join(str(error).split())[:300]} Write {where}?config=NAME.")
    if "scripts are no longer supported" in str(error):
        return DataError(f"data.source: {where} is made by code of its own, which is not run. Look for a copy of it in "
                         "Parquet files.")
    if any(isinstance(cause, hub.GatedRepoError) for cause in causes):
        return DataError(f"data.source: {where} is open only to those who accepted its terms. Accept them on its page, "
                         "and log in: hf auth login.")
    if not local and any(isinstance(cause, ConnectionError | hub.OfflineModeIsEnabled | hub.LocalEntryNotFoundError)
                         or type(cause).__name__ in ("ConnectError", "ConnectTimeout") for cause in causes):
        offline = any(isinstance(cause, hub.OfflineModeIsEnabled) for cause in causes) or "Offline" in text
        why = "HF_HUB_OFFLINE keeps from the hub" if offline else "the hub cannot be reached"
        return DataError(f"data.source: {where} is not in the cache, and {why}. Run autotricks data check {where} "
                         "where there is a network, and take that HF_HOME along.")
    return DataError(f"data.source: {where} cannot be loaded: {type(error).__name__}: {text}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _splits(where: str, there: list[str], settings: Settings) -> dict[str, str]:
    """Return the split that each of the data set's own is, but for those that are none.

    Raises:
        DataError: When none is for training, or one that is named is not there.
    """
    words = settings.splits.by_word() if settings.splits else MORE_WORDS
    missing = [word for word in words if word not in map(str.lower, there)] if settings.splits else []
    rest = "train" if settings.splits and not settings.splits.train else ""
    chosen = {word: split for word in there if (split := words.get(word.lower(), rest))}
    if missing or "train" not in chosen.values():
        lacking = f"no split {missing[0]}" if missing else "no split that is called train"
        raise DataError(f"data.splits: {where} has {lacking}; its splits are {', '.join(there)}. Say which are what: "
                        f"data.splits: {{train: {there[0]}}}.")
    return chosen


def _piece(where: str, split: str, held: Any, image: str) -> Piece:
    """Return the rows of a split, whose images lie in the library's Arrow files.

    Raises:
        DataError: When they do not.
    """
    import pyarrow

    images: list[Stored | None] = []
    mend = "Load it with datasets, and save_to_disk to a new folder, which hf:FOLDER reads."
    for file in held.cache_files:
        try:
            found = arrow_tables.cells(Path(file["filename"]), image, where, len(images))
        except KeyError:    # it says which rows of the others are meant, and in what order
            raise DataError(f"data.source: {where}: its rows were chosen or moved. {mend}") from None
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"data.source: {where}: {file['filename']} cannot be read: {error_text(error)}. Delete it, "
                            "and load the data set anew.") from error
        if found is None:
            raise DataError(f"data.source: {where}: {file['filename']} is compressed, so that no image in it can be "
                            f"read alone. {mend}")
        images += found
    if len(images) != held.num_rows:
        raise DataError(f"data.source: {where}: its rows were chosen, {held.num_rows:,} of {len(images):,}. {mend}")
    columns = arrow_tables.other_columns(held.features.arrow_schema, image)
    return Piece(where, held.select_columns(columns).with_format("arrow")[:], images, split)
