"""`waferloom collective`: one collective on one network."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from waferloom.cli.network_options import NetworkOptions, quantity
from waferloom.cli.options import AsJson
from waferloom.communication import CollectiveKind

Fidelity = Literal["bound", "queue", "fluid", "packet", "all"]


def collective(
    kind: CollectiveKind,
    *,
    size: str = "64MB",
    network: Fidelity = "fluid",
    algorithm: str = "best",
    members: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    on: NetworkOptions = NetworkOptions(),  # noqa: B008 - frozen
    routing: str = "xy",
    flit: str | None = None,
    plot: Path | None = None,
    as_json: AsJson = False,
) -> int:
    """Time a collective on a mesh or a system: what it takes, and which links are hot.

    Example: `waferloom collective all_reduce --size 64MB --mesh 8x8 --link 100GB/s --latency 500ns
    --network all`

    Args:
        kind: What is done.
        size: The vector of each member before a reduction, or after a gathering; of an all-to-all,
            what one member holds.
        network: Level of detail of the simulation; all shows them side by side.
        algorithm: Such as ring or two_dimensional; best is the fastest here, all shows every one.
        members: all, rows, columns, a block such as 2x4, or numbers of dies such as 0-7,12, counted
            row by row. Give the option several times for groups that work at once.
        on: The network.
        routing: How messages find their way: xy, yx, o1turn, west_first, odd_even, up_down or
            fault_aware.
        flit: Its size in the packet simulator, such as 256B; by default as small as takes seconds.
        plot: Draw the links and their load into this .svg or .png file.
        as_json: Print everything as JSON.
    """
    from waferloom.cli.output import json_text, print_view
    from waferloom.errors import SpecError
    from waferloom.network.simulators import SIMULATORS
    from waferloom.network.topology import build_topology
    from waferloom.report.network_plot import save_link_plot
    from waferloom.report.network_view import collective_json, collective_view
    from waferloom.studies.collective_run import run_collective
    from waferloom.studies.network_spelling import member_groups
    from waferloom.units import Dimension

    size_bytes = quantity("--size", size, Dimension.BYTES)
    if size_bytes <= 0:
        msg = f"--size {size} moves nothing; give a size above 0"
        raise SpecError(msg)
    flit_bytes = None if flit is None else quantity("--flit", flit, Dimension.BYTES)
    if flit_bytes is not None and flit_bytes <= 0:
        msg = f"--flit {flit} carries nothing; give a size above 0"
        raise SpecError(msg)
    system = on.network()
    topology = build_topology(system)
    if kind is CollectiveKind.POINT_TO_POINT and not members:
        msg = "point_to_point needs its two dies: add --members, such as --members 0,7"
        raise SpecError(msg)
    run = run_collective(
        system,
        topology,
        member_groups(topology, members or ("all",)),
        kind,
        size_bytes,
        algorithm=algorithm,
        networks=tuple(SIMULATORS) if network == "all" else (network,),
        routing=routing,
        flit_bytes=flit_bytes,
    )
    if plot is not None:
        save_link_plot(run, plot)
    print(json_text(collective_json(run))) if as_json else print_view(collective_view(run))
    return 0
