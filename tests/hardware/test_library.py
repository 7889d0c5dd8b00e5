"""Reading systems: sizes after a colon, files on other systems, and faults told all at once."""

from pathlib import Path

import pytest

from waferloom.errors import SpecError
from waferloom.hardware import preset_names, preset_text, system
from waferloom.hardware.spec import SwitchedSpec, TorusSpec, WaferGridSpec


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def message_of(name_or_path: str | Path) -> str:
    with pytest.raises(SpecError) as raised:
        system(name_or_path)
    return str(raised.value)


def test_every_preset_survives_being_copied_to_a_file(tmp_path: Path) -> None:
    for name in preset_names():
        assert system(written(tmp_path, preset_text(name))) == system(name)


def test_a_file_is_found_by_path_or_text(tmp_path: Path) -> None:
    path = written(tmp_path, 'extends = "temp-6x8"\nname = "mine"')
    assert system(path) == system(str(path))
    assert system(path).name == "mine"


def test_a_size_after_the_colon_replaces_the_one_of_the_file(tmp_path: Path) -> None:
    assert system("dgx-h100:16").grid_shape == (16, 8)
    assert system("dgx-h100:16").name == "dgx-h100:16"
    slices = system("tpu-v5e:4").interconnect
    assert isinstance(slices, TorusSpec)
    assert slices.num_slices == 4
    assert system("tpu-v5p:4x4x8").num_dies == 128
    wafers = system("temp-wafers:2x3").interconnect
    assert isinstance(wafers, WaferGridSpec)
    assert (wafers.wafer_rows, wafers.wafer_cols) == (2, 3)
    assert system("temp-wafers:6").num_dies == 6 * 48
    path = written(tmp_path, 'extends = "dgx-a100"\nname = "mine"')
    assert system(f"{path}:2").num_dies == 16


def test_a_size_leaves_everything_else_alone() -> None:
    few, many = system("dgx-h100:1"), system("dgx-h100:7")
    assert few.die == many.die == system("dgx-h100").die
    assert few.assumptions == many.assumptions


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dgx-h100:", "positive whole number"),
        ("dgx-h100:0", "positive whole number"),
        ("dgx-h100:x", "positive whole number"),
        ("dgx-h100:2x2", "one number, its nodes"),
        ("temp-6x8:2", "one wafer takes no size"),
        ("tpu-v5p:4x4", "as many as its shape has"),
        ("temp-wafers:2x2x2", "rows x columns of wafers"),
        ("temp-6x9", "did you mean temp-6x8"),
        ("dgx-h10:4", "did you mean dgx-h100"),
        ("nowhere/mine.toml", "there is no file"),
    ],
)
def test_a_name_that_means_nothing_is_told_so(name: str, words: str) -> None:
    assert words in message_of(name)


def test_a_folder_is_no_system(tmp_path: Path) -> None:
    assert "cannot be read" in message_of(tmp_path)


def test_a_syntax_error_has_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'name = "mine"\nrows = = 4\n')
    assert "line 2" in message_of(path)


def test_all_faults_of_a_file_come_in_one_message(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        extends = "temp-6x8"
        nmae = "mine"
        [die]
        sram_bytes = "80 GHz"
        vector_flops_per_s = 0
        [die.memroy]
        capacity_bytes = 1
        [die.cores]
        tile_shapes = [[0, 64]]
        [die.peak_flops_per_s]
        bf17 = 1
        fp8 = -1
        [interconnect]
        rows = 0
        [interconnect.link]
        latency = 1
        [defects]
        dead_core_fraction = 1.0
        [assumptions]
        "die.sram_byts" = "guess"
        """,
    )
    lines = message_of(path).splitlines()
    assert lines[0] == f"{path} does not describe a system:"
    faults = {line.removeprefix("  - ") for line in lines[1:]}
    for fault in (
        "unknown key nmae; did you mean name?",
        "unknown key die.memroy; did you mean memory?",
        "die.vector_flops_per_s must be above 0, found 0.0",
        "die.peak_flops_per_s.bf17 has 'bf17'; did you mean bf16?",
        "die.peak_flops_per_s.fp8 must be above 0, found -1",
        "interconnect.rows must be above 0, found 0",
        "unknown key interconnect.link.latency; did you mean latency_s?",
        "defects.dead_core_fraction must be below 1, found 1.0",
        "assumptions: 'die.sram_byts' is no key of this file; did you mean die.sram_bytes or"
        " die.cores.sram_bytes?",
    ):
        assert fault in faults
    assert any(f.startswith("die.sram_bytes: '80 GHz'") and "MiB" in f for f in faults)
    assert any("die.cores.tile_shapes" in f for f in faults)
    assert len(faults) == 11


def test_a_misspelt_key_is_not_also_called_missing(tmp_path: Path) -> None:
    text = preset_text("temp-6x8").replace("capacity_bytes =", "capacty_bytes =")
    message = message_of(written(tmp_path, text))
    assert "unknown key die.memory.capacty_bytes; did you mean capacity_bytes?" in message
    assert "missing" not in message


def test_a_missing_key_is_named_with_its_table(tmp_path: Path) -> None:
    text = preset_text("temp-6x8").replace('capacity_bytes = "72 GB"', "")
    assert "missing key die.memory.capacity_bytes" in message_of(written(tmp_path, text))


def test_an_unknown_kind_of_interconnect_suggests_the_right_one(tmp_path: Path) -> None:
    text = preset_text("temp-6x8").replace('kind = "mesh"', 'kind = "mehs"')
    assert "interconnect.kind = 'mehs' is unknown; did you mean mesh?" in message_of(
        written(tmp_path, text)
    )


def test_an_interconnect_without_kind_is_told_so(tmp_path: Path) -> None:
    text = preset_text("temp-6x8").replace('kind = "mesh"', "")
    assert "missing key interconnect.kind" in message_of(written(tmp_path, text))


def test_many_nodes_need_a_link_between_them(tmp_path: Path) -> None:
    text = preset_text("dgx-a100")
    start, end = text.index("[interconnect.scale_out_link]"), text.index("[[source]]")
    message = message_of(written(tmp_path, text[:start] + text[end:]))
    assert "interconnect: more than one node needs a scale_out_link" in message


def test_extending_merges_tables_and_forgets_what_no_longer_holds(tmp_path: Path) -> None:
    base = system("temp-6x8")
    path = written(
        tmp_path,
        """
        extends = "temp-6x8"
        name = "mine"
        [die.memory]
        bandwidth_bytes_per_s = "2 TB/s"
        [die.cores]
        rows = 11
        """,
    )
    mine = system(path)
    assert mine.die.memory.bandwidth_bytes_per_s == 2e12
    assert mine.die.memory.capacity_bytes == base.die.memory.capacity_bytes
    assert mine.interconnect == base.interconnect
    gone = set(base.assumptions) - set(mine.assumptions)
    assert gone == {"die.memory.bandwidth_bytes_per_s", "die.cores"}


def test_extending_with_another_kind_starts_the_table_afresh(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        extends = "dgx-a100"
        name = "mine"
        [interconnect]
        kind = "mesh"
        rows = 2
        cols = 2
        [interconnect.link]
        bandwidth_bytes_per_s = "1 TB/s"
        latency_s = "100 ns"
        """,
    )
    assert system(path).grid_shape == (2, 2)
    assert isinstance(system("dgx-a100").interconnect, SwitchedSpec)


def test_files_extend_files_beside_them_and_circles_are_refused(tmp_path: Path) -> None:
    written(tmp_path, 'extends = "temp-4x8"\nname = "base"', "base.toml")
    top = written(tmp_path, 'extends = "base.toml"\nname = "top"', "top.toml")
    assert system(top).grid_shape == (4, 8)
    written(tmp_path, 'extends = "top.toml"\nname = "base"', "base.toml")
    assert "break the circle" in message_of(top)
    assert "must be the name" in message_of(written(tmp_path, "extends = 3"))
