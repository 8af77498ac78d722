"""Minimum versions close the holes that SECURITY.md names, and what is tested with is above them."""
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FIXED = {"ray": ("2.59", "CVE-2025-62593"), "mlflow": ("3.17", "CVE-2026-115886"), "torch": ("2.10", "CVE-2026-24747"),
         "pillow": ("12", "")}      # first version without the last of its known holes
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = {Requirement(line).name: Requirement(line).specifier for line in PROJECT["dependencies"]}
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())


@pytest.mark.parametrize("name", FIXED)
def test_no_version_with_a_known_hole_may_be_installed(name):
    version, hole = FIXED[name]
    major, _, minor = version.partition(".")
    before = f"{major}.{int(minor) - 1}.99" if minor else f"{int(major) - 1}.99"
    assert before not in NEEDED[name] and Version(PINS[name]) in NEEDED[name]
    assert Version(PINS[name]) >= Version(version)
    assert hole in (ROOT / "SECURITY.md").read_text()


def test_every_dependency_is_pinned_and_the_pin_is_allowed():
    for name, wanted in NEEDED.items():
        assert Version(PINS[name]) in wanted, name
        assert any(part.operator == ">=" for part in wanted), name


def test_what_security_says_of_versions_is_so():
    said = re.findall(r"\| `(\w+)` \| >= ([\d.]+) \|", (ROOT / "SECURITY.md").read_text())
    assert {name for name, _ in said} == set(FIXED)
    for name, version in said:
        assert any(part.version == version for part in NEEDED[name]), name
