"""The commands that use what was found: report, train, export, predict, and MLflow's sync, promote, ui."""
import sys
from pathlib import Path
from typing import Annotated

import typer

from ...errors import AutotricksError, InputError, RunError
from .options import RUNS, Data, Device, Json, Root, Run, Tracking, Trust


def report(run: Run,
           open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
           root: Root = RUNS) -> None:
    """Write report.html of a run again: one file that needs no network."""
    from ...report import write
    from ...runs.folder import find

    path = write(find(run, root))
    typer.echo(path)
    if open_:
        typer.launch(path.resolve().as_uri())


def train(bundle: Annotated[str, typer.Argument(help="A bundle file such as champion.yaml.")],
          data: Data = "", device: Device = "cpu",
          out: Annotated[Path, typer.Option(help="Folder for bundle and weights.")] = Path("trained"),
          gpus: Annotated[int | None, typer.Option(min=1, help="GPUs to train on, each with a part of every batch; all "
                                                   "there are with --device cuda.")] = None,
          threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: as the search used, which repeats its "
                                               "figures.")] = 0,
          all_data: Annotated[bool, typer.Option("--all-data", help="Train on validation images too; figures are of "
                                                 "test.")] = False,
          as_json: Json = False, trust: Trust = False) -> None:
    """Train a bundle: production training of a search's champion, or a published recipe."""
    from ...space import load_bundle_file
    from ...system.devices import set_threads, threads_of, training_devices
    from ...system.workers import cores
    from ...workflows import train as workflow
    from ..views import cards

    loaded = load_bundle_file(bundle, trust)
    set_threads(threads or min(threads_of(loaded.document.result), cores()))
    how = workflow.Production(training_devices(device, gpus), data, all_data, trust)
    cards.trained(workflow.train(loaded, out, cards.epochs(loaded, as_json), how), loaded, out, how, as_json)


def export(run: Annotated[str, typer.Argument(help="A run's folder, its name, or 'latest'; or what train wrote.")],
           format_: Annotated[str, typer.Option("--format", help="bundle, script, onnx or pt2.")] = "bundle",
           out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("champion"),
           root: Root = RUNS, trust: Trust = False) -> None:
    """Hand a champion over: bundle, weights and card, a training script, or a graph from pixels to probabilities."""
    from ...workflows import export as handover

    for line in handover.export(run, root, format_, out, trust):
        typer.echo(line)


def predict(bundle: Annotated[str, typer.Argument(
                metavar="BUNDLE", help="A run, what train or export wrote, or models:/NAME@ALIAS.")],
            paths: Annotated[list[str], typer.Argument(
                metavar="PATHS...", help="Images, and folders at any depth; - reads a list from standard input.")],
            out: Annotated[Path | None, typer.Option(
                help="File to write: a table, .csv, .json or .parquet, or COCO results, .coco.json; without it CSV is "
                "printed.")] = None,
            topk: Annotated[int, typer.Option(min=1, help="How many of the most probable classes to tell.")] = 1,
            draw: Annotated[Path | None, typer.Option(
                help="Folder for pictures of the files with what was predicted.")] = None,
            threshold: Annotated[float | None, typer.Option(
                min=0, max=1, help="Probability from which on an object is told and drawn; without it what was fitted "
                "on validation for its class, and COCO results hold all.")] = None,
            annotations: Annotated[Path | None, typer.Option(
                help="COCO annotations, whose numbers of images and categories COCO results take.")] = None,
            device: Device = "cpu", root: Root = RUNS, as_json: Json = False, trust: Trust = False) -> None:
    """Say of images what a trained bundle takes them for: a row for each, with classes or objects and probabilities."""
    from ..views import predictions

    table = predictions.Table(predictions.Wanted(out, as_json, draw, threshold, annotations))
    files = predictions.listed(paths)
    from ...workflows.predict import Prediction

    table.fill(Prediction.of(bundle, topk, device, root, trust), files)


def sync(run: Run, tracking: Tracking = "", root: Root = RUNS, trust: Trust = False) -> None:
    """Put what a run's folder holds into MLflow, as far as it is not there."""
    from ...runs.folder import find
    from ...workflows import sync as use_case

    _tracked(tracking)
    synced = use_case.sync(find(run, root), tracking or None, trust)
    for line in synced.lines():
        typer.echo(line)
    if synced.problem:
        raise AutotricksError(synced.problem)


def promote(what: Annotated[str, typer.Argument(metavar="RUN_OR_VERSION",
                                                help="A run, or a version such as long_tail/3.")],
            by: Annotated[str, typer.Option(metavar="NAME", help="Who decides; you without it.")] = "",
            tracking: Tracking = "", root: Root = RUNS) -> None:
    """Make a registered version the champion because you say so, whatever the figures."""
    from ...workflows.sync import promote

    _tracked(tracking)
    typer.echo(promote(what, by, tracking or None, root))


def ui(root: Root = RUNS, port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
       host: Annotated[str, typer.Option(help="Who may connect; this machine alone unless you say so.")] = "127.0.0.1",
       print_only: Annotated[bool, typer.Option("--print", help="Print addresses; start nothing.")] = False) -> None:
    """Open MLflow on this folder's runs, sorted by score with the columns that matter."""
    from ...tracking import ui as mlflow_ui

    if not (root / "mlflow.db").exists():
        raise RunError(f"{root}: holds no mlflow.db. Run a search first, or name the folder with --root.")
    for name, address in mlflow_ui.addresses(root, host, port).items():
        typer.echo(f"{name}: {address}")
    if not print_only:
        sys.stdout.flush()
        raise typer.Exit(mlflow_ui.serve(root, host, port))


def _tracked(tracking: str) -> None:
    if tracking == "off":
        raise InputError("--tracking off: there is nothing to put it into. Name MLflow's address.")


def track(folder: Path, tracking: str, trust: bool) -> None:
    """Tell MLflow what has been added to a run, if it is tracked."""
    if tracking != "off" and (tracking or (folder.parent / "mlflow.db").exists()):
        from ...workflows.sync import sync

        synced = sync(folder, tracking or None, trust)
        for line in filter(None, (synced.standing, synced.problem)):
            typer.echo(line, err=True)
