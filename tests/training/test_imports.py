import subprocess
import sys


def test_training_needs_neither_snakemake_nor_zarr():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['snakemake', 'zarr', 'tensorstore']))\n"
        "import qgpipe.training.run, qgpipe.training.trainer\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
