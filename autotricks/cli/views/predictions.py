"""What a person sees of predictions: a table, how far it has come, and which files could not be read."""
from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ...core.reporting import OnProgress
from ...data.decode import printable
from ...errors import AutotricksError, InputError
from ...io.files import ensure_folder, write_atomic
from ...runs.table import cell
from ...workflows.predict import Prediction, Row, files_of
from .search import to_json

STANDARD_INPUT = "-"
FILES = 10      # that could not be read and are named; the table names all


def listed(names: Sequence[str]) -> list[Path]:
    """Return the files that are meant; `-` stands for a list on standard input, a path a line, or ended by zeros each.

    Raises:
        InputError: When there is none.
    """
    given: list[str] = []
    for name in names:
        given += _from_standard_input() if name == STANDARD_INPUT else [name]
    files, skipped = files_of(given)
    for one in skipped:
        print(f"left out: {one.path}: {one.reason}", file=sys.stderr)
    if not files:
        raise InputError(f"{printable(', '.join(names))}: no images are there. Name images, or folders that hold some; "
                         "hidden files are none.")
    return files


def _from_standard_input() -> list[str]:
    content = sys.stdin.buffer.read()
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


class Table:
    """Where predictions go: a file, or standard output.

    Args:
        out: File to write, whose suffix names its format; None prints CSV.
        as_json: Print JSON in place of words and of CSV.

    Raises:
        InputError: When there is no such format, or nobody can write there.
    """

    def __init__(self, out: Path | None, as_json: bool):
        self._out = out
        self._as_json = as_json
        if out and out.suffix.lower() not in WRITERS:
            raise InputError(f"--out {out}: the name must end in {', '.join(WRITERS)}.")
        if out:
            ensure_folder(out.parent)

    def fill(self, prediction: Prediction, files: Sequence[Path]) -> None:
        """Predict, show and write.

        Raises:
            AutotricksError: When none of the files can be read.
        """
        prints = not self._out and not self._as_json
        if prints:
            _print_csv([prediction.columns])
        rows: list[Row] = []
        with _bar(len(files), prints) as on_progress:
            for batch in prediction.rows(files):
                rows += batch
                if prints:
                    _print_csv(_cells(batch))
                on_progress(len(rows), len(files))
        rows = [{**row, "path": printable(str(row["path"]))} for row in rows]
        if self._out:
            write_atomic(self._out, WRITERS[self._out.suffix.lower()](rows))
        self._tell(rows)

    def _tell(self, rows: Sequence[Row]) -> None:
        bad = [row for row in rows if row["error"] is not None]
        if self._as_json:
            to_json({"out": self._out, "files": len(rows), "predicted": len(rows) - len(bad), "rows": rows})
        if len(bad) == len(rows):
            more = f"; nor can {len(bad) - 1:,} more be read" if len(bad) > 1 else ""
            raise AutotricksError(f"{bad[0]['path']}: {bad[0]['error']}{more}. Nothing was predicted.")
        if self._out and not self._as_json:
            print(f"{self._out}: {len(rows) - len(bad):,} of {len(rows):,} files")
        for row in bad[:FILES]:
            print(f"{row['path']}: {row['error']}", file=sys.stderr)
        if len(bad) > FILES:
            print(f"and {len(bad) - FILES:,} more files that cannot be read; the table names all", file=sys.stderr)


@contextmanager
def _bar(total: int, prints: bool) -> Iterator[OnProgress]:
    """Give what hears how far it has come: a bar on a terminal, unless rows go by on it."""
    hidden = not sys.stderr.isatty() or (prints and sys.stdout.isatty())
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task("images", total=total)
        yield lambda done, total: bar.update(task, completed=done)


def _print_csv(rows: Iterable[Sequence[Any]]) -> None:
    print(_csv(rows), end="", flush=True)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def _cells(rows: Iterable[Row]) -> Iterator[list[Any]]:
    """Yield rows as text: probabilities with all digits of their 32 bits; no path is a formula of a spreadsheet."""
    for row in rows:
        path, *values = row.values()
        yield [cell(printable(str(path))),
               *(f"{value:.9g}" if isinstance(value, float) else value for value in values)]


def _write_csv(rows: Sequence[Row]) -> bytes:
    return _csv([list(rows[0]), *_cells(rows)]).encode()


def _write_json(rows: Sequence[Row]) -> bytes:
    return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()


def _write_parquet(rows: Sequence[Row]) -> bytes:
    import pandas

    content: bytes = pandas.DataFrame(rows).to_parquet(index=False)
    return content


WRITERS = {".csv": _write_csv, ".json": _write_json, ".parquet": _write_parquet}
