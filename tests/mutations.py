"""Deliberate faults, one at a time, to see that the tests catch each: `python -m tests.mutations [--only N ...]`.

The tree is copied into a temporary folder once. The tests named are first run there as it is, where all of them must
pass; then, for each fault in the list, its text is put in place of what stands in the file, its tests are run, and the
file is restored. A row says whether a test failed, and which was the first. The exit code is 1 where a fault is not
caught, or where the text that it replaces does not stand in its file exactly once any more. All of it takes about a
quarter of an hour on an idle core.

A fault is one that a tired developer could make; `what` says what then goes wrong for a user. Whoever changes a line
that is named here changes it here too; whoever finds that a real fault had passed the tests adds it with the test that
would have caught it.
"""
from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("autotricks", "tests", "search_spaces", "benchmarks", "docs", "docker", "pyproject.toml", "constraints.txt",
          "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "Makefile")
SECONDS = 600       # that the tests of one fault may take
FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)      # without the parameters of a test


@dataclass(frozen=True)
class Mutation:
    """One fault.

    Args:
        where: File, below the repository.
        before: What stands there, exactly once.
        after: What is put in its place.
        what: What then goes wrong for a user.
        tests: Files of tests, or single tests of a slow file, that should catch it.
    """

    where: str
    before: str
    after: str
    what: str
    tests: tuple[str, ...]


MUTATIONS = (
    # tricks: losses
    Mutation("autotricks/tricks/loss/focal.py",
             "return -rest ** gamma * log_probability",
             "return -(1 - rest) ** gamma * log_probability",
             "focal loss counts easy images most",
             ("tests/tricks/test_focal.py",)),
    Mutation("autotricks/functional/distillation.py",
             "return temperature ** 2 * F.kl_div(",
             "return temperature * F.kl_div(",
             "a hot teacher has less say than alpha promises",
             ("tests/tricks/test_distillation.py",)),
    Mutation("autotricks/tricks/loss/ldam.py",
             "raw = counts.clamp(min=1) ** -0.25",
             "raw = counts.clamp(min=1) ** 0.25",
             "LDAM gives the common classes the large margins",
             ("tests/tricks/test_ldam.py",)),
    Mutation("autotricks/tricks/loss/label_smoothing.py",
             "epsilon / classes)",
             "epsilon / (classes - 1))",
             "smoothed targets add up to more than one",
             ("tests/tricks/test_label_smoothing.py",)),
    Mutation("autotricks/functional/class_weighting.py",
             "whole = batch.whole.targets",
             "whole = batch.targets",
             "class weights change with the number of micro-batches",
             ("tests/tricks/test_class_weights.py",)),
    Mutation("autotricks/tricks/loss/flooding.py",
             "(losses - level) + level",
             "(losses - level) - level",
             "a flooded loss is reported twice the level too low",
             ("tests/tricks/test_flooding.py",)),
    Mutation("autotricks/tricks/loss/balanced_softmax.py",
             "torch.log_softmax(logits + log_counts, 1)",
             "torch.log_softmax(logits - log_counts, 1)",
             "balanced softmax makes the long tail worse",
             ("tests/tricks/test_balanced_softmax.py",)),
    # tricks: samplers
    Mutation("autotricks/functional/sampling.py",
             "first = sizes.cumsum(0) - sizes\n    drawn",
             "first = sizes.cumsum(0) - 1\n    drawn",
             "balanced drawing takes images of the next class for those of a class",
             ("tests/tricks/test_class_balanced.py",)),
    Mutation("autotricks/tricks/sampler/progressive.py",
             "balanced = first + (1 - first) * progress",
             "balanced = first + (1 - first) * (1 - progress)",
             "progressive sampling begins balanced and ends as classes occur",
             ("tests/tricks/test_progressive.py",)),
    Mutation("autotricks/tricks/sampler/under_sampling.py",
             "turns % sizes.unsqueeze(1)",
             "turns % smallest",
             "under-sampling never shows most images of the large classes",
             ("tests/tricks/test_under_sampling.py",)),
    Mutation("autotricks/functional/sampling.py",
             "wanted = sizes.clamp(min=least)",
             "wanted = sizes.clamp(max=least)",
             "capped sampling cuts large classes down in place of filling small ones up",
             ("tests/tricks/test_capped_sampling.py",)),
    # tricks: pixels that move, and boxes with them
    Mutation("autotricks/functional/geometry.py",
             "(1 - sign) / 2 * width",
             "(1 - sign) / 2 * (width - 1)",
             "boxes of mirrored images lie a pixel too far left",
             ("tests/core/test_targets.py",)),
    Mutation("autotricks/functional/geometry.py",
             "torch.stack([torch.stack([cosine, sine], 1), torch.stack([-sine, cosine], 1)], 1)",
             "torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)",
             "boxes are turned against the direction of their pixels",
             ("tests/core/test_targets.py",)),
    Mutation("autotricks/tricks/augment/crop.py",
             "lambda: shift(self.padding - right, self.padding - down)",
             "lambda: shift(self.padding - down, self.padding - right)",
             "boxes of shifted images move down by what they should move right",
             ("tests/contract/test_boxes.py",)),
    Mutation("autotricks/tricks/augment/random_resized_crop.py",
             "-first.flip(0).T * scales",
             "-first.flip(0).T",
             "boxes of enlarged windows lie too far right and below",
             ("tests/contract/test_boxes.py",)),
    Mutation("autotricks/core/targets.py",
             "seen = (high > low).all(2)",
             "seen = (high > low).any(2)",
             "objects that a crop has left outside are still to be found",
             ("tests/core/test_targets.py",)),
    Mutation("autotricks/functional/affine.py",
             "-sine * (height / width)",
             "-sine * (width / height)",
             "turning shears images that are not square",
             ("tests/tricks/test_random_affine.py",)),
    Mutation("autotricks/functional/sampling.py",
             "positions < (first + lengths)",
             "positions <= (first + lengths)",
             "cutout and cutmix cut a pixel more than the size says",
             ("tests/tricks/test_cutout.py",)),
    Mutation("autotricks/tricks/augment/flip.py",
             "torch.where(chosen.unsqueeze(1), columns.flip(0), columns)",
             "torch.where(chosen.unsqueeze(1), columns.roll(1), columns)",
             "flip shifts images in place of mirroring them",
             ("tests/tricks/test_flip.py",)),
    # tricks: mixing
    Mutation("autotricks/tricks/batch/mixup.py",
             "batch.images.lerp(batch.images[partner], 1 - keep)",
             "batch.images.lerp(batch.images[partner], keep)",
             "mixup gives an image the share of the other's label",
             ("tests/tricks/test_mixup.py",)),
    Mutation("autotricks/tricks/batch/cutmix.py",
             "side = (1 - beta(self.alpha, self.alpha, 1, run.generator)).sqrt()",
             "side = 1 - beta(self.alpha, self.alpha, 1, run.generator)",
             "cutmix pastes much smaller boxes than the paper's",
             ("tests/tricks/test_cutmix.py",)),
    Mutation("autotricks/tricks/batch/ricap.py",
             "torch.outer(lengths(cuts[0], height), lengths(cuts[1], width))",
             "torch.outer(lengths(cuts[1], width), lengths(cuts[0], height))",
             "RICAP labels the upper right patch by the area of the lower left",
             ("tests/tricks/test_ricap.py",)),
    Mutation("autotricks/tricks/batch/remix.py",
             "torch.where(gives, 0.0, torch.where(takes, 1.0, keep))",
             "torch.where(gives, 1.0, torch.where(takes, 0.0, keep))",
             "remix gives the label to the common class",
             ("tests/tricks/test_remix.py",)),
    # tricks: schedules
    Mutation("autotricks/tricks/schedule/warmup.py",
             "warmup(progress * run.steps + 1, steps, self.first)",
             "warmup(progress * run.steps, steps, self.first)",
             "the first step of a warm-up has a rate of zero and is lost",
             ("tests/tricks/test_warmup.py",)),
    Mutation("autotricks/tricks/schedule/cosine.py",
             "return final + (1 - final) *",
             "return final +",
             "with a final rate the cosine begins above the rate asked for",
             ("tests/tricks/test_cosine.py",)),
    Mutation("autotricks/tricks/schedule/step.py",
             "progress >= milestone",
             "progress > milestone",
             "the rate drops a step after its milestone",
             ("tests/tricks/test_step.py",)),
    Mutation("autotricks/tricks/schedule/one_cycle.py",
             "last = run.steps - 1",
             "last = run.steps",
             "one-cycle never comes down to its last rate",
             ("tests/tricks/test_one_cycle.py",)),
    Mutation("autotricks/tricks/schedule/warm_restart.py",
             "(progress - at) / (1 - at)",
             "(progress - at) / at",
             "a restart that is not half-way ends its schedule at the wrong time",
             ("tests/tricks/test_warm_restart.py",)),
    Mutation("autotricks/core/bundle.py",
             "getattr(trick, name) * ratio",
             "getattr(trick, name) / ratio",
             "a bundle in fewer epochs has a longer warm-up, not a shorter one",
             ("tests/space/test_bundles.py",)),
    # tricks: averages, gradients, optimizers
    Mutation("autotricks/tricks/average/ema.py",
             "for index in real], 1 - decay)",
             "for index in real], decay)",
             "the moving average is all but the last weights",
             ("tests/tricks/test_ema.py",)),
    Mutation("autotricks/tricks/average/swa.py",
             "1 / (1 + int(self.n_averaged))",
             "1 / max(1, int(self.n_averaged))",
             "the second model of SWA wipes out the first",
             ("tests/tricks/test_swa.py",)),
    Mutation("autotricks/functional/sharpness.py",
             "kept = [*moved, *model.buffers()]",
             "kept = moved",
             "SAM moves batch-norm statistics twice a step, once at the wrong weights",
             ("tests/core/test_sharpness.py",)),
    Mutation("autotricks/tricks/gradients/gradient_centralization.py",
             "gradient.mean(tuple(range(1, gradient.ndim)), keepdim=True)",
             "gradient.mean(tuple(range(gradient.ndim)), keepdim=True)",
             "gradient centralization takes one mean off all filters",
             ("tests/tricks/test_gradient_centralization.py",)),
    Mutation("autotricks/tricks/optimizer/momentum_cycling.py",
             "return high - (high - low) *",
             "return low + (high - low) *",
             "momentum is highest where the rate is",
             ("tests/tricks/test_momentum_cycling.py",)),
    Mutation("autotricks/tricks/optimizer/linear_scaling.py",
             "run.batch_size / self.base",
             "self.base / run.batch_size",
             "larger batches get a smaller rate",
             ("tests/tricks/test_linear_scaling.py",)),
    Mutation("autotricks/tricks/parameters/no_bias_decay.py",
             '{**group, "params": weights}, {**group, "params": rest, "weight_decay": 0.0}',
             '{**group, "params": weights, "weight_decay": 0.0}, {**group, "params": rest}',
             "biases and norms are decayed, and nothing else",
             ("tests/tricks/test_no_bias_decay.py",)),
    Mutation("autotricks/tricks/parameters/layer_decay.py",
             'self.decay ** (top - level[group["params"][0]])',
             'self.decay ** level[group["params"][0]]',
             "the classifier learns slowest and the stem fastest",
             ("tests/tricks/test_layer_decay.py",)),
    # trainer
    Mutation("autotricks/trainer/trainer.py",
             "self._edges = [round(phase.stop * self.run.steps)",
             "self._edges = [int(phase.stop * self.run.steps)",
             "a window opens a step early, before the rate has dropped at the same moment",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             "if step < edge)",
             "if step <= edge)",
             "windows open and close a step late",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             'group["lr"] = rate * self.factor(self.run.progress)',
             'group["lr"] *= self.factor(self.run.progress)',
             "the schedule is applied again and again, and the rate is soon nothing",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             "        self.optimizer.step()\n"
             "        if self.average is not None:\n"
             "            self.average.update_parameters(self.run.model)\n",
             "        if self.average is not None:\n"
             "            self.average.update_parameters(self.run.model)\n"
             "        self.optimizer.step()\n",
             "averages are those of the weights a step before",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             "fold(self.plan.once, Slot.PREDICT, self.evaluated, self.run)",
             "fold(self.plan.once, Slot.PREDICT, self.run.model, self.run)",
             "figures are those of the raw weights, while the average is exported",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             "        self.evaluated.eval()\n",
             "",
             "dropout and batch norm are in training mode while a model is evaluated",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             "(batch.images - self.run.mean) / self.run.std",
             "batch.images / self.run.std - self.run.mean",
             "training sees images normalized otherwise than evaluation",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             "        if seated(before, Slot.SAMPLER) != seated(phase.uses, Slot.SAMPLER):\n"
             "            self._unread = self._unread[:0]\n",
             "",
             "a sampler that opens within an epoch has no say until the next",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/trainer.py",
             '        self.optimizer.load_state_dict(state["optimizer"])\n',
             "",
             "a run that goes on from a checkpoint begins without momentum",
             ("tests/trainer/test_checkpoint.py",)),
    Mutation("autotricks/trainer/checkpoint.py",
             "if not content.startswith(MAGIC) or hashlib",
             "if not content.startswith(MAGIC) and hashlib",
             "a checkpoint that was changed is loaded all the same",
             ("tests/trainer/test_checkpoint.py::test_one_flipped_bit_is_refused",)),
    Mutation("autotricks/trainer/pipeline.py",
             "(progress - window.start) / (window.stop - window.start)",
             "(progress - window.start) / window.stop",
             "a sampler with a window never comes to the end of its course",
             ("tests/tricks/test_progressive.py",)),
    Mutation("autotricks/trainer/step.py",
             "loss(logits, piece).sum() / count",
             "loss(logits, piece).mean()",
             "where memory cuts a batch in n the gradient is n times as long",
             ("tests/trainer/test_trainer.py",)),
    Mutation("autotricks/trainer/step.py",
             "        for parameter in parameters:\n"
             "            parameter.grad = None\n"
             "        values = []\n"
             "        for piece in part.split(run.runtime.micro_batches):\n",
             "        values = []\n"
             "        for piece in part.split(run.runtime.micro_batches):\n"
             "            for parameter in parameters:\n"
             "                parameter.grad = None\n",
             "only the last micro-batch trains",
             ("tests/trainer/test_trainer.py",)),
    # space
    Mutation("autotricks/space/space.py",
             "if any(clash(use, whole, self.avoid) for use in uses):",
             "if uses and all(clash(use, whole, self.avoid) for use in uses):",
             "trials are proposed whose tricks conflict",
             ("tests/space/test_space.py",)),
    Mutation("autotricks/space/space.py",
             "candidates = candidates[candidates.index(entry) + 1:]",
             "candidates = [other for other in candidates if other is not entry]",
             "one bundle can be drawn in two ways, and so is tried twice as often as others",
             ("tests/space/test_space.py",)),
    Mutation("autotricks/space/domains.py",
             "return Int(int(low), int(high) - 1,",
             "return Int(int(low), int(high),",
             "randint: [1, 4) draws a 4",
             ("tests/space/test_load.py",)),
    Mutation("autotricks/space/load.py",
             "document.search.seed if document.training.seed is None else document.training.seed)",
             "document.training.seed or document.search.seed)",
             "--set training.seed=0 is not heard",
             ("tests/space/test_load.py",)),
    Mutation("autotricks/space/load.py",
             "bundle.rescaled(space.frame.epochs).uses if",
             "bundle.uses if",
             "a published bundle of 200 epochs spends a short run in its warm-up",
             ("tests/space/test_bundles.py",)),
    Mutation("autotricks/core/bundle.py",
             "max(self.start, other.start) < min(self.stop, other.stop)",
             "max(self.start, other.start) <= min(self.stop, other.stop)",
             "two tricks that take turns are refused as a conflict",
             ("tests/core/test_conflicts.py",)),
    Mutation("autotricks/space/enumeration.py",
             "count = int((domain.high - domain.low) / domain.step + 1e-9) + 1",
             "count = int((domain.high - domain.low) / domain.step) + 1",
             "a grid from 0 to 0.3 in steps of 0.1 leaves out 0.3",
             ("tests/space/test_load.py",)),
    # search
    Mutation("autotricks/tuning/halving.py",
             "(1 - 1 / self._reduction) * 100",
             "(1 / self._reduction) * 100",
             "two of three trials go on where one should",
             ("tests/search/test_rungs.py",)),
    Mutation("autotricks/tuning/halving.py",
             "return score >= cutoff",
             "return score > cutoff",
             "trials that are as good as the cutoff are stopped",
             ("tests/search/test_rungs.py",)),
    Mutation("autotricks/tuning/halving.py",
             ")) >= first:",
             ")) > first:",
             "the first rung that was asked for is missing",
             ("tests/search/test_rungs.py",)),
    Mutation("autotricks/tuning/search.py",
             "return score if self.maximize else -score",
             "return score",
             "a search for the least loss stops its best trials and crowns the worst",
             ("tests/search/test_search.py::test_smaller_is_better_where_the_space_says_so",)),
    Mutation("autotricks/tuning/search.py",
             "self.gain(score) > self.gain(self.champion.score)",
             "self.gain(score) >= self.gain(self.champion.score)",
             "of equals the last is champion, and a resumed search names another than the first sitting",
             ("tests/search/test_recall.py::test_champion_of_a_tie_is_the_same_after_resume",)),
    Mutation("autotricks/tuning/search.py",
             "self._spent >= limit * self.budgets[-1]",
             "self._spent >= limit * self.budgets[0]",
             "a search ends after a fraction of the trainings that it may spend",
             ("tests/search/test_search.py::test_a_search_ends_once_so_many_epochs_are_spent",)),
    Mutation("autotricks/tuning/search.py",
             "self._spent = sum(record.epochs for record in past)",
             "self._spent = 0.0",
             "a resumed search may spend its whole budget again",
             ("tests/search/test_search.py::test_a_search_ends_once_so_many_epochs_are_spent",)),
    Mutation("autotricks/tuning/search.py",
             "        if outcome.rung in self._reached[trial.number]:\n            return score\n",
             "",
             "a rung that is reported twice is paid and counted twice",
             ("tests/search/test_recall.py",)),
    Mutation("autotricks/tuning/search.py",
             "min(len(record.rungs), last)",
             "0",
             "a resumed trial trains again what the ledger holds already",
             ("tests/search/test_recall.py",)),
    Mutation("autotricks/tuning/optuna_sampler.py",
             'direction="maximize" if maximize else "minimize"',
             'direction="maximize"',
             "TPE learns from losses the wrong way round",
             ("tests/search/test_chooser.py::test_the_best_is_the_largest_score_or_the_least_as_the_search_has_it",)),
    Mutation("autotricks/tuning/bayesian_sampler.py",
             "key=lambda item: (-item[1], item[0].number)",
             "key=lambda item: (item[1], item[0].number)",
             "the search goes on from its worst bundles and confirms them",
             ("tests/search/test_bayesian.py::test_the_best_of_many_single_scores_is_shrunk_to_what_it_is_worth",)),
    Mutation("autotricks/tuning/bayesian_sampler.py",
             "left = 1 - budget / self._budgets[-1]",
             "left = budget / self._budgets[-1]",
             "trials are stopped most readily when little is left to pay",
             ("tests/search/test_bayesian.py::test_a_hopeless_trial_ends_at_a_rung_and_a_promising_one_goes_on",)),
    Mutation("autotricks/tuning/effect_model.py",
             "gap = (mean - best) / sd",
             "gap = (best - mean) / sd",
             "the sampler proposes what it expects to be worse",
             ("tests/search/test_effects.py",)),
    Mutation("autotricks/tuning/samplers.py",
             "key=lambda pair: (-objective.sign * pair[1], pair[0])",
             "key=lambda pair: (-pair[1], pair[0])",
             "of a search for the least loss the worst bundles are confirmed",
             ("tests/search/test_bayesian.py::test_without_a_model_the_least_loss_is_ranked_first",)),
    # ledger and other records
    Mutation("autotricks/runs/ledger.py",
             "                os.truncate(path, whole)\n",
             "                pass\n",
             "after a torn line a resumed search writes a ledger that nobody can read",
             ("tests/search/test_ledger.py",)),
    Mutation("autotricks/runs/ledger.py",
             "return line if whole and _text(line).encode()",
             "return line if _text(line).encode()",
             "a score that was changed in the ledger is believed",
             ("tests/search/test_ledger.py",)),
    Mutation("autotricks/runs/ledger.py",
             'if line is None or line.get("seq") != len(lines):',
             "if line is None:",
             "a line that was taken out of the ledger is not missed",
             ("tests/search/test_ledger.py",)),
    Mutation("autotricks/runs/ledger.py",
             'return float(sum(line["epochs"] for line in self.rungs))',
             'return float(self.rungs[-1]["epochs"] if self.rungs else 0.0)',
             "the cost of a search leaves out all but the last rung of each trial",
             ("tests/search/test_ledger.py",)),
    Mutation("autotricks/runs/ledger.py",
             'return dict(self.rungs[-1]["metrics"])',
             'return dict(self.rungs[0]["metrics"])',
             "a trial is ranked by its score after the first rung",
             ("tests/search/test_ledger.py",)),
    Mutation("autotricks/runs/table.py",
             '**(trial.rungs[-1]["metrics"] if trial.rungs else {})',
             '**(trial.rungs[0]["metrics"] if trial.rungs else {})',
             "trials.csv has the figures of the first rung beside the last budget",
             ("tests/search/test_ledger.py",)),
    Mutation("autotricks/io/checksum.py",
             "return match is not None and _digest",
             "return match is None and _digest",
             "a bundle file that was changed is taken as it is",
             ("tests/core/test_checksum.py",)),
    # confirmation and statistics
    Mutation("autotricks/stats/intervals.py",
             "(2 * comparisons), count - 1))",
             "(2 * comparisons), count))",
             "intervals are too narrow, most of all with few seeds",
             ("tests/test_confirm.py::test_interval_by_the_table_of_student",)),
    Mutation("autotricks/stats/intervals.py",
             "(1 - CONFIDENCE) / (2 * comparisons)",
             "(1 - CONFIDENCE) / 2",
             "of twenty tricks that do nothing one is shown to help",
             ("tests/test_ablate.py::test_simultaneous_intervals_by_the_table_of_student",)),
    Mutation("autotricks/stats/intervals.py",
             "[sign * (one - other) for one, other",
             "[one - other for one, other",
             "a champion with less loss is called worse than the baseline",
             ("tests/test_confirm.py::test_paired_differences_are_turned_so_that_more_is_better",)),
    Mutation("autotricks/stats/intervals.py",
             "equal_var=False",
             "equal_var=True",
             "two groups of different spread get an interval that is too narrow",
             ("tests/test_confirm.py::test_interval_of_two_groups_by_welch",)),
    Mutation("autotricks/stats/verdict.py",
             '    if difference.low > 0:\n        return "better than the baseline"',
             '    if difference.mean > 0:\n        return "better than the baseline"',
             "what may be luck is called better than the baseline",
             ("tests/test_confirm.py::test_verdicts",)),
    Mutation("autotricks/workflows/confirm.py",
             "self.objective.sign * (searched - validation[champion].mean)",
             "self.objective.sign * (validation[champion].mean - searched)",
             "a search that was too good is said to have been too modest",
             ("tests/test_confirm.py::test_a_confirmation_by_hand",)),
    Mutation("autotricks/workflows/confirm.py",
             "for seed in itertools.count(FRESH) if seed not in used)",
             "for seed in itertools.count(FRESH))",
             "a bundle is confirmed with the seed by which it was chosen",
             ("tests/test_confirm.py::test_fresh_seeds_are_none_of_the_search",)),
    Mutation("autotricks/workflows/confirm.py",
             "difference = paired(self.objective.sign, test[champion].values, test[baseline].values)",
             "difference = paired(self.objective.sign, validation[champion].values, validation[baseline].values)",
             "the verdict is that of the images by which the champion was chosen",
             ("tests/test_confirm.py::test_a_confirmation_by_hand",)),
    Mutation("autotricks/workflows/confirm.py",
             "key == baseline))",
             "key != baseline))",
             "a bundle that is no better than the baseline becomes champion",
             ("tests/test_confirm.py::test_the_best_on_validation_is_the_champion",)),
    Mutation("autotricks/workflows/search.py",
             "engine.run(self.search, data.dataset.without_test(), self.folder, self.slots)",
             "engine.run(self.search, data.dataset, self.folder, self.slots)",
             "the trials of a search are handed the test images",
             ("tests/test_confirm.py::test_the_trials_of_a_search_are_not_handed_the_test_images",)),
    Mutation("autotricks/workflows/confirm.py",
             "self.how.engine.retrain(missing, self.dataset.without_test(), self.how.slots)",
             "self.how.engine.retrain(missing, self.dataset, self.how.slots)",
             "trainings of the confirmation are handed the test images",
             ("tests/test_confirm.py::test_a_confirmation_by_hand",)),
    Mutation("autotricks/tasks/classification/testing.py",
             "temperature(validation.output.float(), validation.targets.single)",
             "temperature(test.output.float(), test.targets.single)",
             "confidence is fitted on the test images on which it is then praised",
             ("tests/test_tested.py",)),
    Mutation("autotricks/tasks/classification/metrics.py",
             "counts < FEW)",
             "counts <= FEW)",
             "a class of 20 images is few-shot as well as medium-shot",
             ("tests/tasks/test_classification_metrics.py",)),
    # report
    Mutation("autotricks/report/verdict.py",
             'in (("Champion", champion), ("Baseline", base))),',
             'in (("Champion", base), ("Baseline", champion))),',
             "the tiles show the baseline's figure as the champion's",
             ("tests/report/test_places.py",)),
    Mutation("autotricks/report/verdict.py",
             """joined(f"mean of {len(confirmed['seeds'])} fresh seeds",""",
             """joined(f"mean of {len(confirmed['validation'])} fresh seeds",""",
             "the tiles name the number of bundles as that of seeds",
             ("tests/report/test_places.py",)),
    Mutation("autotricks/report/verdict.py",
             '        count = len(confirmed["seeds"])\n        good',
             '        count = len(confirmed["candidates"])\n        good',
             "the limits name the number of candidates as that of seeds",
             ("tests/report/test_card.py",)),
    Mutation("autotricks/report/verdict.py",
             '\n    count = len(confirmed["seeds"])',
             '\n    count = len(confirmed["candidates"])',
             "the verdict names the number of candidates as that of seeds",
             ("tests/report/test_places.py",)),
    Mutation("autotricks/report/verdict.py",
             'gain(evidence.sign * (score - spread["mean"])',
             'gain(evidence.sign * (spread["mean"] - score)',
             "the report says that a search was too good by what it was too modest",
             ("tests/report/test_places.py",)),
    Mutation("autotricks/report/classes.py",
             "named = sum(line[index] for line in counts)",
             "named = sum(counts[index])",
             "recall stands in the column of precision",
             ("tests/report/test_places.py",)),
    Mutation("autotricks/report/card.py",
             "{tests[ours]['values'][index]:.4f}",
             "{tests[theirs]['values'][index]:.4f}",
             "the model card tells of its weights what the baseline scores",
             ("tests/report/test_card.py",)),
    Mutation("autotricks/report/card.py",
             'seeds = len(confirmed["seeds"])',
             'seeds = len(confirmed["candidates"])',
             "the model card names the number of candidates as that of seeds",
             ("tests/report/test_card.py",)),
    Mutation("autotricks/report/trials.py",
             "evidence.sign * value > evidence.sign * best",
             "value > best",
             "of a loss the line of the best so far climbs",
             ("tests/report/test_report.py::test_less_is_better",)),
    # export and inference
    Mutation("autotricks/inference/predictor.py",
             'for name in ("mean", "std"))',
             'for name in ("std", "mean"))',
             "an exported model sees images normalized by a swapped mean and deviation",
             ("tests/test_predictor.py",)),
    Mutation("autotricks/inference/predictor.py",
             'list(document["classes"])',
             'sorted(document["classes"])',
             "a prediction names another class wherever the classes are not in the order of letters",
             ("tests/test_predictor.py",)),
    Mutation("autotricks/inference/predictor.py",
             ".permute(0, 3, 1, 2)",
             ".permute(0, 3, 2, 1)",
             "square images are predicted lying on their side",
             ("tests/test_predictor.py",)),
    Mutation("autotricks/inference/predictor.py",
             "        self._model.eval()\n",
             "",
             "a prediction depends on the other images of its batch",
             ("tests/test_predictor.py",)),
    Mutation("autotricks/inference/predictor.py",
             "predictor.logits(images * std + mean)",
             "predictor.logits(images * mean + std)",
             "a teacher is asked about images that nobody has seen",
             ("tests/tricks/test_distillation.py",)),
    Mutation("autotricks/export/bundle.py",
             "if sha256 and hashlib.sha256(content).hexdigest() != sha256:",
             "if sha256 and hashlib.sha256(content).hexdigest() == '':",
             "weights of another bundle are exported without a word",
             ("tests/export/test_bundle.py",)),
    Mutation("autotricks/export/pixels.py",
             "(images.float() / 255 - self.mean) / self.std",
             "(images.float() - self.mean) / self.std",
             "a graph for production normalizes pixels that are 255 times too large",
             ("tests/test_predictor.py",)),
    Mutation("autotricks/workflows/export.py",
             '"mean": list(mean), "std": list(std)',
             '"mean": list(std), "std": list(mean)',
             "preprocessing.json swaps mean and deviation",
             ("tests/test_predictor.py",)),
    Mutation("autotricks/tuning/engines/rung_training.py",
             "weights_of(trainer.evaluated)",
             "weights_of(trainer.run.model)",
             "the weights of a champion are not those of the average that was scored",
             ("tests/search/test_climb.py",)),
    # data
    Mutation("autotricks/data/splits.py",
             "    stay[out] = False\n",
             "",
             "validation and test images are trained on",
             ("tests/data/test_splits.py",)),
    Mutation("autotricks/data/load.py",
             "        left = left[stay]\n",
             "",
             "validation holds test images, and training holds both",
             ("tests/data/test_load.py",)),
    Mutation("autotricks/data/load.py",
             "order[index + 1:]",
             "order[index + 2:]",
             "train keeps images that validation has, though they were to be dropped",
             ("tests/data/test_load.py",)),
    Mutation("autotricks/data/load.py",
             'mean_and_std(splits["train"].images)',
             'mean_and_std(splits["test"].images)',
             "images are normalized by what only the test images tell",
             ("tests/data/test_load.py",)),
    Mutation("autotricks/data/long_tail.py",
             "(rank / (classes - 1))",
             "(rank / classes)",
             "a long tail of factor 100 has a smaller factor",
             ("tests/data/test_long_tail.py",)),
    Mutation("autotricks/data/labels.py",
             "(int(name), name) if numeric",
             "(0, name) if numeric",
             "class 10 comes before class 2",
             ("tests/data/test_labels.py",)),
)


def copied(folder: Path) -> Path:
    """Copy what the tests need, with compiled modules that keep until a file changes, and return the copy's root."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "secrets"))
        elif source.exists():
            shutil.copy2(source, target)
    compileall.compile_dir(folder / "autotricks", quiet=2)
    return folder


def outcome(folder: Path, tests: Iterable[str], stop: bool = True) -> tuple[int, list[str]]:
    """Run tests in the copy; return pytest's exit code, 1 where a test failed, and the names of those that failed."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", *["-x"] * stop, *tests]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return 1, [f"more than {SECONDS} seconds"]
    return done.returncode, FAILED.findall(done.stdout)


def tried(folder: Path, mutation: Mutation) -> tuple[bool, str]:
    """Put a fault into the copy, run its tests and restore the file; return whether it is caught, and by what."""
    path = folder / mutation.where
    text, times = path.read_text(encoding="utf-8"), path.stat()
    if text.count(mutation.before) != 1:
        return False, f"what it replaces stands {text.count(mutation.before)} times in the file"
    try:
        path.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
        code, failed = outcome(folder, mutation.tests)
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))     # so that the compiled module is good again
    if code not in (0, 1):
        return False, f"pytest ended with {code}: no test was run"
    return code == 1, failed[0] if failed else ""


def main(words: Sequence[str] | None = None) -> int:
    """Try the faults and print a row for each; return 1 where one is not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="numbers of faults; all of them if left out")
    asked = parser.parse_args(words).only or range(1, len(MUTATIONS) + 1)
    wrong = [number for number in asked if not 1 <= number <= len(MUTATIONS)]
    if wrong:
        parser.error(f"there are faults 1 to {len(MUTATIONS)}, not {', '.join(map(str, wrong))}")
    missed = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        folder = copied(Path(name))
        tests = sorted({test for number in asked for test in MUTATIONS[number - 1].tests})
        code, failed = outcome(folder, tests, stop=False)
        if code:
            print("without any fault these fail:", *(failed or [f"pytest ended with {code}"]), sep="\n  ")
            return 1
        for number in asked:
            mutation = MUTATIONS[number - 1]
            caught, test = tried(folder, mutation)
            missed += [] if caught else [number]
            print(f"{number:3}  {mutation.where:50}  {mutation.what:80}  {'caught' if caught else 'NOT CAUGHT':10}  "
                  f"{test.removeprefix('tests/')}", flush=True)
    print(f"{len(asked) - len(missed)} of {len(asked)} caught" + (
        f"; not caught: {', '.join(map(str, missed))}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
