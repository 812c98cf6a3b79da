"""The stages, as a job calls them."""

from __future__ import annotations

from cdmrun.commands.common import JOBS, RESULTS, Device, DeviceOption, Key, Out, Threads, app


def _stage(name: str, teaches: str, example: str) -> None:
    """Register the command of one stage."""

    def command(
        key: Key,
        out: Out = RESULTS,
        device: DeviceOption = Device.auto,
        threads: Threads = None,
    ) -> None:
        from cdmrun.stages.run import run_stage

        run_stage(name, key, out, device.value, threads)

    command.__doc__ = f"{teaches}\n\nExample: [cyan]cdmrun {name} {example} --out results[/cyan]"
    app.command(name, rich_help_panel=JOBS)(command)


_stage(
    "judge",
    "Train a judge on text that teachers never see; a network resumes where it stopped.",
    "judges/ngram6-kjv-1a2b3c4d",
)
_stage("features", "Make the frozen features in which samples are compared with data.", "features/digits-1a2b3c4d")
_stage("anchor", "Score real data, and independent positions.", "anchors/kjv-1a2b3c4d")
_stage("train", "Train a teacher; interrupted, it resumes where it stopped.", "teachers/network-absorbing-kjv-1a2b3c4d")
_stage(
    "draw",
    "Draw sequences from a teacher's long sampler, to train students on.",
    "draws/kjv-absorbing-64x4096-1a2b3c4d",
)
_stage(
    "label",
    "Ask a teacher for its laws of single tokens, to train students on.",
    "labels/kjv-absorbing-32768x8-1a2b3c4d",
)
_stage("distill", "Distill a student; interrupted, it resumes where it stopped.", "students/cdm-markov-kjv-1a2b3c4d")
_stage("optimise", "Find the time grids on which a sampler loses least.", "grids/analytic-kjv-1a2b3c4d")
_stage("sample", "Draw samples at every NFE, with the time each takes.", "samples/cdm-hmm-kjv-1a2b3c4d")
_stage("evaluate", "Score samples and models.", "scores/cdm-hmm-kjv-1a2b3c4d")
