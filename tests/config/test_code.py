import pytest

from qgpipe.config.code import code_fingerprints

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
