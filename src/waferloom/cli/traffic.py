"""`waferloom traffic`: latency against load of synthetic traffic."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waferloom.cli.network_options import NetworkOptions
from waferloom.cli.options import AsJson


def traffic(
    pattern: str,
    *,
    on: NetworkOptions = NetworkOptions(),  # noqa: B008 - frozen
    rate: Annotated[tuple[float, ...], Parameter(negative="")] = (),
    routing: str = "xy",
    virtual_channels: int = 8,
    buffer_flits: int | None = None,
    packet_flits: int = 1,
    flit: str = "4kB",
    seed: int = 42,
    plot: Path | None = None,
    as_json: AsJson = False,
) -> int:
    """Measure latency against load of synthetic traffic, in the packet simulator.

    Example: `waferloom traffic uniform --mesh 8x8 --rate 0.1 --rate 0.3 --rate 0.4`

    Args:
        pattern: uniform, transpose, bit_complement, hotspot or neighbour.
        on: The network. A mesh without --link and --latency passes a flit per cycle and link.
        rate: Flits offered per die and cycle, above 0 and at most 1; give the option several times.
            By default a curve up to what links and ports allow.
        routing: How messages find their way: xy, yx, o1turn, west_first, odd_even, up_down or
            fault_aware.
        virtual_channels: Of each link.
        buffer_flits: Of each virtual channel; by default 8, or what a round trip of credits needs
            on links with latencies.
        packet_flits: Flits of a packet.
        flit: Its size, where links have bandwidths: what one cycle of the simulation moves.
        seed: Of the random cycles and destinations.
        plot: Draw the curve into this .svg or .png file.
        as_json: Print everything as JSON.
    """
    from dataclasses import replace

    from waferloom.cli.network_options import quantity
    from waferloom.cli.output import json_text, print_view
    from waferloom.errors import SpecError
    from waferloom.network.topology import build_topology
    from waferloom.report.load_plot import save_load_plot
    from waferloom.report.network_view import load_json, load_view
    from waferloom.studies.traffic_curve import WORMHOLE, load_curve
    from waferloom.units import Dimension

    router = {
        "--virtual-channels": virtual_channels,
        "--buffer-flits": buffer_flits,
        "--packet-flits": packet_flits,
    }
    wrong = [f"{name} {value}" for name, value in router.items() if value is not None and value < 1]
    if wrong:
        msg = f"{', '.join(wrong)}: a router needs at least 1 of each"
        raise SpecError(msg)
    flit_bytes = quantity("--flit", flit, Dimension.BYTES)
    if flit_bytes <= 0:
        msg = f"--flit {flit} carries nothing; give a size above 0"
        raise SpecError(msg)
    topology = build_topology(on.network(in_flits=True))
    in_flits = on.mesh is not None and on.link is None
    buffer = WORMHOLE.buffer_flits if in_flits and buffer_flits is None else buffer_flits
    curve = load_curve(
        topology,
        pattern.replace("-", "_"),
        rate,
        flit_bytes=None if in_flits else flit_bytes,
        routing=routing,
        model=replace(
            WORMHOLE, num_vcs=virtual_channels, buffer_flits=buffer, packet_flits=packet_flits
        ),
        seed=seed,
    )
    if plot is not None:
        save_load_plot(curve, plot)
    print(json_text(load_json(curve))) if as_json else print_view(load_view(curve))
    return 0
