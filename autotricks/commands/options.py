"""Options that several commands share."""
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("runs")
Space = Annotated[str, typer.Option("--space", help="A space file, or the name of one that ships.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Trust = Annotated[bool, typer.Option("--trust", help="Allow my.module:function, which runs your code.")]
Root = Annotated[Path, typer.Option("--root", help="Folder of all runs.")]
Data = Annotated[str, typer.Option("--data", help="Data source, in place of the file's.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
Run = Annotated[str, typer.Argument(help="A run's folder, its name, or 'latest'.")]
Tracking = Annotated[str, typer.Option(envvar="MLFLOW_TRACKING_URI",
                                       help="MLflow's address, or 'off'; SQLite in --root without it.")]
