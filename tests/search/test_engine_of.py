"""Which engine a search takes where the space leaves it open."""
import pytest
import torch

from autotricks.space.load import load_space
from autotricks.tuning.engines.select import engine_of


@pytest.mark.parametrize(("gpus", "there", "address", "engine"), [
    (0, 0, None, "local"), (0, 4, None, "local"), (1, 1, None, "local"), (0.25, 1, None, "local"),
    (1, 2, None, "ray"), (0, 0, "auto", "ray"), (1, 1, "10.0.0.1:6379", "ray")])
def test_ray_takes_clusters_and_several_gpus(gpus, there, address, engine, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    assert engine_of(load_space("long_tail.yaml", [f"resources.gpus={gpus}"]).document, address) == engine


@pytest.mark.parametrize("engine", ["ray", "local"])
def test_what_a_space_says_counts(engine):
    assert engine_of(load_space("long_tail.yaml", [f"search.engine={engine}"]).document, None) == engine
