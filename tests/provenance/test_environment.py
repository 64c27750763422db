"""Revisions as git tells them."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import pytest

from qgpipe.provenance import environment


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        command = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init")
    (tmp_path / "reader.py").write_text("a = 1\n")
    git("add", "reader.py")
    git("commit", "-m", "first")
    return tmp_path


def test_the_revision_of_a_project_and_whether_it_is_dirty(repository):
    clean = environment.revisions(repository)["project"]
    assert len(clean["revision"]) == 40
    assert clean["dirty"] is False
    (repository / "new.py").touch()
    assert environment.revisions(repository)["project"] == clean
    (repository / "reader.py").write_text("a = 2\n")
    assert environment.revisions(repository)["project"] == {**clean, "dirty": True}


def test_a_folder_outside_any_repository_has_no_revision(tmp_path):
    assert "project" not in environment.revisions(tmp_path)


def test_a_project_within_the_clone_of_qgpipe_is_named_once():
    clone = Path(environment.qgpipe.__file__).parents[1]
    if not (clone / ".git").exists():
        pytest.skip("qgpipe is not run from a clone")
    assert list(environment.revisions(clone / "config")) == ["qgpipe"]


def test_without_git_there_are_no_revisions(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment.revisions(repository) == {}


def test_versions_are_those_that_packages_tell_of_themselves():
    found = environment.versions(["pytest", "Types_PyYAML", "nowhere"])
    assert found.pop("python") == platform.python_version()
    assert found.pop("qgpipe") == environment.qgpipe.__version__
    assert {"numpy", "pytest", "torch", "types-pyyaml"} <= set(found)
    assert found == {name: importlib.metadata.version(name) for name in found}
