"""Options that several commands share."""
import math
import re
from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError


def _folder(root: Path) -> Path:
    """Refuse an address: a ledger is written line by line, which a bucket cannot do."""
    if re.match(r"[a-z][a-z0-9+]+:/", str(root)):
        raise InputError(f"--root {root}: not a folder. A run is written line by line to a folder of this machine or a "
                         "shared one; --storage keeps a copy of it in a bucket.")
    return root


def time_of(text: str) -> float:
    """Return what `90s`, `30m` or `2h` means in seconds."""
    if not text:
        return math.inf
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text)
    if not match or not float(match[1]):
        raise InputError(f"--time {text}: expected a time such as 90s, 30m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


RUNS = Path("runs")
Space = Annotated[str, typer.Option("--space", help="A space file, or the name of one that ships.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Trust = Annotated[bool, typer.Option("--trust", help="Allow my.module:function, which runs your code.")]
Root = Annotated[Path, typer.Option("--root", callback=_folder, help="Folder of all runs.")]
Data = Annotated[str, typer.Option("--data", help="Data source, in place of the file's.")]
Moved = Annotated[str, typer.Option("--data", help="Where the run's data lie now, if they were moved.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
Storage = Annotated[str, typer.Option(metavar="URI", help="Keep a copy of the run there: s3://, gs:// or file:///.")]
Run = Annotated[str, typer.Argument(help="A run's folder, its name, or 'latest'.")]
Tracking = Annotated[str, typer.Option(envvar="MLFLOW_TRACKING_URI",
                                       help="MLflow's address, or 'off'; SQLite in --root without it.")]


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # which brings what reads e-mail

        typer.echo(f"autotricks {version('autotricks')}")
        raise typer.Exit


def everywhere(tell_version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True,
                                                     help="Print the version and end.")] = False) -> None:
    """Find the bundle of training tricks that is best for your images, and train with it."""
