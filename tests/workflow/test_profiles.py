"""The profile for a cluster does what the default one does, and what its jobs ask for."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SHARED = ("rerun-triggers", "rerun-incomplete", "nolock", "scheduler")


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / name / "profile.v9+.yaml").read_text())


def test_the_profiles_agree_on_what_runs_again():
    default, slurm = read("default"), read("slurm")
    assert {key: slurm[key] for key in SHARED} == {key: default[key] for key in SHARED}


def test_a_machine_lets_one_job_at_a_time_use_a_gpu():
    assert read("default")["resources"] == ["gpu=1"]


def test_the_profile_for_slurm_names_no_site():
    assert not {"default-resources", "slurm-partition-config"} & set(read("slurm"))
    for resources in read("slurm")["set-resources"].values():
        assert not {"slurm_account", "slurm_partition", "gres"} & set(resources)


def test_every_rule_that_the_profile_for_slurm_names_exists():
    slurm = read("slurm")
    named = {group.split("=")[0] for group in slurm["groups"]} | set(slurm["set-resources"])
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list-rules", "--snakefile", str(ROOT / "Snakefile")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert named <= set(listed.stdout.split())
