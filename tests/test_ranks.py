"""What several processes that train together do when one of them fails: all end, soon, and it is said whose fault."""
import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch

from autotricks.errors import ModelError, RankError, ResourceError
from autotricks.tricks.batch.mixup import Mixup
from autotricks.tricks.gradients.classifier_retraining import ClassifierRetraining
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.model.sync_bn import SyncBn
from autotricks.tuning.engines.ranks import NOTICE, RankProcesses
from tests.trainer.made import Hungry
from tests.trainer.together import DEVICES, Broken, Job, Rank, Slow, Tiny, together


def test_a_rank_whose_memory_does_not_hold_one_image_ends_training_everywhere():
    assert during(Job(model=Tiny), torch.OutOfMemoryError, "cpu, one of 2 devices: OutOfMemoryError: simulated") < 10


@pytest.mark.slow
def test_an_error_of_one_rank_is_told_by_the_first():
    assert during(Job(model=Broken), RankError, "cpu, one of 2 devices: ValueError: no such images") < 10


@pytest.mark.slow
def test_an_error_of_all_ranks_is_that_error():
    during(Job((ClassifierRetraining(),), model=Hungry, batch_size=1), ResourceError, "1 image a step cannot be parted")
    during(Job((SyncBn(),)), ModelError, "has no batch norm")


def test_a_killed_rank_is_missed_at_once():
    followers, died = RankProcesses(DEVICES, Rank), []

    def kill():
        died.append(time.monotonic())
        os.kill(followers._processes[0].pid, signal.SIGKILL)
    threading.Timer(1.0, kill).start()
    with pytest.raises(RankError, match="cpu, one of 2 devices: its process died, exit code -9: killed, for want"):
        together(followers, Job(model=Slow, epochs=100))
    assert time.monotonic() - died[0] < 5
    assert not followers._processes[0].is_alive()


@pytest.mark.slow
def test_a_rank_that_dies_while_the_first_is_long_at_work_is_missed_when_it_is_needed():
    followers = RankProcesses(DEVICES, Rank)
    os.kill(followers._processes[0].pid, signal.SIGKILL)
    with pytest.raises(RankError, match="its process died, exit code -9"), followers.lockstep():
        time.sleep(NOTICE + 1)
        Rank("cpu")(Job())
    with closing(RankProcesses(DEVICES, Rank)) as others:       # this process can join others
        assert together(others, Job(epochs=1)).epoch == 1


@pytest.mark.slow
def test_three_ranks_train_what_one_process_trains_until_one_of_them_dies():
    followers, job = RankProcesses(("cpu",) * 3, Rank), Job((Mixup(), ClassWeights()))     # parts of 6, 5 and 5 images
    found, expected = (trainer.run.model.state_dict() for trainer in (together(followers, job), job.train()))
    assert all(torch.allclose(found[name], value, rtol=1e-4, atol=2e-6) for name, value in expected.items())
    threading.Timer(0.5, lambda: os.kill(followers._processes[1].pid, signal.SIGKILL)).start()
    with pytest.raises(RankError, match="cpu, one of 3 devices: its process died, exit code -9"):
        together(followers, Job(model=Slow, epochs=100))
    assert not any(process.is_alive() for process in followers._processes)


def test_a_rank_that_ends_before_it_begins_is_told():
    with pytest.raises(RankError, match="cpu, one of 2 devices: TypeError: no device of that name"):
        RankProcesses(DEVICES, failing)


def failing(device):
    raise TypeError("no device of that name")


def during(job, kind, words):
    """Train a job that cannot be trained on ranks of its own; return how long that took to be told."""
    followers = RankProcesses(DEVICES, Rank)
    began = time.monotonic()
    with pytest.raises(kind, match=words):
        together(followers, job)
    assert not any(process.is_alive() for process in followers._processes)
    return time.monotonic() - began


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not list its sockets there")
def test_ranks_listen_to_this_machine_alone():
    followers = RankProcesses(DEVICES, Rank)
    try:
        together(followers, Job(epochs=1))
        found = [address for number in (os.getpid(), followers._processes[0].pid) for address in listening(number)]
    finally:
        followers.close()
    assert len(found) >= 2
    assert {address.partition(":")[0] for address in found} <= {"0100007F", 24 * "0" + "01000000"}


def listening(number):
    """Address and port, as the kernel writes them, of every socket at which a process takes connections."""
    sockets = {os.readlink(place) for place in Path(f"/proc/{number}/fd").iterdir() if place.is_symlink()}
    rows = [row.split() for name in ("tcp", "tcp6") if Path("/proc/net", name).exists()
            for row in Path("/proc/net", name).read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]
