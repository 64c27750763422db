import hashlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import jinja2
import matplotlib
import pytest
from docutils.core import publish_parts

from qgpipe.errors import ConfigError, DataError
from qgpipe.report.figures.run_figures import FIGURES, draw, plot_run

CAPTIONS = Path(__file__).parents[3] / "rules" / "captions"


def test_the_registry_loads_neither_matplotlib_nor_pandas():
    code = (
        "import sys, qgpipe.report.figures.run_figures;"
        "print({'matplotlib', 'numpy', 'pandas', 'torch', 'zarr'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "set()", answer.stderr


def test_drawing_loads_neither_torch_nor_zarr():
    code = (
        "import sys; from qgpipe.report.figures.run_figures import FIGURES;"
        "[figure.function for figure in FIGURES.values()];"
        "print({'torch', 'zarr', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "set()", answer.stderr


def test_every_figure_has_a_caption():
    assert set(FIGURES) <= {path.stem for path in CAPTIONS.glob("*.rst")}


@pytest.mark.parametrize("caption", sorted(CAPTIONS.glob("*.rst")), ids=lambda path: path.stem)
def test_a_caption_renders_as_snakemake_renders_it(caption):
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(caption.read_text())
    wildcards = SimpleNamespace(run="run-7", sweep="run-7")
    text = template.render(snakemake=SimpleNamespace(wildcards=wildcards))
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
    assert "run-7" in html


def test_plot_run_writes_what_draw_draws_under_the_name_of_each_figure(results, tmp_path):
    run = results()
    plot_run(run.run_folder, run.dataset_json, run.split_json, tmp_path / "figures")
    written = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert written == {f"{name}.svg": draw(name, run) for name in FIGURES}


def test_nothing_is_written_when_one_figure_cannot_be_drawn(results, tmp_path):
    run = results(dataset={"sizes": None})
    with pytest.raises(DataError, match=r"dataset\.json is damaged: 'sizes' is None, not"):
        plot_run(run.run_folder, run.dataset_json, run.split_json, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_an_unknown_figure_is_named_with_those_there_are(results):
    with pytest.raises(ConfigError, match="no figure 'losses'; there are loss, metrics"):
        draw("losses", results())


def test_the_figure_of_an_odd_run_is_svg_with_text_as_shapes(odd_figure):
    root = ElementTree.fromstring(draw(*odd_figure))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not root.findall(".//{http://www.w3.org/2000/svg}text")
    assert not [tag for tag in root.iter() if tag.tag.endswith("}date")]


def test_equal_results_give_equal_bytes_in_another_process(results, tmp_path):
    run = results()
    code = (
        "import hashlib, sys; from qgpipe.report.figures.run_figures import FIGURES, draw;"
        "from qgpipe.report.tables.results import RunResults; run = RunResults(*sys.argv[1:]);"
        "print(*(hashlib.sha256(draw(name, run)).hexdigest() for name in FIGURES))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, run.run_folder, run.dataset_json, run.split_json],
        capture_output=True,
        text=True,
        check=True,
    )
    here = [hashlib.sha256(draw(name, run)).hexdigest() for name in FIGURES]
    assert answer.stdout.split() == here


def test_the_settings_of_the_user_neither_matter_nor_change(results):
    expected = draw("loss", results())
    with matplotlib.rc_context({"font.size": 25, "axes.facecolor": "black", "svg.hashsalt": None}):
        assert draw("loss", results()) == expected
        assert matplotlib.rcParams["font.size"] == 25
