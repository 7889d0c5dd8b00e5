"""Defects are checked against the system, add up, and are drawn fairly."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waferloom.errors import SpecError
from waferloom.hardware import (
    DefectMap,
    SystemSpec,
    random_defects,
    read_defects,
    system,
    with_defects,
)


def message_of(spec: SystemSpec, defects: DefectMap) -> str:
    with pytest.raises(SpecError) as raised:
        with_defects(spec, defects)
    return str(raised.value)


def test_defects_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "defects.toml"
    path.write_text(
        "dead_dies = [[0, 3]]\ndead_links = [[[1, 2], [1, 1]]]\ndead_core_fraction = 0.25\n"
    )
    spec = with_defects(system("temp-6x8"), read_defects(path))
    assert spec.defects.dead_dies == ((0, 3),)
    assert spec.defects.dead_links == (((1, 1), (1, 2)),)
    assert spec.defects.dead_core_fraction == 0.25
    assert spec.num_live_dies == 47


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dead_die = [[0, 3]]", "unknown key dead_die; did you mean dead_dies"),
        ("dead_dies = [[0]]", "dead_dies.0.1"),
        ("dead_dies = [[0 0]]", "line 1"),
        ("dead_core_fraction = 1", "dead_core_fraction must be below 1"),
        ("dead_core_fraction = -0.1", "dead_core_fraction must be at least 0"),
    ],
)
def test_a_faulty_defects_file_is_told_so(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "defects.toml"
    path.write_text(text)
    with pytest.raises(SpecError) as raised:
        read_defects(path)
    assert words in str(raised.value)


def test_a_missing_defects_file_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no file"):
        read_defects(tmp_path / "none.toml")


def test_all_impossible_defects_come_in_one_message() -> None:
    defects = DefectMap(
        dead_dies=((6, 0), (0, -1)), dead_links=(((0, 0), (1, 1)), ((0, 7), (0, 8)))
    )
    message = message_of(system("temp-6x8"), defects)
    for words in ("(6, 0)", "(0, -1)", "(0, 0) - (1, 1)", "(0, 7) - (0, 8)"):
        assert words in message


def test_a_system_whose_own_file_lists_impossible_defects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "temp-6x8"\nname = "mine"\n[defects]\ndead_dies = [[9, 9]]\n')
    with pytest.raises(SpecError, match=r"dead_dies has \(9, 9\)"):
        system(path)


def test_a_mesh_with_every_die_dead_is_refused() -> None:
    spec = system("moentwine-4x4")
    everything = tuple((row, col) for row in range(4) for col in range(4))
    assert "a dead mesh" in message_of(spec, DefectMap(dead_dies=everything))
    half = with_defects(spec, DefectMap(dead_dies=everything[:8]))
    assert "a dead mesh" in message_of(half, DefectMap(dead_dies=everything[8:]))


def test_defects_add_up() -> None:
    spec = with_defects(
        system("temp-6x8"), DefectMap(dead_dies=((0, 0), (1, 1)), dead_core_fraction=0.5)
    )
    worse = with_defects(spec, DefectMap(dead_dies=((1, 1), (2, 2)), dead_core_fraction=0.5))
    assert worse.defects.dead_dies == ((0, 0), (1, 1), (2, 2))
    assert worse.defects.dead_core_fraction == 0.75
    assert system("temp-6x8").defects == DefectMap()


def test_links_of_a_torus_wrap_and_stay_in_their_slice() -> None:
    spec = system("tpu-v5p:4x4x4")
    wrap = DefectMap(dead_links=(((0, 0), (3, 0)), ((0, 0), (0, 3)), ((0, 0), (12, 0))))
    assert len(with_defects(spec, wrap).defects.dead_links) == 3
    assert "no such neighbours" in message_of(spec, DefectMap(dead_links=(((0, 0), (8, 0)),)))
    two = system("tpu-v5e:2")
    assert "no such neighbours" in message_of(two, DefectMap(dead_links=(((15, 0), (16, 0)),)))
    small = system("tpu-v5e:2x4")
    assert with_defects(small, DefectMap(dead_links=(((0, 0), (1, 0)),)))
    assert with_defects(small, DefectMap(dead_links=(((0, 0), (0, 3)),)))


@pytest.mark.parametrize(
    ("name", "num_links"),
    [
        ("temp-6x8", 6 * 7 + 5 * 8),
        ("temp-wafers", 6 * 15 + 5 * 16),
        ("tpu-v5e", 2 * 256),
        ("tpu-v5e:2", 4 * 256),
        ("tpu-v5p:4x4x4", 3 * 64),
        ("tpu-v5p:2x4x2", 8 + 16 + 8),
        ("dgx-h100", 0),
    ],
)
def test_every_link_can_die_and_no_more(name: str, num_links: int) -> None:
    spec = system(name)
    drawn = random_defects(spec, num_dies=0, num_links=num_links, seed=0)
    assert len(set(drawn.dead_links)) == num_links
    with pytest.raises(SpecError, match="links cannot die"):
        random_defects(spec, num_dies=0, num_links=num_links + 1, seed=0)


@given(seed=st.integers(0, 2**32), num_dies=st.integers(0, 15), data=st.data())
@settings(deadline=None, max_examples=50)
def test_random_defects_are_possible_and_reproducible(
    seed: int, num_dies: int, data: st.DataObject
) -> None:
    spec = system("moentwine-4x4")
    num_links = data.draw(st.integers(0, max(0, 24 - 4 * num_dies)))
    drawn = random_defects(spec, num_dies=num_dies, num_links=num_links, seed=seed)
    assert drawn == random_defects(spec, num_dies=num_dies, num_links=num_links, seed=seed)
    hurt = with_defects(spec, drawn)
    assert hurt.num_live_dies == 16 - num_dies
    assert len(hurt.defects.dead_links) == num_links
    assert not {die for link in drawn.dead_links for die in link} & set(drawn.dead_dies)


def test_random_defects_spare_what_is_dead_already() -> None:
    spec = with_defects(
        system("moentwine-4x4"), DefectMap(dead_dies=((0, 0),), dead_links=(((3, 2), (3, 3)),))
    )
    drawn = random_defects(spec, num_dies=14, num_links=0, seed=1)
    assert (0, 0) not in drawn.dead_dies
    with pytest.raises(SpecError, match="one must be left"):
        random_defects(spec, num_dies=15, num_links=0, seed=1)
    links = random_defects(spec, num_dies=0, num_links=21, seed=1).dead_links
    assert ((3, 2), (3, 3)) not in links


def test_every_die_is_drawn_about_equally_often() -> None:
    spec = system("moentwine-4x4")
    counts = Counter(
        die
        for seed in range(800)
        for die in random_defects(spec, num_dies=2, num_links=0, seed=seed).dead_dies
    )
    assert len(counts) == 16
    # 100 expected each with a deviation of 9.4; five deviations either way.
    assert all(53 <= count <= 147 for count in counts.values())
