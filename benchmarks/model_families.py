"""Which trick acts on which family of models: `python benchmarks/model_families.py [--only TRICK ...] [--write]`.

For each trick of the catalog and each family a small stand-in of the family is built twice, with and without the trick,
from one seed, and one step or more is taken. A cell says whether what the trick is there to change has changed: rows
that are drawn, images or targets, modules, weights or outputs, the loss, gradients, the settings of parameter groups or
where the weights go, rates, averages, predictions, or how the step is carried out. `--write` puts the table, or
with `--only` these rows of it, into docs/model_families.md. All of it takes about five minutes of one core.
"""
from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch import Tensor, nn

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.dataset import Dataset
from autotricks.core.slots import Slot
from autotricks.core.traits import DataTrait
from autotricks.errors import InputError
from autotricks.models.names import DETECTOR
from autotricks.nn.classifier import classifier, head_weights, trunk
from autotricks.nn.decay import decayed
from autotricks.nn.initialization import matrices
from autotricks.nn.normalization import normalized_convolutions
from autotricks.testing import companions, striped, striped_scenes
from autotricks.trainer import Trainer
from autotricks.trainer.pipeline import fold
from autotricks.trial import prepare
from autotricks.tricks.catalog import catalog

DOCUMENT = Path(__file__).parents[1] / "docs" / "model_families.md"
COUNTS = (20, 12, 6, 4)
EPOCHS, BATCH = 12, 16
ACTS, REFUSES, SAME, FAILS, FILLS, DONE = "acts", "refuses", "no change", "fails", "default", "as it is"


def vit(classes: int, channels: int) -> nn.Module:
    return _timm("vit_tiny_patch16_224", classes, channels, img_size=32, patch_size=8, embed_dim=48, depth=3,
                 num_heads=3)


def deit(classes: int, channels: int) -> nn.Module:
    return _timm("deit_tiny_distilled_patch16_224", classes, channels, img_size=32, patch_size=8, embed_dim=48, depth=3,
                 num_heads=3)


def swin(classes: int, channels: int) -> nn.Module:
    return _timm("swin_tiny_patch4_window7_224", classes, channels, img_size=32, window_size=4, embed_dim=24,
                 depths=(1, 2), num_heads=(2, 2))


def convnext(classes: int, channels: int) -> nn.Module:
    return _timm("convnext_atto", classes, channels, depths=(1, 1, 2, 1), dims=(16, 24, 32, 40))


def _timm(name: str, classes: int, channels: int, **sizes: Any) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=classes, in_chans=channels, **sizes)


FAMILIES = {    # by their name a model and the side of its images
    "ViT": ("model_families:vit", 32), "DeiT": ("model_families:deit", 32), "Swin": ("model_families:swin", 32),
    "ConvNeXt": ("model_families:convnext", 64), "EfficientNet": ("timm:test_efficientnet", 64),
    "RegNet": ("timm:regnetx_002", 64), "MobileNetV3": ("timm:mobilenetv3_small_050", 64),
    "ResNet": ("timm:test_resnet", 64), "ours": ("resnet8", 32)}

# Values at which a trick must act in the few steps of a stand-in that has hardly learned.
VALUES: dict[str, dict[str, Any]] = {
    "channels_last": {"on": False},         # the stand-ins' images are large enough for it to be on unasked
    "flooding": {"level": 5.0},             # above the loss of a model that knows nothing
    "gradient_clipping": {"max_norm": 1e-3},
    "manifold_mixup": {"shallowest": 1, "deepest": 1},      # not of the images, which any model would show
    "grid_shuffle": {"probability": 1.0}, "jpeg": {"probability": 1.0}, "downscale": {"probability": 1.0},
    "swa": {"begin": 0.0}, "copy_paste": {"largest": 0.6},      # few objects of the stand-ins are small
    "repeat_factor": {"threshold": 0.5},    # above the share of some class
    "seql": {"threshold": 0.2},             # two of the four classes are rarer
    "step_every": {"epochs": 3.0}, "warm_restart": {"factor": 0.5}}

BESIDE = {"lr_floor": ("cosine",)}      # a constant rate never gets to its floor


@dataclass(frozen=True)
class Cell:
    """What a trick does to a family, and why it does not."""

    word: str
    why: str = ""


@cache
def data(size: int) -> Dataset:
    """A long tail of striped images; few to validate on."""
    whole = striped(COUNTS, size, 3)
    return replace(whole, validation=whole.validation.take(torch.arange(0, 40, 4)), test=None)


@cache
def scenes(size: int) -> Dataset:
    """A long tail of striped objects, likewise."""
    whole = striped_scenes(tuple(count / COUNTS[0] for count in COUNTS), sum(COUNTS), size, 3)
    return replace(whole, validation=whole.validation.take(torch.arange(0, 40, 4)), test=None)


def cell(name: str, family: str, images: Dataset | None = None) -> Cell:
    """Build the family's stand-in with and without the trick, and say what came of it.

    Args:
        name: The trick.
        family: The model.
        images: To train on; unless told, striped ones in four classes, or with boxes where the trick needs them. Where
            there are boxes, the model is the backbone of a detector.
    """
    model, size = FAMILIES[family]
    needs_boxes = DataTrait.BOXES in catalog()[name].requires_data
    images = images or (scenes(size) if needs_boxes else data(size))
    built = f"{DETECTOR}:{model}" if DataTrait.BOXES in images.task.brings else model
    trick = catalog()[name](**values_of(name, model, size))
    beside = (*companions(type(trick)), *(Use(catalog()[other]()) for other in BESIDE.get(name, ())))
    opens = max(0.0, trick.opens)
    trainers = []
    try:
        if name in images.task.defaults:
            prepare(Bundle((), model=built, epochs=EPOCHS, batch_size=BATCH), images, trust=True)
            return Cell(FILLS)
        for uses in ((*beside,), (Use(trick, Window(opens, 1.0)), *beside)):
            trainer = prepare(Bundle(uses, model=built, epochs=EPOCHS, batch_size=BATCH), images, trust=True)
            for phase in trainer.plan.phases:
                trainer.run.progress = phase.start
                trainer.enter(phase)
            trainers.append(trainer)
        fault = lacking(trick.name, tuple(trick.seats), *trainers)
    except InputError as error:
        return Cell(REFUSES, str(error).splitlines()[0])
    except Exception as error:
        return Cell(FAILS, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200])
    if fault and name in ALREADY and not ALREADY[name](trainers[0]):
        return Cell(DONE, "The model is already what the trick would make of it: no convolution before batch norm has "
                    "a bias.")
    return Cell(SAME, fault) if fault else Cell(ACTS)


@cache
def values_of(name: str, model: str, size: int) -> dict[str, Any]:
    if name != "pretrained":
        return VALUES.get(name, {})
    trainer = prepare(Bundle((), model=model, epochs=1, batch_size=BATCH, seed=7), data(size), trust=True)
    file = Path(tempfile.mkdtemp(), "weights.pt")
    torch.save(trainer.run.model.state_dict(), file)
    return {"weights": str(file)}


def lacking(name: str, slots: tuple[Slot, ...], without: Trainer, with_it: Trainer) -> str:
    """Return what should have changed and has not; nothing where the trick acts as it should."""
    changed = [slot for slot in slots if CHANGES[slot](without, with_it)]
    fault = "" if changed else f"nothing changes in {', '.join(slot.value for slot in slots)}"
    if not fault and name in DEMANDS:
        fault = DEMANDS[name](without, with_it)
    if not fault:
        with_it.run.progress = 0.0
        loss = with_it.step(next(with_it.rows(1, 0)))
        fault = "" if bool(loss.isfinite()) else f"a loss of {float(loss)}"
    return fault


# What is looked at in each slot: whether it is another with the trick.

def rows_differ(without: Trainer, with_it: Trainer) -> bool:
    """Whether an order, at the beginning, in the middle or at the end, holds other rows than each once."""
    return any(sorted(without.pipeline.order(at).tolist()) != sorted(with_it.pipeline.order(at).tolist())
               for at in (0.0, 0.5, 1.0))


def loads_differ(without: Trainer, with_it: Trainer) -> bool:
    rows = torch.arange(len(without.run.targets))
    return not torch.equal(without.pipeline.load(rows), with_it.pipeline.load(rows))


def augments_differ(without: Trainer, with_it: Trainer) -> bool:
    with_it.run.progress = 0.9
    rows = torch.arange(BATCH)
    raw = Batch(with_it.run.images[rows] / 255, with_it.run.targets[rows], rows)
    return any(not torch.equal(with_it.pipeline.augment(raw).images, raw.images) for _ in range(5))


def mixes_differ(without: Trainer, with_it: Trainer) -> bool:
    batch = plain(with_it)
    for _ in range(5):
        mixed = with_it.pipeline.mix(batch)
        if mixed.images.shape != batch.images.shape or not torch.equal(mixed.images, batch.images):
            return True
        if not torch.equal(mixed.targets.shares, batch.targets.shares):
            return True
    return False


def plain(trainer: Trainer) -> Batch:
    """Return a batch as the model sees it, neither augmented nor mixed, of images of all classes."""
    rows = torch.arange(0, len(trainer.run.targets), 3)[:BATCH]
    if trainer.frozen is not None:      # what goes into the classifier, computed once
        return trainer.frozen.batch(rows, trainer.run)
    return Batch(trainer.run.normalize(trainer.run.images[rows]), trainer.run.targets[rows], rows)


def steps_differ(without: Trainer, with_it: Trainer) -> bool:
    """Whether the loss of a batch, or its gradients, are others from the same weights."""
    found = []
    for trainer in (without, with_it):
        trainer.run.train()
        torch.manual_seed(1)
        loss = trainer.pipeline.gradients(trainer.pipeline.mix(plain(trainer)))
        found.append((loss, {name: weight.grad for name, weight in trainer.run.model.named_parameters()}))
    return bool(found[0][0] != found[1][0]) or not same(found[0][1], found[1][1])


def same(left: dict[str, Tensor | None], right: dict[str, Tensor | None]) -> bool:
    """Return whether the names and values of tensors are the same, or None alike."""
    return left.keys() == right.keys() and all(
        (one is None) == (right[name] is None) and (one is None or torch.equal(one, right[name]))  # type: ignore
        for name, one in left.items())


def models_differ(without: Trainer, with_it: Trainer) -> bool:
    """Whether modules, values of the state, or outputs in training or in evaluation are others."""
    left, right = without.run.model, with_it.run.model
    if [(name, type(part)) for name, part in left.named_modules()] != [
            (name, type(part)) for name, part in right.named_modules() if "manifold_mixing" not in name]:
        return True
    if not same(left.state_dict(), right.state_dict()):
        return True
    said = [(outputs(model, trainer), outputs(model, trainer, train=True))
            for model, trainer in ((left, without), (right, with_it))]
    return not all(map(torch.equal, *said))


def outputs(model: Callable[[Tensor], Tensor], trainer: Trainer, train: bool = False) -> Tensor:
    """Return what the model says of a batch, in evaluation or in training."""
    trainer.evaluated.train(train)
    trainer.run.model.train(train)
    torch.manual_seed(1)
    with torch.no_grad():
        return model(plain(trainer).images)


def groups_differ(without: Trainer, with_it: Trainer) -> bool:
    return settings(without) != settings(with_it)


def settings(trainer: Trainer) -> dict[str, tuple[Any, ...]]:
    """Return by name of each weight the rate, decay and all else that its group says."""
    names = {weight: name for name, weight in trainer.run.model.named_parameters()}
    return {names[weight]: (type(trainer.optimizer).__name__, *(
        (key, value) for key, value in sorted(group.items()) if key != "params"))
        for group in trainer.optimizer.param_groups for weight in group["params"]}


def optimizers_differ(without: Trainer, with_it: Trainer) -> bool:
    """Whether groups are set otherwise, or steps of the same gradients at half of training go elsewhere."""
    if groups_differ(without, with_it):
        return True
    for trainer in (without, with_it):
        trainer.run.progress = 0.3
        for step in range(2):
            for place, weight in enumerate(trainer.run.model.parameters()):
                weight.grad = torch.full_like(weight, 0.01 * (1 + step + place % 3))
            trainer.optimizer.step()
    return not same(dict(without.run.model.named_parameters()), dict(with_it.run.model.named_parameters()))


def factors_differ(without: Trainer, with_it: Trainer) -> bool:
    return any(without.factor(step / 100) != with_it.factor(step / 100) for step in range(101))


def averages_differ(without: Trainer, with_it: Trainer) -> bool:
    """Whether, after two epochs, the model that is evaluated is not the one that is trained."""
    for _ in range(2):
        with_it.train_epoch()
    average = with_it.average
    return average is not None and not same(dict(average.module.named_parameters()),
                                            dict(with_it.run.model.named_parameters()))


def predictions_differ(without: Trainer, with_it: Trainer) -> bool:
    """Whether, after an epoch, predictions are others than what the model itself says."""
    with_it.train_epoch()
    with_it.evaluated.eval()
    predict = fold(with_it.plan.once, Slot.PREDICT, with_it.evaluated, with_it.run)
    return not torch.equal(outputs(predict, with_it), outputs(with_it.evaluated, with_it))


def runtimes_differ(without: Trainer, with_it: Trainer) -> bool:
    return without.run.runtime != with_it.run.runtime


CHANGES: dict[Slot, Callable[[Trainer, Trainer], bool]] = {
    Slot.SAMPLER: rows_differ, Slot.LOAD: loads_differ, Slot.AUGMENT: augments_differ, Slot.BATCH: mixes_differ,
    Slot.LOSS: steps_differ, Slot.GRADIENTS: steps_differ, Slot.MODEL: models_differ, Slot.PARAMETERS: groups_differ,
    Slot.OPTIMIZER: optimizers_differ, Slot.SCHEDULE: factors_differ, Slot.AVERAGE: averages_differ,
    Slot.PREDICT: predictions_differ, Slot.RUNTIME: runtimes_differ}


# What more is asked of some tricks: that all changes which should, and nothing else. Each returns what is not so.

def all_matrices_are_drawn(without: Trainer, with_it: Trainer) -> str:
    before = without.run.model.state_dict()
    now = with_it.run.model.state_dict()
    owned = [f"{place}.{name}".lstrip(".") for place, layer in with_it.run.model.named_modules()
             for name in matrices(layer)]
    drawn = [name for name in (*owned, *decayed(with_it.run.model)) if name.startswith(trunk(with_it.run.model))]
    kept = [name for name in drawn if torch.equal(now[name], before[name])]
    return f"{kept[0]} is not drawn anew" if kept else ""


def decay_is_timms(without: Trainer, with_it: Trainer) -> str:
    from timm.optim import param_groups_weight_decay

    model = with_it.run.model
    ask = getattr(model, "no_weight_decay", None)
    plain_ones, _ = param_groups_weight_decay(model, 0.1, no_weight_decay_list=ask() if ask else ())
    ours = {weight for group in with_it.optimizer.param_groups if group["weight_decay"] == 0
            for weight in group["params"]}
    return "" if ours == set(plain_ones["params"]) else "timm spares other weights"


def rates_rise_to_the_head(without: Trainer, with_it: Trainer) -> str:
    head = f"{classifier(with_it.run.model, len(COUNTS))}.weight"
    rates = {name: dict(said[1:])["lr"] for name, said in settings(with_it).items()}
    if rates[head] != max(rates.values()):
        return "the classifier's rate is not the highest"
    stem = next(name for name, _ in with_it.run.model.named_parameters() if name.startswith(trunk(with_it.run.model)))
    return "" if len(set(rates.values())) > 2 and rates[stem] == min(rates.values()) else "no layer below another"


def the_head_alone_trains(without: Trainer, with_it: Trainer) -> str:
    head = head_weights(with_it.run.model, len(COUNTS))
    trained = [name for name, weight in with_it.run.model.named_parameters() if weight.requires_grad]
    outside = [name for name in trained if name not in head]
    return f"{outside[0]} trains too" if outside else "" if trained else "nothing trains"


def hidden_states_are_mixed(without: Trainer, with_it: Trainer) -> str:
    """Of a linear function of the images mixing shows nothing; of a network, logits are not those of mixed images."""
    model = with_it.run.model
    batch = plain(with_it)
    model.eval()
    mixing = next(module for module in model.modules() if hasattr(module, "keep") and hasattr(module, "sizes"))
    with_it.pipeline.mix(batch)
    mixing.training = True
    with torch.no_grad():
        mixed = model(batch.images)
        mixing.training = False
        plainly = model(batch.images)
    return "" if not torch.allclose(mixed, plainly, atol=1e-7) else "the hidden states are not mixed"


def weights_are_the_files(without: Trainer, with_it: Trainer) -> str:
    model = with_it.plan.bundle.model.removeprefix(f"{DETECTOR}:")
    file = torch.load(values_of("pretrained", model, with_it.run.image_shape[1])["weights"])
    filled = with_it.run.model.get_submodule(trunk(with_it.run.model)).state_dict()
    of_them = {name: value for name, value in file.items() if name in filled}
    return "" if same(of_them, filled) else "weights are not those of the file"


def no_batch_norm_is_left(without: Trainer, with_it: Trainer) -> str:
    left = [name for name, part in with_it.run.model.named_modules() if isinstance(part, nn.BatchNorm2d)
            and type(part).__module__.startswith(("torch.", "timm."))]
    return f"{left[0]} is still batch norm" if left else ""


def computes_in(dtype: torch.dtype) -> Callable[[Trainer, Trainer], str]:
    """Return what looks at the type of what the classifier gives."""
    def looked(without: Trainer, with_it: Trainer) -> str:
        seen: list[torch.dtype] = []
        hook = with_it.run.model.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
        with_it.pipeline.gradients(plain(with_it))
        hook.remove()
        return "" if seen == [dtype] else f"logits are {seen}"
    return looked


def passes(times: int) -> Callable[[Trainer, Trainer], str]:
    """Return what counts the forward passes of a step."""
    def counted(without: Trainer, with_it: Trainer) -> str:
        seen: list[int] = []
        hook = with_it.run.model.register_forward_hook(lambda module, given, made: seen.append(len(made)))
        with_it.pipeline.gradients(plain(with_it))
        hook.remove()
        return "" if len(seen) == times else f"{len(seen)} forward passes, not {times}"
    return counted


def blocks_run_twice(without: Trainer, with_it: Trainer) -> str:
    from autotricks.nn.activation_checkpointing import blocks

    seen: list[nn.Module] = []
    found = blocks(with_it.run.model)
    leaves = [[part for part in block.modules() if not any(True for _ in part.children())] for block in found]
    inner = [parts[0] for parts in leaves if len(parts) > 1]    # of a single layer the input alone is kept anyhow
    hooks = [part.register_forward_hook(lambda module, given, made: seen.append(module)) for part in inner]
    with_it.run.train()
    with_it.pipeline.gradients(plain(with_it))
    for hook in hooks:
        hook.remove()
    once = [part for part in inner if seen.count(part) < 2]
    return f"{len(once)} of {len(inner)} blocks are not computed again" if once else ""


DEMANDS: dict[str, Callable[[Trainer, Trainer], str]] = {
    "kaiming": all_matrices_are_drawn, "xavier": all_matrices_are_drawn, "no_bias_decay": decay_is_timms,
    "layer_decay": rates_rise_to_the_head, "linear_probe": the_head_alone_trains,
    "classifier_retraining": the_head_alone_trains, "manifold_mixup": hidden_states_are_mixed,
    "pretrained": weights_are_the_files, "group_norm": no_batch_norm_is_left, "batch_renorm": no_batch_norm_is_left,
    "bf16": computes_in(torch.bfloat16), "fp16": computes_in(torch.float16), "gradient_accumulation": passes(2),
    "sam": passes(2), "asam": passes(2), "activation_checkpointing": blocks_run_twice}


def biases_before_norms(trainer: Trainer) -> list[str]:
    """Return the convolutions before batch norm that have a bias."""
    found = normalized_convolutions(trainer.run.model, trainer.run.image_shape, "no_bias_before_bn")
    return [name for name in found if trainer.run.model.get_submodule(name).bias is not None]


# By the trick, what there is for it to do in a model that was trained without it.
ALREADY: dict[str, Callable[[Trainer], list[str]]] = {"no_bias_before_bn": biases_before_norms}


def table(names: list[str], families: list[str]) -> Iterator[tuple[str, dict[str, Cell]]]:
    """Yield the cells of each trick by family."""
    for name in names:
        yield name, {family: cell(name, family) for family in families}


def written(rows: dict[str, dict[str, Cell]]) -> str:
    """Return the document."""
    families = list(FAMILIES)
    reasons: dict[str, int] = {}
    lines = []
    counts = dict.fromkeys((ACTS, REFUSES, SAME, FAILS, FILLS, DONE), 0)
    for name, cells in rows.items():
        marks = []
        for family in families:
            found = cells[family]
            counts[found.word] += 1
            mark = found.word
            if found.why:
                number = reasons.setdefault(reason(found.why), len(reasons) + 1)
                mark += f" [{number}](#{number})"
            marks.append(mark)
        lines.append(f"| `{name}` | " + " | ".join(marks) + " |")
    head = [TEXT.format(total=sum(counts.values()), **{word.replace(" ", "_"): number for word, number in
                                                       counts.items()})]
    head += ["| trick | " + " | ".join(families) + " |", "| --- |" + " --- |" * len(families)]
    notes = ["", "## Why", ""] + [f"{number}. <a id=\"{number}\"></a>{why}" for why, number in reasons.items()]
    return "\n".join([*head, *lines, *notes]) + "\n"


def read(text: str) -> dict[str, dict[str, Cell]]:
    """Return the cells that a document holds, by trick and family."""
    reasons = dict(re.findall(r"^(\d+)\. <a id=\"\d+\"></a>(.*)$", text, re.MULTILINE))
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            name, *marks = (part.strip() for part in line.strip("| ").split(" | "))
            words = (re.fullmatch(r"([a-z ]+?)(?: \[(\d+)\]\(#\d+\))?", mark) for mark in marks)
            rows[name.strip("`")] = {family: Cell(word[1], reasons.get(word[2], "").replace("\\|", "|"))
                                     for family, word in zip(FAMILIES, words, strict=True) if word}
    return rows


def reason(why: str) -> str:
    """Return a reason without the class of the stand-in, so that families share it."""
    for kind in ("VisionTransformerDistilled", "VisionTransformer", "SwinTransformer", "ConvNeXt", "EfficientNet",
                 "RegNet", "MobileNetV3", "ResNet"):
        why = why.replace(f"{kind} has", "The model has")
    return why.replace("|", "\\|")


TEXT = """# Tricks by families of models

Whether each trick acts on each family of models: {total} cells, of which in {acts} it acts, in {refuses} it is refused
with a reason, in {default} it is what runs unasked, in
{as_it_is} the model is already as it would be, and in {no_change} nothing changes, which is a fault, as are the
{fails} that fail. It is made by `python benchmarks/model_families.py --write`.

- **acts**: with the trick, what it is there to change is another: the rows that are drawn, images or targets, modules,
  weights or outputs, the loss or its gradients, rates and decay of the weights that they should be of, the schedule,
  the average, what is predicted, or how a step is carried out. A step with it has a finite loss. Of some more is asked:
  initializations draw every matrix anew, `no_bias_decay` spares what timm does, retraining trains the classifier alone,
  `manifold_mixup` mixes hidden states.
- **refuses**: it says why, before anything trains, and a search passes it over; the number leads to the reason.
- **as it is**: the model is already what the trick would make of it.
- **default**: it takes the seat unasked, so there is nothing to compare it with.

The stand-ins are small models of the family, built by timm: ViT, DeiT with its distillation token, Swin and ConvNeXt
with few and narrow blocks, `test_efficientnet`, `regnetx_002`, `mobilenetv3_small_050` and `test_resnet`; `ours` is
`resnet8`. Images are 32 or 64 pixels wide. Tricks that need boxes are tried on a detector with the model as its
backbone, which only models of timm by their own name and ours can be. Parameters are the defaults but where a step
could not show them.
"""


def main() -> int:
    """Print the table, or write it; return 1 where a cell is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="TRICK", choices=list(catalog()), help="these tricks")
    parser.add_argument("--family", nargs="+", choices=list(FAMILIES), default=list(FAMILIES), help="these families")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    given = parser.parse_args()
    if given.write and len(given.family) < len(FAMILIES):
        parser.error("--write takes all families")
    torch.set_num_threads(1)
    torch.compile = lambda model: model     # whether it is asked for is what is looked at; to compile takes minutes
    rows = {}
    for name, cells in table(given.only or list(catalog()), given.family):
        rows[name] = cells
        print(f"{name:28}", *(f"{found.word:9}" for found in cells.values()), flush=True)
        for family, found in cells.items():
            if found.word in (SAME, FAILS):
                print(f"    {family}: {found.why}", flush=True)
    if given.write:
        known = read(DOCUMENT.read_text("utf-8")) if DOCUMENT.exists() else {}
        rows = {name: (known | rows)[name] for name in catalog() if name in known or name in rows}
        DOCUMENT.write_text(written(rows), encoding="utf-8")
    return int(any(found.word in (SAME, FAILS) for cells in rows.values() for found in cells.values()))


if __name__ == "__main__":
    sys.exit(main())
