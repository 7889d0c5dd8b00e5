"""The commands on networks: what they print, draw and return, mistakes included."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from waferloom.cli.app import run

MESH = ("--mesh", "4x4", "--link", "100GB/s", "--latency", "500ns")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command; return exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as stop:
        run(list(arguments))
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_ring_all_reduce_takes_its_closed_form_in_every_simulator(capsys):
    code, out, _ = call(
        capsys,
        *("collective", "all_reduce", "--size", "64MB", *MESH),
        *("--algorithm", "ring", "--network", "all", "--json"),
    )
    assert code == 0
    found = json.loads(out)
    expected_s = 30 * (500e-9 + 64e6 / (32 * 100e9))
    times = {each["network"]: each for each in found["times"]}
    assert list(times) == ["bound", "queue", "fluid", "packet"]
    for name in ("bound", "queue", "fluid"):
        assert times[name]["duration_s"] == pytest.approx(expected_s, rel=1e-9)
        assert times[name]["algorithm_bytes_per_s"] == pytest.approx(64e6 / expected_s)
        # NCCL: 2 (n - 1) / n of the algorithm's rate
        assert times[name]["bus_bytes_per_s"] == pytest.approx(64e6 / expected_s * 30 / 16)
    assert expected_s <= times["packet"]["duration_s"] <= 1.2 * expected_s
    assert times["packet"]["flit_bytes"] > 0


def test_smaller_flits_bring_packets_nearer_to_streams(capsys):
    ring = ("collective", "all_reduce", "--size", "4MB", *MESH, "--algorithm", "ring", "--json")
    _, out, _ = call(capsys, *ring)
    fluid_s = json.loads(out)["shown"]["duration_s"]
    over = []
    for flit in ("16kB", "256B"):
        _, out, _ = call(capsys, *ring, "--network", "packet", "--flit", flit)
        shown = json.loads(out)["shown"]
        assert shown["flit_bytes"] == (16e3 if flit == "16kB" else 256)
        over.append(shown["duration_s"] / fluid_s - 1)
    assert 0 <= over[1] < 0.02 < over[0]


def test_the_links_of_a_ring_are_those_of_its_tour(capsys):
    arguments = ("all_gather", "--size", "16MB", *MESH, "--algorithm", "ring", "--json")
    code, out, _ = call(capsys, "collective", *arguments)
    assert code == 0
    links = json.loads(out)["links"]
    loaded = [load for load in links["load_bytes"] if load > 0]
    assert len(loaded) == 32  # 16 edges of the cycle, both directions
    assert loaded == pytest.approx([16e6 / 2 * 15 / 16] * 32)
    assert max(links["busy_share"]) <= 1


def test_best_is_no_slower_than_any_algorithm_that_suits(capsys):
    common = ("all_reduce", "--size", "1MB", *MESH, "--json")
    _, out, _ = call(capsys, "collective", *common)
    best = json.loads(out)["shown"]
    _, out, _ = call(capsys, "collective", *common, "--algorithm", "all")
    every = json.loads(out)["times"]
    assert len(every) > 4
    assert best["duration_s"] == pytest.approx(min(each["duration_s"] for each in every))


def test_groups_work_at_the_same_time(capsys):
    _, out, _ = call(capsys, "collective", "all_reduce", *MESH, "--members", "rows", "--json")
    assert json.loads(out)["groups"] == [[4 * row + col for col in range(4)] for row in range(4)]
    pair = ("--members", "0-1", "--members", "2,3")
    _, out, _ = call(capsys, "collective", "all_reduce", *MESH, *pair, "--json")
    assert json.loads(out)["groups"] == [[0, 1], [2, 3]]
    _, out, _ = call(capsys, "collective", "all_reduce", *MESH, "--members", "2x2", "--json")
    assert json.loads(out)["groups"] == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


def test_one_die_takes_no_time(capsys):
    code, out, _ = call(
        capsys, "collective", "all_reduce", *MESH, "--members", "5", "--network", "all"
    )
    assert code == 0
    assert out.count("0 s") == 4
    assert "No byte crosses a link" in out
    code, out, _ = call(
        capsys,
        *("collective", "all_to_all", "--mesh", "1x1", "--link", "1GB/s", "--latency", "1us"),
        "--json",
    )
    assert code == 0
    assert json.loads(out)["shown"]["duration_s"] == 0


def test_what_a_simulator_cannot_do_is_left_out_beside_others(capsys):
    arguments = ("collective", "point_to_point", "--members", "0,15", *MESH, "--network", "all")
    code, out, _ = call(capsys, *arguments, "--json")
    assert code == 0
    times = json.loads(out)["times"]
    exact = 6 * 500e-9 + 64e6 / 100e9
    assert [each["duration_s"] for each in times[:3]] == pytest.approx([exact] * 3)


def test_systems_and_wafers_of_wafers_are_networks_too(capsys):
    code, out, _ = call(
        capsys, "collective", "all_gather", "--system", "dgx-h100:2", "--algorithm", "hierarchical"
    )
    assert code == 0
    assert "16 devices" in out
    outer = ("--outer-link", "25GB/s", "--outer-latency", "1us")
    code, out, _ = call(
        capsys,
        *("collective", "all_to_all", "--mesh", "1x2@2x2", *MESH[2:], *outer, "--json"),
    )
    assert code == 0
    # Each of 4 dies sends half of its 64 MB over 2 facing pairs.
    assert json.loads(out)["shown"]["duration_s"] >= 4 * 32e6 / 2 / 25e9


def test_random_faults_are_the_same_for_the_same_seed(capsys):
    found = []
    for seed in ("1", "1", "2"):
        arguments = (*MESH, "--faults", f"links=3,dies=1,seed={seed}", "--json")
        code, out, _ = call(capsys, "collective", "all_reduce", *arguments)
        assert code == 0
        found.append(json.loads(out))
    assert len(found[0]["groups"][0]) == 15
    # 24 links, less the 2 to 4 of the dead die, less 3, in both directions
    assert 2 * (24 - 4 - 3) <= len(found[0]["links"]["source"]) <= 2 * (24 - 2 - 3)
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_plot_draws_every_die_and_every_link(capsys, here: Path):
    arguments = ("collective", "all_to_all", *MESH, "--plot", "mesh.svg")
    code, _, _ = call(capsys, *arguments)
    assert code == 0
    tree = ElementTree.parse(here / "mesh.svg")
    name = "{http://www.w3.org/2000/svg}"
    lines = [each for each in tree.iter(f"{name}line") if each.get("class", "").startswith("h")]
    assert len(lines) == 48
    labels = [each.text for each in tree.iter(f"{name}text") if each.get("class") == "die"]
    assert labels == [str(die) for die in range(16)]
    assert any(
        "all_to_all of 64 MB on 4x4" in (each.text or "") for each in tree.iter(f"{name}text")
    )
    classes = {each.get("class") for each in lines}
    assert "h8" in classes
    assert "href" not in (here / "mesh.svg").read_text()


def test_a_plot_as_png_is_a_png(capsys, here: Path):
    pytest.importorskip("matplotlib")
    for arguments in (
        ("collective", "all_to_all", *MESH, "--plot", "mesh.png"),
        ("traffic", "uniform", "--mesh", "3x3", "--rate", "0.1", "--plot", "load.png"),
        ("collective", "all_gather", "--system", "dgx-h100:2", "--plot", "nodes.png"),
    ):
        code, _, err = call(capsys, *arguments)
        assert (code, err) == (0, "")
        assert (here / arguments[-1]).read_bytes().startswith(b"\x89PNG")


def test_light_traffic_arrives_after_the_latency_of_empty_routers(capsys):
    code, out, _ = call(capsys, "traffic", "neighbour", "--mesh", "4x4", "--rate", "0.01", "--json")
    assert code == 0
    found = json.loads(out)
    [point] = found["points"]
    # 6 + 4 cycles a hop, as BookSim's routers with these parameters; collisions are rare
    assert point["latency_cycles"] == pytest.approx(10, rel=0.02)
    assert point["accepted"] == pytest.approx(0.01, rel=0.1)
    assert point["is_stable"]


def test_transpose_is_limited_by_the_links_of_the_diagonal(capsys, here: Path):
    arguments = ("traffic", "transpose", "--mesh", "4x4", "--rate", "0.2", "--rate", "0.6")
    code, out, _ = call(capsys, *arguments, "--plot", "load.svg", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["limit"] == pytest.approx(1 / 3)  # XY sends three messages over one link there
    assert [point["is_stable"] for point in found["points"]] == [True, False]
    assert found["saturation"] <= 1.02 / 3
    tree = ElementTree.parse(here / "load.svg")
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}polyline"))) == 2


def test_traffic_on_links_with_bandwidth_counts_in_flits_of_their_size(capsys):
    arguments = ("traffic", "uniform", "--rate", "0.1", *MESH, "--flit", "10kB", "--json")
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    found = json.loads(out)
    assert found["cycle_s"] == pytest.approx(100e-9)
    # 2.5 hops on average, each at least the 5 cycles of its latency
    assert found["points"][0]["latency_cycles"] > 12.5


LINKS = MESH[2:]
MISTAKES = {
    "zero bandwidth": (
        ("collective", "all_reduce", "--mesh", "4x4", "--link", "0GB/s", "--latency", "1us"),
        "--link 0GB/s carries nothing",
    ),
    "bandwidth without unit": (
        ("collective", "all_reduce", "--mesh", "4x4", "--link", "100", "--latency", "1us"),
        "--link 100 has no unit: write 100GB/s, or 100B/s if you mean that",
    ),
    "size without unit": (
        ("collective", "all_reduce", *MESH, "--size", "64"),
        "--size 64 has no unit: write 64MB, or 64B if you mean that",
    ),
    "size with another unit": (
        ("collective", "all_reduce", *MESH, "--size", "64GB/s"),
        "'GB/s' is not a unit of bytes",
    ),
    "empty flit": (
        ("collective", "all_reduce", *MESH, "--flit", "0B"),
        "--flit 0B carries nothing",
    ),
    "no size": (("collective", "all_reduce", *MESH, "--size", "0MB"), "--size 0MB moves nothing"),
    "latency before now": (
        ("collective", "all_reduce", "--mesh", "4x4", "--link", "1GB/s", "--latency=-1us"),
        "at least 0",
    ),
    "no links": (("collective", "all_reduce", "--mesh", "4x4"), "needs --link, --latency"),
    "no outer links": (
        ("collective", "all_reduce", "--mesh", "2x2@4x4", *LINKS),
        "needs --outer-link, --outer-latency",
    ),
    "links of a system": (("collective", "all_reduce", *LINKS), "add --mesh"),
    "outer links of one wafer": (
        ("collective", "all_reduce", *MESH, "--outer-link", "1GB/s"),
        "drop them",
    ),
    "mesh and system": (
        ("collective", "all_reduce", *MESH, "--system", "temp-6x8"),
        "exclude each other",
    ),
    "no mesh": (("collective", "all_reduce", "--mesh", "8 by 8", *LINKS), "rows x columns"),
    "empty mesh": (("collective", "all_reduce", "--mesh", "0x8", *LINKS), "outside 1.."),
    "huge mesh": (("collective", "all_reduce", "--mesh", "99999x99999", *LINKS), "outside 1.."),
    "member outside": (
        ("collective", "all_reduce", *MESH, "--members", "0-3,16"),
        "die 16 is outside 4x4, which has dies 0..15",
    ),
    "duplicate members": (
        ("collective", "all_reduce", *MESH, "--members", "0-3,2"),
        "die 2, but it is twice in one group",
    ),
    "members in words": (
        ("collective", "all_reduce", *MESH, "--members", "the corner"),
        "write all, rows, columns",
    ),
    "backward range": (("collective", "all_reduce", *MESH, "--members", "5-2"), "write 2-5"),
    "block too large": (
        ("collective", "all_reduce", *MESH, "--members", "5x1"),
        "4x4 has 4 x 4 dies",
    ),
    "disconnected": (
        (
            *("collective", "all_reduce", "--mesh", "1x4", *LINKS),
            *("--faults", "links=1", "--members", "all"),
        ),
        "defects cut one off from the other",
    ),
    "all dead": (("collective", "all_reduce", *MESH, "--faults", "dies=16"), "one must be left"),
    "faults in words": (("collective", "all_reduce", *MESH, "--faults", "many"), "links=3"),
    "no faults": (("collective", "all_reduce", *MESH, "--faults", "seed=3"), "kill nothing"),
    "unknown kind": (("collective", "all_reduced", *MESH), "all-reduce"),
    "unknown algorithm": (
        ("collective", "all_reduce", *MESH, "--algorithm", "rnig"),
        "did you mean ring?",
    ),
    "unsuitable algorithm": (
        ("collective", "all_reduce", *MESH, "--algorithm", "hierarchical"),
        "does not suit these groups",
    ),
    "unknown network": (("collective", "all_reduce", *MESH, "--network", "exact"), "bound"),
    "unknown routing": (("collective", "all_reduce", *MESH, "--routing", "zigzag"), "routing"),
    "too many messages": (
        ("collective", "all_to_all", "--mesh", "80x80", *LINKS),
        "ask for the bound",
    ),
    "one partner": (("collective", "point_to_point", *MESH), "add --members"),
    "three partners": (
        ("collective", "point_to_point", *MESH, "--members", "0-2"),
        "joins two dies",
    ),
    "plot of another kind": (
        ("collective", "all_reduce", *MESH, "--plot", "mesh.pdf"),
        ".svg or .png",
    ),
    "plot in no folder": (
        ("collective", "all_reduce", *MESH, "--plot", "no/mesh.svg"),
        "cannot write no/mesh.svg",
    ),
    "unknown pattern": (("traffic", "unifrom", "--mesh", "4x4"), "did you mean uniform?"),
    "rate too high": (("traffic", "uniform", "--mesh", "4x4", "--rate", "1.5"), "outside (0, 1]"),
    "no rate": (("traffic", "uniform", "--mesh", "4x4", "--rate", "0"), "outside (0, 1]"),
    "oblong transpose": (("traffic", "transpose", "--mesh", "4x8"), "as many rows as columns"),
    "no channel": (
        ("traffic", "uniform", "--mesh", "4x4", "--virtual-channels", "0"),
        "at least 1 of each",
    ),
    "long links": (
        ("traffic", "uniform", "--system", "temp-6x8", "--flit", "32B"),
        "use larger flits",
    ),
    "dead partner": (
        ("traffic", "bit-complement", "--mesh", "4x4", "--faults", "dies=1"),
        "sends to dies that are dead",
    ),
    "no data": (("validate", "network", "--data", "/no/such/folder"), "/no/such/folder"),
    "empty data": (("validate", "network", "--data", "."), "net_reference_astrasim.csv"),
    "no measurements": (("validate", "collectives", "--data", "."), "comm_nccl_intranode.csv"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_exit_code_2(capsys, here: Path, mistake: str):
    arguments, message = MISTAKES[mistake]
    code, out, err = call(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert list(here.iterdir()) == []


def test_help_loads_no_simulator():
    script = "import sys; from waferloom.cli.app import run\n" + "\n".join(
        [
            "try: run(['--help'])",
            "except SystemExit: pass",
            "assert 'numba' not in sys.modules and 'matplotlib' not in sys.modules",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "collective" in done.stdout
    assert "traffic" in done.stdout
