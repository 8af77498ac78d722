"""Size: functions and signatures stay small enough to be read at once."""
import ast
import statistics
from functools import cache

import pytest

from .source import modules, tree, where

FUNCTION, MEDIAN, ARGUMENTS = 60, 10, 6


@cache
def named():
    """Every function and class, with its file; not read where no test of this file runs."""
    return [(path, node) for path in modules().values() for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]


def functions():
    return [(path, node) for path, node in named() if not isinstance(node, ast.ClassDef)]


def length(node):
    return node.end_lineno - min(node.lineno, *(mark.lineno for mark in node.decorator_list), node.lineno) + 1


def arguments(node):
    """What a caller may pass; `*names` and `**names` count too."""
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    extra = [each for each in (node.args.vararg, node.args.kwarg) if each]
    return len(names) + len(extra) - (names[:1] in (["self"], ["cls"]))


def test_functions_are_short():
    found = [f"{where(path, node)}: {node.name} has {length(node)} lines" for path, node in functions()
             if length(node) > FUNCTION]
    assert not found, "\n".join(found)
    assert len(functions()) > 300 and statistics.median(length(node) for _, node in functions()) <= MEDIAN


def test_functions_take_few_arguments():
    found = [f"{where(path, node)}: {node.name} takes {arguments(node)} arguments" for path, node in functions()
             if path.parent.name != "commands" and arguments(node) > ARGUMENTS]
    assert not found, "\n".join(found)


def test_a_statement_holds_one_thought():
    """No conditional expression within another; several values are assigned at once only where they change places."""
    nodes = [(path, node) for path in modules().values() for node in ast.walk(tree(path))]
    found = [f"{where(path, node)}: a conditional in a conditional" for path, node in nodes
             if isinstance(node, ast.IfExp) and sum(isinstance(inner, ast.IfExp) for inner in ast.walk(node)) > 1]
    for path, node in nodes:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
                and isinstance(node.value, ast.Tuple)):
            continue
        targets = {ast.unparse(target) for target in node.targets[0].elts}
        if not targets & {ast.unparse(value) for value in node.value.elts}:
            found.append(f"{where(path, node)}: {ast.unparse(node)[:60]}")
    assert not found, "\n".join(found)


def test_no_keyword_arguments_are_passed_through():
    found = [f"{where(path, call)}: {ast.unparse(call)}" for path, node in functions() if node.args.kwarg
             for call in ast.walk(node) if isinstance(call, ast.Call) and any(
                 word.arg is None and ast.unparse(word.value) == node.args.kwarg.arg for word in call.keywords)]
    assert not found, "\n".join(found)


def test_a_trick_file_has_one_public_class_of_its_name():
    for name, path in modules().items():
        if not name.startswith("tricks.") or path.name == "__init__.py" or name == "tricks.catalog":
            continue
        classes = [node.name for node in tree(path).body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        assert len(classes) == 1, f"{path}: {classes}"
        assert classes[0].lower() == path.stem.replace("_", ""), path


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "manager", "handler", "wrapper"])
def test_names_say_what_things_are(word):
    singular = word.removesuffix("s")
    found = [str(path) for path in modules().values() if singular in path.stem]
    found += [f"{where(path, node)}: {node.name}" for path, node in named() if singular in node.name.lower()]
    assert not found, "\n".join(found)


def test_lengths_and_arguments_are_counted_right():
    made = ast.parse("@one\n@two\ndef f(self, a, b=1, /, *c, d, **e):\n    '''x\n    '''\n    return 1\n").body[0]
    assert length(made) == 6 and arguments(made) == 5
    assert arguments(ast.parse("def f(): ...").body[0]) == 0
