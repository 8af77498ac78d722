import sys

from autotricks.runs.versions import versions


def test_packages_that_bring_tricks_are_named_with_their_versions(tmp_path, monkeypatch):
    folder = tmp_path / "more_tricks-1.2.3.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: more-tricks\nVersion: 1.2.3\n")
    (folder / "entry_points.txt").write_text("[autotricks.tricks]\nnothing = more_tricks:Nothing\n")
    before = versions()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert versions() == {**before, "more-tricks": "1.2.3"} and "torch" in before
