import pytest
import torch


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """Compiling takes seconds for each of hundreds of models; what it does is tested in tests/tricks."""
    monkeypatch.setattr(torch, "compile", lambda model: model)
