"""Search: prepare, open the run's folder, carry out trials and confirmation, and hand over what came of them."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import report
from ..core.dataset import Dataset
from ..core.reporting import OnProgress
from ..data import Loaded
from ..errors import AutotricksError, InputError, RunError
from ..probes.batch_size import with_largest_batch
from ..probes.compatibility import require_model
from ..probes.compiled_steps import with_compiled_steps
from ..probes.duration import Duration, Timing, duration, probed
from ..probes.precision import with_precision
from ..probes.transfer import ranked
from ..runs import folder as folders
from ..runs.champion import keep
from ..runs.ledger import Ledger, TrialRecord, read as read_ledger, records
from ..runs.table import write as write_table
from ..runs.trial import Champion
from ..space.load import LoadedSpace
from ..space.weights import wanted, with_weights
from ..tracking import store
from ..tracking.tracker import Tracker
from ..tuning.engines.engine import Engine
from ..tuning.engines.select import engine_of, start_engine
from ..tuning.prior import load as load_prior
from ..tuning.search import Listener, Search
from ..tuning.tracking_listener import TrackingListener
from ..tuning.workload import Workload, workload
from . import teachers
from .confirm import Confirmation, ConfirmationError, TrainingResources, confirm, in_folds
from .reopen import or_moved, settle, space_of, with_data
from .resources import check_resources
from .sync import log_run, tracker as make_tracker

ROOT = Path("runs")
FLUSH = 60.0
FLUSH_INTERRUPTED = 5.0    # seconds that the end of a search waits for the tracking server
SLOWER = 0.04    # share of a search's time that it waits for one that takes long to answer
TAIL = ("confirm.folds: data.imbalance made a long tail of train alone; folds are of train and validation together, "
        "whose tail is shorter; the report says both figures. For a made long tail, confirm.seeds suits")


@dataclass(frozen=True)
class Options:
    """How a search is run, whatever it searches.

    Args:
        root: Folder of all runs.
        resume: Folder of the run to continue.
        address: A Ray cluster; None starts Ray on this machine.
        seconds: Time after which no further trial begins.
        confirm: Whether the best are trained again with fresh seeds when the last trial has ended.
        started_at: When the command was given, on the monotonic clock; None is when the search is called.
        tracking: MLflow's address; None is SQLite in `root`, `off` tracks nothing.
        trust: Whether `my.module:function` may be imported.
        engine: Carries the trainings out; None is the one that the space names.
    """

    root: Path = ROOT
    resume: Path | None = None
    address: str | None = None
    seconds: float = math.inf
    tracking: str | None = None
    trust: bool = False
    confirm: bool = True
    started_at: float | None = None
    engine: Engine | None = None


DEFAULT = Options()


@dataclass(frozen=True)
class Opening:
    """What is known when the first trial is about to begin.

    Args:
        facts: Of the data.
        work: What is to be trained, less what earlier sittings did.
        duration: How long that takes on this machine; None where nobody knows.
        deadline: After which no further trial begins, on the monotonic clock.
        engine: That carries trainings out: `ray`, `local`, or another that was handed in, which is not named.
    """

    facts: Mapping[str, Any]
    work: Workload
    duration: Duration | None = None
    deadline: float = math.inf
    engine: str = ""


OnStart = Callable[[Path, Opening], None]


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
        failure: Why every trial failed, where that was one reason.
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
    failure: str = ""

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

    started_at: float
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

    @property
    def searching(self) -> float:
        """Seconds to the end of the last trial."""
        return max(0.0, self.last - self.started_at)

    @property
    def warming(self) -> float:
        """Seconds to the first training step."""
        return max(0.0, (self.first or self.started_at) - self.started_at)


def search(loaded: LoadedSpace, options: Options = DEFAULT, listeners: Sequence[Listener] = (),
           on_start: OnStart = lambda folder, opening: None,
           on_progress: OnProgress = lambda done, total: None) -> SearchResult:
    """Search a space and leave everything in a run folder: ledger, champion, table, tracking.

    Args:
        loaded: The space.
        options: How to run the search.
        listeners: Hear of each trial that starts, reaches a rung, ends.
        on_start: Hears the run's folder and what is known before the first trial.
        on_progress: Hears how many trainings of the confirmation are done of how many.

    Raises:
        InputError: When space, data, resources or folder cannot be used; nothing has been trained then.
        EngineError: When the engine gives up; the ledger holds what had finished.
    """
    if not isinstance(loaded, LoadedSpace):
        raise InputError(f"search: {loaded!r} is no space. Load it first: search(load_space({str(loaded)!r})).")
    if options.engine is not None and not hasattr(options.engine, "retrain"):
        raise InputError(f"Options.engine: {options.engine!r} is no engine. A space names its own: search.engine.")
    clock = _Clock(options.started_at or time.monotonic())
    prepared = prepare(loaded, options)
    with _opened(prepared, options, [clock, *listeners], clock.started_at) as sitting:
        on_start(sitting.folder, sitting.opening(options))
        sitting.carry_out(options.confirm, options.trust, on_progress)
    return _concluded(sitting, clock)


@dataclass(frozen=True)
class Prepared:
    """What a search needs to begin; nothing has been written yet.

    Args:
        loaded: The space, fitted to the data and to this machine.
        data: With test, which nothing but confirmation reads.
        engine: Started.
        slots: Trials at a time that the space asks for.
        teachers: Folders of registered models that its tricks learn from, by address.
        notices: What the user should hear of what was found by trying.
        timing: Of what the search tries first, where that is known already.
    """

    loaded: LoadedSpace
    data: Loaded
    engine: Engine
    slots: int
    teachers: Mapping[str, Path]
    notices: tuple[str, ...]
    timing: Timing | None = None


def prepare(loaded: LoadedSpace, options: Options) -> Prepared:
    """Check all that can be checked before anything is written, load the data and start the engine.

    Raises:
        InputError: When space, data or resources cannot be used.
    """
    slots = check_resources(loaded, options.address)
    (loaded, data), engine = _ready(loaded, options)
    require_model(loaded, data.dataset.image_shape, options.trust)
    if options.confirm:
        in_folds(loaded, data.dataset)          # too few images are refused before anything trains
    load_prior(loaded.document.search.prior)    # which is refused before anything is written
    loaded, notices = _probed(loaded, data.dataset, slots, engine, options)
    timing = None
    # a cluster's machines are others, and what a resumed search found stands in its space
    if loaded.document.training.compile == "auto" and not options.resume and not options.address:
        work = workload(loaded, options.confirm)
        loaded, decision, timing = with_compiled_steps(loaded, data.dataset, slots, work, options.seconds,
                                                       options.trust)
        notices += [str(decision)] if decision else []
    where = store.address(options.tracking, options.root)
    fetched = teachers.check_and_fetch(loaded, data.dataset, where, options.trust)
    return Prepared(loaded, data, engine, slots, fetched, tuple(notices), timing)


def _ready(loaded: LoadedSpace, options: Options) -> tuple[tuple[LoadedSpace, Loaded], Engine]:
    """Find the weights, which may be out of reach; then load the data and beside it start the engine, which waits."""
    loaded, weights = with_weights(loaded)
    with ThreadPoolExecutor(1, "beside") as beside:
        data = beside.submit(with_data, loaded, weights, options.trust)
        engine = options.engine or start_engine(loaded.document, options.address, options.trust)
        with or_moved() if options.resume else nullcontext():
            return data.result(), engine


def _probed(loaded: LoadedSpace, dataset: Dataset, slots: int, engine: Engine,
            options: Options) -> tuple[LoadedSpace, list[str]]:
    """Return the space with what this machine decides, batch and precision, and what the user should hear of it."""
    notices = [TAIL] if options.confirm and loaded.document.confirm.folds and loaded.document.data.imbalance else []
    if len(loaded.space.models) > 1 and wanted(loaded) and not options.resume:
        loaded, ranking = ranked(loaded, dataset, options.trust)
        notices.append(ranking)
    if loaded.fits:
        loaded = with_largest_batch(loaded, dataset, slots, options.trust)
        notices.append(f"training.batch_size: max is {loaded.space.frame.batch_size} on this machine")
    if loaded.document.training.precision == "auto" and not options.resume:
        loaded, probed = with_precision(loaded, dataset, options.trust, engine.call)
        notices += [str(probed)] if probed.unusual else []
    return loaded, notices


@contextmanager
def _opened(prepared: Prepared, options: Options, listeners: Sequence[Listener],
            started_at: float) -> Iterator[Sitting]:
    """Hold the run's folder, with its ledger and its tracker; afterwards write what comes of them.

    What was searched is written as far as it came, whatever goes wrong meanwhile.
    """
    folder = options.resume or folders.create(options.root, prepared.loaded.document.name)
    with folders.locked(folder):
        loaded = teachers.kept(prepared.loaded, prepared.teachers, folder, bool(options.address))
        ledger = settle(folder, loaded, prepared.data)
        sitting = Sitting(folder, replace(prepared, loaded=loaded), ledger,
                          make_tracker(options.tracking, options.root), listeners, started_at + options.seconds)
        try:
            yield sitting
        except BaseException:  # Ctrl-C among them: the tracker's runs must not seem to go on
            sitting.interrupt()
            raise
        finally:
            with suppress(AutotricksError):     # a full disk; the next sitting writes the table from the ledger
                write_table(folder / folders.TABLE, sitting.search.records())
            ledger.close()
        sitting.hand_over(SLOWER * (time.monotonic() - started_at))


class Sitting:
    """One sitting of a search over a run's folder, which it holds.

    Args:
        folder: Of the run.
        prepared: What it needs.
        ledger: Of the run.
        tracker: MLflow, or nothing.
        listeners: Hear of each trial.
        deadline: After which no further trial begins, on the monotonic clock.

    Attributes:
        search: What decides.
        slots: Trials that ran at a time.
        champion: The best trial so far.
        confirmation: What fresh seeds said of it.
        notices: What went wrong without stopping the search.
    """

    def __init__(self, folder: Path, prepared: Prepared, ledger: Ledger, tracker: Tracker,
                 listeners: Sequence[Listener], deadline: float):
        self.folder = folder
        self.prepared = prepared
        self.tracker = tracker
        loaded = prepared.loaded
        data = prepared.data
        self._tracking = TrackingListener(tracker, loaded, data.facts, folder.name, records(ledger.lines))
        self.search = Search(loaded, ledger, [*listeners, self._tracking], deadline,
                             lambda champion: keep(folder, loaded, data, champion))
        self.slots = prepared.slots
        self._deadline = deadline
        self.champion: Champion | None = None
        self.confirmation: Confirmation | None = None
        self.notices = [*prepared.notices, *["the ledger's last line was torn and has been dropped"] * ledger.torn]

    def opening(self, options: Options) -> Opening:
        """Return what is known before the first trial of this sitting, after a probe on this machine."""
        prepared = self.prepared
        work = replace(workload(prepared.loaded, options.confirm), spent=self.search.spent, ended=self.search.ended)
        seconds = self._deadline - time.monotonic()
        expected = None
        if work.epochs and seconds > 0 and not options.address:     # a cluster's machines are others
            timing = prepared.timing or probed(prepared.loaded, prepared.data.dataset, self.slots, options.trust)
            expected = None if timing is None else duration(timing, work, prepared.loaded, prepared.data.dataset,
                                                            self.slots, seconds)
        engine = "" if options.engine else engine_of(prepared.loaded.document, options.address)
        return Opening(prepared.data.facts, work, expected, self._deadline, engine)

    def carry_out(self, confirms: bool, trust: bool, on_progress: OnProgress) -> None:
        """Search to the end and, if asked to, train the best again with fresh seeds."""
        engine = self.prepared.engine
        data = self.prepared.data
        self.slots = engine.run(self.search, data.dataset.without_test(), self.folder, self.slots)
        self.champion = self.search.champion
        if not confirms or self.champion is None:
            return
        how = TrainingResources(engine, self.slots, trust, on_progress)
        try:
            self.confirmation, self.champion = confirm(
                self.folder, self.prepared.loaded, data, self.search.records(), how)
        except ConfirmationError as error:
            self.notices.append(f"not confirmed: {error}")

    def interrupt(self) -> None:
        """Tell the tracker that nothing goes on."""
        self._tracking.interrupt()
        self.tracker.close(FLUSH_INTERRUPTED)

    def hand_over(self, slow: float) -> None:
        """Write the report and tell the tracker the rest; it gets `slow` seconds if it takes long to answer."""
        self.notices += reported(self.folder)
        log_run(self.folder, self.prepared.loaded, self.tracker)
        problem = self.tracker.close(FLUSH, slow)
        if problem:
            self.notices.append(problem)


def reported(folder: Path) -> list[str]:
    """Write the report; return what went wrong, which is a notice, since the search itself is done."""
    try:
        report.write(folder)
    except Exception as error:
        return [f"no report: {type(error).__name__}: {error}"]
    return []


def _concluded(sitting: Sitting, clock: _Clock) -> SearchResult:
    """Return what a sitting found and what it cost."""
    document = sitting.prepared.loaded.document
    trials = sitting.search.records()
    baseline = next((trial for trial in trials if trial.is_baseline and trial.end == "finished"), None)
    return SearchResult(
        folder=sitting.folder, champion=sitting.champion, trials=tuple(trials),
        baseline=baseline.score(document.objective.metric) if baseline else None,
        seconds=time.monotonic() - clock.started_at, searching=clock.searching, warming=clock.warming,
        training=clock.training, slots=sitting.slots, epochs=document.training.epochs,
        notices=tuple(sitting.notices), confirmation=sitting.confirmation, standing=sitting.tracker.standing,
        failure=sitting.search.failure)


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
