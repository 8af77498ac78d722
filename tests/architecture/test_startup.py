"""What a command loads: help answers at once, and nothing heavy is imported before it is needed."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "autotricks"
ENGINES = ("ray", "optuna", "mlflow")
PROGRAM = """
import sys
def show(what, *names):
    print(what, *[name for name in names if name in sys.modules], file=sys.stderr)
import autotricks
show("autotricks", "torch", "typer", "yaml", "ray", "optuna", "mlflow")
from autotricks import cli
show("cli", "torch", "yaml", "pydantic", "ray", "optuna", "mlflow")
import autotricks.trainer
show("trainer", "ray", "optuna", "mlflow", "yaml", "rich", "timm", "torchvision")
def run(*words):
    sys.argv = ["autotricks", *words]
    try:
        cli.main()
    except SystemExit as stop:
        print("exit", stop.code, file=sys.stderr)
    show(words[0], "ray", "optuna", "mlflow", "timm", "torchvision", "sympy")
run("tricks", "list")
run("check", "long_tail.yaml")
"""


@pytest.mark.slow       # by default test_imports.py reads it off the imports, lazy ones included
def test_what_each_import_and_command_loads():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert ran.stderr.splitlines() == ["autotricks", "cli", "trainer", "exit 0", "tricks", "exit 0", "check"]


def test_help_answers_in_half_a_second_without_anything_heavy():
    seconds = []
    for _ in range(3):
        before = os.times()
        ran = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, timeout=60)
        after = os.times()  # its own time at work, whatever else the machine does
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert ran.returncode == 0 and "autotricks search --space long_tail.yaml" in ran.stdout
    assert min(seconds) < 0.5, seconds
    traced = subprocess.run([sys.executable, "-X", "importtime", COMMAND, "--help"], capture_output=True, text=True,
                            timeout=60)
    loaded = {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines() if line.startswith("import time:")}
    assert "typer" in loaded and not loaded & {"torch", "numpy", "yaml", "pydantic", *ENGINES}
    assert not loaded & {"importlib.metadata", "email.message"}      # a fifth of it, for the version alone


def test_nothing_that_a_command_is_asked_for_is_text_to_evaluate():
    """Typer would compile each of the texts that `from __future__ import annotations` makes, three times for help."""
    from autotricks.cli.commands import cluster, inspect, options, results, search

    asked = [(command.__name__, name) for module in (cluster, inspect, options, results, search)
             for command in vars(module).values() if getattr(command, "__module__", "") == module.__name__
             and callable(command) and not command.__name__.startswith("_")
             for name, kind in command.__annotations__.items() if isinstance(kind, str)]
    assert asked == []
