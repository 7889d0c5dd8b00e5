"""`waferloom plan`: search, print, save."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from waferloom.cli.options import (
    DEFAULT_SYSTEM,
    AsJson,
    CostOptions,
    DefectsFile,
    JobOptions,
    LayoutOptions,
    SystemName,
    system_of,
)

Solver = Literal["exhaustive", "baseline:megatron1", "baseline:mesp", "baseline:fsdp"]
DEFAULT_OUT = Path("waferloom-out")


def plan(
    model: str,
    *,
    system: SystemName = DEFAULT_SYSTEM,
    job: JobOptions = JobOptions(),  # noqa: B008 - frozen
    layout: LayoutOptions = LayoutOptions(),  # noqa: B008
    cost: CostOptions = CostOptions(),  # noqa: B008
    solver: Solver = "exhaustive",
    defects: DefectsFile = None,
    alternatives: int = 5,
    out: Path = DEFAULT_OUT,
    as_json: AsJson = False,
    verbose: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Find the best way to train a model on a system, with its distance to a lower bound.

    Writes plan.json, report.json and report.html into a folder of OUT named after model and system.

    Example: `waferloom plan llama3-70b --system temp-6x8 --global-batch-size 256 --zero 1`

    Args:
        model: A preset (see `waferloom presets list`), or a Hugging Face config.json or its folder.
        system: A preset, or a system file.
        job: What is trained.
        layout: Choices to pin; everything else is searched.
        cost: What a whole run costs.
        solver: The space that is searched.
        defects: A file of dead dies and links.
        alternatives: How many other layouts to show.
        out: Where to write.
        as_json: Print the report as JSON.
        verbose: Print the assumptions behind the system.
    """
    from waferloom.cli.output import json_text, print_view, save_files, search_progress
    from waferloom.report.html import report_html
    from waferloom.report.json_report import solution_json
    from waferloom.report.terminal import solution_view
    from waferloom.search.planner import plan as find_plan
    from waferloom.search.space import pinned_space

    task, on = job.job(model), system_of(system, defects)
    with search_progress() as progress:
        solution = find_plan(
            task,
            on,
            space=pinned_space(
                solver,
                on,
                pinned=layout.pinned_degrees(),
                sequence_parallel=layout.sequence_parallel,
                zero=layout.zero,
                micro_batch_size=layout.micro_batch_size,
                recompute=layout.recompute,
                schedule=layout.schedule,
                model_chunks=layout.model_chunks,
                placement=layout.placement,
                overlap=layout.overlap_policy(),
                software=layout.software(on),
            ),
            num_alternatives=alternatives,
            progress=progress,
        )
    price = cost.cost(solution.report, on.num_dies)
    folder = out / f"{task.model.name}--{on.name}".replace("/", "_")
    document = solution_json(solution, cost=price)
    save_files(
        folder,
        {
            "plan.json": solution.plan.to_json(),
            "report.json": json_text(document),
            "report.html": report_html(solution, cost=price),
        },
    )
    if as_json:
        print(json_text(document))
    else:
        print_view(solution_view(solution, cost=price, is_verbose=verbose))
        print(f"\nSaved plan.json, report.json and report.html to {folder}")
    return 0 if solution.report.is_feasible else 1
