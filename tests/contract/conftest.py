import sys

import pytest
import torch

from autotricks.models import build  # noqa: F401  its module is patched
from tests.narrow import Narrow


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """Compiling takes seconds for each of hundreds of models; what it does is tested in tests/tricks."""
    monkeypatch.setattr(torch, "compile", lambda model: model)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """What is held to the contract is the trick; hundreds of networks are trained to see that."""
    monkeypatch.setattr(sys.modules["autotricks.models.build"], "ResNet", Narrow)
