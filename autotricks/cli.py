"""The command line. Nothing heavy is imported before a command needs it."""
from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from . import service_commands, tracking_commands
from .errors import AutotricksError, InputError, Interrupted, RunError
from .options import RUNS, Data, Device, Json, Root, Run, Set, Space, Tracking, Trust

app = typer.Typer(name="autotricks", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False,
                  help="Find the bundle of training tricks that is best for your images, and train with it.",
                  epilog="Begin with: autotricks search --space long_tail.yaml")
tricks_app = typer.Typer(no_args_is_help=True, help="The tricks that a space may list.")
app.add_typer(tricks_app, name="tricks")
data_app = typer.Typer(no_args_is_help=True, help="The images to train on.")
app.add_typer(data_app, name="data")


@app.command()
def search(space: Space = "", set_: Set = None, data: Data = "",
           trials: Annotated[int | None, typer.Option(min=1, help="Number of trials.")] = None,
           time: Annotated[str, typer.Option(metavar="30m", help="Begin no trial after this time.")] = "",
           address: Annotated[str, typer.Option(help="A Ray cluster; Ray is started here without it.")] = "",
           resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with a run's folder.")] = "",
           tracking: Tracking = "",
           no_confirm: Annotated[bool, typer.Option("--no-confirm", help="Do not train the best again with fresh seeds."
                                                    )] = False,
           root: Root = RUNS, as_json: Json = False, trust: Trust = False) -> None:
    """Search a space for the best bundle of tricks, and confirm it with fresh seeds."""
    if bool(space) == bool(resume):
        raise InputError("search: give either --space FILE or --resume RUN.")
    overrides = [*(set_ or []), *([f"data.source={data}"] if data else []),
                 *([f"search.trials={trials}"] if trials else [])]
    seconds = _seconds(time)
    from .search.folder import SPACE, find
    from .space.files import engine

    folder = find(resume, root) if resume else None
    if engine(str(folder / SPACE) if folder else space, overrides) == "local":
        from .processes import prepare

        prepare()   # the workers' imports go on beside ours
    from . import experiment, screen
    from .space import load_space

    loaded = experiment.resume(folder, overrides, trust) if folder else load_space(space, overrides, trust)
    options = experiment.Options(folder.parent if folder else root, folder, address or None, seconds, tracking or None,
                                 trust, not no_confirm)
    view = screen.view(loaded, as_json)
    try:
        with view:
            result = experiment.search(loaded, options, [view], view.began, view.confirming)
    except KeyboardInterrupt:
        raise Interrupted(f"Finished trials are kept. Go on with: autotricks search --resume {view.folder or 'latest'}"
                          ) from None
    screen.result(result, loaded, as_json)
    if result.champion is None:
        raise RunError(f"{result.folder}: no trial was trained to the end; trials.csv says why each one ended.")


@app.command()
def confirm(run: Run,
            seeds: Annotated[int, typer.Option(min=1, help="Trainings of each bundle.")] = 10,
            top: Annotated[int, typer.Option(min=1, help="Bundles to train again beside the baseline.")] = 3,
            tracking: Tracking = "", root: Root = RUNS, as_json: Json = False, trust: Trust = False) -> None:
    """Train a search's best bundles again with fresh seeds and judge the best on test."""
    from . import experiment, judgment
    from .search.folder import find

    folder = find(run, root)
    try:
        found = experiment.confirm_again(folder, top, seeds, trust, judgment.counting(as_json))
    except KeyboardInterrupt:
        raise Interrupted("Finished trainings are kept. Go on with the same command.") from None
    judgment.confirmed(found, folder, as_json)
    tracking_commands.track(folder, tracking, trust)


@app.command()
def ablate(run: Run,
           seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each bundle; as confirmed without it."
                                                     )] = None,
           pairs: Annotated[int, typer.Option(min=0, help="Tricks of which each two are looked at together.")] = 0,
           tracking: Tracking = "", root: Root = RUNS, as_json: Json = False, trust: Trust = False) -> None:
    """Train a run's champion again without each trick, and the baseline with each alone: what does each bring?"""
    from . import ablate as use_case, attribution
    from .confirm import Trainings
    from .search.folder import find

    folder = find(run, root)
    try:
        found = use_case.ablate(folder, seeds, pairs, Trainings(trust=trust, told=attribution.counting(as_json)))
    except KeyboardInterrupt:
        raise Interrupted("Finished trainings are kept. Go on with the same command.") from None
    attribution.ablated(found, folder, as_json)
    tracking_commands.track(folder, tracking, trust)


@app.command()
def report(run: Run,
           open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
           root: Root = RUNS) -> None:
    """Write report.html of a run again: one file that needs no network."""
    from .report import write
    from .search.folder import find

    path = write(find(run, root))
    typer.echo(path)
    if open_:
        typer.launch(path.resolve().as_uri())


@app.command()
def check(space: Annotated[str, typer.Argument(help="A space file, or the name of one that ships.")],
          set_: Set = None, as_json: Json = False, trust: Trust = False,
          probe: Annotated[bool, typer.Option("--probe", help="Train probes: how to use weights?")] = False) -> None:
    """Say what a space contains and what a search of it would cost; train nothing."""
    from . import cards, outline
    from .space import load_space
    from .suits import require_suited

    loaded = load_space(space, set_ or [], trust)
    if probe:
        cards.transfer(loaded, as_json, trust)
    else:
        outline.show(loaded, as_json, require_suited(loaded, trust))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a space file, for editors and other programs."""
    from . import screen
    from .space.schema import schema as made

    screen.to_json(made())


@tricks_app.command("list")
def tricks_list(as_json: Json = False, markdown: Annotated[bool, typer.Option(
        "--markdown", help="Print techniques against tricks, tests and papers.")] = False) -> None:
    """List every trick by its main slot and seat."""
    from . import cards, techniques

    typer.echo(techniques.markdown(), nl=False) if markdown else cards.tricks(as_json)


@tricks_app.command("show")
def tricks_show(name: str, as_json: Json = False) -> None:
    """Show a trick: what it does, its parameters, paper, cost and quarrels."""
    from . import cards

    cards.trick(name, as_json)


@data_app.command("check")
def data_check(source: Annotated[str, typer.Argument(help="A data source, such as image_folder:photos.")],
               as_json: Json = False, trust: Trust = False) -> None:
    """Say what a data source holds, what is wrong with it, and which space fits; train nothing."""
    from . import inspection

    if not inspection.check(source, trust, as_json):
        raise typer.Exit(1)


@app.command()
def train(bundle: Annotated[str, typer.Argument(help="A bundle file such as champion.yaml.")],
          data: Data = "", device: Device = "cpu",
          out: Annotated[Path, typer.Option(help="Folder for bundle and weights.")] = Path("trained"),
          threads: Annotated[int, typer.Option(help="CPU threads; 0: as in the search.")] = 0,
          all_data: Annotated[bool, typer.Option("--all-data", help="Train on validation images too; figures are of "
                                                 "test.")] = False,
          as_json: Json = False, trust: Trust = False) -> None:
    """Train a bundle: production training of a search's champion, or a published recipe."""
    from . import cards, experiment
    from .resources import set_threads
    from .space import load_bundle_file

    loaded = load_bundle_file(bundle, trust)
    set_threads(threads or int(loaded.document.result.get("threads", 0)))
    how = experiment.Production(device, data, all_data, trust)
    cards.trained(experiment.train(loaded, out, cards.epochs(loaded, as_json), how), loaded, out, how, as_json)


@app.command()
def replicate(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Published bundles.")],
              data: Annotated[str, typer.Option(help="Data source, such as npz:cifar10.npz.")],
              setting: Annotated[str, typer.Option(help="Column of the published figures.")] = "cifar10_lt_100",
              only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="This bundle; may be repeated.")
                              ] = None,
              seeds: Annotated[int, typer.Option(min=1, help="Trainings of each bundle.")] = 1,
              epochs: Annotated[int | None, typer.Option(min=1, help="In place of 200; others in proportion.")] = None,
              model: Annotated[str, typer.Option(help="In place of the published model.")] = "",
              device: Device = "cpu",
              parallel: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
              out: Annotated[Path, typer.Option(help="Figures; go on by giving it again.")] = Path("replicated.jsonl"),
              as_json: Json = False, trust: Trust = False) -> None:
    """Train published bundles and print published against obtained."""
    from . import cards, replicate as use_case

    asked = use_case.Replication(folder, data, setting, tuple(only or ()), seeds, epochs, model or None, device,
                                 parallel, trust)
    try:
        rows = use_case.replicate(asked, out, cards.training(as_json))
    except KeyboardInterrupt:
        raise Interrupted(f"Finished trainings are kept in {out}. Go on with the same command.") from None
    cards.replicated(rows, asked, as_json)


@app.command()
def export(run: Annotated[str, typer.Argument(help="A run's folder, its name, or 'latest'; or what train wrote.")],
           format_: Annotated[str, typer.Option("--format", help="bundle, script, onnx or pt2.")] = "bundle",
           out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("champion"),
           root: Root = RUNS, trust: Trust = False) -> None:
    """Hand a champion over: bundle, weights and card, a training script, or a graph from pixels to probabilities."""
    from . import handover

    for line in handover.export(run, root, format_, out, trust):
        typer.echo(line)


@app.command()
def doctor(bundle: Annotated[str, typer.Argument(help="With --profile: a bundle file, in place of a space.")] = "",
           profile: Annotated[bool, typer.Option("--profile", help="Time the parts of a step.")] = False,
           space: Space = "", data: Data = "", device: Device = "cpu", as_json: Json = False,
           trust: Trust = False) -> None:
    """Show versions, devices and memory, and what is missing; or whether data or compute is the bottleneck."""
    from . import cards

    if profile:
        from .bottleneck import examine

        cards.profiled(examine(bundle, space, data, device, trust), as_json)
    elif not cards.doctor(as_json):
        raise typer.Exit(1)


for added in (tracking_commands.sync, tracking_commands.promote, tracking_commands.ui):
    app.command()(added)
service_commands.register(app)


def _seconds(text: str) -> float:
    """Return what `90s`, `30m` or `2h` means in seconds."""
    if not text:
        return math.inf
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text)
    if not match or not float(match[1]):
        raise InputError(f"--time {text}: expected a time such as 90s, 30m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _fail(error: BaseException, code: int) -> int:
    lines: Any = getattr(error, "problems", None) or [str(error)]
    for line in lines:
        typer.echo(line, err=True)
    return code


def main() -> None:
    """Run the command line; the exit code is 0 done, 1 failed, 2 bad input, 130 interrupted."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        code = app(args=arguments, standalone_mode=False)
    except AutotricksError as error:
        if debug:
            raise
        code = _fail(error, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(Interrupted("interrupted"), 130)
    except typer.Exit as stop:
        code = stop.exit_code
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "show"):  # a usage error of the command line's library
            error.show()
            code = int(error.exit_code)
        elif debug:
            raise
        else:
            kind = type(error).__name__
            code = _fail(AutotricksError(f"autotricks failed: {kind}: {error} (--debug shows where)"), 1)
    sys.stdout.flush()
    raise SystemExit(code or 0)


if __name__ == "__main__":
    main()
