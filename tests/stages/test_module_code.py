import importlib.machinery

import pytest

from qgpipe.stages.module_code import code_fingerprints, find_code

SECTION = {"reader": "!pyobject mymodule.reader", "path": "results/data", "lr": 0.1}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mymodule.py").write_text(
        '"""Doc."""\nimport numpy\nfrom helper import scale\n\ndef reader(x):\n'
        '    """Doc."""\n    return scale(x)\n'
    )
    (tmp_path / "helper.py").write_text("def scale(x):\n    return 2 * x\n")
    (tmp_path / "unrelated.py").write_text("a = 1\n")
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_modules_that_are_named_have_a_fingerprint(folder):
    assert list(code_fingerprints(SECTION, [folder])) == ["mymodule"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("mymodule.py", '"""Doc."""\nimport', '"""Another."""\nimport'),
        ("mymodule.py", '    """Doc."""\n', ""),
        ("mymodule.py", "return scale(x)", "return scale( x )  # why"),
        ("helper.py", "2 * x", "(2 * x)"),
        ("unrelated.py", "1", "2"),
    ],
)
def test_docstrings_comments_layout_and_other_files_do_not_count(folder, file, old, new):
    before = code_fingerprints(SECTION, [folder])
    change(folder / file, old, new)
    assert code_fingerprints(SECTION, [folder]) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("mymodule.py", "scale(x)", "scale(x + 1)"), ("helper.py", "2 * x", "3 * x")],
)
def test_code_and_what_it_imports_count(folder, file, old, new):
    before = code_fingerprints(SECTION, [folder])
    change(folder / file, old, new)
    assert code_fingerprints(SECTION, [folder]) != before


def test_a_package_and_its_relative_imports_are_followed(tmp_path):
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import reader\n")
    (package / "inner.py").write_text("from . import deep\n\ndef reader():\n    return deep.a\n")
    (package / "deep.py").write_text("a = 1\n")
    section = ["mypackage.reader"]
    before = code_fingerprints(section, [tmp_path])
    change(package / "deep.py", "1", "2")
    assert before
    assert code_fingerprints(section, [tmp_path]) != before


def test_modules_that_import_each_other_end(tmp_path):
    (tmp_path / "one.py").write_text("import two\n")
    (tmp_path / "two.py").write_text("import one\n")
    assert list(code_fingerprints(["one.f"], [tmp_path])) == ["one"]


def test_a_file_that_does_not_parse_still_counts(tmp_path):
    (tmp_path / "one.py").write_text("def f(:\n")
    before = code_fingerprints(["one.f"], [tmp_path])
    (tmp_path / "one.py").write_text("def f():\n    pass\n")
    assert code_fingerprints(["one.f"], [tmp_path]) != before


def test_the_packages_around_a_module_count(tmp_path):
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").write_text("scale = 1\n")
    (package / "inner.py").write_text("from . import scale\n\ndef reader():\n    return scale\n")
    section = ["mypackage.inner.reader"]
    before = code_fingerprints(section, [tmp_path])
    assert list(before) == ["mypackage.inner"]
    change(package / "__init__.py", "1", "2")
    assert code_fingerprints(section, [tmp_path]) != before


def test_a_folder_without_init_is_a_package_too(tmp_path):
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "inner.py").write_text("a = 1\n")
    before = code_fingerprints(["space.inner.a"], [tmp_path])
    assert list(before) == ["space.inner"]
    change(tmp_path / "space" / "inner.py", "1", "2")
    assert code_fingerprints(["space.inner.a"], [tmp_path]) != before


def test_a_module_that_is_imported_by_name_is_followed(folder):
    (folder / "late.py").write_text("import importlib\nf = importlib.import_module('helper')\n")
    before = code_fingerprints(["late.f"], [folder])
    change(folder / "helper.py", "2 * x", "3 * x")
    assert code_fingerprints(["late.f"], [folder]) != before


def test_a_copy_of_the_code_in_another_folder_has_the_same_fingerprint(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for file in folder.glob("*.py"):
        (other / file.name).write_bytes(file.read_bytes())
    assert code_fingerprints(SECTION, [other]) == code_fingerprints(SECTION, [folder])


def test_compiled_code_and_notebooks_are_named_and_not_followed(folder):
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (folder / f"fast{suffix}").write_bytes(b"\x7fELF")
    (folder / "draft.ipynb").write_text("{}")
    change(folder / "helper.py", "def", "import fast, draft\n\ndef")
    code = find_code(SECTION, [folder])
    assert {file.name for file in code.modules["mymodule"]} == {"mymodule.py", "helper.py"}
    assert {file.name: why for file, why in code.not_followed.items()} == {
        f"fast{suffix}": "compiled code",
        "draft.ipynb": "a notebook",
    }
    before = code_fingerprints(SECTION, [folder])
    (folder / f"fast{suffix}").write_bytes(b"other")
    assert code_fingerprints(SECTION, [folder]) == before


def test_a_module_of_compiled_code_alone_is_named(folder):
    (folder / "fast.so").write_bytes(b"\x7fELF")
    code = find_code(["fast.reader"], [folder])
    assert code.modules == {"fast": ()}
    assert list(code.not_followed.values()) == ["compiled code"]


def test_the_fingerprint_is_the_same_in_every_version_of_python(tmp_path):
    (tmp_path / "one.py").write_text('"""Doc."""\nx = None\n\n\ndef f(a, *, b=1):\n    return a\n')
    assert code_fingerprints(["one.f"], [tmp_path]) == {"one": "f30a733b5e62c8bb"}


def test_a_file_with_the_name_of_something_installed_does_not_count(folder):
    before = code_fingerprints(SECTION, [folder])
    (folder / "numpy.py").write_text("a = 1\n")  # mymodule imports numpy

    assert code_fingerprints(SECTION, [folder]) == before
    assert find_code({"loss": "numpy.a"}, [folder]).modules == {}


def test_a_submodule_may_be_called_like_something_installed(folder):
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("from .io import f\n")
    (folder / "package" / "io.py").write_text("def f(): pass\n")

    files = find_code({"loss": "package.f"}, [folder]).modules["package"]
    assert {file.name for file in files} == {"__init__.py", "io.py"}
