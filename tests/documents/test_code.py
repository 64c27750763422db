"""Scripts in the documents run; functions are named by a configuration on their page."""

from pathlib import Path

# Functions that no configuration on their page names, with the test that calls them.
CALLED_BY = {
    "predict.md": {
        "load": "tests/workflow/test_predict.py",
        "load_program": "tests/workflow/test_predict.py",
    },
}


def test_a_script_runs(script, project):
    project(script.page)
    exec(compile(script.text, str(script), "exec"), {})


def test_every_function_is_used(blocks):
    for block in blocks:
        if block.language == "python" and block.defines:
            shown = [b.text for b in blocks if b.page == block.page and b is not block]
            elsewhere = CALLED_BY.get(block.page.name, {})
            for name in block.defines:
                used = any(f"mymodule.{name}" in text for text in shown)
                assert used != (name in elsewhere), (
                    f"{block}: show a configuration that names mymodule.{name}, or say in "
                    f"{Path(__file__).name} which test calls it"
                )


def test_the_tests_named_here_read_the_page():
    root = Path(__file__).parents[2]
    for page, functions in CALLED_BY.items():
        for name, file in functions.items():
            text = (root / file).read_text()
            assert page in text and f'"{name}"' in text
