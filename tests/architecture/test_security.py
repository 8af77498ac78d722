"""Nothing in the package runs what a file says: no eval, no pickles, no shell, no unsafe YAML or weights."""
import ast
import re

from tests.conftest import for_each

from .source import modules, tree, where

BUILTINS = {"eval", "exec", "compile", "__import__", "globals", "breakpoint"}
# Modules for which there is no use: they read pickles, run code by name, or call what is not Python.
MODULES = re.compile(r"(_?pickle|cPickle|marshal|shelve|dill|joblib|cloudpickle|ray\.cloudpickle|runpy|code|codeop|pty|"
                     r"ctypes|cffi|builtins|imp|pkgutil\.resolve_name|importlib\._bootstrap.*)")
NAMES = re.compile(
    r"os\.(system|popen|startfile|exec\w+|spawn\w+|posix_spawn\w*)|subprocess\.(getoutput|getstatusoutput)|"
    r"yaml\.(?!(C?BaseLoader|SafeDumper|compose|parse|dump|safe_dump|YAMLError|\w*Event|\w*Node)$)\w+|"
    # but for where the hub's cache is, fetching a file into it, and naming classes that only hold values
    r"torch\.(?!hub\.(get_dir|download_url_to_file)$|serialization\.safe_globals$)(hub|jit|package|serialization)(\..*)?|"
    r"mlflow\..*load_model|shutil\.unpack_archive|tempfile\.mktemp|"
    r"tarfile\.(?!(open|TarInfo|TarError|ReadError)$)\w+|"      # listed, and nothing is unpacked
    r"pandas\.read_pickle|importlib\.(__import__|util\.(spec_from_file_location|module_from_spec|source_from_cache))|"
    r"numpy\.(fromfile|DataSource)|asyncio\.create_subprocess_shell")
METHODS = {"extractall", "extract", "unpack_archive", "extract_archive", "read_pickle", "create_subprocess_shell"}
FALSE = {"shell", "allow_pickle", "trust_repo"}     # words that may be given, but as False
TRUE = {"weights_only", "verify"}                   # and as True


def faults(parsed):
    """Yield each node that could run what it is given, by whatever name it was imported."""
    known = {}
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import | ast.ImportFrom):
            base = f"{node.module}." if isinstance(node, ast.ImportFrom) and node.module and not node.level else ""
            for alias in node.names:
                full = base + alias.name
                known[alias.asname or alias.name.partition(".")[0]] = full if alias.asname or base else (
                    alias.name.partition(".")[0])
                if MODULES.fullmatch(full) or MODULES.fullmatch(base.rstrip(".") or "-") or NAMES.fullmatch(full):
                    yield node
    for node in ast.walk(parsed):
        name = full_name(node, known)
        if name and (NAMES.fullmatch(name) or MODULES.fullmatch(name)):
            yield node
        if isinstance(node, ast.Name) and node.id in BUILTINS and isinstance(node.ctx, ast.Load):
            yield node
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node
        if isinstance(node, ast.Call) and wrong_words(node, full_name(node.func, known)):
            yield node


def full_name(node, known):
    """Return the dotted name of what was imported that a name or attribute stands for, None for anything else."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (above := full_name(node.value, known)):
        return f"{above}.{node.attr}"
    return None


def wrong_words(call, name):
    """Return whether a call is given what makes it run things, or lacks what keeps it from that."""
    given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
    runs = bool(name) and name.startswith("subprocess.")
    return (any(given.get(word, False) is not False for word in FALSE)
            or any(given.get(word, True) is not True for word in TRUE)
            or (name == "torch.load" and given.get("weights_only") is not True)
            or (name == "numpy.load" and (len(call.args) > 1 or given.get("allow_pickle") is not False))
            or (runs and (None in given or any(isinstance(one, ast.Constant) and one.value in ("sh", "bash", "-c")
                                               for one in ast.walk(call)))))


def test_the_package_runs_nothing_it_is_given():
    found = [f"{where(path, node)}: {ast.unparse(node)[:80]}" for path in modules().values()
             for node in faults(tree(path))]
    assert not found, "\n".join(found)


def test_importing_by_name_is_for_the_users_own_code_alone():
    """`importlib.import_module` stands where trust was asked for, where tricks are found, and in the lazy packages."""
    homes = {name for name, path in modules().items() for node in ast.walk(tree(path))
             if "import_module" in (getattr(node, "attr", ""), getattr(node, "id", ""))}
    assert homes == {"", "space", "tricks.catalog", "models.build", "data.sources.own_code"}


def test_archives_are_listed_in_one_place():
    """Where links, and names that lead out of an archive, are set aside."""
    homes = {name for name, path in modules().items() for node in ast.walk(tree(path))
             if isinstance(node, ast.Import | ast.ImportFrom)
             and "tarfile" in (getattr(node, "module", ""), *(alias.name for alias in node.names))}
    assert homes == {"data.sources.archive_index"}


@for_each([
    "eval(x)", "exec(x)", "compile(x, '', 'exec')", "e = eval", "map(eval, x)", "import builtins", "__import__(x)",
    "import pickle", "import pickle as p", "from pickle import loads", "from pickle import *", "import _pickle",
    "import dill", "import marshal", "import shelve", "import joblib as j", "from ray import cloudpickle",
    "import ray.cloudpickle as c", "import ray\nray.cloudpickle.loads(b)", "import runpy", "import ctypes",
    "import pty", "from pkgutil import resolve_name", "import pandas as pd\npd.read_pickle(f)", "x.read_pickle(f)",
    "import yaml\nyaml.load(t)", "import yaml\nyaml.load(t, Loader=yaml.Loader)", "from yaml import load as l",
    "import yaml as y\ny.unsafe_load_all(t)", "import yaml\nyaml.full_load_all(t)", "import yaml\nyaml.CUnsafeLoader",
    "import yaml\nyaml.safe_load(t)", "import subprocess\nsubprocess.run(c, shell=True)", "run(c, shell=True)",
    "import subprocess\nsubprocess.run(c, shell=yes)", "import subprocess\nsubprocess.run(c, **{'shell': True})",
    "from subprocess import run\nrun(['sh', '-c', c])", "import subprocess as s\ns.getoutput(c)",
    "import os\nos.system(c)", "import os as o\no.system(c)", "from os import popen", "import os\nos.execve(a, b, c)",
    "import os\nos.spawnl(a, b)", "import os\nos.posix_spawn(a, b, c)", "import torch\ntorch.load(f)",
    "import torch as t\nt.load(b, weights_only=None)", "from torch import load as l\nl(b)",
    "import torch\ntorch.load(f, weights_only=False)", "import torch\ntorch.load(f, map_location='cpu')",
    "import torch\ntorch.hub.load(f)", "import torch\ntorch.jit.load(f)", "from torch import hub",
    "import torch\ntorch.serialization.load(f)", "import mlflow\nmlflow.pyfunc.load_model(u)",
    "import numpy\nnumpy.load(f, allow_pickle=True)", "import numpy as np\nnp.load(f, None, True)",
    "import numpy as np\nnp.load(f)", "from tarfile import TarFile", "import tarfile as t\nt.TarFile(f)",
    "tar.extractall(p)", "x = t.extractall", "archive.extract(m)",
    "import shutil as s\ns.unpack_archive(f)", "from shutil import unpack_archive",
    "from torchvision.datasets import utils\nutils.extract_archive(f)", "import importlib\nimportlib.__import__(n)",
    "from importlib.util import spec_from_file_location", "import importlib.util\nimportlib.util.module_from_spec(s)"])
def test_each_fault_is_found(line):
    assert list(faults(ast.parse(line)))


@for_each([
    "model.eval()", "import yaml\nyaml.compose(t)", "import torch\ntorch.load(f, weights_only=True)",
    "import re\nre.compile(x)", "import numpy\nnumpy.load(f, allow_pickle=False)",
    "import subprocess\nsubprocess.run(c, check=False)", "import json\njson.load(f)", "import os\nos.kill(p, 9)",
    "from importlib.util import find_spec", "import torch\ntorch.compile(m)", "self.compile(x)", "import ray"])
def test_what_is_fine_is_not_a_fault(line):
    assert not list(faults(ast.parse(line)))
