# The pipeline at a glance:
#
#   data ──► judge, features ──► anchors ─────────────────────────────────────────────────┐
#     │        └───────────────────────────────────────────────────────────────┐          │
#     └────► teacher ──► draws, labels ──► student ──► grids ──► samples ──► scores ──► tables, figures ──► report
#
# Specs say what there is to make. Each run of the plan is one product, results/<kind>/<slug>-<id>/, complete once its
# manifest.json is there; every rule is one `cdmrun STAGE` call that can be replayed by hand. Edges between products
# are ancient(): an id says everything about a product, so nothing but a new id makes anything anew; unless what it was
# made from is gone, or has been made again and differs.
#
#   snakemake --cores all                                         every specs/*.yaml
#   snakemake --cores all --config specs=a.yaml,b.yaml out=DIR    these, under DIR

from cdmrun.workflow import PRIORITY, Pipeline, leave_signals_to_stages, schedule_when_a_job_ends

import os

os.environ.setdefault("CDMRUN_WARM", "1")  # tiny jobs share one import of torch; CDMRUN_WARM=0 turns that off

# SIGTERM and SIGUSR1 are for the stage, which writes its checkpoint: Snakemake, shell and tee outlive it.
leave_signals_to_stages()
shell.prefix("set -euo pipefail; trap : TERM USR1; ")

flow = Pipeline(config)
OUT = flow.out
RUN = f"--out '{OUT}' --threads {{threads}} --device $([ {{resources.gpu}} -gt 0 ] && echo auto || echo cpu) 2>&1 | (trap '' TERM USR1; exec tee {{log:q}})"


onstart:
    schedule_when_a_job_ends(workflow.scheduler)


wildcard_constraints:
    run=r"[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+)*",
    experiment=r"[A-Za-z0-9_.-]+",


rule all:
    input:
        flow.products,
        flow.tables,
        f"{OUT}/report.html",


rule fetch:
    output: f"{OUT}/data/{{run}}/manifest.json"
    log: f"{OUT}/logs/data/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/data/{{run}}.tsv"
    threads: 1
    resources: gpu=0, mem_mb=4000, runtime=60
    priority: PRIORITY["data"]
    shell: f"cdmrun fetch data/{{wildcards.run}} {RUN}"


rule judge:
    input: lambda w: flow.inputs("judges", w.run)
    output: f"{OUT}/judges/{{run}}/manifest.json"
    log: f"{OUT}/logs/judges/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/judges/{{run}}.tsv"
    threads: 1
    resources: gpu=lambda w: flow.gpus("judges", w.run), mem_mb=4000, runtime=60
    shell: f"cdmrun judge judges/{{wildcards.run}} {RUN}"


rule features:
    input: lambda w: flow.inputs("features", w.run)
    output: f"{OUT}/features/{{run}}/manifest.json"
    log: f"{OUT}/logs/features/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/features/{{run}}.tsv"
    threads: 1
    resources: gpu=0, mem_mb=4000, runtime=60
    shell: f"cdmrun features features/{{wildcards.run}} {RUN}"


rule anchors:
    input: lambda w: flow.inputs("anchors", w.run)
    output: f"{OUT}/anchors/{{run}}/manifest.json"
    log: f"{OUT}/logs/anchors/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/anchors/{{run}}.tsv"
    threads: 1
    resources: gpu=0, mem_mb=4000, runtime=60
    shell: f"cdmrun anchor anchors/{{wildcards.run}} {RUN}"


rule teacher:
    input: lambda w: flow.inputs("teachers", w.run)
    output: f"{OUT}/teachers/{{run}}/manifest.json"
    log: f"{OUT}/logs/teachers/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/teachers/{{run}}.tsv"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=240
    priority: PRIORITY["teachers"]
    shell: f"cdmrun train teachers/{{wildcards.run}} {RUN}"


rule draws:
    input: lambda w: flow.inputs("draws", w.run)
    output: f"{OUT}/draws/{{run}}/manifest.json"
    log: f"{OUT}/logs/draws/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/draws/{{run}}.tsv"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=240
    priority: PRIORITY["draws"]
    shell: f"cdmrun draw draws/{{wildcards.run}} {RUN}"


rule labels:
    input: lambda w: flow.inputs("labels", w.run)
    output: f"{OUT}/labels/{{run}}/manifest.json"
    log: f"{OUT}/logs/labels/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/labels/{{run}}.tsv"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=240
    priority: PRIORITY["labels"]
    shell: f"cdmrun label labels/{{wildcards.run}} {RUN}"


rule student:
    input: lambda w: flow.inputs("students", w.run)
    output: f"{OUT}/students/{{run}}/manifest.json"
    log: f"{OUT}/logs/students/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/students/{{run}}.tsv"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=240
    priority: PRIORITY["students"]
    shell: f"cdmrun distill students/{{wildcards.run}} {RUN}"


rule grids:
    input: lambda w: flow.inputs("grids", w.run)
    output: f"{OUT}/grids/{{run}}/manifest.json"
    log: f"{OUT}/logs/grids/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/grids/{{run}}.tsv"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=240
    priority: PRIORITY["grids"]
    shell: f"cdmrun optimise grids/{{wildcards.run}} {RUN}"


rule samples:
    input: lambda w: flow.inputs("samples", w.run)
    output: f"{OUT}/samples/{{run}}/manifest.json"
    log: f"{OUT}/logs/samples/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/samples/{{run}}.tsv"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=240
    priority: PRIORITY["samples"]
    shell: f"cdmrun sample samples/{{wildcards.run}} {RUN}"


rule scores:
    input: lambda w: flow.inputs("scores", w.run)
    output: f"{OUT}/scores/{{run}}/manifest.json"
    log: f"{OUT}/logs/scores/{{run}}.log"
    benchmark: f"{OUT}/benchmarks/scores/{{run}}.tsv"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=240
    shell: f"cdmrun evaluate scores/{{wildcards.run}} {RUN}"


rule table:
    input:
        lambda w: flow.scores(w.experiment),
        card=lambda w: flow.card_of_table(w.experiment),
    output: multiext(f"{OUT}/tables/{{experiment}}", ".scores.csv", ".summary.csv", ".md", ".tex")
    params: spec=lambda w: flow.spec_of(w.experiment)
    log: f"{OUT}/logs/tables/{{experiment}}.log"
    benchmark: f"{OUT}/benchmarks/tables/{{experiment}}.tsv"
    threads: 1
    resources: gpu=0, mem_mb=4000, runtime=60
    shell: f"cdmrun table {{params.spec:q}} --experiment {{wildcards.experiment}} --out '{OUT}' 2>&1 | tee {{log:q}}"


rule report:
    input:
        flow.tables,
        card=flow.card_of_report(),
    output: f"{OUT}/report.html"
    log: f"{OUT}/logs/report.log"
    benchmark: f"{OUT}/benchmarks/report.tsv"
    threads: 4
    resources: gpu=0, mem_mb=4000, runtime=60
    shell: f"cdmrun report {flow.shell_specs} --out '{OUT}' --jobs {{threads}} 2>&1 | tee {{log:q}}"


onerror:
    flow.tell_how_to_go_on()
