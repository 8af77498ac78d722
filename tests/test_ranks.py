"""What several processes that train together do when one of them fails: all end, soon, and it is said whose fault."""
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from autotricks.errors import ModelError, RankError, ResourceError
from autotricks.ranks import Followers
from autotricks.tricks.gradients.classifier_retraining import ClassifierRetraining
from autotricks.tricks.model.sync_bn import SyncBn
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
    followers, died = Followers(DEVICES, Rank), []

    def kill():
        died.append(time.monotonic())
        os.kill(followers._processes[0].pid, signal.SIGKILL)
    threading.Timer(1.0, kill).start()
    with pytest.raises(RankError, match="cpu, one of 2 devices: its process died, exit code -9: killed, for want"):
        together(followers, Job(model=Slow, epochs=100))
    assert time.monotonic() - died[0] < 5
    assert not followers._processes[0].is_alive()


def test_a_rank_that_ends_before_it_begins_is_told():
    with pytest.raises(RankError, match="cpu, one of 2 devices: TypeError: no device of that name"):
        Followers(DEVICES, failing)


def failing(device):
    raise TypeError("no device of that name")


def during(job, kind, words):
    """Train a job that cannot be trained on ranks of its own; return how long that took to be told."""
    followers = Followers(DEVICES, Rank)
    began = time.monotonic()
    with pytest.raises(kind, match=words):
        together(followers, job)
    assert not any(process.is_alive() for process in followers._processes)
    return time.monotonic() - began


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not list its sockets there")
def test_ranks_listen_to_this_machine_alone():
    followers = Followers(DEVICES, Rank)
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
