"""The commands that search and judge: search, confirm, ablate, replicate."""
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import AutotricksError, EngineError, InputError
from ...system.signals import interrupt
from .options import RUNS, Data, Device, Json, Moved, Root, Run, Set, Space, Storage, Tracking, Trust, time_of
from .results import track

if TYPE_CHECKING:
    from ...runs.mirror import Copy
    from ...space.load import LoadedSpace
    from ...workflows.search import Opening, SearchResult

STARTED_AT = monotonic()
KEPT = "Finished trials are kept. Go on with: autotricks search --resume {}"
AGAIN = "Finished trainings are kept. Go on with the same command."
TRAININGS = 10      # of each bundle, where a finished search is confirmed again


def search(space: Space = "", set_: Set = None, data: Data = "",
           trials: Annotated[int | None, typer.Option(min=1, help="Number of trials.")] = None,
           time: Annotated[str, typer.Option(metavar="30m", help="Begin no trial after this time.")] = "",
           address: Annotated[str, typer.Option(help="A Ray cluster; Ray is started here without it.")] = "",
           resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with a run's folder.")] = "",
           add_trials: Annotated[int, typer.Option(min=0, help="With --resume: so many trials more.")] = 0,
           tracking: Tracking = "", storage: Storage = "",
           no_confirm: Annotated[bool, typer.Option("--no-confirm", help="Do not train the best again with fresh seeds."
                                                    )] = False,
           root: Root = RUNS, as_json: Json = False, trust: Trust = False) -> None:
    """Search a space for the best bundle of tricks, and confirm it with fresh seeds."""
    if bool(space) == bool(resume):
        raise InputError("search: give either --space FILE or --resume RUN.")
    if add_trials and (trials or not resume):
        raise InputError("--add-trials: goes with --resume RUN, and not with --trials.")
    overrides = [*(set_ or []), *([f"data.source={data}"] if data and space else []),
                 *([f"search.trials={trials}", "search.trainings=null"] if trials else [])]
    seconds = time_of(time)
    from ...runs.folder import SPACE, find
    from ...space.files import engine

    if "://" in resume:
        from ...runs.mirror import fetched

        resume = str(fetched(resume, root))
    folder = find(resume, root) if resume else None
    if folder:
        _moved(folder, data, trust)
        interrupt.expect(lambda: KEPT.format(quote(str(folder))))
    if engine(str(folder / SPACE) if folder else space, overrides) != "ray" and not address:
        from ...tuning.engines.worker_context import worker_context

        worker_context()   # the workers' imports go on beside ours
    from ...space import load_space
    from ...workflows import search as experiment
    from ..views import search as screen

    loaded = (experiment.resume(folder, overrides, trust, add_trials) if folder
              else load_space(space, overrides, trust))
    options = experiment.Options(folder.parent if folder else root, folder, address or None, seconds, tracking or None,
                                 trust, not no_confirm, STARTED_AT)
    view = screen.view(loaded, as_json)
    with view, _copied(storage) as copies:
        def on_start(folder: Path, opening: "Opening") -> None:
            interrupt.expect(lambda: KEPT.format(quote(str(folder))))
            view.on_start(folder, opening)
            for copy in copies:
                copy.began(folder)
        try:
            result = experiment.search(loaded, options, [view, *copies], on_start, view.confirming)
        except OSError as error:
            if error.filename or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):     # of no file: the output
                raise
            raise AutotricksError(f"Its output cannot be written: {(error.strerror or '').lower()}. "
                                  f"{interrupt.farewell()}") from None
    screen.result(result, loaded, as_json)
    _require_champion(result, loaded)


def confirm(run: Run,
            seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each bundle; 10 unless told.")] = None,
            folds: Annotated[int | None, typer.Option(min=2, help="Train each bundle over so many folds of train and "
                                                      "validation, in place of --seeds.")] = None,
            top: Annotated[int, typer.Option(min=1, help="Bundles to train again beside the baseline.")] = 3,
            data: Moved = "", tracking: Tracking = "", root: Root = RUNS, as_json: Json = False,
            trust: Trust = False) -> None:
    """Train a search's best bundles again with fresh seeds and judge the best on test."""
    from ...runs.folder import find
    from ...space.sections import ConfirmSection
    from ...workflows.confirm import confirm_again
    from ..views import confirmation

    folder = find(run, root)
    _moved(folder, data, trust)
    interrupt.expect(lambda: AGAIN)
    repeats = TRAININGS if seeds is None and folds is None else seeds
    # What is not allowed is said of the space that it becomes a part of.
    wanted = ConfirmSection.model_construct(top=top, seeds=repeats, folds=folds)
    result = confirm_again(folder, wanted, trust, confirmation.counting(as_json))
    confirmation.confirmed(result, folder, as_json)
    track(folder, tracking, trust)


def ablate(run: Run,
           seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each bundle; as confirmed without it."
                                                     )] = None,
           pairs: Annotated[int, typer.Option(min=0, help="Tricks of which each two are looked at together.")] = 0,
           data: Moved = "", tracking: Tracking = "", root: Root = RUNS, as_json: Json = False,
           trust: Trust = False) -> None:
    """Train a run's champion again without each trick, and the baseline with each alone: what does each bring?"""
    from ...runs.folder import find
    from ...workflows import ablate as use_case
    from ..views import ablation

    folder = find(run, root)
    _moved(folder, data, trust)
    interrupt.expect(lambda: AGAIN)
    result = use_case.ablate(folder, seeds, pairs, trust, ablation.counting(as_json))
    ablation.ablated(result, folder, as_json)
    track(folder, tracking, trust)


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
    from ...workflows import replicate as use_case
    from ..views import cards

    asked = use_case.Replication(folder, data, setting, tuple(only or ()), seeds, epochs, model or None, device,
                                 parallel, trust)
    interrupt.expect(lambda: f"Finished trainings are kept in {out}. Go on with the same command.")
    rows = use_case.replicate(asked, out, cards.training(as_json))
    cards.replicated(rows, asked, as_json)


def _require_champion(result: "SearchResult", loaded: "LoadedSpace") -> None:
    """Say why a search has no champion, where it has none."""
    if result.failure:
        raise EngineError(f"{result.folder}: every trial failed for one reason: {result.failure}")
    if result.champion is None:
        kept = loaded.document.objective.keep
        why = "no trial was trained to the end"
        if kept and any(trial.end == "finished" for trial in result.trials):
            why = f"the baseline was not trained to the end, so that nobody can say which trial keeps {kept.metric}"
        raise EngineError(f"{result.folder}: {why}; trials.csv says why each one ended.")


def _moved(folder: Path, source: str, trust: bool) -> None:
    """Write down where a run's data lie now, if that is said, and say so."""
    if source:
        from ...workflows.reopen import relocate

        typer.echo(relocate(folder, source, trust), err=True)


@contextmanager
def _copied(storage: str) -> Iterator["list[Copy]"]:
    """Give what copies the run to a storage, if one is named; at the end say what it did not take."""
    from ...runs.mirror import Copy

    copies = [Copy(storage)] if storage else []
    try:
        yield copies
    finally:
        for line in filter(None, (copy.close() for copy in copies)):
            typer.echo(line, err=True)
