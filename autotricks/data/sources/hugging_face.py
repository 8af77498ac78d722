"""hf: data sets of the Hugging Face hub, or of a folder that its library reads."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError
from ..decode import Bad, display_name, error_text
from ..settings import Settings
from ..storage import Stored
from . import arrow_tables as columns
from .arrow_tables import Columns, Rows
from .files import Entry, Listing, images_of
from .naming import parse
from .raw import SPLIT_WORDS, Raw

if TYPE_CHECKING:
    pass

SPLITS = ("train", "validation", "test")
ARGUMENTS = ("config", "revision", "image", "label", *SPLITS)
SAVED = ("dataset_dict.json", "state.json")     # what save_to_disk leaves in its folder
FILES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".tar", ".zip")


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
    chosen = _splits(where, list(sets), options)
    entries: list[Entry] = []
    skipped = [Bad(f"{where} {word}", f"a split that is none of {', '.join(SPLITS)}; ?train={word} takes it")
               for word in sets if word not in chosen.values()]
    order: tuple[str, ...] = ()
    wanted = {what: name for what, name in options.items() if what in ("image", "label")}
    for split, word in chosen.items():
        own = columns.find(where, sets[word].features.arrow_schema, wanted,
                           settings.group.column if settings.group else None)
        own = Columns(own.image, own.label, own.names, None, own.group)     # the splits are the data set's own
        found = list(columns.entries(_rows(where, word, sets[word], own), own, split))
        labelled = [entry for entry in found if isinstance(entry, Entry)]
        if not labelled and split != "train":
            skipped.append(Bad(f"{where} {word}", "a split without labels"))
            continue
        entries += labelled
        skipped += [entry for entry in found if isinstance(entry, Bad)]
        order = order or own.names or ()
    return Listing(entries, tuple(skipped), order=order)


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
    try:
        if any((folder / saved).is_file() for saved in SAVED):
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
        return DataError(f"data.source: {where} has several configurations: {' '.join(str(error).split())[:300]} "
                         f"?config=NAME after its name takes one.")
    if "scripts are no longer supported" in str(error):
        return DataError(f"data.source: {where} is made by code of its own, which is not run. Look for a copy of it in "
                         "Parquet files.")
    if any(isinstance(cause, hub.GatedRepoError) for cause in causes):
        return DataError(f"data.source: {where} is open only to those who accepted its terms. Accept them on its page, "
                         "and log in: hf auth login.")
    if not local and any(isinstance(cause, ConnectionError | hub.OfflineModeIsEnabled | hub.LocalEntryNotFoundError)
                         or type(cause).__name__ in ("ConnectError", "ConnectTimeout") for cause in causes):
        return DataError(f"data.source: {where} is not in the cache, and the hub cannot be reached ({text}). Run "
                         f"autotricks data check {where} where there is a network, and take that HF_HOME along.")
    return DataError(f"data.source: {where} cannot be loaded: {type(error).__name__}: {text}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _splits(where: str, there: list[str], options: Mapping[str, str]) -> dict[str, str]:
    """Return the data set's name of each split that it has.

    Raises:
        DataError: When none is for training, or one that is asked for is not there.
    """
    chosen = {SPLIT_WORDS[word.lower()]: word for word in there if word.lower() in SPLIT_WORDS}
    asked = {split: options[split] for split in SPLITS if split in options}
    chosen = {split: word for split, word in chosen.items() if word not in asked.values()} | asked
    missing = [word for word in chosen.values() if word not in there]
    if missing or "train" not in chosen:
        lacking = f"no split {missing[0]!r}" if missing else "no split called train"
        raise DataError(f"data.source: {where} has {lacking}; its splits are {', '.join(there)}. ?train=NAME after its "
                        "name says which to train on; &validation=NAME and &test=NAME go with it.")
    return chosen


def _rows(where: str, split: str, held: Any, own: Columns) -> Rows:
    """Return the rows of a split, whose images lie in the library's Arrow files.

    Raises:
        DataError: When they do not.
    """
    name = f"{where} {split}"
    places: list[Stored | None] = []
    for file in held.cache_files:
        found = columns.cells(Path(file["filename"]), own.image, name, len(places))
        if found is None:
            raise DataError(f"data.source: {name}: {file['filename']} is compressed, so that no image in it can be read "
                            "alone. Load it with datasets and save_to_disk to a new folder, which hf:FOLDER reads.")
        places += found
    if len(places) != held.num_rows:
        raise DataError(f"data.source: {name}: {held.num_rows:,} rows in {len(places):,} rows of files: rows were chosen "
                        "or moved. Load it with datasets and save_to_disk to a new folder, which hf:FOLDER reads.")
    small = [column for column in dict.fromkeys((own.label, own.group)) if column]
    return Rows(name, held.select_columns(small).with_format("arrow")[:], places)
