"""Options of commands that look at a network by itself: which one, and what is broken in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cyclopts import Parameter

if TYPE_CHECKING:
    from waferloom.hardware.spec import LinkSpec, SystemSpec
    from waferloom.units import Dimension

DEFAULT_SYSTEM: Final = "temp-6x8"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """A network by its shape and links, or that of a system.

    Attributes:
        mesh: Dies such as `8x8`, wafers of dies such as `2x2@8x8`, or `torus:4x4x4`.
        link: Bandwidth of every link of the mesh, one direction, such as 100GB/s.
        latency: Of every link of the mesh, such as 500ns.
        outer_link: Bandwidth between wafers, for each pair of dies that face each other.
        outer_latency: Between wafers.
        system: A preset or a system file, instead of a mesh; by default temp-6x8.
        faults: Random ones, such as `links=3,dies=1,seed=7`.
        defects: A file of dead dies and links.
    """

    mesh: str | None = None
    link: str | None = None
    latency: str | None = None
    outer_link: str | None = None
    outer_latency: str | None = None
    system: str | None = None
    faults: str | None = None
    defects: Path | None = None

    def network(self, *, in_flits: bool = False) -> "SystemSpec":
        """Return the network with its faults.

        Args:
            in_flits: Links need not be described: they then pass a flit per cycle.

        Raises:
            SpecError: Options that are missing, contradict each other or mean nothing.
        """
        from waferloom.hardware import read_defects, with_defects
        from waferloom.studies.network_spelling import with_faults

        found = self._healthy(in_flits=in_flits)
        if self.defects is not None:
            found = with_defects(found, read_defects(self.defects))
        return found if self.faults is None else with_faults(found, self.faults)

    def _healthy(self, *, in_flits: bool) -> "SystemSpec":
        from waferloom.errors import SpecError
        from waferloom.hardware import system
        from waferloom.hardware.spec import LinkSpec
        from waferloom.studies.network_spelling import network_system

        links = {
            "--link": self.link,
            "--latency": self.latency,
            "--outer-link": self.outer_link,
            "--outer-latency": self.outer_latency,
        }
        given = [name for name, value in links.items() if value is not None]
        if self.mesh is None:
            if given:
                msg = (
                    f"{', '.join(given)} describe a mesh: add --mesh, such as --mesh 8x8 (a "
                    "system brings its own links)"
                )
                raise SpecError(msg)
            return system(self.system or DEFAULT_SYSTEM)
        if self.system is not None:
            msg = f"--mesh {self.mesh} and --system {self.system} exclude each other; drop one"
            raise SpecError(msg)
        if in_flits and not given:
            unit = LinkSpec(bandwidth_bytes_per_s=1.0, latency_s=0.0)
            return network_system(self.mesh, unit, unit)
        needed = ["--link", "--latency"]
        needed += ["--outer-link", "--outer-latency"] if "@" in self.mesh else []
        missing = [name for name in needed if name not in given]
        if missing:
            example = " ".join(f"{name} {_EXAMPLES[name]}" for name in missing)
            msg = f"--mesh {self.mesh} needs {', '.join(missing)}, such as {example}"
            raise SpecError(msg)
        idle = [name for name in given if name not in needed]
        if idle:
            msg = f"{', '.join(idle)} join wafers, but --mesh {self.mesh} has one; drop them"
            raise SpecError(msg)
        outer = _link(self.outer_link, self.outer_latency, "--outer-link", "--outer-latency")
        inner = _link(self.link, self.latency, "--link", "--latency")
        assert inner is not None, "both were found above"
        return network_system(self.mesh, inner, outer)


_EXAMPLES: Final = {
    "--link": "100GB/s",
    "--latency": "500ns",
    "--outer-link": "25GB/s",
    "--outer-latency": "1us",
}


def quantity(option: str, text: str, dimension: "Dimension") -> float:
    """Read the value of an option, which has to carry its unit.

    A bare number is refused: `--size 64` is meant as 64 MB more often than as 64 bytes.

    Raises:
        SpecError: No unit, or no quantity of this dimension.
    """
    from waferloom.errors import SpecError
    from waferloom.units import parse_quantity

    try:
        value = parse_quantity(text, dimension)
    except ValueError as error:
        msg = f"{option}: {error}"
        raise SpecError(msg) from None
    if text.strip()[-1:].isdigit() or text.strip().endswith("."):
        base, larger = {"bytes": ("B", "MB"), "bandwidth": ("B/s", "GB/s"), "time": ("s", "ns")}[
            dimension.value
        ]
        msg = f"{option} {text} has no unit: write {text}{larger}, or {text}{base} if you mean that"
        raise SpecError(msg)
    return value


def _link(
    bandwidth: str | None, latency: str | None, bandwidth_name: str, latency_name: str
) -> "LinkSpec | None":
    from waferloom.errors import SpecError
    from waferloom.hardware.spec import LinkSpec
    from waferloom.units import Dimension

    if bandwidth is None or latency is None:
        return None
    bandwidth_bytes_per_s = quantity(bandwidth_name, bandwidth, Dimension.BANDWIDTH)
    latency_s = quantity(latency_name, latency, Dimension.TIME)
    if bandwidth_bytes_per_s <= 0:
        msg = f"{bandwidth_name} {bandwidth} carries nothing; a link needs a bandwidth above 0"
        raise SpecError(msg)
    if latency_s < 0:
        msg = f"{latency_name} {latency} is before now; a link needs a latency of at least 0"
        raise SpecError(msg)
    return LinkSpec(bandwidth_bytes_per_s=bandwidth_bytes_per_s, latency_s=latency_s)
