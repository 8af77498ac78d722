"""Images of a table, written once into the cache as they are, so that any of them can be read at any time."""
from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ...errors import DataError
from ...io.array_cache import FOLDER, folder
from ..decode import display_name, error_text
from .arrow_tables import parts

if TYPE_CHECKING:
    import pyarrow

FORM = "1"      # of what is written; another one makes files of an older version unknown
COLUMN = "bytes"
BATCH = 64      # images that are copied at a time


def images_file(path: Path, column: str) -> Path:
    """Return an Arrow file with the images of a column of a Parquet file, in the cache; written if it is not there.

    Parquet compresses many rows together: one image cannot be read without those before it. The Arrow file holds them
    as they are; it is as large as the images are.

    Raises:
        DataError: When the disk does not hold it.
        Exception: What pyarrow raises for a damaged file.
    """
    import pyarrow.parquet

    facts = path.stat()
    key = "\0".join([FORM, str(path.resolve()), str(facts.st_size), str(facts.st_mtime_ns), column])
    target = folder() / "images" / f"{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:32]}.arrow"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if not target.exists():
                with pyarrow.parquet.ParquetFile(path, memory_map=True) as table:
                    _require_room(target.parent, _size(table.metadata, column))
                    _write(target, (batch.column(0) for batch in table.iter_batches(BATCH, columns=[column])))
    except OSError as error:
        if error.errno is None:     # of a damaged file
            raise
        raise DataError(f"data.source: the images of {display_name(path)} cannot be kept in {display_name(folder())}: "
                        f"{error_text(error)}. {FOLDER}=FOLDER names another place.") from error
    return target


def _write(target: Path, arrays: Iterable[pyarrow.Array]) -> None:
    """Write a file, whole or not at all."""
    import pyarrow

    schema = pyarrow.schema([(COLUMN, pyarrow.large_binary())])
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        with pyarrow.OSFile(str(partial), "wb") as sink, pyarrow.ipc.new_stream(sink, schema) as writer:
            for array in arrays:
                content = parts(array)[0].cast(pyarrow.large_binary())
                writer.write_batch(pyarrow.record_batch([content], schema=schema))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _size(metadata: pyarrow.parquet.FileMetaData, column: str) -> int:
    """Return how many bytes a column takes when it is not compressed."""
    groups = (metadata.row_group(row) for row in range(metadata.num_row_groups))
    chunks = (group.column(number) for group in groups for number in range(group.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks
               if chunk.path_in_schema.partition(".")[0] == column)


def _require_room(where: Path, size: int) -> None:
    free = shutil.disk_usage(where).free
    if size > free:
        raise DataError(f"data.source: the images need {size / 2**30:.1f} GiB in {display_name(where)}, where "
                        f"{free / 2**30:.1f} GiB are free. {FOLDER}=FOLDER names another place.")
