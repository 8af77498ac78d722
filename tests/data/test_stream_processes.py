"""What streams is read by processes below the workers of a search; none outlives them, however they end."""
import os
import signal
import time

import pytest

from tests.search import real

from .pictures import folder

pytestmark = pytest.mark.slow
SPACE = """
name: streamed
data: {{source: 'image_folder:{}', memory: 0}}
model: {{name: resnet8}}
training: {{epochs: {}, batch_size: 16}}
search: {{trials: 1, sampler: random, engine: local}}
confirm: {{seeds: 1, top: 1}}
resources: {{cpus: 1, gpus: 0}}
start: [baseline]
tricks: {{sgd: {{always: true}}, cosine: {{always: true}}}}
"""


@pytest.fixture
def started(tmp_path):
    """Start a search of so many epochs; whatever it leaves is killed."""
    sessions = []

    def searching(epochs, *options):
        space = tmp_path / "streamed.yaml"
        space.write_text(SPACE.format(folder(tmp_path / "images", {"a": 24, "b": 24}), epochs))
        process = real.start("search", "--space", str(space), "--tracking", "off", "--root", str(tmp_path / "runs"),
                             *options)
        sessions.append(process.pid)
        return process

    yield searching
    for number in [number for session in sessions for number in real.of_session(session)]:
        os.kill(number, signal.SIGKILL)


def forked(session):
    """Return the fork server and what it forked: a worker, and those that read for it."""
    return [number for number, words in real.of_session(session).items() if "forkserver" in words]


@pytest.mark.parametrize("options", [["--no-confirm"], []])
def test_a_clean_end_leaves_no_process(started, options):
    process = started(4, *options)
    said, wrong = process.communicate(timeout=200)
    assert process.returncode == 0, said + wrong
    assert "resource_tracker" not in wrong
    assert real.gone(lambda: real.of_session(process.pid))


def test_a_killed_search_leaves_no_process(started):
    process = started(1000, "--no-confirm")
    end = time.monotonic() + 100
    while len(forked(process.pid)) < 4 and time.monotonic() < end:
        time.sleep(0.1)
    assert len(forked(process.pid)) >= 4
    process.kill()
    process.communicate(timeout=60)
    assert real.gone(lambda: real.of_session(process.pid))
