"""What a person sees of predictions: a table, how far it has come, and which files could not be read."""
from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ...core.reporting import OnProgress
from ...data.decode import printable
from ...errors import AutotricksError, InputError
from ...inference.predictor import Predictor
from ...io.files import ensure_folder, write_atomic
from ...runs.table import cell
from ...workflows import coco_results
from ...workflows.draw import Pictures
from ...workflows.predict import Prediction, Row, files_of
from .search import to_json

STANDARD_INPUT = "-"
COCO = ".coco.json"
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


@dataclass(frozen=True)
class Wanted:
    """Where predictions go.

    Args:
        out: File to write, whose suffix names its format; None prints CSV.
        as_json: Print JSON in place of words and of CSV.
        draw: Folder for pictures with what was predicted; None draws none.
        threshold: Probability of an object, from which on it is told and drawn. None: that which was fitted on
            validation for its class; COCO results hold all then.
        annotations: COCO file from which results take the numbers of images and categories.
    """

    out: Path | None
    as_json: bool
    draw: Path | None = None
    threshold: float | None = None
    annotations: Path | None = None

    @property
    def kind(self) -> str:
        """The end of the file's name, by which it is written; empty without a file."""
        name = self.out.name.lower() if self.out else ""
        return next((kind for kind in (COCO, *WRITERS) if name.endswith(kind)), "")

    @property
    def least(self) -> float | None:
        """Probability of an object, from which on it is told, in place of what was fitted."""
        return 0.0 if self.threshold is None and self.kind == COCO else self.threshold

    def limits(self, predictor: Predictor) -> dict[str, float]:
        """Return the probability of an object of each class, from which on it is drawn."""
        return predictor.limits if self.threshold is None else dict.fromkeys(predictor.classes, self.threshold)

    def problems(self) -> Iterator[str]:
        """Yield a line for each thing that cannot be, whatever the bundle."""
        if self.out and not self.kind:
            yield f"--out {self.out}: the name must end in {', '.join(WRITERS)} or {COCO}."
        if self.annotations and self.kind != COCO:
            yield f"--annotations: numbers results of COCO; name a file that ends in {COCO} with --out."

    def refused(self, prediction: Prediction) -> Iterator[str]:
        """Yield a line for each thing that the bundle does not do."""
        if prediction.predictor.finds_objects:
            if prediction.topk > 1:
                yield "--topk: ranks the classes of an image; objects are told with one class each. Leave it out."
            return
        if self.kind == COCO:
            yield (f"--out {self.out}: results of COCO are objects, and this bundle finds none. Take a name that "
                   f"ends in {', '.join(WRITERS)}.")
        if self.threshold is not None:
            yield "--threshold: says which objects are told, and this bundle finds none. Leave it out."


class Table:
    """What predictions are written to: a file, or standard output.

    Args:
        wanted: Where they go.

    Raises:
        InputError: When there is no such format, or nobody can write there.
    """

    def __init__(self, wanted: Wanted):
        self._wanted = wanted
        self._out = wanted.out
        self._as_json = wanted.as_json
        refuse(wanted.problems())
        if wanted.out:
            ensure_folder(wanted.out.parent)

    def fill(self, prediction: Prediction, files: Sequence[Path]) -> None:
        """Predict, show, write and draw.

        Raises:
            InputError: When the bundle does not do what is asked for.
            AutotricksError: When none of the files can be read.
        """
        wanted = self._wanted
        refuse(wanted.refused(prediction))
        predictor = prediction.predictor
        numbers = self._numbers(files, predictor.classes)
        pictures = Pictures.of(files, wanted.draw, wanted.limits(predictor)) if wanted.draw else None
        prediction = replace(prediction, least=wanted.least)
        prints = not self._out and not self._as_json
        if prints:
            _print_csv([prediction.columns])
        rows: list[Row] = []
        count = 0
        with _bar(len(files), prints) as on_progress:
            for batch in prediction.rows(files):
                rows += batch
                count += len(pictures.write(batch)) if pictures else 0
                if prints:
                    _print_csv(_cells(batch))
                on_progress(len(rows), len(files))
        shown: list[Row] = [{**row, "path": printable(str(row["path"]))} for row in rows]
        if self._out:
            write_atomic(self._out, json.dumps(coco_results.results(rows, numbers)).encode() if numbers else
                         WRITERS[wanted.kind](shown))
        self._tell(shown, count)

    def _numbers(self, files: Sequence[Path], classes: Sequence[str]) -> coco_results.Numbers | None:
        """Return the numbers of images and categories, where results of COCO are asked for."""
        if self._wanted.kind != COCO:
            return None
        paths = [str(file) for file in files]
        annotations = self._wanted.annotations
        return (coco_results.Numbers.of(annotations, paths, classes) if annotations else
                coco_results.Numbers.own(paths, classes))

    def _tell(self, rows: Sequence[Row], drawn: int) -> None:
        bad = [row for row in rows if row["error"] is not None]
        if self._as_json:
            to_json({"out": self._out, "files": len(rows), "predicted": len(rows) - len(bad),
                     "drawn": self._wanted.draw, "rows": rows})
        if len(bad) == len(rows):
            more = f"; nor can {len(bad) - 1:,} more be read" if len(bad) > 1 else ""
            raise AutotricksError(f"{bad[0]['path']}: {bad[0]['error']}{more}. Nothing was predicted.")
        if self._out and not self._as_json:
            print(f"{self._out}: {len(rows) - len(bad):,} of {len(rows):,} files{self._counted(rows)}")
        if self._wanted.draw and not self._as_json:
            print(f"{self._wanted.draw}: {drawn:,} pictures", file=sys.stdout if self._out else sys.stderr)
        for row in bad[:FILES]:
            print(f"{row['path']}: {row['error']}", file=sys.stderr)
        if len(bad) > FILES:
            print(f"and {len(bad) - FILES:,} more files that cannot be read; the table names all", file=sys.stderr)

    def _counted(self, rows: Sequence[Row]) -> str:
        """Return how many objects were found, where a bundle finds some."""
        if "objects" not in rows[0]:
            return ""
        count = sum(len(found) for row in rows if isinstance(found := row["objects"], list))
        which = {None: "as probable as was fitted on validation", 0.0: "however improbable"}.get(
            self._wanted.least, f"of probability {self._wanted.least} or more")
        numbered = "" if self._wanted.kind != COCO or self._wanted.annotations else (
            "; images numbered by their names or in order, categories in the order of the classes, from 1")
        return f", {count:,} objects, {which}{numbered}"


def refuse(lines: Iterable[str]) -> None:
    """Refuse what is asked for, if there is a line that says why.

    Raises:
        InputError: With the lines.
    """
    found = [*lines]
    if found:
        raise InputError(found)


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
        yield [cell(printable(str(path))), *map(_text, values)]


def _text(value: Any) -> Any:
    """Return what stands in a cell: objects as JSON."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:.9g}" if isinstance(value, float) else value


def _write_csv(rows: Sequence[Row]) -> bytes:
    return _csv([list(rows[0]), *_cells(rows)]).encode()


def _write_json(rows: Sequence[Row]) -> bytes:
    return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()


def _write_parquet(rows: Sequence[Row]) -> bytes:
    import pandas

    content: bytes = pandas.DataFrame(rows).to_parquet(index=False)
    return content


WRITERS = {".csv": _write_csv, ".json": _write_json, ".parquet": _write_parquet}
