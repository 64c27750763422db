# Train graph neural networks on causal sets: generate, preprocess, split, train, test, predict, report.
from snakemake.utils import min_version

min_version("9.20")

from qgpipe import paths
from qgpipe.report.figures.run_figures import figures
from qgpipe.stages.registry import TARGETS
from qgpipe.workflow import resources
from qgpipe.workflow.plan import plan_workflow
from qgpipe.workflow.startup import require_device, require_plain_python
from qgpipe.workflow.output_locks import lock_outputs

if not workflow.configfiles:

    configfile: f"{workflow.basedir}/config/run.yaml"


plan = plan_workflow(config, workflow.configfiles)
settings = plan.settings


onstart:
    require_plain_python(workflow.local_exec)
    require_device(settings, workflow.dag, workflow.local_exec)
    lock_outputs(settings, workflow.dag)


wildcard_constraints:
    store="[^/]+",
    part="[^/]+",
    run="[^/]+",
    sweep="[^/]+",
    raw="[^/]+",
    parts="[^/]+",
    split="[^/]+",
    predicted="[^/]+",
    evaluated="[^/]+",
    worker="[0-9]+",


for target in TARGETS:

    include: f"rules/{target}.smk"


rule all:
    """The whole pipeline, from raw causal sets to metrics and figures."""
    default_target: True
    input:
        # Generated stores may be deleted once parts are made of them.
        [getattr(rules, target).input for target in TARGETS if target != "generate"],
    localrule: True
