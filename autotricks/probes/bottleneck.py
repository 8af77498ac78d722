"""Bottleneck: whether data or compute takes the time of a training step, and what to change."""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.run import Runtime
from ..core.slots import Slot
from ..data import load as load_data
from ..space import load_bundle_file, load_space
from ..space.sections import DataSection
from ..system.devices import check_device
from ..trainer.profile import Profile, ProfiledTrainer
from ..trial import prepare
from ..tricks.runtime.torch_compile import missing

STEPS = 20              # that are timed, after as many to get warm
EVALUATED = 1024        # validation images
MUCH = 0.3              # share of a step from which a part other than the passes is worth a change
SPACE = "long_tail.yaml"


@dataclass(frozen=True)
class Finding:
    """What was measured and what follows.

    Args:
        profile: Of a step.
        images_per_second: Of training, evaluation included.
        bottleneck: `data`, `evaluation`, `optimizer` or `compute`.
        advice: One sentence.
    """

    profile: Profile
    images_per_second: float
    bottleneck: str
    advice: str


def examine(bundle: str, space: str, source: str, device: str, trust: bool) -> Finding:
    """Train a few steps of a bundle file, or of a space's baseline, and say what takes the time.

    Raises:
        InputError: When file, data, model or device cannot be used.
    """
    check_device(device)
    if bundle:
        bundle_file = load_bundle_file(bundle, trust)
        wanted = bundle_file.bundle
        section = bundle_file.document.data or DataSection()
    else:
        loaded = load_space(space or SPACE, (), trust)
        wanted = loaded.space.baseline()
        section = loaded.document.data
    section = section.model_copy(update={"source": source}) if source else section
    return bottleneck(wanted, load_data(section.settings(), trust).dataset, device, trust)


def bottleneck(bundle: Bundle, dataset: Dataset, device: str = "cpu", trust: bool = False) -> Finding:
    """Train a few steps of a bundle and say what takes the time."""
    size = min(bundle.batch_size, len(dataset.train))
    part = replace(dataset, train=dataset.train.sample(STEPS * size), validation=dataset.validation.sample(EVALUATED))
    trainer = prepare(bundle.rescaled(max(2, bundle.epochs)), part, device, trust, ProfiledTrainer)
    assert isinstance(trainer, ProfiledTrainer)
    profile = trainer.profile(max(1, len(dataset.train) // size), len(dataset.validation))
    where, advice = judged(profile, bundle, trainer.run.runtime, device)
    return Finding(profile, size / profile.step, where, advice)


def judged(profile: Profile, bundle: Bundle, runtime: Runtime, device: str) -> tuple[str, str]:
    """Return what the bottleneck is, and what to do in one sentence."""
    loading, augmentation, evaluation, optimizer = (profile.share(name) for name in (
        "loading", "augmentation", "evaluation", "optimizer"))
    if loading + augmentation >= max(MUCH, profile.share("forward", "backward")):
        if loading >= augmentation:
            return "data", (f"Loading takes {loading:.0%} of a step: give it more processes (data.workers), or "
                            "keep the images in memory (data.memory) or make them smaller (data.size).")
        names = [use.trick.name for use in bundle.uses if {Slot.AUGMENT, Slot.BATCH} & set(use.trick.seats)]
        return "data", (f"Augmentation takes {augmentation:.0%} of a step: try without {', '.join(names)}, one at a "
                        "time, or end their windows early (stop).")
    if evaluation >= MUCH:
        return "evaluation", (f"Evaluation takes {evaluation:.0%} of the time: hold out fewer images "
                              "(data.validation).")
    if optimizer >= MUCH:
        return "optimizer", (f"The optimizer takes {optimizer:.0%} of a step: take fewer, larger steps "
                             "(training.batch_size: max), with linear_scaling.")
    return "compute", f"The passes through the model take {profile.share('forward', 'backward'):.0%} of a step: " + (
        _faster(runtime, device))


def _faster(runtime: Runtime, device: str) -> str:
    """Return the first trick that makes passes faster on this device and is not there yet."""
    half = "fp16" if device.startswith("cuda") else ""
    if _has_bf16(device):
        half = "bf16"
    if half and runtime.autocast is None:
        return f"try the trick {half}" + ("." if runtime.channels_last else ", with channels_last.")
    if not runtime.channels_last:
        return "try the trick channels_last."
    if not runtime.compile and not missing(torch.device(device).type):
        return "try the trick torch_compile in long trainings."
    return "take a smaller model, smaller images (data.size) or progressive_resizing."


def _has_bf16(device: str) -> bool:
    """Return whether a device computes in bfloat16 faster than in float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()      # torch 2.10 has none
    return bool(able.get("avx512_bf16") or able.get("amx_tile"))
