"""What a GPU says in a quarter of an hour, what is most likely broken first: `make gpu`.

    python benchmarks/gpu.py --minutes 8 [--data cifar10.npz] [--out gpu.jsonl] [--pieces contract row]

Pieces, each described in its file in gpu_pieces: the device's own bounds; the whole contract of every trick; ResNet-32,
ResNet-50, ViT-S and a detector, the trainer beside bare steps; trainings side by side; `batch_size: max`; a row of
CIFAR-10-LT at the paper's setting; a search with four trials on one GPU; grouped models; more rows.

Each piece has a process of its own and a share of the minutes. Each figure is a line in --out as soon as it is known,
so it is kept if the machine is taken away; `--table gpu.jsonl` then shows what there is. A piece that fails or takes
longer than its share is noted with its traceback, and the next one begins. At the end a table of it all lies beside
--out, in Markdown.

It needs torch, torchvision, timm and this repository, nothing else; what a piece lacks, it says.
`--device cpu --quick` trains small things to see that all of it runs, and concludes nothing.
Exit codes: 0 everything ran and every target is reached, 1 not, 2 there is no GPU.
"""
from __future__ import annotations

import argparse
import gc
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOMES = [str(HERE), str(HERE.parent)]
sys.path[:0] = HOMES     # for whoever runs this file without having installed anything

from gpu_pieces import results  # noqa: E402
from gpu_pieces.budget import Piece, spend  # noqa: E402
from gpu_pieces.worker import FORK  # noqa: E402
from machine import THREADS, Row, one_thread  # noqa: E402

PIECES = (Piece("bounds", 3, "bounds:measure"), Piece("contract", 24, "contract:measure"),
          Piece("resnet32", 12, "speed:resnet32"), Piece("resnet50", 15, "speed:resnet50"),
          Piece("vit_s", 9, "speed:vit_s"), Piece("detector", 6, "speed:detector"),
          Piece("side_by_side", 6, "side_by_side:measure"), Piece("largest_batch", 6, "largest_batch:measure"),
          Piece("row", 16, "long_tail_rows:first"), Piece("search", 4, "digits_search:measure"),
          Piece("grouped", 9, "grouped:measure"), Piece("more_rows", 8, "long_tail_rows:more"))
MINUTES = 8.0


def run(minutes: float, device: str, quick: bool, out: Path, wanted: tuple[str, ...] = (),
        data: Path | None = None) -> bool:
    """Measure within so many minutes; return whether every piece came to its end.

    Args:
        minutes: For everything.
        device: `cuda` or `cpu`.
        quick: Whether small things are trained.
        out: Gets the lines, after those that it holds.
        wanted: Names of pieces; all if none is named.
        data: A file of CIFAR-10.
    """
    deadline = time.monotonic() + 60 * minutes
    pieces = [piece for piece in PIECES if piece.name in (wanted or piece.name)]
    results.append(out, "begin", {"minutes": minutes, "device": device, "quick": quick, "time": time.time()})
    _import(pieces)

    def measured(piece: Piece, seconds: float) -> None:
        from gpu_pieces.told import Told

        told = Told(device, quick, time.monotonic() + seconds, data, results.bounds(results.read(out)))
        for row in pkgutil.resolve_name(f"gpu_pieces.{piece.function}")(told):
            results.append_row(out, piece.name, row)
    try:
        return spend(pieces, deadline, out, measured)
    finally:
        out.with_suffix(".md").write_text(results.table(results.read(out)), encoding="utf-8")


def _import(pieces: Iterable[Piece]) -> None:
    """Import once what the processes that are forked for the pieces use; what cannot be imported, they say."""
    os.environ.update(dict.fromkeys(THREADS, "1"))      # before numpy starts its threads, as this process will fork
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*HOMES, os.environ.get("PYTHONPATH")]))
    one_thread()
    for piece in pieces:
        with suppress(ImportError):
            pkgutil.resolve_name(f"gpu_pieces.{piece.function}")
    from autotricks.tricks.catalog import catalog

    catalog()
    gc.freeze()     # what is there for good need not be looked through whenever a piece gives memory back


def measure(quick: bool) -> list[Row]:
    """Return every figure; one line where there is no GPU."""
    if not has_gpu():
        return [Row("", "GPU", None, note="there is none here")]
    out = Path("gpu.jsonl")
    run(MINUTES, "cuda", quick, out)
    return [row for _, row in results.rows(results.read(out))]


def has_gpu() -> bool:
    """Return whether torch can use one; asked in a process of its own, as who has used a GPU cannot fork any more."""
    import torch  # noqa: F401  # once, before processes are forked

    asked = FORK.Process(target=_use_gpu)
    asked.start()
    asked.join()
    return asked.exitcode == 0


def _use_gpu() -> None:
    import torch

    sys.exit(not torch.cuda.is_available())


def main() -> int:
    words = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    words.add_argument("--minutes", type=float, default=MINUTES, help="for everything (%(default)g)")
    words.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    words.add_argument("--quick", action="store_true", help="small things, to see that it works; concludes nothing")
    words.add_argument("--data", type=Path, metavar="FILE", help="CIFAR-10 as npz: x_train, y_train, x_test, y_test")
    words.add_argument("--out", type=Path, default=Path("gpu.jsonl"), metavar="FILE", help="(%(default)s)")
    words.add_argument("--pieces", nargs="+", default=(), choices=[piece.name for piece in PIECES])
    words.add_argument("--table", type=Path, metavar="FILE", help="show the last run that a file holds, and end")
    given = words.parse_args()
    if given.table:
        print(results.table(results.read(given.table)))
        return 0
    if given.data and not given.data.is_file():
        words.error(f"--data {given.data}: there is no such file. Leave it out to train on noise.")
    if given.device == "cuda" and not has_gpu():
        words.error("there is no GPU that torch can use. --device cpu --quick runs all of it small on a CPU.")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))     # which ends the piece too
    good = run(given.minutes, given.device, given.quick, given.out, tuple(given.pieces), given.data)
    print(given.out.with_suffix(".md").read_text(encoding="utf-8"))
    missed = any(row.verdict == "missed" for _, row in results.rows(results.read(given.out)))
    return int(not good or (missed and not given.quick))


if __name__ == "__main__":
    sys.exit(main())
