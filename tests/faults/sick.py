"""A model of the user's own that falls ill in the midst of training; which build of it, and how, a file says."""
import math
import os
from functools import partial
from pathlib import Path

import torch
from torch import nn

from autotricks.models import build

from ..search.deadly import planned

PLAN = "AUTOTRICKS_TEST_SICK"   # a folder, as that of what is deadly
ROOM = 20                       # images for which there is memory, where that is the illness
HEALTHY = 2                     # steps before it falls ill


def net(classes, channels):
    how = planned(Path(os.environ[PLAN]))
    model = build("resnet8", classes, channels)
    if how:
        model.steps = 0
        model.register_forward_pre_hook(partial(before, how))
        model.register_forward_hook(partial(after, how))
        if how == "nan figure":     # deep inside, since some tricks predict from features
            next(module for module in model.modules() if isinstance(module, nn.Conv2d)).register_forward_hook(blind)
    return model


def before(how, model, images):
    """Run out of memory, or lose a weight."""
    model.steps += model.training
    ill = model.steps > HEALTHY
    full = {"memory of a batch": model.training and len(images[0]) > ROOM,
            "memory in a later step": ill and model.training, "memory in validation": not model.training}
    if full.get(how):
        raise torch.OutOfMemoryError("simulated")
    if how == "nan weight" and ill:
        with torch.no_grad():
            next(model.parameters()).view(-1)[0] = math.nan


def after(how, model, images, logits):
    """Say what is no number, or far from one that can be."""
    ill = model.steps > HEALTHY and model.training
    wrong = {"nan loss": math.nan, "inf loss": math.inf, "explosion": 1e9}.get(how)
    return logits + wrong * torch.linspace(0, 1, logits.shape[1]) if ill and wrong else None


def blind(layer, images, features):
    """See nothing outside training."""
    return None if layer.training else features * math.nan
