"""`waferloom compare`: systems and strategies side by side."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from waferloom.cli.options import (
    DEFAULT_SYSTEM,
    AsJson,
    CostOptions,
    JobOptions,
    LayoutOptions,
    system_of,
)

if TYPE_CHECKING:
    from waferloom.simulate.training_cost import TrainingCost


def compare(
    model: str,
    *,
    systems: Annotated[tuple[str, ...], Parameter(name="--system")] = (DEFAULT_SYSTEM,),
    strategies: Annotated[tuple[str, ...], Parameter(name="--strategies")] = ("exhaustive",),
    job: JobOptions = JobOptions(),  # noqa: B008 - frozen
    cost: CostOptions = CostOptions(),  # noqa: B008
    stack: str = "ideal",
    as_json: AsJson = False,
) -> int:
    """Put systems and strategies side by side, each with the best plan of its space.

    Example: `waferloom compare llama3-70b --system temp-6x8 --system dgx-h100:6 --strategies
    exhaustive
    --strategies baseline:fsdp`

    Args:
        model: A preset, or a Hugging Face config.json or its folder.
        systems: Presets or system files; give the option once for each.
        strategies: Solvers (exhaustive, baseline:megatron1, baseline:mesp, baseline:fsdp), or
            `all`.
        job: What is trained.
        cost: What a whole run costs.
        stack: Training software whose losses are charged on GPU clusters, as fitted by `waferloom
            validate training`; no stack has been measured on a wafer.
        as_json: Print the comparison as JSON.
    """
    from dataclasses import replace

    from waferloom.cli.output import json_text, print_view, search_progress
    from waferloom.hardware.spec import SwitchedSpec
    from waferloom.report.json_report import comparison_json
    from waferloom.report.terminal import Contender, comparison_view
    from waferloom.search.planner import plan
    from waferloom.search.space import SPACES, space_named

    charged = LayoutOptions(stack=stack)
    task = job.job(model)
    names = tuple(SPACES) if "all" in strategies else strategies
    on = [system_of(name, None) for name in systems]
    for name in names:
        space_named(name, on[0])  # an unknown name is refused before the first search
    contenders: list[Contender] = []
    prices: list[TrainingCost | None] = []
    with search_progress() as progress:
        for system in on:
            for name in names:
                space = space_named(name, system)
                if isinstance(system.interconnect, SwitchedSpec):
                    space = replace(
                        space, software=charged.software(system), overlap=charged.overlap_policy()
                    )
                solution = plan(task, system, space=space, progress=progress)
                label = system.name if len(names) == 1 else f"{system.name} {name}"
                contenders.append(Contender(name=label, plan=solution.plan, report=solution.report))
                prices.append(cost.cost(solution.report, system.num_dies))
    if as_json:
        print(json_text(comparison_json(contenders, costs=prices)))
    else:
        print_view(comparison_view(contenders, costs=prices))
    return 0 if any(each.report.is_feasible for each in contenders) else 1
