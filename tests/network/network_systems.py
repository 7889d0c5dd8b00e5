"""Small systems for the network's tests."""

from waferloom.hardware.spec import (
    CoreArraySpec,
    DefectMap,
    DieSpec,
    Interconnect,
    LinkSpec,
    MemorySpec,
    MeshSpec,
    Source,
    SwitchedSpec,
    SystemSpec,
    TorusSpec,
    WaferGridSpec,
)

LINK = LinkSpec(bandwidth_bytes_per_s=1e12, latency_s=100e-9, energy_j_per_byte=4e-11)
SLOW_LINK = LinkSpec(bandwidth_bytes_per_s=0.25e12, latency_s=700e-9, energy_j_per_byte=9e-11)

DIE = DieSpec(
    name="die",
    peak_flops_per_s={"bf16": 1e14},
    vector_flops_per_s=1e13,
    sram_bytes=1e8,
    clock_hz=1e9,
    cores=CoreArraySpec(rows=4, cols=4, tile_shapes=((16, 16),), sram_bytes=1e6),
    memory=MemorySpec(capacity_bytes=1e10, bandwidth_bytes_per_s=1e12),
)


def system_of(interconnect: Interconnect, defects: DefectMap | None = None) -> SystemSpec:
    return SystemSpec(
        name="test system",
        die=DIE,
        interconnect=interconnect,
        defects=defects or DefectMap(),
        source=(Source(title="test"),),
    )


def mesh(rows: int, cols: int, defects: DefectMap | None = None, link: LinkSpec = LINK):
    return system_of(MeshSpec(kind="mesh", rows=rows, cols=cols, link=link), defects)


def torus(*shape: int, num_slices: int = 1, defects: DefectMap | None = None):
    return system_of(
        TorusSpec(
            kind="torus",
            shape=shape,
            link=LINK,
            num_slices=num_slices,
            slice_link=SLOW_LINK if num_slices > 1 else None,
        ),
        defects,
    )


def wafers(wafer_rows: int, wafer_cols: int, rows: int, cols: int, defects=None):
    return system_of(
        WaferGridSpec(
            kind="wafer_grid",
            wafer_rows=wafer_rows,
            wafer_cols=wafer_cols,
            rows=rows,
            cols=cols,
            link=LINK,
            wafer_link=SLOW_LINK,
        ),
        defects,
    )


def switched(num_nodes: int, devices_per_node: int, defects=None):
    return system_of(
        SwitchedSpec(
            kind="switched",
            num_nodes=num_nodes,
            devices_per_node=devices_per_node,
            link=LINK,
            scale_out_link=SLOW_LINK if num_nodes > 1 else None,
        ),
        defects,
    )


EVERY_SYSTEM = {
    "mesh 4x5": mesh(4, 5),
    "row of 6": mesh(1, 6),
    "torus 4x4": torus(4, 4),
    "torus 3x4x2": torus(3, 4, 2),
    "two torus slices": torus(2, 4, num_slices=2),
    "2x2 wafers of 2x3": wafers(2, 2, 2, 3),
    "one node": switched(1, 8),
    "three nodes of four": switched(3, 4),
    "five nodes of one": switched(5, 1),
    "damaged mesh": mesh(
        5,
        5,
        DefectMap(dead_dies=((1, 1), (2, 3)), dead_links=(((0, 3), (0, 4)), ((3, 0), (4, 0)))),
    ),
    "damaged torus": torus(4, 4, defects=DefectMap(dead_dies=((1, 2),))),
}
