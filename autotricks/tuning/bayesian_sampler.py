"""The default sampler: steps from the best bundles, chosen by what a model of effects expects of them."""
from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..core.bundle import SEEDS, Bundle, recipe
from ..core.objective import Objective
from ..core.reporting import End
from ..runs.ledger import TrialRecord
from ..space.space import Space
from ..tricks.catalog import bundle_from
from .effect_model import EffectModel, Observation, expected_improvement, normal_cdf
from .features import Features, Vector, Wish, wish_of
from .prior import Prior
from .proposal import Picks, Proposal
from .steps import KINDS, Step, Steps, changes

POOL = 120
LEGAL = 4        # steps that a decision compares, and the best of them that are made legal
DRAWS = 24                  # bundles of which one drawn from the prior is the best
PARENTS = 4                 # best bundles that steps begin at
REPEATS = 3                 # trainings of one bundle at most
BEST = 64
RECENT = 96       # observations that the model is given
KEEP = 0.45                 # of the improvement expected at first, below which, by what is left to pay, a trial ends
LEAST = 1e-9                # below which a loss or a speed counts as that
EDGE = 0.004                # distance from 0 and 1 at which accuracies are cut off
BREAKDOWN = "broken"        # how a trial ended that has no score
BROKEN = 1.0                # logits below the worst score that a trial which broke down counts as


@dataclass
class Known:
    """A trial as the sampler knows it.

    Args:
        number: Of the trial.
        bundle: With its seed.
        vector: Of the bundle.
        kind: Of step; `start` for a start bundle, `again` for another seed.
        scores: In logits, by budget.
        end: `finished`, `stopped`, `broken`, or None while it runs.
        promise: Improvement expected when it was proposed.
        recipe: What all trainings of the bundle share, whatever their seeds.
    """

    number: int
    bundle: Bundle
    vector: Vector
    kind: str = "start"
    scores: dict[int, float] = field(default_factory=dict)
    end: str | None = None
    promise: float = 0.0
    recipe: str = ""

    def __post_init__(self) -> None:
        self.recipe = recipe(self.bundle)


@dataclass(frozen=True)
class Habits:
    """What a sampler does; benchmarks switch one off at a time.

    Args:
        kinds: Of steps.
        repeats: Whether bundles are trained again with other seeds.
        portfolio: Whether bundles that were good on other data come first.
        stops: Whether trials are stopped at rungs.
        waits: Whether early scores are read by what their tricks have still to bring.
    """

    kinds: tuple[str, ...] = KINDS
    repeats: bool = True
    portfolio: bool = True
    stops: bool = True
    waits: bool = True


HABITS = Habits()


class BayesianSampler:
    """Proposes bundles and learns from their scores.

    Every score, of however few epochs, is evidence about the effects of tricks; a trial that was stopped counts as what
    its curve led to expect. Each proposal draws from a generator seeded by the search's seed and the trial's number,
    so that the same history leads to the same proposal.

    Args:
        space: Where to draw from.
        seed: Seed of the search.
        budgets: Epochs of the rungs, rising.
        objective: What is to be best.
        prior: What is known before the first trial.
        habits: What it does and what it leaves.
    """

    def __init__(self, space: Space, seed: int, budgets: tuple[int, ...], objective: Objective, prior: Prior,
                 habits: Habits = HABITS):
        self._space = space
        self._seed = seed
        self._budgets = budgets
        self._prior = prior
        self._metric = objective.metric
        self._sign = objective.sign
        self._fraction = objective.maximize and objective.metric.startswith("val/")
        self._habits = habits
        self._features = Features([entry.name for entry in space.entries], budgets[-1], space.models)
        mean, variance = prior.columns(self._features)
        self._curves = {budget: prior.curve(budget / budgets[-1]) for budget in budgets[:-1]}
        self._gains = {budget: np.array([curve.gains.get(name, 0.0) for name in self._features.names])
                       for budget, curve in self._curves.items()}
        self._model = EffectModel(mean, variance, prior.residual, prior.length)
        columns = {name: index for index, name in enumerate(self._features.names)}
        spread = {entry.name: columns[entry.name] for entry in space.entries}
        self._steps = Steps(space, lambda trick: 0.05 + float(normal_cdf(np.array(
            [mean[spread[trick]] / math.sqrt(variance[spread[trick]])]))[0]))
        self._known: dict[int, Known] = {}                  # those that are open, the best and the most recent
        self._recent: deque[int] = deque()
        self._seeds: dict[str, set[int]] = {}               # of every bundle that was proposed
        self._first: dict[str, int] = {}                    # trial of each
        self._tries: dict[str, tuple[int, int]] = {}        # by kind of step: how many ended, how many were a new best
        self._best = -math.inf                              # final score
        self._portfolio = habits.portfolio                  # whether some of it is left to try
        self._ranked: list[tuple[Known, float, float]] | None = None
        self._stale = True

    def _wish(self, bundle: Bundle) -> Wish:
        return wish_of(bundle, self._space.models)

    def propose(self, number: int, proposed: int) -> Proposal | None:
        """Return the bundle that is expected to improve most on the best so far."""
        rng = random.Random(f"{self._seed}/{number}")
        self._learn()
        ranked = self.ranking()
        known = self._from_portfolio()
        if known is not None:
            return self._proposal(number, known, Step("portfolio", self._wish(known)), self._worth_of(known), ranked)
        parents = [self._wish(one.bundle) for one, _, _ in ranked[:PARENTS]]
        if not parents:
            parents = [self._wish(one.bundle) for one in self._known.values() if one.kind == "start"]
        steps = self._pool(parents, rng)
        vectors = self._features.matrix([step.wish for step in steps])
        order = np.argsort(-self._worth(vectors), kind="stable")
        tried = set(self._seeds)
        options: list[tuple[float, Bundle, Step]] = []
        for index in order:
            step = steps[int(index)]
            bundle = self._steps.legal(step.wish, rng)
            if recipe(bundle) not in tried:
                tried.add(recipe(bundle))
                options.append((self._worth_of(bundle), bundle, step))
            if len(options) == LEGAL:
                break
        options += self._again(ranked)
        if not options:
            return self._another_seed(number, ranked)
        worth, bundle, step = max(options, key=lambda option: option[0])
        return self._proposal(number, bundle, step, worth, ranked)

    def drawn(self, number: int) -> Bundle:
        """Return a bundle drawn from the prior alone: of many draws the best under effects that are drawn too."""
        rng = random.Random(f"{self._seed}/drawn/{number}")
        mean, variance = self._prior.columns(self._features)
        effects = np.array([rng.gauss(middle, math.sqrt(part)) for middle, part in zip(mean, variance, strict=True)])
        bundles = [self._steps.legal(self._steps.draw(rng), rng) for _ in range(DRAWS)]
        worth = self._features.matrix([self._wish(bundle) for bundle in bundles]) @ effects
        return bundles[int(np.argmax(worth))]

    def adopt(self, number: int, bundle: Bundle, start: bool = False, kind: str = "", promise: float = 0.0
              ) -> Picks | None:
        """Take in a bundle that somebody else proposed, or that an earlier sitting did."""
        known = Known(number, bundle, self._features.vector(self._wish(bundle)), "start" if start else kind,
                      promise=promise)
        self._known[number] = known
        self._seeds.setdefault(known.recipe, set()).add(bundle.seed)
        self._first.setdefault(known.recipe, number)
        self._stale = True
        return self._space.locate(bundle)

    def report(self, number: int, budget: int, score: float) -> None:
        """Learn a score at a rung."""
        if number in self._known and math.isfinite(score):
            self._known[number].scores[budget] = self.logit(score)
            self._stale = True

    def tell(self, number: int, score: float | None, complete: bool) -> None:
        """Learn that a trial ended; `complete` if it was trained to the end, without a score if it broke down."""
        known = self._known.get(number)
        if known is None:
            return
        if score is None:
            known.end = BREAKDOWN
        else:
            known.end = End.FINISHED.value if complete else End.STOPPED.value
        final = known.scores.get(self._budgets[-1], -math.inf) if known.end != BREAKDOWN else -math.inf
        ended, won = self._tries.get(known.kind, (0, 0))
        self._tries[known.kind] = ended + 1, won + (final > self._best)
        self._best = max(self._best, final)
        self._recent.append(number)
        if len(self._recent) > RECENT:
            self._forget(self._recent.popleft())
        self._stale = True

    def _forget(self, number: int) -> None:
        """Let go of the worst of the trials that are no longer recent, where they are too many: none is better."""
        recent = set(self._recent)
        older = [one for one in self._known.values() if one.end is not None and one.number not in recent
                 and one.kind != "start"]
        if len(older) > BEST:
            last = self._budgets[-1]
            worst = min(older, key=lambda one: (one.scores.get(last, -math.inf), max(one.scores, default=0),
                                                -one.number))
            del self._known[worst.number]

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """Learn what a ledger says of trials."""
        for trial in trials:
            self.adopt(trial.number, bundle_from(trial.bundle), bool(trial.label), trial.step, trial.promise)
            for line in trial.rungs:
                score = line["metrics"].get(metric)
                if score is not None and not (trial.broken and line is trial.rungs[-1]):
                    self.report(trial.number, line["budget"], score)
            if trial.end is not None:
                self.tell(trial.number, trial.score(metric), trial.end == End.FINISHED.value)

    def keeps(self, number: int, budget: int) -> bool:
        """Return whether a trial is worth what the rest of its training costs.

        It is where the improvement still expected, for each epoch that is left, is more than a share of what was
        expected for each epoch at first.
        """
        known = self._known[number]
        self._learn()
        best = max((mean for one, mean, _ in self.ranking() if one.recipe != known.recipe), default=-math.inf)
        if not math.isfinite(best) or not self._habits.stops:
            return True
        mean, sd = self._model.predict(known.vector[None])
        hope = float(expected_improvement(mean, sd, best)[0])
        left = 1 - budget / self._budgets[-1]
        return hope >= KEEP * left * known.promise

    def ranking(self) -> list[tuple[Known, float, float]]:
        """Return one trial of each bundle that was trained to the end, with what its true score is thought to be.

        Mean and standard deviation are in logits; the best comes first.
        """
        self._learn()
        if self._ranked is None:
            self._ranked = self._rank()
        return self._ranked

    def _rank(self) -> list[tuple[Known, float, float]]:
        done: dict[str, Known] = {}
        for one in self._known.values():
            if one.end == End.FINISHED.value or (one.end is None and self._budgets[-1] in one.scores):
                done.setdefault(one.recipe, one)
        if not done:
            return []
        mean, sd = self._model.predict(np.array([one.vector for one in done.values()]))
        scored = list(zip(done.values(), mean.tolist(), sd.tolist(), strict=True))
        return sorted(scored, key=lambda item: (-item[1], item[0].number))

    def logit(self, score: float) -> float:
        """Return a score on the scale of the model, where larger is better."""
        if self._fraction:
            inside = min(max(score, EDGE), 1 - EDGE)
            return self._sign * math.log(inside / (1 - inside))
        return self._sign * math.log(max(score, LEAST))

    def score(self, logit: float) -> float:
        """Return what `logit` was taken of."""
        if self._fraction:
            return 1 / (1 + math.exp(-self._sign * logit))
        return math.exp(self._sign * logit)

    # what the model is told

    def _learn(self) -> None:
        """Bring the model up to date with every score."""
        if not self._stale:
            return
        self._ranked = None
        observations = self._observations()
        self._model.learn(observations)
        open_ = [one for one in self._known.values() if one.end is None and not one.scores]
        if open_ and observations:
            # trials of which nothing is known yet count as what is expected of them, so that others are proposed
            mean, _ = self._model.predict(np.array([one.vector for one in open_]))
            self._model.learn([*observations, *(Observation(one.vector, float(value), self._prior.noise)
                                                for one, value in zip(open_, mean, strict=True))])
        self._stale = False

    def _observations(self) -> list[Observation]:
        scored = [one for one in self._known.values() if one.scores]
        broken = [one for one in self._known.values() if one.end == BREAKDOWN]
        last = self._budgets[-1]
        constants = self._constants()
        numbered: list[tuple[int, Observation]] = []
        for one in scored:
            if one.end == BREAKDOWN:
                continue
            budget = max(one.scores)
            if budget == last:
                numbered.append((one.number, Observation(one.vector, one.scores[last], self._prior.noise)))
            else:
                curve = self._curves[budget]
                constant, unsure = constants[budget]
                final = (one.scores[budget] - constant - self._gain(one.vector, budget)) / curve.slope
                numbered.append((one.number, Observation(one.vector, final, unsure * curve.sd / curve.slope)))
        worst = min((seen.score for _, seen in numbered), default=0.0) - BROKEN
        numbered += [(one.number, Observation(one.vector, worst, 2 * self._prior.noise)) for one in broken]
        return [seen for _, seen in sorted(numbered, key=lambda item: item[0])]

    def _constants(self) -> dict[int, tuple[float, float]]:
        """Return the constant of each budget's curve on these data, and by how much it widens the curve's noise.

        It is the prior's, moved by what trials say that were trained to the end.
        """
        last = self._budgets[-1]
        constants = {}
        done = [one for one in self._known.values() if last in one.scores and one.end != BREAKDOWN]
        for budget, curve in self._curves.items():
            seen = [one.scores[budget] - curve.slope * one.scores[last] - self._gain(one.vector, budget)
                    for one in done if budget in one.scores]
            constants[budget] = (curve.rise + sum(seen)) / (1 + len(seen)), math.sqrt(1 + 1 / (1 + len(seen)))
        return constants

    def _gain(self, vector: Vector, budget: int) -> float:
        return float(vector @ self._gains[budget]) if self._habits.waits else 0.0

    # what is proposed

    def _pool(self, parents: Sequence[Wish], rng: random.Random) -> list[Step]:
        """Return every single change of the best bundle, and steps of all kinds, more of those that have paid."""
        weights = []
        for kind in self._habits.kinds:
            ended, won = self._tries.get(kind, (0, 0))
            weights.append((1 + won) / (2 + ended))
        singles = self._steps.singles(parents[0]) if parents else ()
        steps = [step for step in singles if step.kind in self._habits.kinds]
        for kind in rng.choices(self._habits.kinds, weights, k=POOL):
            step = self._steps.step(kind, parents, rng)
            if step is not None:
                steps.append(step)
        return steps or [Step("draw", self._steps.draw(rng))]

    def _worth(self, vectors: Vector) -> Vector:
        """Return what each bundle is expected to add to the best, by what one training would tell of it."""
        mean, sd = self._model.predict(vectors)
        update_sd = sd ** 2 / np.sqrt(sd ** 2 + self._prior.noise ** 2)
        return expected_improvement(mean, update_sd, self._incumbent())

    def _worth_of(self, bundle: Bundle) -> float:
        return float(self._worth(self._features.vector(self._wish(bundle))[None])[0])

    def _incumbent(self) -> float:
        ranked = self.ranking()
        if ranked:
            return ranked[0][1]
        return max((seen.score for seen in self._observations()), default=0.0)

    def _from_portfolio(self) -> Bundle | None:
        """Return the next bundle that was good on other data and has not been tried."""
        for bundle in self._prior.portfolio if self._portfolio else ():
            here = self._space.closest(self._wish(bundle.rescaled(self._budgets[-1])))
            if recipe(here) not in self._seeds:
                return here
        self._portfolio = False
        return None

    def _again(self, ranked: list[tuple[Known, float, float]]) -> list[tuple[float, Bundle, Step]]:
        """Return the best bundles with another seed each, where more is to be learned of them."""
        options = []
        for one, _, _ in ranked[:PARENTS] if self._habits.repeats else ():
            bundle = self._reseeded(one)
            if bundle is not None:
                options.append((self._worth_of(bundle), bundle, Step("again", self._wish(bundle))))
        return options

    def _reseeded(self, one: Known) -> Bundle | None:
        """Return a bundle with the next seed that it has not been trained with; None after enough of them."""
        used = self._seeds[one.recipe]
        if len(used) >= REPEATS:
            return None
        first = self._space.frame.seed
        seeds = ((first + offset) % SEEDS for offset in range(REPEATS))
        return replace(one.bundle, seed=next(seed for seed in seeds if seed not in used))

    def _another_seed(self, number: int, ranked: list[tuple[Known, float, float]]) -> Proposal | None:
        """Return a bundle with a seed that is new, where the space holds no other bundle; None at the end."""
        for one, _, _ in ranked:
            bundle = self._reseeded(one)
            if bundle is not None:
                return self._proposal(number, bundle, Step("again", self._wish(bundle)), 0.0, ranked)
        return None

    def _proposal(self, number: int, bundle: Bundle, step: Step, worth: float,
                  ranked: list[tuple[Known, float, float]]) -> Proposal:
        mean, sd = self._model.predict(self._features.vector(self._wish(bundle))[None])
        self.adopt(number, bundle, kind=step.kind, promise=worth)
        low, middle, high = (self.score(float(mean[0]) + shift * float(sd[0])) for shift in (-1, 0, 1))
        expected = f"expected {middle:.4g}, {min(low, high):.4g} to {max(low, high):.4g}"
        if step.kind == "again":
            why = f"trial {self._first[recipe(bundle)]} again with seed {bundle.seed}"
        elif step.parents:
            parents = [ranked[index][0] for index in step.parents if index < len(ranked)]
            differences = changes(self._wish(parents[0].bundle), self._wish(bundle)) if parents else []
            begun = " and ".join(f"trial {one.number}" for one in parents) or "a start bundle"
            why = f"from {begun}: {', '.join(differences) or 'as it is'}"
        elif step.kind == "portfolio":
            why = "good on other data"
        else:
            why = "drawn anew"
        return Proposal(bundle, self._space.locate(bundle), f"{why}; {expected}", step.kind, worth)
