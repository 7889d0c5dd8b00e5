"""The page in a real browser: no network, no errors, and buttons that do what they say."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from waferloom.mapping.plan import plan_from_json
from waferloom.report.html import save_report

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = [("desktop", 1280), ("phone", 390)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium")
    if path is None:
        reason = "no chromium: install Debian's package chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def files(plans, solution, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for kind, scored in plans.items():
        save_report(scored, folder / f"{kind}.html")
    save_report(solution, folder / "solution.html")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def visit(browser: Browser):
    """Open a file; at the end no request but the file's own was made, and nothing complained."""
    pages: list[Page] = []
    requests: list[str] = []
    complaints: list[str] = []

    def record(route: Route) -> None:
        requests.append(route.request.url)
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            route.abort()

    def visit(path: Path, *, width: int = 1280, scheme: str = "light") -> Page:
        page = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route("**/*", record)
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield visit
    for page in pages:
        page.wait_for_load_state()
        page.close()
    assert complaints == []
    assert len(requests) == len(pages)
    assert all(url.startswith("file:") for url in requests)


KINDS = ["wafer", "infeasible", "interleaved", "zero_bubble_moe", "cluster", "torus", "solution"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("_device", "width"), WIDTHS)
def test_a_page_loads_quietly_and_never_scrolls_sideways(visit, files, kind, _device, width):
    page = visit(files[kind], width=width)
    for name in ("figures", "strategy", "time", "memory", "map", "assumptions", "sources"):
        assert page.locator(f"#{name}").is_visible(), name
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("kind", KINDS)
def test_buttons_switch_the_map(visit, files, kind):
    page = visit(files[kind])
    buttons = page.locator(".map button")
    rectangle = page.locator(".die:not(.dead):not(.idle) rect").first
    seen: set[tuple[str, str]] = set()
    assert buttons.count() >= 3
    for i in range(buttons.count()):
        button = buttons.nth(i)
        button.click()
        key = button.get_attribute("data-show")
        assert page.locator(".map").get_attribute("data-view") == key
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator('.map button[aria-pressed="true"]').count() == 1
        legends = page.locator(".map [data-for]")
        shown = [
            legends.nth(j).get_attribute("data-for")
            for j in range(legends.count())
            if legends.nth(j).is_visible()
        ]
        assert shown == [key]
        seen.add((str(key), rectangle.evaluate("node => getComputedStyle(node).fill")))
    assert len({fill for _, fill in seen}) >= 2


def test_the_views_label_dies_with_the_stage_and_memory_of_their_rank(visit, files, plans):
    plan, report = plans["wafer"]
    page = visit(files["wafer"])
    per_stage = plan.strategy.degrees.ranks_per_stage
    page.click('button[data-show="stage"]')
    labels = page.locator(".die text.stage:visible").all_text_contents()
    assert len(labels) == plan.strategy.degrees.num_ranks
    assert sorted(labels) == sorted(str(r // per_stage) for r in range(len(plan.die_of_rank)))
    assert page.locator(".die text.memory:visible").count() == 0
    page.click('button[data-show="memory"]')
    held = report.stages[0].memory.total / report.memory_capacity_bytes
    assert f"{100 * held:.0f}%" in page.locator(".die text.memory:visible").all_text_contents()


def test_links_are_coloured_only_in_their_own_view(visit, files):
    page = visit(files["wafer"])
    hottest = page.locator("line.h8").first
    colour = "node => getComputedStyle(node).stroke"
    quiet = hottest.evaluate(colour)
    page.click('button[data-show="links"]')
    assert hottest.evaluate(colour) != quiet


def test_the_plan_is_downloaded_as_it_is(visit, files, plans):
    page = visit(files["wafer"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download plan.json").click()
    assert download.value.suggested_filename == "plan.json"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert plan_from_json(text) == plans["wafer"][0]
    assert json.loads(text)["format"] == "waferloom-plan"


def test_dark_mode_is_dark_and_light_mode_light(visit, files):
    def brightness(scheme: str) -> float:
        page = visit(files["wafer"], scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    assert brightness("dark") < 150 < 600 < brightness("light")


def test_every_navigation_link_leads_to_its_section(visit, files):
    page = visit(files["solution"])
    links = page.locator("nav a")
    for i in range(links.count()):
        target = links.nth(i).get_attribute("href")
        assert target is not None
        assert page.locator(target).locator("h2").count() == 1
