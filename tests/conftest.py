import gc
import io
import os
import sys
from copy import deepcopy
from functools import cache, lru_cache

import pytest
import torch

from autotricks.core.batch import Batch
from autotricks.core.dataset import Dataset
from autotricks.core.objective import SPEED
from autotricks.core.run import Run
from autotricks.core.targets import Targets
from autotricks.models import build
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.testing import striped
from autotricks.tricks import catalog

# As the Makefile has it: what is imported is compiled once, not again by every process that is started.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
torch.set_num_threads(1)
catalog.entry_points = lambda group: ()      # tricks of other packages that are installed are not ours to test


def pytest_collection():
    """Import hundreds of thousands of objects, none of them garbage, without a look at each time after time."""
    gc.disable()


def pytest_collection_finish():
    gc.freeze()     # nor are they looked at during the tests
    gc.enable()


def for_each(cases):
    """Make one test of a check that takes no time, which fails with every case that it does not hold for.

    Where a case is a tuple, the check takes its parts.
    """
    def made(check):
        def test():
            found = []
            for case in cases:
                try:
                    check(*(case if isinstance(case, tuple) else (case,)))
                except (Exception, pytest.fail.Exception) as error:
                    found.append(f"{repr(case)[:200]}: {type(error).__name__}: {error}")
            assert not found, "\n".join(found)
        test.__doc__ = check.__doc__
        return test
    return made


def sampled(cases, *kept):
    """Return the cases of a sweep: by default those that are kept are run, in the slow run all of them."""
    cases = list(cases)
    assert kept and all(case in cases for case in kept), f"{kept} are not all among {cases}"
    return [case if case in kept else pytest.param(*(case if isinstance(case, tuple) else (case,)),
                                                   marks=pytest.mark.slow) for case in cases]


@pytest.fixture
def run() -> Run:
    """A run that nothing has trained in yet: 3 classes of 6, 3 and 1 images, 2 channels of 4 x 4."""
    return make_run()


def make_run(counts=(6, 3, 1), image_shape=(2, 4, 4), batch_size=4, epochs=10, seed=0) -> Run:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    depth, height, width = image_shape
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(depth * height * width, len(counts)))
    images = torch.randint(0, 256, (len(labels), *image_shape), generator=torch.Generator().manual_seed(seed))
    return Run(model=model, images=images.to(torch.uint8), targets=Targets.plain(labels),
               counts=torch.tensor(counts).float(), mean=torch.full((depth, 1, 1), 0.4),
               std=torch.full((depth, 1, 1), 0.2), task=CLASSIFICATION, image_shape=image_shape,
               batch_size=batch_size, epochs=epochs,
               steps_per_epoch=len(labels) // batch_size, device=torch.device("cpu"),
               generator=torch.Generator().manual_seed(seed))


@lru_cache(8)
def _built(name, classes, channels):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(name, classes, channels)


def built(name, classes, channels):
    """A model of its own for whoever asks; drawing the weights of a large one takes ten times as long as copying it."""
    return deepcopy(_built(name, classes, channels))


def make_batch(logit_labels, classes=3, image_shape=(2, 4, 4), seed=0) -> Batch:
    """A plain batch of random images with the given labels."""
    labels = torch.as_tensor(logit_labels)
    images = torch.randn(len(labels), *image_shape, generator=torch.Generator().manual_seed(seed))
    return Batch.plain(images, labels, torch.arange(len(labels)))


def augment(trick, inner, run):
    """What a trick's augmentation makes of images, around `inner`: both from images to images, without targets."""
    done = trick.augment(lambda batch: batch.painted(inner(batch.images)), run)
    return lambda images: done(Batch.plain(images, torch.zeros(len(images)).long(), torch.arange(len(images)))).images


def timeless(figures):
    """Figures of a training without its speed, which no two trainings share; also rows of them."""
    if isinstance(figures, list):
        return [timeless(row) for row in figures]
    assert figures[SPEED] > 0
    return {name: value for name, value in figures.items() if name != SPEED}


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Four classes of striped 8 x 8 images that a small network learns in a few epochs; long-tailed."""
    return make_dataset()


def make_dataset(counts=(48, 24, 12, 6), size=8, channels=1, seed=0) -> Dataset:
    return striped(counts, size, channels, seed)


def reloaded(before, after):
    """Return an optimizer in the state of another, which has been in a file meanwhile."""
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)
    after.load_state_dict(torch.load(file, weights_only=True))
    return after


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep features of frozen networks apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOTRICKS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_command_line():
    """Put the command line together once: that takes many times as long as most of its commands."""
    from autotricks.cli import app

    @cache
    def command(build=app._app):
        from typer.main import get_command
        return get_command(build())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "_app", command)
        yield


@pytest.fixture
def here(capsys, monkeypatch):
    """Run the command in this process, where importing torch is paid for; return exit code, output and errors."""
    from autotricks import cli

    def ran(*words):
        monkeypatch.setattr(sys, "argv", ["autotricks", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return stop.value.code, said.out, said.err
    return ran
