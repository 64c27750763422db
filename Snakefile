# Train graph neural networks on causal sets: generate, preprocess, split, train, test, predict, report.
from snakemake.utils import min_version

min_version("9.20")

from qgpipe import paths
from qgpipe.report.figures.run_figures import FIGURES
from qgpipe.workflow import resources
from qgpipe.workflow.plan import plan_workflow
from qgpipe.workflow.device import require_device
from qgpipe.workflow.output_locks import lock_outputs

if not workflow.configfiles:

    configfile: f"{workflow.basedir}/config/run.yaml"


plan = plan_workflow(config, workflow.configfiles)
settings = plan.settings


onstart:
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
    worker="[0-9]+",


include: "rules/generate.smk"
include: "rules/preprocess.smk"
include: "rules/split.smk"
include: "rules/train.smk"
include: "rules/test.smk"
include: "rules/predict.smk"
include: "rules/report.smk"
include: "rules/sweep.smk"
include: "rules/tune.smk"


rule all:
    """The whole pipeline, from raw causal sets to metrics and figures."""
    default_target: True
    input:
        rules.preprocess.input,
        rules.split.input,
        rules.train.input,
        rules.test.input,
        rules.predict.input,
        rules.report.input,
        rules.sweep.input,
        rules.tune.input,
    localrule: True
