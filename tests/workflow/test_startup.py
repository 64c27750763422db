import pytest
from snakemake_interface_common.exceptions import WorkflowError

from qgpipe.workflow.startup import require_plain_python


@pytest.mark.parametrize("python", ["/a b/bin/python", " python", "/a\tb/python"])
def test_a_cluster_cannot_be_used_from_a_path_with_a_space(python):
    require_plain_python(True, python)
    with pytest.raises(WorkflowError, match="whose path has a space: install qgpipe in a folder"):
        require_plain_python(False, python)


@pytest.mark.parametrize("python", ["/usr/bin/python3", "/ü/python", "/it's/python"])
def test_other_paths_may_be_used(python):
    require_plain_python(False, python)
