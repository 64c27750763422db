"""The structure of the code, held to what docs/architecture.md draws and says."""

import ast
import collections
import re
from pathlib import Path

import networkx as nx
import pytest

from qgpipe.data.layouts import registry

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "qgpipe").rglob("*.py"))
}
AT_THE_TOP = 5  # modules beside the packages
IN_A_FOLDER = 13
OTHERS = {
    "snakemake_logger_plugin_qgpipe": ["qgpipe", "qgpipe.config", "qgpipe.stages", "qgpipe.system"]
}


def imported(file: Path) -> set[str]:
    """The modules of ours that ``file`` imports, at its top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "qgpipe":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.split(".")[0] == "qgpipe"}
    return found


def folder_of(module: str) -> str:
    """The folder of a module; one beside the packages stands for itself."""
    is_package = MODULES[module].name == "__init__.py"
    folder = module.rpartition(".")[0]
    return module if is_package or folder == "qgpipe" else folder


def graph(group) -> nx.DiGraph:
    """Which groups of modules import which; what a package hands on in its ``__init__`` aside."""
    edges = {
        (group(module), group(other))
        for module, file in MODULES.items()
        if file.name != "__init__.py"
        for other in imported(file)
    }
    return nx.DiGraph([(a, b) for a, b in edges if a and b and a != b])


def package_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[1:3] == ["compat", "quantumgrav"]:  # nothing in common with what is beside it
        return "quantumgrav"
    return parts[1] if len(parts) > 1 and (ROOT / "qgpipe" / parts[1]).is_dir() else None


PACKAGES = graph(package_of)


def drawn(title: str) -> list[tuple[str, str]]:
    """The arrows of the Mermaid drawing below a heading."""
    block = PAGE[PAGE.index(f"## {title}") :]
    block = block[block.index("```mermaid") :].split("```")[1]
    return re.findall(r"^ +(\w+)(?:\[.*?\])? --> (\w+)", block, re.M)


def test_folders_do_not_import_each_other_in_circles():
    assert not list(nx.simple_cycles(graph(folder_of)))


def test_the_drawing_of_packages_is_that_of_the_imports():
    """Drawn is what does not follow from other arrows."""
    assert nx.is_directed_acyclic_graph(PACKAGES)
    assert sorted(drawn("Packages")) == sorted(nx.transitive_reduction(PACKAGES).edges)


def test_every_package_is_explained():
    for package in PACKAGES:
        assert re.search(rf"^\| `{package}` \|", PAGE, re.M), package


def test_a_folder_is_no_longer_than_a_glance():
    count = collections.Counter(
        file.parent for file in MODULES.values() if not file.name.startswith("__")
    )
    top = count.pop(ROOT / "qgpipe")
    assert top <= AT_THE_TOP
    assert {f.name: n for f, n in count.items() if n > IN_A_FOLDER} == {}


def test_no_two_modules_of_a_package_share_a_name():
    places = collections.defaultdict(list)
    for module, file in MODULES.items():
        if not file.name.startswith("__"):
            places[package_of(module), file.stem].append(module)
    assert [modules for modules in places.values() if len(modules) > 1] == []


def test_the_way_of_a_sample_names_modules_in_the_order_of_imports():
    block = PAGE[PAGE.index("## The way of a sample") :].split("\n## ")[0]
    named = re.findall(r"`(qgpipe/[\w/]+\.py)`", block)
    assert len(named) >= 10
    for name in named:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("package", OTHERS)
def test_other_packages_of_ours_import_little(package):
    for file in (ROOT / package).rglob("*.py"):
        for module in imported(file):
            assert module.rpartition(".")[0] in OTHERS[package], f"{file}: {module}"


def test_tests_lie_where_their_module_does():
    """``test_x.py`` in ``tests/a/b`` is about ``qgpipe/a/b/x.py``, if there is an x.py at all."""
    places = collections.defaultdict(set)
    for module, file in MODULES.items():
        places[file.stem].add(Path(*module.split(".")[1:-1]))
    wrong = []
    for test in (ROOT / "tests").rglob("test_*.py"):
        where, name = test.parent.relative_to(ROOT / "tests"), test.stem.removeprefix("test_")
        if where.name == "workflow":  # whole runs
            continue
        if (ROOT / "qgpipe" / where).is_dir() and name in places and where not in places[name]:
            wrong.append(str(test.relative_to(ROOT)))
    assert not wrong


LAYOUTS = {layout.layout for layout in registry.LAYOUTS}
WHERE_LAYOUTS_ARE = ("qgpipe.data.layouts", "qgpipe.causets.writers")


def compared(file: Path) -> set[object]:
    """The constants that ``file`` compares something with."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    sides = [node for node in nodes if isinstance(node, ast.Compare | ast.MatchValue)]
    parts = [part for side in sides for part in ast.walk(side)]
    return {part.value for part in parts if isinstance(part, ast.Constant)}


def test_only_a_layout_knows_its_name():
    """Elsewhere a store is asked; see "a raw layout" in CONTRIBUTING.md."""
    for module, file in MODULES.items():
        if not module.startswith(WHERE_LAYOUTS_ARE):
            assert not compared(file) & LAYOUTS, module


@pytest.mark.parametrize(
    "text",
    [
        "if store.layout == 'groups':\n    pass",
        "x = 1 if 'groups' != name else 2",
        "found = name in ('flat', 'groups')",
        "match name:\n    case 'groups' | 'flat':\n        pass",
    ],
)
def test_a_comparison_with_the_name_of_a_layout_is_found(tmp_path, text):
    file = tmp_path / "a.py"
    file.write_text(text)
    assert compared(file) & LAYOUTS == {"groups"}


PUBLIC = {"_exit", "_replace", "_asdict", "_fields"}  # documented, the underscore notwithstanding


def private_names(file: Path) -> set[str]:
    """Attributes with one underscore that ``file`` reads, but neither defines nor sets itself."""
    tree = ast.parse(file.read_text())
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own = {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    own |= {a.attr for a in attributes if getattr(a.value, "id", "") in ("self", "cls")}
    return {a.attr for a in attributes if re.fullmatch("_[a-z]\\w*", a.attr)} - own - PUBLIC


def test_private_names_of_others_are_used_in_compat_alone():
    used = {
        name: private_names(file)
        for name, file in MODULES.items()
        if not name.startswith("qgpipe.compat")
    }
    assert {name: names for name, names in used.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import torch\nx = torch._C", set()),
        ("def f(batch):\n    return batch._slice_dict", {"_slice_dict"}),
        ("class A:\n    def f(self):\n        self._x = self._y\n\ndef g(a):\n    a._x", set()),
    ],
)
def test_a_private_name_is_found(tmp_path, text, names):
    file = tmp_path / "a.py"
    file.write_text(text)
    assert private_names(file) == names
