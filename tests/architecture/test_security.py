"""Nothing in the package runs what a file says: no eval, no pickles, no shell, no unsafe YAML or weights."""
import ast

import pytest

from .source import modules, tree, where

CALLS = {"eval", "exec", "compile", "__import__"}
METHODS = {("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler"), ("cloudpickle", "load"),
           ("cloudpickle", "loads"), ("dill", "load"), ("joblib", "load"), ("marshal", "loads"), ("os", "system"),
           ("os", "popen"), ("yaml", "load"), ("yaml", "load_all"), ("yaml", "unsafe_load"), ("yaml", "full_load"),
           ("yaml", "Loader"), ("yaml", "UnsafeLoader"), ("yaml", "FullLoader"), ("yaml", "CLoader"),
           ("shutil", "unpack_archive"), ("torch", "jit"), ("torch", "package"), ("pandas", "read_pickle"),
           ("shelve", "open"), ("tempfile", "mktemp"), ("os", "execv"), ("os", "execvp"), ("os", "spawnv")}
UNPACKS = {"extractall", "extract"}    # of any archive: nothing is unpacked to disk, so nothing can be unpacked wrongly
KEYWORDS = {("shell", True), ("weights_only", False), ("allow_pickle", True), ("verify", False), ("trust_repo", True)}


def faults(parsed):
    """Yield each node that could run what it is given."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom) and {(node.module, alias.name) for alias in node.names} & METHODS:
            yield node
        if isinstance(node, ast.Attribute) and (ast.unparse(node.value), node.attr) in METHODS:
            yield node
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {(word.arg, getattr(word.value, "value", None)) for word in node.keywords}
            if getattr(node.func, "attr", "") in UNPACKS:
                yield node
            if name in CALLS or given & KEYWORDS or (name == "torch.load" and ("weights_only", True) not in given):
                yield node


def test_the_package_runs_nothing_it_is_given():
    found = [f"{where(path, node)}: {ast.unparse(node)[:80]}" for path in modules().values()
             for node in faults(tree(path))]
    assert not found, "\n".join(found)


def test_importing_by_name_is_for_the_users_own_code_alone():
    """`importlib.import_module` stands where trust was asked for, where tricks are found, and in the lazy packages."""
    homes = {name for name, path in modules().items() for node in ast.walk(tree(path))
             if "import_module" in (getattr(node, "attr", ""), getattr(node, "id", ""))}
    assert homes == {"", "space", "catalog", "models.build", "data.sources.own_code"}


@pytest.mark.parametrize("line", [
    "eval(x)", "exec(x)", "compile(x, '', 'exec')", "pickle.load(f)", "pickle.loads(b)", "from pickle import loads",
    "yaml.load(t)", "yaml.load(t, Loader=yaml.Loader)", "subprocess.run(c, shell=True)", "torch.load(f)",
    "os.system(c)", "tarfile.open(f).extractall(p)", "archive.extract(m)", "shutil.unpack_archive(f)",
    "torch.jit.load(f)", "torch.load(f, weights_only=False)",
    "torch.load(f, map_location='cpu')", "numpy.load(f, allow_pickle=True)"])
def test_each_fault_is_found(line):
    assert list(faults(ast.parse(line)))


@pytest.mark.parametrize("line", ["model.eval()", "yaml.compose(t)", "torch.load(f, weights_only=True)",
                                  "re.compile(x)", "numpy.load(f, allow_pickle=False)", "subprocess.run(c)",
                                  "json.load(f)"])
def test_what_is_fine_is_not_a_fault(line):
    assert not list(faults(ast.parse(line)))
