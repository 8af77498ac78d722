"""The verdict: what was found, how sure it is, and what was not shown."""
from __future__ import annotations

from collections.abc import Iterator

from ..runs.evidence import Document, Evidence, is_figure, over, repeated
from ..tasks import metric as metric_of
from .html import Html, breakable, capital, formatted, gain, joined, table, tag, time, unit, words
from .rows import Track, chart, row

ON_TEST = "on test"
TONES = (("better", "good"), ("worse", "bad"), ("no evidence", "open"))


def headline(evidence: Evidence) -> Html:
    """Return the verdict in one sentence, with what it rests on."""
    confirmed = evidence.confirmed
    if confirmed and not evidence.overtaken:
        tone = next((tone for start, tone in TONES if confirmed["verdict"].startswith(start)), "open")
        return tag("div", {"class": f"verdict {tone}"}, tag("p", {"class": "said"}, capital(confirmed["verdict"])),
                   tag("p", None, *_sentence(confirmed)), *_addition(confirmed))
    if evidence.best is None:
        ends = ", ".join(f"{count} {end}" for end, count in evidence.ends.items()) or "none has begun"
        return tag("div", {"class": "verdict bad"}, tag("p", {"class": "said"}, "No trial was trained to the end"),
                   tag("p", None, f"There is nothing to judge. Trials: {ends}."))
    score = evidence.score(evidence.best)
    base = evidence.baseline and evidence.score(evidence.baseline)
    why = ("The search has gone on since fresh seeds confirmed an earlier result" if confirmed else
           "No bundle was trained again with fresh seeds")
    against = [", the baseline ", formatted(base, evidence.metric)] if is_figure(base) else [
        "; no baseline was trained to the end"]
    return tag("div", {"class": "verdict open"}, tag("p", {"class": "said"}, "Not confirmed"), tag(
        "p", None, f"{why}. The best search score, {words(evidence.metric)} on validation, is ",
        formatted(score, evidence.metric), *against, f". It is the best of {len(evidence.trials)} trials on images "
        "that the search has seen, so it is too good. Confirm it: ", tag(
            "code", None, f"autotricks confirm {evidence.typed()}")))


def tiles(evidence: Evidence) -> Html:
    """Return the few figures that a reader in a hurry wants."""
    confirmed = evidence.confirmed
    parts = []
    if confirmed and not evidence.overtaken:
        metric = confirmed["metric"]
        champion = str(confirmed["champion"])
        base = str(confirmed["baseline"])
        parts = [*((f"{name} {where(metric)}", formatted(confirmed["test"][one]["mean"], metric),
                    _spread(confirmed, one)) for name, one in (("Champion", champion), ("Baseline", base))),
                 ("Difference", joined(gain(confirmed["difference"]["mean"], metric), " ", unit(metric)),
                  _interval(confirmed)),
                 *_addition_tile(confirmed), *_kept_tile(confirmed)]
    elif evidence.best:
        parts = [("Best search score", formatted(evidence.score(evidence.best), evidence.metric),
                  "one seed, validation")]
        if evidence.baseline:
            parts.append(("Baseline", formatted(evidence.score(evidence.baseline), evidence.metric), "likewise"))
    spent = sum(trial.epochs for trial in evidence.trials)
    full = max(evidence.budgets, default=0)
    of_full = f", {spent / (full * len(evidence.trials)):.0%} of training all in full" if full else ""
    parts.append(("Cost of the search", tag("data", {"value": spent}, f"{spent:,.0f} epochs"),
                  f"{len(evidence.trials)} trials{of_full}; {time(evidence.seconds)} of training"))
    if evidence.again:
        again = sum(line["epochs"] for line in evidence.again)
        parts.append(("Cost of fresh seeds", tag("data", {"value": again}, f"{again:,.0f} epochs"),
                      f"{len(evidence.again)} trainings after the search; "
                      f"{time(sum(line['seconds'] for line in evidence.again))} of training"))
    return tag("div", {"class": "tiles"}, [tag("div", {"class": "tile"}, tag("h3", None, name), tag(
        "p", {"class": "big"}, value), tag("p", {"class": "note"}, note)) for name, value, note in parts])


def seeds(evidence: Evidence) -> Html:
    """Return champion and baseline on test, seed by seed or fold by fold, and their difference with its interval."""
    confirmed = evidence.confirmed
    if not confirmed:
        return joined()
    metric = confirmed["metric"]
    each = repeated(confirmed)
    numbers = confirmed["seeds"] if each == "seed" else range(1, len(confirmed["seeds"]) + 1)
    pair = dict.fromkeys((confirmed["champion"], confirmed["baseline"]))
    values = [value for number in pair for value in confirmed["test"][str(number)]["values"]]
    track = Track.over(values, metric)
    rows = [track.axis()]
    for number in pair:
        spread = confirmed["test"][str(number)]
        kind = "baseline" if number == confirmed["baseline"] else "champion"
        rows.append(row(kind, [track.rule(spread["mean"], f"mean {kind}"), *(
            track.dot(value, kind, f"{kind}, {each} {place}: {value:.4f}")
            for place, value in zip(numbers, spread["values"]))], formatted(spread["mean"], metric)))
    parts = [tag("h3", None, f"{capital(words(metric))} {where(metric)}: dots are {each}s, lines are means"),
             chart(rows, "short")]
    difference = confirmed["difference"]
    if is_figure(difference["low"]) and confirmed["champion"] != confirmed["baseline"]:
        wide = Track.over([0.0, *difference.values()], metric)
        parts += [tag("h3", None, f"Difference with its 95% interval, in {unit(metric)}"), chart([
            wide.axis(True), row("champion", [wide.rule(0.0), wide.span(difference["low"], difference["high"], "ci"),
                                              wide.dot(difference["mean"], "champion", _plain(confirmed))],
                                 gain(difference["mean"], metric))], "short")]
    return tag("div", {"class": "panels two"}, [tag("figure", None, *parts[index:index + 2])
                                                for index in range(0, len(parts), 2)])


def candidates(evidence: Evidence) -> Html:
    """Return what the search said of the bundles trained again and what that said, both on validation."""
    confirmed = evidence.confirmed
    if not confirmed:
        return joined()
    metric = confirmed["metric"]
    rows = []
    ranked = sorted(confirmed["validation"].items(), key=lambda item: -evidence.sign * item[1]["mean"])
    for number, spread in ranked:
        trial = evidence.by_number.get(int(number))
        score = evidence.score(trial) if trial else None
        rows.append((breakable(evidence.name(int(number))), formatted(score, metric), joined(
            formatted(spread["mean"], metric), _deviation(spread, metric)),
            gain(evidence.sign * (score - spread["mean"]) if score is not None else None, metric)))
    lost = [evidence.name(number) for number in confirmed["candidates"] if str(number) not in confirmed["validation"]]
    kept = confirmed.get("kept") or {}
    worse = [evidence.name(number) for number in kept.get("lost", ())]
    return joined(table(("Bundle", "In the search, one seed",
                         f"{'Fresh seeds' if repeated(confirmed) == 'seed' else 'Folds'}, mean of "
                         f"{len(confirmed['seeds'])} ± deviation",
                         f"Search was too good by ({unit(metric)})"), rows, "candidates", (1, 2, 3)),
                  tag("p", {"class": "note"}, f"Broke down with a fresh seed: {', '.join(lost)}.") if lost else "",
                  tag("p", {"class": "note"}, f"Lose more {words(kept['metric'])} than {kept['within']:g} against the "
                      f"baseline, and so cannot be champion: {', '.join(worse)}.") if worse else "")


def doubts(evidence: Evidence) -> Html:
    """Return what a careful reader should know before believing the verdict."""
    return tag("ul", {"class": "doubts"}, [tag("li", None, *parts) for parts in reservations(evidence)])


def reservations(evidence: Evidence) -> Iterator[tuple[str, ...]]:
    """Yield each of them as the parts of its text."""
    confirmed = evidence.confirmed
    counts = evidence.data.get("counts", {})
    if evidence.overtaken:
        yield (tag("b", None, "The confirmation is older than the search. "), "What it says below concerns "
               f"{evidence.name((confirmed or {})['champion'])}, not the best trial of today.")
    if not confirmed:
        yield ("Nothing was confirmed: every score is of one seed, on the validation images that the search has seen. "
               "The test images have not been read.",)
    else:
        yield from _about_confirmation(evidence, confirmed)
    few = [count for count in counts.get("test", []) if 0 < count < 30]
    if few:
        yield (f"{len(few)} of {len(counts['test'])} classes have fewer than 30 test {evidence.counted}: their single "
               "figures are rough.",)
    leaked = {name: count for name, count in evidence.data.get("duplicates", {}).items() if count}
    if leaked:
        yield ("The same images lie in two splits: ", ", ".join(f"{count} in {name.replace('_', ' and ')}"
                                                                for name, count in leaked.items()), ".")
    if evidence.torn:
        yield ("The ledger's last line is incomplete (a crash, a full disk, or a search still at work) and is left "
               "out.",)
    if evidence.damaged:
        yield (f"Damaged, and left out of this page: {', '.join(evidence.damaged)}. Restore them, or have them made "
               "again by autotricks search --resume, confirm or ablate.",)
    broken = sum(count for end, count in evidence.ends.items() if end not in ("finished", "stopped"))
    if broken:
        yield (f"{broken} of {len(evidence.trials)} trials did not end as planned; the table of trials says how.",)


def _about_confirmation(evidence: Evidence, confirmed: Document) -> Iterator[tuple[str, ...]]:
    """Yield what a careful reader should know of a confirmation."""
    counts = evidence.data.get("counts", {})
    metric = confirmed["metric"]
    count = len(confirmed["seeds"])
    good = "too good" if confirmed["optimism"] > 0 else "not too good"
    speed = where(metric) != ON_TEST
    folds = repeated(confirmed) == "fold"
    images = "each fold's own images" if folds else "the same images"
    suffix, again = ("", ". ") if speed else (" on validation", f" on {images}. ")
    beyond = "how busy the machine was: it holds for this machine. Others would differ by more." if speed else (
        f"that of the {'test ' * folds}images: it holds for this split with "
        f"{evidence.images.get('test') or 'its'} test images. Other images would differ by more.")
    yield ("In the search the champion had ", formatted(confirmed["searched"], metric),
           f"{suffix}; {'over folds' if folds else 'with fresh seeds'} it has ",
           formatted(confirmed["validation"][str(confirmed["champion"])]["mean"], metric),
           f"{again}The search's score was {good}: ", gain(confirmed["optimism"], metric), f" {unit(metric)}.")
    yield _values(evidence, confirmed, folds)
    luck = (f"of which images train and which validate, and of seeds, over {count} folds" if folds else
            f"of {count} seed{'s' * (count > 1)}")
    yield (f"The interval covers the luck {luck} ({confirmed.get('method', '')}), not {beyond}",
           "" if count > 1 else " With one seed there is no interval.")
    if folds and counts:
        yield (_drawn_from(counts, evidence.images),)
    trained = len(confirmed["candidates"])
    yield (f"Besides the baseline {trained} of {len(evidence.trials):,} trials {'were' if trained != 1 else 'was'} "
           "trained again. What the search says of the rest is of one seed.",)
    yield ("The champion was chosen on validation; test was read for it, the baseline and the best start bundle "
           "only.",)
    worse = list(_worse(confirmed))
    if worse:
        yield ("The champion is not better in everything. Worse than the baseline on test: ",
               *[part for index, one in enumerate(worse) for part in ((", " if index else ""), one)], ".")


def _drawn_from(counts: dict[str, list[int]], images: dict[str, int]) -> str:
    """Return in words how what folds are cut from differs from what the search trained on."""
    whole = [sum(pair) for pair in zip(counts["train"], counts["validation"], strict=True)]
    return (f"Folds are of train and validation together: {images['train'] + images['validation']:,} images, imbalance "
            f"{max(whole) / (min(whole) or 1):.3g}. The search trained on {images['train']:,}, imbalance "
            f"{max(counts['train']) / (min(counts['train']) or 1):.3g}.")


def _values(evidence: Evidence, confirmed: Document, folds: bool) -> tuple[str, ...]:
    """Return the values that the champion's score has on the way, and which is which."""
    metric = confirmed["metric"]
    fresh = confirmed["validation"][str(confirmed["champion"])]
    trial = evidence.by_number.get(confirmed["champion"])
    return ("The champion's score has several values: ", formatted(evidence.score(trial) if trial else None, metric),
            " of its one training in the search, ", formatted(confirmed["searched"], metric),
            " as the search judged it by all trials, ", formatted(fresh["mean"], metric),
            f" over {'folds' if folds else 'fresh seeds'}, and ", formatted(fresh["values"][0], metric),
            f" of the training {'of fold 1 ' * folds}with seed {confirmed['seeds'][0]}, which champion.yaml holds.")


def _worse(confirmed: Document) -> Iterator[Html]:
    """Yield the figures in which the champion's mean is worse than the baseline's."""
    metrics = confirmed.get("figures", {})
    champion, baseline = (metrics.get(str(confirmed[role]), {}) for role in ("champion", "baseline"))
    for name, value in champion.items():
        sign = metric_of(name).sign
        if sign * value < sign * baseline.get(name, value):
            yield joined(f"{words(name)} ", formatted(value, name), " against ", formatted(baseline[name], name))


def _sentence(confirmed: Document) -> list[str]:
    metric = confirmed["metric"]
    test = confirmed["test"]
    if confirmed["champion"] == confirmed["baseline"]:
        return ["No bundle did better than the baseline when trained again. The baseline has ",
                formatted(test[str(confirmed["baseline"])]["mean"], metric),
                f" {words(metric)} {where(metric)}, over {over(confirmed)}."]
    seen = "of training" if where(metric) != ON_TEST else "on images that the search never saw"
    return [f"{capital(words(metric))} {seen}: ",
            formatted(test[str(confirmed["champion"])]["mean"], metric), " against the baseline's ",
            formatted(test[str(confirmed["baseline"])]["mean"], metric), ", a difference of ",
            gain(confirmed["difference"]["mean"], metric), f" {unit(metric)} (", _interval(confirmed),
            f"; {over(confirmed)}, {confirmed.get('method', '')}).", *keeping(confirmed)]


def _addition(confirmed: Document) -> list[Html]:
    """Return what the search added to the best bundle that it started from, as a paragraph; nothing where unknown."""
    addition = confirmed.get("addition")
    if not addition:
        return []
    parts = ["The search: ", tag("b", None, addition["verdict"])]
    if addition["start"] != confirmed["champion"]:
        parts += [" (", gain(addition["difference"]["mean"], confirmed["metric"]), f" {unit(confirmed['metric'])}, ",
                  _range(addition["difference"], confirmed["metric"]), ")"]
    return [tag("p", None, *parts, ".")]


def _addition_tile(confirmed: Document) -> list[tuple[str, Html, str]]:
    addition = confirmed.get("addition")
    if not addition or addition["start"] == confirmed["baseline"]:
        return []
    return [("Added by the search", joined(gain(addition["difference"]["mean"], confirmed["metric"]), " ",
                                           unit(confirmed["metric"])),
             f"to {addition['name']}, {where(confirmed['metric'])}")]


def _kept_tile(confirmed: Document) -> list[tuple[str, Html, str]]:
    kept = confirmed.get("kept")
    return [(f"{capital(words(kept['metric']))} on test", joined(
        gain(kept["difference"]["mean"], kept["metric"]), " ", unit(kept["metric"])),
        f"against the baseline; {kept['within']:g} may be lost")] if kept else []


def keeping(confirmed: Document) -> list[str]:
    """Return in words what came of the figure that must not be lost; nothing where there is none."""
    it = confirmed.get("kept")
    return [f" {capital(words(it['metric']))} on test differs by ", gain(it["difference"]["mean"], it["metric"]),
            f" {unit(it['metric'])} (", _range(it["difference"], it["metric"]), "); ",
            Html(gain(it["within"], it["metric"]).replace(">+", ">")), f" {unit(it['metric'])} may be lost."
            ] if it else []


def where(metric: str) -> str:
    """Return where a figure is measured: the speed of training is not on test."""
    return "in training" if metric.startswith("train/") else ON_TEST


def _interval(confirmed: Document) -> str:
    if confirmed["champion"] == confirmed["baseline"]:
        return "champion and baseline are one bundle"
    return _range(confirmed["difference"], confirmed["metric"])


def _range(difference: Document, metric: str) -> str:
    low = difference["low"]
    high = difference["high"]
    if not is_figure(low) or not is_figure(high):
        return "no interval: a single seed"
    return joined("95% interval ", gain(low, metric), " to ", gain(high, metric))


def _plain(confirmed: Document) -> str:
    low, mean, high = (confirmed["difference"][name] for name in ("low", "mean", "high"))
    return f"{mean:+.4f}, 95% interval {low:+.4f} to {high:+.4f}"


def _spread(confirmed: Document, number: str) -> Html:
    return joined(f"mean of {over(confirmed)}",
                  _deviation(confirmed["test"][number], confirmed["metric"]))


def _deviation(spread: Document, metric: str) -> Html:
    """Return the standard deviation as an addition to a mean."""
    if not is_figure(spread["deviation"]):
        return joined()
    size = gain(spread["deviation"], metric)
    return Html(f" ± {size.replace('>+', '>')}")
