"""The page is complete, needs nothing from outside, and shows the numbers of the records."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waferloom.errors import PlanError
from waferloom.hardware import system
from waferloom.mapping.layout import network_of
from waferloom.mapping.plan import Plan, plan_from_json
from waferloom.network.topology import build_topology
from waferloom.report.html import plan_html, report_html, save_report
from waferloom.report.html.charts import ENERGY_COLOURS, TIME_COLOURS
from waferloom.report.html.die_layout import DIE, die_layout, drawn_links
from waferloom.report.html.link_map import busiest_link_of_dies, heat_steps
from waferloom.report.html.markup import element, ink_on, raw, words
from waferloom.report.html.pipeline_chart import PASS_COLOURS, pipeline_run
from waferloom.report.wording import num_bytes, percent, seconds
from waferloom.simulate.records import StepReport, TimePart
from waferloom.simulate.step import simulate_plan
from waferloom.simulate.training_cost import training_cost

KINDS = ["wafer", "infeasible", "interleaved", "zero_bubble_moe", "cluster", "torus"]
GRIDS = ["temp-6x8", "temp-wafers", "tpu-v5e", "tpu-v5p", "dgx-h100", "gb200-nvl72", "dojo-tile"]
SECTIONS = {"strategy", "time", "memory", "map", "assumptions", "sources"}
MAX_BYTES = 1_000_000


class Outline(HTMLParser):
    """What a page is made of; fails on elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.titles: list[str] = []
        self.classes: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.classes += (found.get("class") or "").split()
        self.addresses += [found[name] for name in ("href", "src", "action") if name in found]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "title":
            self.titles.append(data)


@pytest.fixture(scope="session")
def pages(plans: dict[str, tuple[Plan, StepReport]]) -> dict[str, str]:
    return {name: plan_html(plan, report) for name, (plan, report) in plans.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_small_whole_and_refers_to_nothing_outside(pages, kind):
    text = pages[kind]
    outline = Outline(text)
    assert len(text.encode()) < MAX_BYTES
    assert set(outline.ids) >= SECTIONS
    assert len(outline.ids) == len(set(outline.ids))
    assert [each for each in outline.addresses if not each.startswith(("#", "data:,"))] == []
    assert {each[1:] for each in outline.addresses if each.startswith("#")} <= set(outline.ids)
    assert not re.search(r"@import|url\((?!#)|<(script|img|iframe)[^>]*\ssrc=", text)
    assert "$" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_shows_the_figures_of_its_report(plans, pages, kind):
    plan, report = plans[kind]
    text = pages[kind]
    for shown in (
        f"{plan.job.model.name} on {plan.system.name}",
        seconds(report.step_s),
        percent(report.mfu),
        num_bytes(report.peak_memory.memory.total),
        str(plan.strategy),
    ):
        assert shown in text
    assert ("Infeasible" in text) == bool(report.violations)
    for part, duration_s in report.parts_s.items():
        assert duration_s <= 1e-12 * report.step_s or seconds(duration_s) in text, part


@pytest.mark.parametrize("kind", KINDS)
def test_every_die_is_on_the_map_and_says_what_it_does(plans, pages, kind):
    plan, report = plans[kind]
    topology = report.links.topology
    outline = Outline(pages[kind])
    used = [title for title in outline.titles if re.match(r"(die|device) \(.*: rank ", title)]
    assert len(used) == plan.strategy.degrees.num_ranks
    dead = int((~topology.is_live_D).sum())
    assert outline.classes.count("dead") == dead
    assert outline.classes.count("die") == topology.num_dies
    for rank, die in enumerate(plan.die_of_rank):
        place = f"({topology.row_D[die]}, {topology.col_D[die]}): rank {rank}"
        assert any(f" {place}," in title for title in used)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_can_be_taken_out_of_its_page(plans, pages, kind):
    found = re.search(
        r'<script type="application/json" id="plan-json">(.*?)</script>', pages[kind], re.DOTALL
    )
    assert found is not None
    assert plan_from_json(found[1]) == plans[kind][0]


def test_a_solution_adds_bounds_alternatives_and_costs(solution):
    cost = training_cost(solution.report, 46, 1e12, price_per_device_hour=4.0)
    text = report_html(solution, cost=cost)
    outline = Outline(text)
    assert {"bounds", "bottleneck", "energy", "cost", "alternatives"} <= set(outline.ids)
    assert f"{percent(solution.gap, digits=2)} above the lower bound" in text
    assert f"{solution.tightest_bound.name} (tightest)" in text
    for candidate in solution.alternatives:
        assert seconds(candidate.step_s) in text
    assert f"{cost.num_steps:,}" in text


def test_names_with_markup_are_escaped(plans):
    plan, report = plans["wafer"]
    name = '<script>alert("x")</script>&'
    evil = replace(
        plan,
        job=replace(plan.job, model=replace(plan.job.model, name=name)),
        system=plan.system.model_copy(update={"name": name, "flags": (name,)}),
    )
    text = plan_html(evil, report)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    Outline(text)
    found = re.search(r'id="plan-json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    assert plan_from_json(found[1]).system.name == name


def test_saving_replaces_the_file_whole_and_leaves_nothing_beside_it(plans, solution, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    save_report(plans["wafer"], path)
    assert path.read_text(encoding="utf-8") == plan_html(*plans["wafer"])
    save_report(solution, str(path))
    assert path.read_text(encoding="utf-8") == report_html(solution)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_does_not_exist_is_one_clear_message(plans, tmp_path):
    with pytest.raises(PlanError, match=r"cannot write .*No such file or directory"):
        save_report(plans["wafer"], tmp_path / "missing" / "report.html")


@pytest.mark.parametrize("name", GRIDS)
def test_no_two_dies_overlap_and_all_lie_on_the_drawing(name):
    spec = system(name)
    layout = die_layout(spec, build_topology(spec))
    assert layout.x_D.size == spec.num_dies
    assert layout.x_D.min() > 0
    assert layout.x_D.max() + DIE < layout.width
    assert layout.y_D.max() + DIE < layout.height
    dx = np.abs(layout.x_D[:, None] - layout.x_D[None, :])
    dy = np.abs(layout.y_D[:, None] - layout.y_D[None, :])
    apart = (dx >= DIE) | (dy >= DIE)
    np.fill_diagonal(apart, val=True)
    assert apart.all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("temp-6x8", 164),  # every link of a mesh
        ("temp-wafers", 2 * 164 + 2 * 6),  # two wafers, and the seam of six rows
        ("tpu-v5e", 1024 - 64),  # all but the 32 links around each edge, both ways
        ("dgx-h100", 0),  # all through switches
    ],
)
def test_links_are_drawn_where_they_join_neighbours(name, expected):
    spec = system(name)
    topology = build_topology(spec)
    layout = die_layout(spec, topology)
    assert drawn_links(layout, topology).size == expected


def test_dies_without_drawn_links_show_their_busiest(plans):
    plan, report = plans["cluster"]
    layout = die_layout(plan.system, report.links.topology)
    found = busiest_link_of_dies(layout, report.links)
    topology, utilization_L = report.links.topology, report.links.utilization_L
    assert set(found) == set(range(topology.num_dies))
    for die, link in found.items():
        mine = (topology.source_L == die) | (topology.destination_L == die)
        assert utilization_L[link] == utilization_L[mine].max()
    plan, report = plans["wafer"]
    assert busiest_link_of_dies(die_layout(plan.system, report.links.topology), report.links) == {}


def test_heat_grows_with_load_and_only_idle_links_are_cold(plans):
    links = plans["wafer"][1].links
    step_L, utilization_L = heat_steps(links), links.utilization_L
    order = np.argsort(utilization_L)
    assert (np.diff(step_L[order]) >= 0).all()
    assert ((step_L == 0) == (utilization_L == 0)).all()
    assert step_L.max() == 8
    idle = replace(links, bytes_L=np.zeros_like(links.bytes_L))
    assert heat_steps(idle).max() == 0


@pytest.mark.parametrize("kind", ["wafer", "interleaved", "zero_bubble_moe", "cluster"])
def test_the_executed_pipeline_is_what_the_report_charges(plans, kind):
    """The closed form is exact for equal stages, and here at most the head makes them differ."""
    plan, report = plans[kind]
    run = pipeline_run(plan, report)
    assert run is not None
    assert run.executed_s == pytest.approx(run.charged_s, rel=0.02)
    charged = {TimePart.DP, TimePart.OPTIMIZER, TimePart.STRAGGLERS}
    outside = sum(report.parts_s[part] for part in charged)
    assert run.charged_s == pytest.approx(report.step_s - outside)


def test_there_is_no_pipeline_without_stages_or_with_a_schedule_that_cannot_run(plans):
    assert pipeline_run(*plans["torus"]) is None
    plan, report = plans["interleaved"]
    odd = replace(plan, job=replace(plan.job, global_batch_size=42))
    broken = simulate_plan(odd, network=network_of(odd.system))
    assert [violation.what for violation in broken.violations] == ["schedule"]
    assert pipeline_run(odd, broken) is None
    assert 'id="pipeline"' not in plan_html(odd, broken)
    assert report.is_feasible


def test_a_long_pipeline_is_drawn_in_part_and_says_so(plans):
    plan, report = plans["wafer"]
    long = replace(report, num_micro_batches=500)
    run = pipeline_run(plan, long)
    assert run is not None
    assert run.shown.num_micro_batches < 500 == run.num_micro_batches
    assert "of the 500 micro-batches" in plan_html(plan, long)


def test_a_system_too_large_for_a_map_has_the_tables(plans):
    spec = system("dgx-h100:300")
    plan, report = plans["cluster"]
    topology = build_topology(spec)
    links = replace(report.links, topology=topology, bytes_L=np.ones(topology.num_links))
    text = plan_html(replace(plan, system=spec), replace(report, links=links))
    assert "2,400 devices are too many for a map" in text
    assert "Busiest links" in text
    assert len(text.encode()) < MAX_BYTES


def test_the_largest_mapped_system_stays_within_the_limit(plans):
    spec = system("tpu-v5e:8")
    plan, report = plans["torus"]
    topology = build_topology(spec)
    load = np.linspace(0.0, 1e9, topology.num_links)
    dies = tuple(range(spec.num_dies))
    wide = replace(
        plan,
        system=spec,
        die_of_rank=dies,
        strategy=replace(
            plan.strategy, degrees=replace(plan.strategy.degrees, dp=spec.num_dies // 8)
        ),
    )
    text = plan_html(
        wide, replace(report, links=replace(report.links, topology=topology, bytes_L=load))
    )
    assert spec.num_dies == 2048
    assert len(text.encode()) < MAX_BYTES


@given(st.text(max_size=40))
def test_text_never_becomes_markup(text):
    class Reader(HTMLParser):
        seen = ""
        tags = 0

        def handle_data(self, data):
            self.seen += data

        def handle_starttag(self, tag, attrs):
            self.tags += 1
            self.label = dict(attrs)["title"]

    reader = Reader()
    reader.feed(element("p", words(text), attributes={"title": text}))
    reader.close()
    assert reader.tags == 1
    assert reader.label == text
    assert reader.seen == text or "\r" in text or "\0" in text


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(a: str, b: str) -> float:
    """Of the Web Content Accessibility Guidelines 2.1."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@given(st.integers(0, 0xFFFFFF))
def test_labels_have_the_better_of_two_contrasts(number):
    colour = f"#{number:06x}"
    other = {"#ffffff": "#10151c", "#10151c": "#ffffff"}[ink_on(colour)]
    assert contrast(colour, ink_on(colour)) >= contrast(colour, other) - 0.01


def test_labels_on_our_colours_reach_the_contrast_asked_of_text():
    colours = [*TIME_COLOURS.values(), *ENERGY_COLOURS.values(), *PASS_COLOURS.values()]
    assert min(contrast(colour, ink_on(colour)) for colour in colours) >= 4.5


def test_the_parts_of_the_page_are_shipped_with_the_package():
    folder = Path(plan_html.__code__.co_filename).parent
    assert {"page.html", "style.css", "script.js"} <= {each.name for each in folder.iterdir()}
    assert element("p", raw("<b>x</b>")) == "<p><b>x</b></p>"
    assert json.loads('"\\u003c"') == "<"
