"""The ledger: one line of JSON for each thing that happened, on disk before anybody else hears of it."""
from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RunError, printable
from ..io.files import disk_errors
from ..stats.verdict import BASELINE

Line = dict[str, Any]
REASON = 400    # characters of why a trial failed
_START = b'{"seq":'   # what every line begins with; in the middle of one, JSON would escape its quotes
_FIRST = _START + b'0,"kind":"'
_SEAL = b',"check":"%s"}\n'        # what every line ends with
_SEALED = len(_SEAL % (b"0" * 16))
_CURVE = b',"curve":['              # what begins the last of a line's fields where it has figures of every epoch


class Curve(Sequence[Line]):
    """The figures of every epoch that a line holds, read from the file each time that somebody looks at them.

    They are most of a long ledger, and hardly anybody looks at all of them.

    Args:
        path: Of the ledger, which nobody rewrites.
        offset: Of the line, in bytes.

    Raises:
        RunError: From any look, when the line is not there any more.
    """

    __slots__ = ("_offset", "_path")

    def __init__(self, path: Path, offset: int):
        self._path = path
        self._offset = offset

    def __len__(self) -> int:
        return len(self._rows())

    def __getitem__(self, index: Any) -> Any:
        return self._rows()[index]

    def __iter__(self) -> Iterator[Line]:
        return iter(self._rows())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._rows() == list(other)

    __hash__ = None     # type: ignore[assignment]

    def _rows(self) -> list[Line]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                rows: list[Line] = json.loads(file.readline())["curve"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self._path}: was changed while it was read. Give the command again.") from error
        return rows


class Ledger:
    """Appends lines to `trials.jsonl`; one writer only, which holds the run folder's lock.

    Kinds of line: `search` (what is searched, on which data, with which libraries: the first line, and one where a
    later sitting changed what it may), `trial` (a bundle is about to be trained), `rung` (its figures at a budget),
    `end` (and why).
    Every line begins with a sequence number and ends with the first 16 digits of the SHA-256 of all bytes before them.

    Attributes:
        lines: All of them, without the curves, which would be most of the memory of a long search; the file has these.

    Raises:
        RunError: When the file is no ledger, is damaged, or cannot be written; it is as it was.
        DiskError: When the disk is full or fails.
    """

    def __init__(self, path: Path):
        self.path = path
        lines, whole, self.torn = _read(path) if path.exists() else ([], 0, False)
        self.lines = [_without_curve(line) for line in lines]
        with disk_errors(path):
            if self.torn:  # so that the next line does not go on where the torn one ends
                os.truncate(path, whole)
            self._file = path.open("ab", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size
        self._on_disk = self._size, len(self.lines)

    def append(self, kind: str, **fields: Any) -> Line:
        """Write one line to the disk, whole or not at all, and return it.

        Raises:
            RunError: When the file is not as the last line left it.
            DiskError: When the disk is full or fails.
        """
        line = self._written(kind, fields)
        self.sync()
        return line

    def write(self, kind: str, **fields: Any) -> Line:
        """Write one line as `append` does, without waiting for the disk: `sync` does that, for several at once."""
        return self._written(kind, fields)

    def _written(self, kind: str, fields: dict[str, Any]) -> Line:
        curve = {"curve": fields.pop("curve")} if "curve" in fields else {}     # the rest can be read without it
        line = {"seq": len(self.lines), "kind": kind, **_plain(fields), **_plain(curve)}
        body = json.dumps(line, separators=(",", ":")).encode()[:-1]
        content = body + _seal(body)
        file = self._file.fileno()
        if not self._untouched():
            raise RunError(f"{self.path}: was deleted, replaced or changed by another program while this one writes "
                           "it; nothing more is written to it. Restore it, then give the command again.")
        with disk_errors(self.path):
            try:
                rest = content
                while rest:
                    rest = rest[self._file.write(rest):]
            except OSError:     # a full disk takes a part of a line
                os.ftruncate(file, self._size)
                raise
        self._size += len(content)
        self.lines.append(_without_curve(line))
        return line

    def sync(self) -> None:
        """Wait until every line is on the disk.

        Raises:
            DiskError: When the disk is full or fails; the lines since the last wait are gone, as if never written.
        """
        size, count = self._on_disk
        if size == self._size:
            return
        file = self._file.fileno()
        with disk_errors(self.path):
            try:
                os.fsync(file)
            except OSError:
                os.ftruncate(file, size)
                self._size = size
                del self.lines[count:]
                raise
        self._on_disk = self._size, len(self.lines)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _untouched(self) -> bool:
        """Return whether the path still leads to the open file, to which nobody else has written."""
        ours = os.fstat(self._file.fileno())
        try:
            there = self.path.stat()
        except OSError:
            return False
        return os.path.samestat(ours, there) and ours.st_size == self._size


def read(path: Path) -> tuple[list[Line], bool]:
    """Return the lines of a ledger, a `Curve` in each that has one, and whether a torn last line was left out.

    Raises:
        RunError: When the file is missing or no ledger, a line that is not the last is damaged, or one is missing.
    """
    lines, _, torn = _read(path)
    return lines, torn


def searched(lines: Sequence[Line]) -> Line | None:
    """Return the last line that says what is searched."""
    return next((line for line in reversed(lines) if line["kind"] == "search"), None)


def _read(path: Path) -> tuple[list[Line], int, bool]:
    """Return the lines, how many bytes hold whole ones, and whether a torn one follows."""
    if path.exists() and not path.is_file():    # a folder, or what never ends
        raise RunError(f"{path}: is no file, and so no ledger. Name another place, or restore the ledger.")
    lines: list[Line] = []
    offset = 0
    try:
        with path.open("rb") as file:
            for text in file:
                found = _line(text)
                if found is None or found[0].get("seq") != len(lines):
                    _require_torn(path, lines, found, text + file.read())
                    return lines, offset, True
                line, has_curve = found
                curve = {"curve": Curve(path, offset)} if has_curve else {}
                lines.append({**_plain(line), **curve})
                offset += len(text)
    except OSError as error:
        raise RunError(f"{path}: the ledger cannot be read: {(error.strerror or str(error)).lower()}. Restore it."
                       ) from None
    return lines, offset, False


def _require_torn(path: Path, lines: Sequence[Line], found: object, rest: bytes) -> None:
    """Refuse a file from whose first bad line on `rest` is more than a line that was not written to its end."""
    if found is not None or _START in rest[1:]:
        raise RunError(f"{path}:{len(lines) + 1}  this line of the ledger is damaged; what comes after it cannot "
                       "be trusted. Restore the file, or start a new search.")
    if not lines and rest[:len(_FIRST)] != _FIRST[:len(rest)]:
        raise RunError(f"{path}: is no ledger, and stays as it is. Name another file, or restore the ledger.")


def _line(text: bytes) -> tuple[Line, bool] | None:
    """Return the line that stands in `text` without its curve, and whether it has one.

    Returns:
        None unless every byte is as `append` wrote it.
    """
    body = text[:-_SEALED]
    if text[-_SEALED:] != _seal(body):
        return None
    try:
        return _fields(body)
    except (ValueError, RecursionError):
        return None


def _fields(body: bytes) -> tuple[Line, bool]:
    """Return the fields of a line without its curve, which is not parsed, and whether it has one."""
    rest, curve, _ = body.partition(_CURVE)
    with suppress(ValueError):
        return json.loads(rest + b"}"), bool(curve)
    line: Line = json.loads(body + b"}")    # a field within another has that name
    return line, line.pop("curve", None) is not None


def _seal(body: bytes) -> bytes:
    """Return what follows the fields of a line."""
    return _SEAL % hashlib.sha256(body).hexdigest()[:16].encode()


def _without_curve(line: Line) -> Line:
    return {name: value for name, value in line.items() if name != "curve"}


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it; what is not a finite number becomes null.

    Each name is one object in all lines, of which there are many.
    """
    if value is None or isinstance(value, (str, int)):      # most are; whether one is a `Curve` takes long to ask
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {sys.intern(str(key)): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple, Curve)) else value


@dataclass
class TrialRecord:
    """What the ledger says of one trial."""

    number: int
    label: str
    bundle: dict[str, Any]
    picks: dict[str, Any] | None
    hash: str
    rungs: list[Line] = field(default_factory=list)
    end: str | None = None
    attempts: int = 1
    why: str = ""
    step: str = ""
    promise: float = 0.0
    reason: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether it is plain training, which everything is compared with."""
        return self.label == BASELINE

    @property
    def recipe(self) -> dict[str, Any]:
        """What all trainings of one bundle share, whatever their seeds."""
        return {**self.bundle, "training": {**self.bundle.get("training", {}), "seed": None}}

    @property
    def figures(self) -> dict[str, float | None]:
        """The figures at the highest rung reached; empty before the first or where the trial broke down."""
        return dict(self.rungs[-1]["metrics"]) if self.rungs and not self.broken else {}

    def score(self, metric: str) -> float | None:
        """Return the figure at the highest rung reached, None before the first or where the trial broke down."""
        value = self.figures.get(metric)
        return value if isinstance(value, (int, float)) else None

    @property
    def broken(self) -> bool:
        """Whether the trial broke down at its last rung: diverged, or ran out of memory."""
        return bool(self.rungs) and self.rungs[-1].get("end") not in (None, "finished")

    @property
    def epochs(self) -> float:
        """Epochs spent, every restart counted."""
        return float(sum(line["epochs"] for line in self.rungs))


def records(lines: list[Line]) -> list[TrialRecord]:
    """Return the trials of a ledger, by number."""
    result: dict[int, TrialRecord] = {}
    for line in lines:
        if line["kind"] == "search":
            continue
        number = line["trial"]
        if line["kind"] == "trial":
            if number in result:
                result[number].attempts += 1
            else:
                result[number] = TrialRecord(number, line["label"], line["bundle"], line["picks"], line["hash"],
                                             why=line.get("why", ""), step=line.get("step", ""),
                                             promise=line.get("promise") or 0.0)
        elif line["kind"] == "rung":
            result[number].rungs.append(line)
        elif line["kind"] == "end":
            result[number].end = line["reason"]
            result[number].reason = last_line(line.get("detail", ""))
    return [result[number] for number in sorted(result)]


def last_line(detail: str) -> str:
    """Return what a traceback says at its end, without the module that the error is of."""
    lines = detail.strip().splitlines() or [""]
    return printable(re.sub(r"^[\w.]+\.(?=\w+: )", "", lines[-1]))[:REASON]


def trial_of(trials: Iterable[TrialRecord], number: object, path: Path) -> TrialRecord:
    """Return the trial that a run's champion is.

    Args:
        trials: Of the ledger.
        number: Of the trial.
        path: Of the ledger.

    Raises:
        RunError: When the ledger does not hold that it was trained to the end: it was cut off, or is another run's.
    """
    for trial in trials:
        if trial.number == number and trial.rungs and trial.rungs[-1].get("end") == "finished":
            return trial
    raise RunError(f"{path}: does not hold trial {number}, the champion, to its end: it was cut off, or is another "
                   "run's. Restore it.")


def finished(trials: list[TrialRecord]) -> Iterator[TrialRecord]:
    """Yield the trials that were trained to the end."""
    return (trial for trial in trials if trial.end == "finished")
