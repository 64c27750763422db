"""What holds for every page: its blocks are tested, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# How blocks of each language are tested; ``text`` is output, and for reading only.
LANGUAGES = {
    "yaml": "test_configurations.py",
    "python": "test_code.py",
    "console": "../workflow/test_documented_commands.py",
    "bash": "../workflow/test_documented_commands.py",
    "mermaid": "../test_architecture.py",
    "text": None,
}


def test_every_block_is_tested(blocks):
    for block in blocks:
        assert block.language in LANGUAGES, f"{block}: give it one of {', '.join(LANGUAGES)}"
    for file in filter(None, LANGUAGES.values()):
        assert (Path(__file__).parent / file).exists()


def test_every_fence_belongs_to_a_block(page, blocks):
    fences = re.findall(r"^[ >]*(?:```|~~~)", page.read_text(), re.M)
    assert len(fences) == 2 * sum(block.page == page for block in blocks)


def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in readme, page.name


def test_the_page_about_trouble_is_that_of_the_catalogue():
    made = subprocess.run(
        [sys.executable, ROOT / "tests" / "errors" / "troubleshooting.py"],
        capture_output=True,
        text=True,
    )
    assert (ROOT / "docs" / "troubleshooting.md").read_text() == made.stdout, made.stderr


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("`training.data`, `testing.data`", "trainingdata-testingdata"),
        ("What runs again, and why", "what-runs-again-and-why"),
        ("How to add …", "how-to-add-"),
    ],
)
def test_anchors_are_made_as_on_github(heading, anchor):
    assert slug(heading) == anchor


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of ``page``; one that comes again gets a number."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.M):
        first, n = slug(heading), 0
        name = first
        while name in found:
            n += 1
            name = f"{first}-{n}"
        found.add(name)
    return found


def slug(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
