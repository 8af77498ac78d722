"""The commands that speak with MLflow: sync, promote, ui."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .errors import AutotricksError, InputError, RunError
from .options import RUNS, Root, Run, Tracking, Trust


def sync(run: Run, tracking: Tracking = "", root: Root = RUNS, trust: Trust = False) -> None:
    """Put what a run's folder holds into MLflow, as far as it is not there."""
    from . import sync as use_case
    from .search.folder import find

    if tracking == "off":
        raise InputError("--tracking off: there is nothing to put it into. Name MLflow's address.")
    found = use_case.sync(find(run, root), tracking or None, trust)
    for line in found.lines():
        typer.echo(line)
    if found.problem:
        raise AutotricksError(found.problem)


def promote(what: Annotated[str, typer.Argument(metavar="RUN_OR_VERSION",
                                                help="A run, or a version such as long_tail/3.")],
            by: Annotated[str, typer.Option(metavar="NAME", help="Who decides; you without it.")] = "",
            tracking: Tracking = "", root: Root = RUNS) -> None:
    """Make a registered version the champion because you say so, whatever the figures."""
    from .sync import promote

    typer.echo(promote(what, by, tracking or None, root))


def ui(root: Root = RUNS, port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
       host: Annotated[str, typer.Option(help="Who may connect; this machine alone unless you say so.")] = "127.0.0.1",
       print_only: Annotated[bool, typer.Option("--print", help="Print addresses; start nothing.")] = False) -> None:
    """Open MLflow on this folder's runs, sorted by score with the columns that matter."""
    from .tracking import ui as mlflow_ui

    if not (root / "mlflow.db").exists():
        raise RunError(f"{root}: holds no mlflow.db. Run a search first, or name the folder with --root.")
    for name, address in mlflow_ui.addresses(root, host, port).items():
        typer.echo(f"{name}: {address}")
    if not print_only:
        sys.stdout.flush()
        raise typer.Exit(mlflow_ui.serve(root, host, port))


def track(folder: Path, tracking: str, trust: bool) -> None:
    """Tell MLflow what has been added to a run, if it is tracked."""
    if tracking != "off" and (tracking or (folder.parent / "mlflow.db").exists()):
        from .sync import sync

        found = sync(folder, tracking or None, trust)
        for line in filter(None, (found.standing, found.problem)):
            typer.echo(line, err=True)
