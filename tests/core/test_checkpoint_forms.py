"""Checkpoints as training scripts write them, each of which begins a model as its own state dict would."""
import argparse
import os
import zipfile
from collections import OrderedDict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.models.checkpoint import read
from autotricks.nn.pretrained import fitted
from tests.conftest import for_each


@cache
def model():
    torch.manual_seed(3)
    return build("resnet8", 4, 3)


def state(prefix="", other=0.0):
    """Return the weights of a small model, each name with a prefix; `other` are those of another moment."""
    return {prefix + name: value + other if value.is_floating_point() else value
            for name, value in model().state_dict().items()}


def lightning():
    return {"epoch": 3, "global_step": 90, "pytorch-lightning_version": "2.6.0", "state_dict": {
        **state("model."), "criterion.weight": torch.ones(4), "train_metric.total": torch.tensor(3.0)},
        "optimizer_states": [adam()], "lr_schedulers": [{"last_epoch": 3}], "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "betas": (0.9, 0.99)}, "callbacks": {}, "loops": {"fit_loop": {}}}


def adam():
    made = torch.optim.AdamW(model().parameters(), lr=0.0)
    for parameter in model().parameters():
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    return made.state_dict()


def averaged():
    """Return what torch.optim.swa_utils.AveragedModel has."""
    return torch.optim.swa_utils.AveragedModel(model()).state_dict()


ARGS = argparse.Namespace(model="resnet8", lr=0.1, out=Path("out"), betas=(0.9, 0.99), resume=None)
NUMPY = {"best_acc": np.float64(0.93), "losses": np.arange(3.0, dtype=np.float32), "epoch": np.int64(3)}
OTHER = 0.25    # less than which the averaged weights are not
FORMS = {
    "plain": lambda: state(),
    "ordered": lambda: OrderedDict(state()),
    "state_dict": lambda: {"state_dict": state(), "epoch": 3, "arch": "resnet8", "best_acc1": 0.9},
    "model": lambda: {"model": state(), "args": ARGS, "epoch": 3},
    "model_state_dict": lambda: {"model_state_dict": state(), "optimizer_state_dict": adam(), "loss": 0.1},
    "model_state": lambda: {"model_state": state(), "optimizer_state": adam(), "scaler": {"scale": 65536.0}},
    "net": lambda: {"net": state(), "acc": 93.1, "epoch": 190},
    "network": lambda: {"network": state()},
    "weights": lambda: {"weights": state()},
    "params": lambda: {"params": state(other=OTHER), "params_ema": state()},
    "torchvision references": lambda: {"model": state(other=OTHER), "model_ema": state("module."), "args": ARGS,
                                       "optimizer": adam(), "lr_scheduler": {"base_lrs": [0.1]}, "epoch": 3},
    "lightning": lightning,
    "lightning, net": lambda: {"state_dict": state("net."), "hyper_parameters": {}},
    "lightning, compiled": lambda: {"state_dict": state("model._orig_mod.")},
    "timm train.py": lambda: {"epoch": 3, "arch": "resnet8", "state_dict": state(other=OTHER), "optimizer": adam(),
                              "version": 2, "args": ARGS, "amp_scaler": {"scale": 1.0}, "state_dict_ema": state(),
                              "metric": 71.5},
    "DDP": lambda: state("module."),
    "DDP in state_dict": lambda: {"state_dict": state("module.")},
    "compiled": lambda: state("_orig_mod."),
    "compiled, DDP": lambda: {"model": state("_orig_mod.module.")},
    "DDP, compiled": lambda: {"model": state("module._orig_mod.")},
    "three deep": lambda: state("module.model.backbone."),
    "backbone and head": lambda: {"model": {**state("encoder."), "projector.0.weight": torch.ones(3, 3),
                                            "projector.0.bias": torch.ones(3)}},
    "teacher and student": lambda: {"student": state("module.backbone.", OTHER), "teacher": state("backbone."),
                                    "dino_loss": {"center": torch.zeros(1, 9)}, "args": ARGS},
    "AveragedModel": averaged,
    "nested": lambda: {"checkpoint": {"trainer": {"state": {"model": state()}}, "rng": torch.get_rng_state()}},
    "half": lambda: {name: value.half() if value.is_floating_point() else value for name, value in state().items()},
    "bfloat16": lambda: {name: value.bfloat16() if value.is_floating_point() else value
                         for name, value in state().items()},
    "numpy scalars": lambda: {"model": state(), **NUMPY},
    "criterion within": lambda: {**state(), "criterion.weight": torch.ones(4), "criterion.pos_weight": torch.ones(4)},
    "parameters": lambda: {name: nn.Parameter(value) if value.is_floating_point() else value
                           for name, value in state().items()},
    "paths and dates": lambda: {"model": state(), "config": {"root": Path("data"), "tags": {"a", "b"}, "none": None}},
}
ROUNDED = {"half": 1e-3, "bfloat16": 1e-2}


def begins(path, name):
    fits = fitted(build("resnet8", 4, 3), read(path), 4, path)
    assert fits.keys() == state().keys()
    for key, value in state().items():
        rounded = ROUNDED.get(name, 0)
        torch.testing.assert_close(fits[key].to(value.dtype), value, rtol=rounded, atol=rounded / 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("forms")


def test_each_form_of_a_checkpoint_begins_a_model(folder):
    @for_each(FORMS)
    def each(name):
        torch.save(FORMS[name](), folder / "weights.pt")
        begins(folder / "weights.pt", name)
    each()


def test_files_are_told_by_their_content_and_not_by_their_name(folder):
    plain = {name: value.clone() for name, value in state().items()}
    save_file(plain, folder / "pytorch_model.bin")
    save_file(plain, folder / "weights.ckpt")
    torch.save(plain, folder / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("pytorch_model.bin", "weights.ckpt", "old.pth"):
        begins(folder / name, name)


class Trap:
    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_named_and_not_run(folder, zipped, capfd):
    path = folder / "trap.pt"
    for call, given, named in ((print, ("executed",), "print"), (eval, ("print('executed')",), "eval"),
                               (os.system, ("echo executed",), "system"), (Path.touch, (folder / "made",), "getattr")):
        torch.save({"state_dict": state(), "args": Trap(call, *given)}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(ModelError) as error:
            read(path)
        assert named in str(error.value) and "which would run code" in str(error.value)
        assert not set(str(error.value)) & {"\x1b", "\n", "\t"} and len(str(error.value)) < 400
    assert "executed" not in capfd.readouterr().out and not (folder / "made").exists()


def test_a_name_in_a_file_cannot_command_the_terminal(folder):
    torch.save({"\x1b[31mred": 1, "b\nc": 2}, folder / "none.pt")
    with pytest.raises(ModelError) as error:
        read(folder / "none.pt")
    assert not set(str(error.value)) & {"\x1b", "\n"}


def test_what_does_not_fit_shows_how_the_names_look(folder):
    torch.save({"state_dict": {f"module.{name.replace('conv', 'cnv')}": value for name, value in state().items()}},
               folder / "other.pt")
    with pytest.raises(ModelError, match=r"layers.0.conv1.weight is .* not in the file. Names in the file look like "
                                         r"layers.0.cnv1.weight, layers.0.cnv2.weight, layers.1.cnv1.weight"):
        begins(folder / "other.pt", "other")


def test_numbers_of_numpy_1_are_read_too(folder):
    """It called the module of the same functions otherwise; most checkpoints that there are were written with it."""
    torch.save({"model": state(), **NUMPY}, folder / "new.pt")
    with zipfile.ZipFile(folder / "new.pt") as new, zipfile.ZipFile(folder / "old.pt", "w") as old:
        for record in new.infolist():
            content = new.read(record)
            if record.filename.endswith("data.pkl"):
                assert b"numpy._core" in content
                content = content.replace(b"numpy._core", b"numpy.core")
            old.writestr(record.filename, content)
    begins(folder / "old.pt", "numpy scalars")
