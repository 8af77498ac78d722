"""A bundle of tricks fine-tunes as timm's own parts do; what the comparison holds is in the benchmark's docstring."""
import timm_parity
import torch
from timm_parity import SETTINGS, TOLERANCE, bundle, compare, images, ours, theirs, weights_of


def largest(here, there):
    return max(abs(one - other) for one, other in zip(here, there, strict=True))


def test_losses_are_those_of_timms_parts_under_a_warm_up():
    here, there = compare("test_vit", "warm-up", 10)
    assert largest(here, there) < TOLERANCE and here[0] - here[-1] > 0.05


def test_losses_are_those_of_timms_parts_down_the_cosine_with_batch_norm():
    here, there = compare("test_resnet", "cosine", 8)
    assert largest(here, there) < TOLERANCE and here[0] - here[-1] > 0.05


def test_another_layer_decay_would_be_seen(tmp_path, monkeypatch):
    data, file = images(), weights_of("test_vit", str(tmp_path))
    epochs, warmup = SETTINGS["cosine"]
    rows, here = ours(bundle("test_vit", file, epochs, warmup), data, 6)
    assert all(len(batch) == timm_parity.BATCH for batch in rows) and len(torch.stack(rows).unique()) == len(data.train)
    monkeypatch.setattr(timm_parity, "LAYER_DECAY", 0.7)
    assert largest(here, theirs("test_vit", file, data, rows, epochs, warmup)) > 10 * TOLERANCE
