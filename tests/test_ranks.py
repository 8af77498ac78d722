"""What several processes that train together do when one of them fails: all end, soon, and it is said whose fault."""
import os
import signal
import threading
import time

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
