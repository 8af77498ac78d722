"""What a machine offers against what is asked for; how many GPUs there are is said here, whatever this machine has."""
import sys

import pytest
import torch

from autotricks import cli
from autotricks.errors import InputError, ResourceError, SpaceError
from autotricks.space.load import load_space
from autotricks.system import devices
from autotricks.system.devices import check_device, set_threads, threads_of, training_devices
from autotricks.workflows import resources as slots_here
from autotricks.workflows.resources import check_resources

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
    (4, "cuda:1", 2, InputError, "--gpus 2: --device cuda:1 is one. Name cuda, or leave --gpus out."),
    (0, "cuda:0", None, ResourceError, "--device cuda:0: torch finds no GPU on this machine. Leave it out to train"),
    (2, "cuda:2", None, ResourceError, "--device cuda:2: torch finds 2 GPUs on this machine. The last is cuda:1."),
    *((4, device, None, InputError, f"--device {device!r}: not offered. Write cpu, cuda, or cuda:N for one GPU.")
      for device in ("gpu", "mps", "cuda:x", "cuda:-1", "meta", "", "cpu:7", "CPU", "cuda:0\n"))])
def test_gpus_that_are_not_there_are_refused(gpus, here, device, asked, kind, words):
    gpus(here)
    with pytest.raises(kind) as caught:
        training_devices(device, asked)
    assert str(caught.value).startswith(words) and len(caught.value.problems) == 1


def test_one_gpu_is_enough_for_cuda(gpus):
    gpus(1)
    assert [check_device(device) for device in ("cpu", "cuda", "cuda:0")] == ["cpu", "cuda", "cuda:0"]


@pytest.mark.parametrize(("cpus", "slots"), [(0.1, 4), (1, 4), (1.5, 2), (2, 2), (4, 1)])
def test_no_more_trials_at_a_time_than_cores(monkeypatch, cpus, slots):
    monkeypatch.setattr(slots_here, "cores", lambda: 4)
    given = ["search.engine=local", "search.trials=100", f"resources.cpus={cpus}"]
    assert check_resources(load_space("long_tail.yaml", given)) == slots
    with pytest.raises(ResourceError, match=f"{slots + 1} trials of .* offers 4; .* Lower it to {slots}"):
        check_resources(load_space("long_tail.yaml", [*given, f"search.parallel={slots + 1}"]))


def test_threads_are_at_most_the_cores(monkeypatch):
    taken = []
    monkeypatch.setattr(devices, "cores", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    monkeypatch.setattr(devices.os, "environ", {})
    for count in (0, 1, 4):
        set_threads(count)
    assert taken == [1, 4] and devices.os.environ["OMP_NUM_THREADS"] == "4"
    for count in (5, 1_000_000, 99999999999):
        with pytest.raises(ResourceError, match=f"^--threads {count}: this machine offers 4. Ask for 4 or fewer.$"):
            set_threads(count)
    assert taken == [1, 4]


@pytest.mark.parametrize("given", ["abc", [1], -4, 1.5, True, None, 1025, "2"])
def test_threads_of_a_bundle_are_a_whole_number(given):
    with pytest.raises(InputError, match=r"^result\.threads: .* is not allowed; .* from 0 to 1024, or leave it out\.$"):
        threads_of({"threads": given})
    assert [threads_of({"threads": 8}), threads_of({"threads": 1024}), threads_of({})] == [8, 1024, 0]


@pytest.mark.parametrize("command", [["train", "mixup_balanced_softmax"], ["doctor", "--profile"],
                                     ["replicate", "nowhere", "--data", "digits"]])
@pytest.mark.parametrize("device", ["mps", ""])
def test_commands_refuse_a_device(here, command, device):
    assert here(*command, "--device", device) == (
        2, "", f"--device {device!r}: not offered. Write cpu, cuda, or cuda:N for one GPU.\n")


@pytest.mark.parametrize(("count", "said"), [("-1", "Invalid value for '--threads'"),
                                             ("99999999999", "--threads 99999999999: this machine offers ")])
def test_train_refuses_threads(here, count, said):
    code, out, err = here("train", "mixup_balanced_softmax", "--threads", count)
    assert (code, out) == (2, "") and said in err


def test_a_bundle_with_more_threads_than_cores_takes_the_cores(here, monkeypatch, tmp_path):
    taken = []
    monkeypatch.setattr(devices, "set_threads", taken.append)
    monkeypatch.setattr("autotricks.system.workers.cores", lambda: 2)
    for threads in (1, 2, 64, "abc"):
        (tmp_path / "b.yaml").write_text(f"name: b\ntricks: {{sgd: {{}}}}\nresult: {{threads: {threads}}}\n")
        code, _, err = here("train", str(tmp_path / "b.yaml"))
        assert code == 2 and ("names no data" in err or "result.threads: 'abc'" in err)
    assert taken == [1, 2, 2]


def test_train_says_so_in_one_line(gpus, monkeypatch, capsys):
    gpus(1)
    monkeypatch.setattr(sys, "argv", ["autotricks", "train", "mixup_balanced_softmax", "--gpus", "2"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip() == "--gpus 2: torch finds 1 GPU on this machine. Ask for 1 or fewer."
