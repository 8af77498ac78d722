"""What a machine offers against what is asked for; how many GPUs there are is said here, whatever this machine has."""
import sys

import pytest
import torch

from autotricks import cli
from autotricks.errors import InputError, ResourceError, SpaceError
from autotricks.resources import check_resources, training_devices
from autotricks.space.load import load_space

SPACE = ("search.engine=local", "search.trials=100", "resources.cpus=0.01")


@pytest.fixture
def gpus(monkeypatch):
    return lambda count: monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(("here", "wanted", "slots"), [(4, 1, 4), (4, 2, 2), (3, 2, 1), (1, 0.25, 4), (2, 0.4, 4),
                                                       (2, 0.5, 4)])
def test_trials_at_a_time_have_gpus_enough(gpus, here, wanted, slots):
    gpus(here)
    assert check_resources(load_space("long_tail.yaml", [*SPACE, f"resources.gpus={wanted}"])) == slots


def test_one_gpu_and_a_half_cannot_be_had():
    with pytest.raises(SpaceError, match=r"resources.gpus: 1.5 GPUs a trial cannot be had: .* Give a whole number."):
        load_space("long_tail.yaml", [*SPACE, "search.engine=ray", "resources.gpus=1.5"])


@pytest.mark.parametrize(("device", "asked", "found"), [
    ("cpu", None, ("cpu",)), ("cuda:1", None, ("cuda:1",)), ("cuda", None, ("cuda:0", "cuda:1", "cuda:2")),
    ("cuda", 2, ("cuda:0", "cuda:1")), ("cpu", 1, ("cuda:0",))])
def test_devices_of_a_training(gpus, device, asked, found):
    gpus(3)
    assert training_devices(device, asked) == found


@pytest.mark.parametrize(("here", "device", "asked", "kind", "words"), [
    (1, "cpu", 2, ResourceError, "--gpus 2: torch finds 1 GPU on this machine. Ask for 1 or fewer."),
    (0, "cuda", None, ResourceError, "--device cuda: torch finds no GPU on this machine. Leave it out to train on"),
    (4, "cuda:1", 2, InputError, "--gpus 2: --device cuda:1 is one. Name cuda, or leave --gpus out.")])
def test_gpus_that_are_not_there_are_refused(gpus, here, device, asked, kind, words):
    gpus(here)
    with pytest.raises(kind) as caught:
        training_devices(device, asked)
    assert str(caught.value).startswith(words) and len(caught.value.problems) == 1


def test_train_says_so_in_one_line(gpus, monkeypatch, capsys):
    gpus(1)
    monkeypatch.setattr(sys, "argv", ["autotricks", "train", "mixup_balanced_softmax", "--gpus", "2"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip() == "--gpus 2: torch finds 1 GPU on this machine. Ask for 1 or fewer."
