"""What a detector finds: how precision falls with recall, kinds of error, and test images with boxes."""
from __future__ import annotations

from statistics import fmean

from ..runs.evidence import Document, Evidence, over
from .html import Html, gain, joined, table, tag
from .plot import Panel, legend

KINDS = {"class": "the class is wrong, the place is right", "place": "the class is right, the box is too far off",
         "both": "class and place are wrong", "double": "a second box on an object that was found",
         "background": "nothing is there", "missed": "no box on it, nor a misplaced or misnamed one"}
ROLES = ("champion", "baseline")
DRAWN = ("missed", "wrong", "right")    # in this order, so that what is right is on top
AVERAGE = "average_precision_50"    # the figure that errors cost


def found(evidence: Evidence) -> Html:
    """Return curves, kinds of error and test images, as far as confirmation kept them; nothing where there are none."""
    confirmed = evidence.confirmed or {}
    results = confirmed.get("classes") or {}
    champion, baseline = ((results.get(str(confirmed.get(role))) or {}).get("objects") for role in ROLES)
    if not champion or not baseline:
        return joined()
    return joined(_curves(evidence, champion, baseline), _errors(evidence, champion, baseline), _images(evidence))


def _curves(evidence: Evidence, champion: Document, baseline: Document) -> Html:
    """Return precision by recall, a plot for each least overlap: means over classes, and the champion's classes."""
    names = evidence.data.get("classes") or []
    plots = []
    for overlap, lines in champion["curves"].items():
        panel = Panel.over([0.0, 1.0], [0.0, 1.0], "recall", "precision")
        marks = [panel.line(_points(line), "class", None, f"{name}: average precision {fmean(line):.1%}")
                 for name, line in zip(names, lines) if None not in line and len(lines) == len(names)]
        marks += [panel.line(_points(line), role, None, f"{role}, mean over classes: {fmean(line):.1%}")
                  for role, one in zip(reversed(ROLES), (baseline, champion)) for line in [_mean(one, overlap)] if line]
        plots.append(panel.drawn(f"Boxes that overlap by at least {overlap}", marks))
    return joined(legend(("champion", "champion, mean over classes"), ("baseline", "baseline, mean over classes"),
                         ("stopped", "champion, single classes")),
                  tag("div", {"class": "panels two"}, plots),
                  tag("p", {"class": "note"}, f"Mean over {over(evidence.confirmed or {})}. Going right, less and less "
                      "probable boxes are taken in: more objects are found, and more of the boxes are wrong. The area "
                      "below a line is the average precision at this overlap."))


def _points(line: list[float]) -> list[tuple[float, float]]:
    return [(index / (len(line) - 1), value) for index, value in enumerate(line)]


def _mean(result: Document, overlap: str) -> list[float]:
    """Return the mean curve of the classes that have objects; empty where none has."""
    known = [line for line in result["curves"][overlap] if None not in line]
    return [fmean(values) for values in zip(*known, strict=True)]


def _errors(evidence: Evidence, champion: Document, baseline: Document) -> Html:
    """Return how often each kind of error occurs, and the average precision that it costs."""
    rows = []
    for kind, why in KINDS.items():
        ours, theirs = (one["mistakes"][kind] for one in (champion, baseline))
        figures = [(f"{one['count']:,.1f}", _cost(one)) for one in (ours, theirs)]
        rows.append((joined(kind, tag("small", None, f" {why}")), *figures[0], *figures[1]))
    head = ("", "Champion, times", "points lost", "Baseline, times", "points lost")
    note = (f"Mean over {over(evidence.confirmed or {})}, at an overlap of one half. Counted is what is told: boxes at "
            "least as probable as the threshold of their class. Points lost are those by which average precision at "
            "one half, of all boxes, would rise without errors of this kind; they do not add up. ")
    return joined(tag("h3", None, "Kinds of error"), table(head, rows, "errors", (1, 2, 3, 4)), tag(
        "p", {"class": "note"}, note, tag("a", {"href": "https://arxiv.org/abs/2008.08115"}, "Bolya et al. 2020")))


def _cost(mistakes: Document) -> Html:
    """Return the average precision lost, in points, without a sign."""
    return Html(gain(mistakes["cost"], AVERAGE).replace(">+", ">"))


def _images(evidence: Evidence) -> Html:
    """Return test images with what the champion found in them."""
    if not evidence.pictures:
        return joined()
    seed = (evidence.confirmed or {})["seeds"][0]
    shares = [(what, [one for one in evidence.pictures if one["worst"] == worst])
              for what, worst in (("evenly spaced", False), ("those of the others with most errors", True))]
    groups = [joined(tag("p", {"class": "note"}, f"{len(some)} of {evidence.images.get('test', 0):,}, {what}:"),
                     tag("div", {"class": "pictures"}, [_image(evidence, one) for one in some]))
              for what, some in shares if some]
    note = (f"Of the training with seed {seed}, from the thresholds of the classes on. This page holds these images; "
            "confirm: {pictures: false} in the space keeps them out of it.")
    return joined(tag("h3", None, "Test images and what the champion finds in them"),
                  legend(("right", "right"), ("wrong", "wrong"), ("missed", "missed, dashed")), groups,
                  tag("p", {"class": "note"}, note))


def _image(evidence: Evidence, picture: Document) -> Html:
    """Return an image with its boxes, of which each says what it is."""
    names = evidence.data.get("classes") or []
    width = picture["width"]
    height = picture["height"]
    boxes = [_box(box, names[box["label"]], max(width, height))
             for kind in DRAWN for box in picture["boxes"] if _kind(box) == kind]
    counts = [sum(_kind(box) == kind for box in picture["boxes"]) for kind in reversed(DRAWN)]
    told = f"image {picture['row']}: {counts[0]} right, {counts[1]} wrong, {counts[2]} missed"
    return tag("figure", None, tag("svg", {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": told}, tag(
        "image", {"href": picture["data"], "width": width, "height": height}), boxes), tag("figcaption", None, told))


def _box(box: Document, name: str, side: int) -> Html:
    """Return a box with the name of its class, in letters that fit an image of this side."""
    left, top, right, bottom = box["edges"]
    kind = _kind(box)
    tip = f"{name}, missed" if kind == "missed" else f"{name} {box['score']:.2f}, {kind}"
    size = round(side / 22, 1)
    return tag("g", {"class": f"box {kind}", "data-tip": tip}, tag("rect", {
        "x": left, "y": top, "width": round(right - left, 1), "height": round(bottom - top, 1)}),
        tag("text", {"x": left, "y": round(max(size, top - size / 5), 1), "style": f"font-size:{size}px"}, name[:12]))


def _kind(box: Document) -> str:
    if box["score"] is None:
        return "missed"
    return "right" if box["right"] else "wrong"
