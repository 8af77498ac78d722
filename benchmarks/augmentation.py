"""What augmentation costs, and whether it draws what torchvision draws.

Speed: from the rows of uint8 images in memory to a normalized float32 batch, cropped and flipped, against the same of
PIL images with torchvision's v2 transforms, one at a time, collated. Images per CPU second, in turn.

Distribution: images whose pixels say where they are, so that every result says which of the 81 offsets and which
of the two sides it was given; 10^5 of each. A chi-square test of each against the uniform distribution, and of the
two against each other. A p-value below 0.001 is a miss: one run in a thousand misses by chance.
"""
from __future__ import annotations

import sys

import torch
from machine import Arm, Row, Target, conclude, parser, ratio_row, spread, take_turns
from peers import Pictures, moved, to_normalized
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.transforms import v2

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.models import build
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.trainer import Trainer
from autotricks.trainer.pipeline import Pipeline, pipeline
from autotricks.tricks.catalog import make, plan_of

PADDING, BATCH = 4, 128
PLACES, SIDES = 2 * PADDING + 1, 2
DRAWS, MIXED_IN = 100_000, 1000
FASTER, P_VALUE = Target(least=15.0), Target(least=0.001)


def dataset_of(images: Tensor) -> Dataset:
    train = Split.plain(images, torch.zeros(len(images), dtype=torch.int64))
    channels = images.shape[1]
    return Dataset(train, train.take(torch.arange(1)), None, ("only", "none"), (0.5,) * channels,
                   (0.25,) * channels, "made", "made", CLASSIFICATION)


def augmented(calls: Pipeline, rows: Tensor) -> Tensor:
    """Return the images of some rows as the pipeline moves them, in [0, 1]."""
    return calls.augment(Batch.plain(calls.load(rows), torch.zeros_like(rows), rows)).images


def ours(images: Tensor, seed: int = 0) -> tuple[Trainer, Pipeline]:
    """Return a trainer that crops and flips these images, and what its first phase calls."""
    bundle = Bundle((make("crop", {"padding": PADDING}), make("flip", {})), epochs=1, batch_size=BATCH, seed=seed)
    trainer = Trainer(plan_of(bundle, CLASSIFICATION), build("resnet8", 2, images.shape[1]), dataset_of(images))
    return trainer, pipeline(trainer.plan.phases[0], trainer.run)


def speed(quick: bool) -> Row:
    images = torch.randint(0, 256, (10 * BATCH, 3, 32, 32), dtype=torch.uint8)
    batches = torch.randperm(len(images)).split(BATCH)[:1 if quick else None]
    trainer, calls = ours(images)
    pictures = Pictures(images, torch.zeros(len(images), dtype=torch.int64))
    pictures.transform = v2.Compose([*moved(32, PADDING), *to_normalized((0.5,) * 3, (0.25,) * 3)])

    def vectorized() -> None:
        for rows in batches:
            (augmented(calls, rows) - trainer.run.mean) / trainer.run.std

    def one_by_one() -> None:
        for rows in batches:
            default_collate([pictures[row] for row in rows.tolist()])
    arms: dict[str, Arm] = {"ours": vectorized, "PIL + v2": one_by_one}
    seconds = take_turns(arms, 2 if quick else 21)
    return ratio_row("32x32", seconds, ("ours", "PIL + v2"), FASTER, sum(map(len, batches)))


def atlas(count: int, side: int = 16) -> Tensor:
    """Return images, [count, 3, side, side] uint8, whose pixels hold their row, their column and 1."""
    place = torch.arange(side, dtype=torch.uint8)
    one = torch.stack([place.view(-1, 1).expand(side, side), place.expand(side, side),
                       torch.ones(side, side, dtype=torch.uint8)])
    return one.expand(count, 3, side, side).contiguous()


def cells(images: Tensor) -> Tensor:
    """Return, for images of the atlas that were cropped and then flipped, which offset and side each was given.

    The middle is never black: it says the row; of its two neighbors the smaller column is on the left unless flipped.

    Shapes:
        images: [B, 3, S, S], whole numbers.
        returns: [B], int64, (down * 9 + right) * 2 + flipped.
    """
    half = images.shape[-1] // 2
    down = images[:, 0, half, half].long() - half + PADDING
    left, right = images[:, 1, half, half - 1].long(), images[:, 1, half, half].long()
    flipped = left > right
    return (down * PLACES + torch.where(flipped, left, right) - half + PADDING) * SIDES + flipped


def drawn_by_us(draws: int, seed: int = 0) -> Tensor:
    """Return how often our tricks drew each offset and side, [162]."""
    calls = ours(atlas(MIXED_IN), seed)[1]
    rows = torch.arange(MIXED_IN)
    found = [cells((augmented(calls, rows) * 255).round()) for _ in range(draws // MIXED_IN)]
    return torch.bincount(torch.cat(found), minlength=PLACES ** 2 * SIDES)


def drawn_by_v2(draws: int, seed: int = 0) -> Tensor:
    """Return how often torchvision drew each offset and side, [162]."""
    torch.manual_seed(seed)
    picture = Pictures(atlas(1), torch.zeros(1))
    picture.transform = v2.Compose([*moved(16, PADDING), v2.PILToTensor()])
    found = [cells(torch.stack([picture[0][0] for _ in range(MIXED_IN)])) for _ in range(draws // MIXED_IN)]
    return torch.bincount(torch.cat(found), minlength=PLACES ** 2 * SIDES)


def p_values(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    """Return the p-values of Pearson's chi-square tests over offsets and sides."""
    from scipy.stats import chi2_contingency, chisquare

    return {"ours ~ uniform": float(chisquare(ours.numpy()).pvalue),
            "v2 ~ uniform": float(chisquare(theirs.numpy()).pvalue),
            "ours ~ v2": float(chi2_contingency(torch.stack([ours, theirs]).numpy()).pvalue)}


def measure(quick: bool) -> list[Row]:
    """Return the ratio of speeds and the p-values."""
    draws = DRAWS // 10 if quick else DRAWS
    found = p_values(drawn_by_us(draws), drawn_by_v2(draws))
    return [speed(quick), *(Row("offset, side", name, spread([value]), "p", P_VALUE, f"{draws:,} draws of each")
                            for name, value in found.items())]


if __name__ == "__main__":
    sys.exit(conclude({"augmentation": measure}, parser(__doc__).parse_args()))
