"""Every file of a run truncated at every byte, and every bit of the small ones flipped: whole, or one clear error."""
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from autotricks import report
from autotricks.data import load as load_data
from autotricks.errors import AutotricksError, RunError
from autotricks.export import read_weights
from autotricks.export.bundle import read as read_bundle
from autotricks.runs import folder as folders
from autotricks.runs.ledger import read
from autotricks.space import load_bundle_file
from autotricks.space.sections import ConfirmSection
from autotricks.trainer import checkpoint
from autotricks.workflows import reopen, search as experiment, sync
from autotricks.workflows.confirm import confirm_again

from ..search import real
from . import kept

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
SPACE = ("name: small\ndata: {source: digits}\ntraining: {epochs: 2}\nobjective: {metric: val/accuracy}\n"
         "search: {trials: 2, engine: local, sampler: random, parallel: 1, rungs: {first: 1, reduction: 2}}\n"
         "confirm: {top: 1, seeds: 2}\ntricks:\n  sgd: {lr: {choice: [0.1, 0.2]}}\n  crop: {always: true}\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small search with its confirmation, and its data."""
    root = tmp_path_factory.mktemp("small")
    (root / "small.yaml").write_text(SPACE, "utf-8")
    loaded = real.load_space(root / "small.yaml")
    result = experiment.search(loaded, experiment.Options(root / "runs", tracking="off"))
    assert result.confirmation is not None
    return SimpleNamespace(folder=result.folder, data=load_data(loaded.document.data.settings()))


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1:]


def damaged(content: bytes, every: int):
    """Yield what is left of a file cut off at every byte, then with a bit flipped in every so manyth byte."""
    for size in range(len(content)):
        yield content[:size]
    for place in range(0, len(content), every):
        yield flipped(content, place, random.Random(place).randrange(8))


def clear(error: AutotricksError, path: Path) -> None:
    text = str(error)
    assert text and "Traceback" not in text and all(len(line) < 400 for line in text.splitlines())
    assert str(path.parent) in text or path.name in text, text


def taken_up(folder: Path, run) -> list[dict]:
    """Do what a resume does before it trains anything."""
    loaded = experiment.resume(folder)
    ledger = reopen.settle(folder, loaded, run.data)
    ledger.close()
    return ledger.lines


@pytest.mark.parametrize(("name", "every"), [(folders.SPACE, 1), (folders.DATA, 1), (folders.VERSIONS, 1),
                                             (folders.LEDGER, 7)])
def test_what_a_resume_reads(run, tmp_path, name, every, injected):
    """A resume sees what was searched, or is refused; never another space, other data, or a trial less."""
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    path, content = folder / name, (run.folder / name).read_bytes()
    lines = [{name: value for name, value in line.items() if name != "curve"}
             for line in read(run.folder / folders.LEDGER)[0]]      # what a search holds of them
    space = real.load_space(run.folder / folders.SPACE).resolved
    refused = 0
    for count, broken in enumerate(damaged(content, every)):
        if name == folders.LEDGER and count % 13:
            continue
        path.write_bytes(broken)
        injected(f"{name} truncated or bit flipped (F13)")
        try:
            found = taken_up(folder, run)
        except AutotricksError as error:
            clear(error, path)
            refused += 1
        else:
            if name == folders.LEDGER and len(broken) == len(content):     # a flip in the last line tears it off
                assert broken.startswith(content[:content.rindex(b"\n", 0, -1) + 1])
            known = [line for line in found if line in lines]
            added = found[len(known):]
            assert found == lines[:len(known)] + added and {line["kind"] for line in added} <= {"search"}
            if len(broken) < len(content) or name != folders.LEDGER:
                assert len(known) == (max(1, broken.count(b"\n")) if name == folders.LEDGER else len(lines))
            assert experiment.resume(folder).resolved == space
        for other in (folders.SPACE, folders.DATA, folders.VERSIONS, folders.LEDGER):
            shutil.copy2(run.folder / other, folder / other)
    assert refused > (30 if name == folders.LEDGER else len(content) / 50)


@pytest.mark.parametrize("name", ["confirm.json", "confirm.jsonl", "champion.yaml", folders.DATA, folders.VERSIONS,
                                  folders.LEDGER])
def test_what_a_report_reads(run, tmp_path, name, injected):
    """The report says what is there, or one clear error; what it said before is never half overwritten."""
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    path, content = folder / name, (run.folder / name).read_bytes()
    whole, written, refused = report.write(folder).read_bytes(), 0, 0
    for size in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:size])
        injected(f"{name} truncated under a report (F13)")
        page = folder / report.REPORT
        before = page.read_bytes()
        try:
            assert report.write(folder) == page
        except AutotricksError as error:
            clear(error, path)
            assert page.read_bytes() == before
            refused += 1
        else:
            text = page.read_text("utf-8")
            assert text.rstrip().endswith("</html>") and folder.name in text
            written += 1
    assert written + refused >= 60
    path.write_bytes(content)
    assert report.write(folder).read_bytes() == whole


@pytest.mark.parametrize(("name", "read_it"), [
    ("confirm.json", folders.read_json), (folders.DATA, folders.read_json), (folders.VERSIONS, folders.read_json),
    ("champion.yaml", read_bundle), ("champion.yaml", lambda path: load_bundle_file(path).document)])
def test_no_flipped_bit_is_taken_for_a_figure(run, tmp_path, name, read_it, injected):
    """Every bit of a file: it is refused, or says what it said; most flips leave JSON and YAML valid."""
    path, content = tmp_path / name, (run.folder / name).read_bytes()
    path.write_bytes(content)
    whole, refused, places = read_it(path), 0, range(len(content))
    slow = 1 if name.endswith("json") else 11
    for place, bit in ((place, bit) for place in places for bit in range(8) if (place + bit) % slow == 0):
        path.write_bytes(flipped(content, place, bit))
        injected(f"bit flipped in {name} (F13)")
        try:
            found = read_it(path)
        except AutotricksError as error:
            clear(error, path)
            refused += 1
        else:       # the flip was in the checksum or in a comment
            extra = {name for name in found if name not in whole} if isinstance(found, dict) else set()
            assert len(extra) <= 1 and (found if not extra else {key: found[key] for key in whole}) == whole
    assert refused > 0.9 * len(content) * 8 / slow


@pytest.mark.parametrize("name", ["confirm.json", "champion.yaml", folders.DATA])
def test_report_says_that_a_file_is_damaged(run, tmp_path, name, injected):
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    assert "left out of this page" not in report.write(folder).read_text("utf-8")
    path, content = folder / name, (run.folder / name).read_bytes()
    for place in range(content.rindex(b"check") + 30, len(content), len(content) // 20):
        path.write_bytes(flipped(content, place, 0))
        injected(f"bit flipped in {name} under a report (F13)")
        assert f"left out of this page: {name}." in report.write(folder).read_text("utf-8")


def test_champion_is_never_read_damaged(run, tmp_path, injected):
    """Weights that are cut off, or one bit of which is flipped, are refused by their checksum."""
    content, sha = (run.folder / "champion.safetensors").read_bytes(), load_bundle_file(
        run.folder / "champion.yaml").document.result["weights"]
    path = tmp_path / "champion.safetensors"
    places = [*range(600), *range(600, len(content), 997), len(content) - 1]
    for place in places:
        for broken in (content[:place], content[:place] + bytes([content[place] ^ 4]) + content[place + 1:]):
            path.write_bytes(broken)
            injected("weights truncated or bit flipped (F12)")
            with pytest.raises(RunError) as caught:
                read_weights(path, sha)
            clear(caught.value, path)
    path.write_bytes(content)
    assert read_weights(path, sha)


def test_checkpoint_is_never_read_damaged(tmp_path, injected):
    path = tmp_path / "state"
    checkpoint.save({"weights": torch.arange(64.0), "epoch": 3}, path)
    content = path.read_bytes()
    for number, broken in enumerate(damaged(content, 1)):
        if number % 3 == 0:
            path.write_bytes(broken)
            injected("checkpoint truncated or bit flipped (F12)")
            with pytest.raises(RunError, match="checkpoint is damaged"):
                checkpoint.load(path)


@pytest.mark.parametrize("how", ["truncated", "flipped", "missing"])
def test_damaged_confirmation_weights_are_trained_again(run, tmp_path, how, injected):
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    before, trained = (folder / "confirm.json").read_bytes(), len(kept.lines(folder, "confirm.jsonl"))
    path = sorted((folder / "confirm").iterdir())[1]
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:999] if how == "truncated" else content[:-5] + bytes([content[-5] ^ 1])
                         + content[-4:])
    injected(f"weights of a confirmation {how} (F12)")
    confirm_again(folder, ConfirmSection(top=1, seeds=2))
    assert path.read_bytes() == content and (folder / "confirm.json").read_bytes() == before
    assert len(kept.lines(folder, "confirm.jsonl")) == trained + 1


CHANGES = [("lr: {choice: [0.1, 0.2]}", "lr: {choice: [0.1, 0.3]}"), ("seed: 0", "seed: 1"), ("epochs: 2", "epochs: 4"),
           ("sampler: random", "sampler: tpe"), ("val/accuracy", "val/balanced_accuracy"), ("first: 1", "first: 2"),
           ("always: true", "padding: 2"), ("resnet8", "resnet20"), ("batch_size: 64", "batch_size: 32"),
           ("seeds: 2", "seeds: 3"), ("cpus: 1.0", "cpus: 2.0")]


def edited(folder: Path, old: str, new: str, knowingly: bool) -> None:
    """Edit a run's space; who does it knowingly takes its checksum out, as the error says."""
    path = folder / folders.SPACE
    text = path.read_text().replace("\n    lr:\n      choice: [0.1, 0.2]", " {lr: {choice: [0.1, 0.2]}}")
    assert old in text and text.startswith("# check: ")
    path.write_text(text.replace(old, new).partition("\n")[2] if knowingly else text.replace(old, new))


@pytest.mark.parametrize("knowingly", [False, True])
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_changed_space_is_refused_with_a_difference(run, tmp_path, old, new, knowingly, injected):
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    edited(folder, old, new, knowingly)
    injected("space edited under a resume (F18)")
    before = (folder / folders.LEDGER).read_bytes()
    why = "differs from what is to go on" if knowingly else "changed since it was written"
    with pytest.raises(RunError, match=why) as caught:
        taken_up(folder, run)
    assert all(": was " in line and ", is " in line for line in caught.value.problems[1:])
    assert len(caught.value.problems) >= 2 and (folder / folders.LEDGER).read_bytes() == before


MAY = [("trials: 2", "trials: 5"), ("parallel: 1", "parallel: 2"), ("patience: 7200.0", "patience: 60.0"),
       ("engine: local", "engine: ray")]


@pytest.mark.parametrize(("old", "new"), MAY)
def test_trials_time_and_parallelism_may_change(run, tmp_path, old, new):
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    edited(folder, old, new, knowingly=True)
    lines = taken_up(folder, run)
    assert [line["seq"] for line in lines if line["kind"] == "search"] == [0, len(lines) - 1]
    assert reopen.space_of(folder).resolved == lines[-1]["space"]      # written anew, with its checksum
    assert (folder / folders.SPACE).read_text().startswith("# check: ")


@pytest.mark.parametrize(("old", "new"), MAY)
def test_but_not_by_a_flipped_bit(run, tmp_path, old, new, injected):
    """Nobody who reads a run's space takes it for the run's; who starts a new search with it may have edited it."""
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    edited(folder, old, new, knowingly=False)
    key, value = new.split(": ")
    for reads in (lambda: experiment.resume(folder), lambda: confirm_again(folder, ConfirmSection(top=1, seeds=2)),
                  lambda: sync.sync(folder, "off")):
        injected("space.yaml damaged under resume, confirm, sync (F13)")
        with pytest.raises(RunError) as caught:
            reads()
        assert caught.value.problems[0].startswith(f"{folder / folders.SPACE}: changed since it was written")
        assert [line.split(": was")[0] for line in caught.value.problems[1:]] == [f"  space.search.{key}"]
    assert str(real.load_space(folder / folders.SPACE).resolved["search"][key]) == value


@pytest.mark.parametrize("library", ["torch", "autotricks", "optuna", "numpy"])
def test_changed_version_is_refused(run, tmp_path, monkeypatch, library, injected):
    folder = tmp_path / run.folder.name
    shutil.copytree(run.folder, folder)
    found = reopen.versions.versions()
    monkeypatch.setattr(reopen.versions, "versions", lambda: {**found, library: "99.0"})
    injected("another version under a resume (F18)")
    with pytest.raises(RunError, match=rf"versions\.{library}: was \"{found[library]}\", is \"99\.0\""):
        taken_up(folder, run)
