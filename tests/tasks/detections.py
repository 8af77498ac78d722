"""Real detections for tests, and pycocotools to measure them with.

`python -m tests.tasks.detections` trains a detector for six epochs and writes what it finds in 100 test images.
"""
import contextlib
import io
from pathlib import Path

import numpy as np
import torch

from autotricks.core.dense import Dense
from autotricks.core.targets import Targets
from autotricks.tasks.detection import DETECTION
from autotricks.tasks.detection.matching import Found, Truths

STORED = Path(__file__).parent / "detections.npz"
IMAGES = 100
CLASSES = 10


def stored():
    """What is in 100 scenes of digits, and what a detector found in them: [100, R, 6] and targets."""
    with np.load(STORED) as file:
        targets = Targets(*(torch.from_numpy(file[name]) for name in ("labels", "shares", "boxes")))
        return torch.from_numpy(file["found"]), targets


def said(found):
    """Return a detector's output, [B, R, C + 8], that decodes to what was found, [B, R, 6], as nearly as numbers go."""
    score = found[..., 4].double()
    own = torch.where(score > 0, score.clamp(1e-7, 1 - 1e-7).logit(), -1e4)
    logits = torch.full((*score.shape, CLASSES), -1e4).double().scatter(2, found[..., 5:].long(), own.unsqueeze(2))
    middle = torch.full_like(score, 50.0)
    return Dense(logits, middle, found[..., :4].double(), torch.zeros(*score.shape, 3)).output().float()


def theirs(truths: Truths, found: Found, classes: int):
    """Return pycocotools' precision [T, 101, C, areas], and recall [T, C, areas], -1 where a class has no object."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def sides(box):
        left, top, right, bottom = map(float, box)
        return [left, top, right - left, bottom - top]

    images = range(len(truths.labels))
    there = [{"id": 0, "image_id": image, "category_id": int(truths.labels[image, place]),
              "bbox": sides(truths.boxes[image, place]), "iscrowd": int(truths.ignored[image, place])}
             for image, place in zip(*(truths.counted | truths.ignored).nonzero(), strict=True)]
    there = [{**one, "id": number, "area": one["bbox"][2] * one["bbox"][3]} for number, one in enumerate(there, 1)]
    said = [{"image_id": int(image), "category_id": int(found.labels[image, rank]),
             "bbox": sides(found.boxes[image, rank]), "score": float(found.scores[image, rank])}
            for image, rank in zip(*(found.scores > 0).nonzero(), strict=True)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": [{"id": image} for image in images], "annotations": there, "info": {},
                         "categories": [{"id": label} for label in range(classes)]}
        truth.createIndex()
        answers = truth.loadRes(said) if said else COCO()
        judge = COCOeval(truth, answers, "bbox")
        judge.params.imgIds = [*images]
        judge.params.catIds = [*range(classes)]
        judge.evaluate()
        judge.accumulate()
    return judge.eval["precision"][..., 2], judge.eval["recall"][..., 2]


def write():
    """Train a detector for six epochs, and store what it finds: boxes to a quarter of a pixel, scores to 4 digits."""
    from autotricks.data import Settings, load
    from autotricks.inference.predictor import Predictor
    from autotricks.runs.champion import bundle_document
    from autotricks.trainer.evaluate import outputs
    from autotricks.trial import run_trial
    from autotricks.tricks.catalog import bundle_from

    torch.set_num_threads(1)
    settings = Settings(source="digit_scenes", task="detection")
    loaded = load(settings)
    bundle = bundle_from({"model": {"name": "fcos:resnet8"}, "tricks": {"sgd": {"lr": 0.05}, "one_cycle": {}},
                          "training": {"epochs": 6, "batch_size": 8, "seed": 0}})
    weights = run_trial(bundle, loaded.dataset).model.state_dict()
    predictor = Predictor(bundle_document("", {"task": settings.task}, loaded, bundle, {}), weights)
    test = loaded.dataset.test.sample(IMAGES)
    found = DETECTION.decode(outputs(predictor.logits, test))
    found = torch.cat([(found[..., :4] * 4).round() / 4, (found[..., 4:5] * 1e4).round() / 1e4, found[..., 5:]], 2)
    targets = test.targets
    np.savez_compressed(STORED, found=found.numpy().astype(np.float32), labels=targets.labels.numpy(),
                        shares=targets.shares.numpy(), boxes=targets.boxes.numpy())


if __name__ == "__main__":
    write()
