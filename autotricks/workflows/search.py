"""The use cases: what the command line and the Python API do."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import export as bundles, report
from ..core.dataset import Dataset
from ..core.reporting import Reporter
from ..data import Loaded, load as load_data
from ..errors import AutotricksError, InputError, RunError
from ..io.files import made
from ..probes.batch_size import with_largest_batch
from ..probes.compatibility import require_model
from ..probes.precision import with_precision
from ..runs import folder as folders
from ..runs.champion import bundle_document, keep
from ..runs.ledger import TrialRecord, read as read_ledger, records
from ..runs.table import write as write_table
from ..runs.trial import Champion
from ..space.load import LoadedBundle, LoadedSpace
from ..space.sections import DataSection
from ..tracking import store
from ..trial import TrialResult
from ..tuning.engines.device_team import train_on
from ..tuning.engines.select import Engine, placed, started
from ..tuning.prior import load as load_prior
from ..tuning.search import Listener, Search
from ..tuning.tracking_listener import TrackingListener
from . import teachers
from .confirm import Confirmation, ConfirmationError, TrainingResources, confirm
from .reopen import reopened, settle, space_of, with_data
from .resources import check_resources
from .sync import put, tracker as make_tracker

ROOT = Path("runs")
FLUSH, FLUSH_INTERRUPTED = 60.0, 5.0    # seconds that the end of a search waits for the tracking server
SLOWER = 0.04    # share of a search's time that it waits for one that takes long to answer


@dataclass(frozen=True)
class Options:
    """How a search is run, whatever it searches.

    Args:
        root: Folder of all runs.
        resume: Folder of the run to continue.
        address: A Ray cluster; None starts Ray on this machine.
        seconds: Time after which no further trial begins.
        confirm: Whether the best are trained again with fresh seeds when the last trial has ended.
        began: When the command was given, on the monotonic clock; None is when the search is called.
        tracking: MLflow's address; None is SQLite in `root`, `off` tracks nothing.
        trust: Whether `my.module:function` may be imported.
    """

    root: Path = ROOT
    resume: Path | None = None
    address: str | None = None
    seconds: float = math.inf
    tracking: str | None = None
    trust: bool = False
    confirm: bool = True
    began: float | None = None


DEFAULT = Options()


@dataclass(frozen=True)
class SearchResult:
    """What a search found and what it cost.

    Args:
        folder: Where everything lies.
        champion: The best trial: as fresh seeds say, else as the search scored; None if none was trained to the end.
        confirmation: What fresh seeds said; None without confirmation.
        trials: Every trial, from the ledger.
        baseline: The baseline's score; None if it diverged.
        seconds: Wall time of this sitting.
        searching: Wall time to the end of the last trial, start-up included.
        warming: Wall time to the first training step.
        training: CPU time spent training, summed over trials of this sitting.
        slots: Trials at a time.
        notices: What went wrong without stopping the search.
        standing: Which alias the registry gave the champion, and why; empty if it took none.
    """

    folder: Path
    champion: Champion | None
    trials: tuple[TrialRecord, ...]
    baseline: float | None
    seconds: float
    searching: float
    warming: float
    training: float
    slots: int
    epochs: int
    notices: tuple[str, ...] = ()
    confirmation: Confirmation | None = None
    standing: str = ""

    @property
    def spent(self) -> float:
        """Epochs spent, every restart counted."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def share(self) -> float:
        """Epochs spent as a share of training every trial in full."""
        return self.spent / (self.epochs * max(1, len(self.trials)))

    @property
    def efficiency(self) -> float:
        """CPU time of training over slots times wall time, start-up included, fresh seeds left out."""
        return self.training / (self.slots * self.searching) if self.searching else 0.0


@dataclass
class _Clock:
    """Listens for when the first training begins and the last trial ends, and adds up training time."""

    first: float | None = None
    last: float = 0.0
    training: float = 0.0

    def started(self, trial: Any) -> None:
        """Wait: a trial is handed out before its process is up."""

    def reached(self, trial: Any, outcome: Any, budget: int, score: float | None) -> None:
        self.first = self.first or time.monotonic() - outcome.seconds
        self.training += outcome.cpu

    def ended(self, trial: Any, end: Any, score: float | None) -> None:
        self.last = time.monotonic()


def search(loaded: LoadedSpace, options: Options = DEFAULT, listeners: Sequence[Listener] = (),
           began: Callable[[Path, dict[str, Any]], None] = lambda folder, facts: None,
           told: Callable[[int, int], None] = lambda done, total: None) -> SearchResult:
    """Search a space and leave everything in a run folder: ledger, champion, table, tracking.

    Raises:
        InputError: When space, data, resources or folder cannot be used; nothing has been trained then.
        EngineError: When the engine gives up; the ledger holds what had finished.
    """
    began_at = time.monotonic()
    where = store.address(options.tracking, options.root)
    slots = check_resources(loaded, options.address)
    (loaded, data), run = _ready(loaded, options)     # with test, which nothing but confirmation reads
    require_model(loaded, data.dataset.image_shape, options.trust)
    load_prior(loaded.document.search.prior)    # which is refused before anything is written
    loaded, found = _probed(loaded, data.dataset, slots, options)
    fetched = teachers.found(loaded, data.dataset, where, options.trust)
    folder = options.resume or folders.create(options.root, loaded.document.name)
    with folders.locked(folder):
        loaded = teachers.kept(loaded, fetched, folder, bool(options.address))
        ledger = settle(folder, loaded, data)
        tracker = make_tracker(options.tracking, options.root)
        began(folder, data.facts)
        clock, notices = _Clock(), [*found, *["the ledger's last line was torn and has been dropped"] * ledger.torn]
        relay = TrackingListener(tracker, loaded, data.facts, folder.name, records(ledger.lines))
        deadline = began_at + options.seconds
        hunt = Search(loaded, ledger, [clock, relay, *listeners], deadline,
                      lambda champion: keep(folder, loaded, data, champion))
        champion, confirmation = None, None
        try:
            slots = run(hunt, data.dataset.without_test(), folder, slots)
            champion = hunt.champion
            if options.confirm and champion:
                try:
                    confirmation, champion = confirm(folder, loaded, data, hunt.records(),
                                                     TrainingResources(slots, options.trust, told))
                except ConfirmationError as error:
                    notices.append(f"not confirmed: {error}")
        except BaseException:  # Ctrl-C among them: the tracker's runs must not seem to go on
            relay.interrupt()
            tracker.close(FLUSH_INTERRUPTED)
            raise
        finally:
            with suppress(AutotricksError):     # a full disk; the next sitting writes the table from the ledger
                write_table(folder / folders.TABLE, hunt.records())
            ledger.close()
        notices += _reported(folder)
        put(folder, loaded, tracker)
        notices += [line for line in [tracker.close(FLUSH, SLOWER * (time.monotonic() - began_at))] if line]
    baseline = next((trial for trial in hunt.records() if trial.label == "baseline" and trial.end == "finished"), None)
    return SearchResult(folder, champion, tuple(hunt.records()),
                        baseline.score(loaded.document.objective.metric) if baseline else None,
                        time.monotonic() - began_at, max(0.0, clock.last - began_at),
                        max(0.0, (clock.first or began_at) - began_at), clock.training, slots,
                        loaded.document.training.epochs, tuple(notices), confirmation, tracker.standing)


def _probed(loaded: LoadedSpace, dataset: Dataset, slots: int, options: Options) -> tuple[LoadedSpace, list[str]]:
    """Return the space with what this machine decides, batch and precision, and what the user should hear of it."""
    found = []
    if loaded.fits:
        loaded = with_largest_batch(loaded, dataset, slots, options.trust)
        found.append(f"training.batch_size: max is {loaded.space.frame.batch_size} on this machine")
    if loaded.document.training.precision == "auto" and not options.resume:
        loaded, probed = with_precision(loaded, dataset, options.trust, placed(loaded.document, options.address))
        found += [str(probed)] if probed.unusual else []
    return loaded, found


def confirm_again(folder: Path, top: int, seeds: int, trust: bool = False,
                  told: Callable[[int, int], None] = lambda done, total: None) -> Confirmation:
    """Confirm a finished search anew, with other numbers of bundles and seeds; what was trained is kept.

    Raises:
        RunError: When the folder holds no run, its data changed, or there is nothing to confirm.
    """
    with reopened(folder, [f"confirm.top={top}", f"confirm.seeds={seeds}"], trust) as run:
        found = confirm(folder, run.loaded, run.data, run.trials, TrainingResources(run.slots, trust, told))[0]
        report.write(folder)
        return found


def resume(folder: Path, overrides: Sequence[str] = (), trust: bool = False, more: int = 0) -> LoadedSpace:
    """Return the space of a run to continue; only trials, time and parallelism may differ.

    Args:
        folder: Of the run.
        overrides: `KEY=VALUE`.
        trust: Whether `my.module:function` may be imported.
        more: Trials to add to those of the run.

    Raises:
        RunError: When the folder holds no run or the overrides change what was searched.
    """
    allowed = ("search.trials", "search.trainings", "search.parallel", "search.engine", "search.patience")
    for text in overrides:
        if text.split("=")[0] not in allowed:
            raise RunError(f"--set {text}: a resumed search may change {', '.join(allowed)} alone. "
                           "Start a new search for the rest.")
    loaded = space_of(folder, overrides, trust)
    if not more:
        return loaded
    settings = loaded.document.search
    planned = settings.trials
    if settings.trainings is not None:      # which ended it, or would: what counts is how many there are
        ledger = folder / folders.LEDGER
        planned = len(records(read_ledger(ledger)[0])) if ledger.exists() else 0
    return space_of(folder, [*overrides, f"search.trials={planned + more}", "search.trainings=null"], trust)


@dataclass(frozen=True)
class Production:
    """How a bundle is trained for production.

    Args:
        devices: Where to train; each of several takes a part of every batch.
        source: Data source, in place of the bundle's.
        all_data: Train on validation images too; the figures are then those of test.
        trust: Whether `my.module:function` may be imported.
    """

    devices: tuple[str, ...] = ("cpu",)
    source: str = ""
    all_data: bool = False
    trust: bool = False

    def measured(self, result: TrialResult) -> dict[str, Any]:
        """Return what a bundle file holds of a training: its figures, and on what they were measured."""
        if not self.all_data:
            return {"metrics": result.metrics}
        figures = {name.replace("val/", "test/"): value for name, value in result.metrics.items()}
        return {"trained_on": "train and validation", "metrics": figures}


def train(loaded: LoadedBundle, target: Path, reporter: Reporter | None = None,
          how: Production = Production()) -> TrialResult:
    """Train an exported bundle on the data that it names and write bundle and weights to a folder.

    Raises:
        InputError: When the bundle names no data, or the data, model, device or folder cannot be used.
        DiskError: When the disk is full or fails.
        RankError: When a process beside this one, which trained on another device, has ended.
    """
    if loaded.document.data is None and not how.source:
        raise InputError(f"{loaded.document.name}: names no data. Add a data section, or give --data SOURCE.")
    section = loaded.document.data or DataSection()
    section = section.model_copy(update={"source": how.source}) if how.source else section
    data = load_data(section.settings(), how.trust, joined=how.all_data)
    made(target)
    result = train_on(how.devices, loaded.bundle, data.dataset, reporter, how.trust)
    settings = section.model_dump(mode="json", exclude_none=True)
    document = bundle_document(loaded.document.name, settings, data, loaded.bundle, how.measured(result))
    bundles.write(target, document, bundles.weights_of(result.model))
    return result


def _reported(folder: Path) -> list[str]:
    """Write the report; what goes wrong there is a notice, since the search itself is done."""
    try:
        report.write(folder)
    except Exception as error:
        return [f"no report: {type(error).__name__}: {error}"]
    return []


def _ready(loaded: LoadedSpace, options: Options) -> tuple[tuple[LoadedSpace, Loaded], Engine]:
    """Load the data, and beside it start the engine, which waits more than it works."""
    with ThreadPoolExecutor(2, "beside") as beside:
        data = beside.submit(with_data, loaded, options.trust)
        engine = started(loaded.document, options.address, beside, options.trust)
        return data.result(), engine
