"""Schedules against their published closed forms, and against running them task by task."""

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from waferloom.errors import PlanError
from waferloom.parallel.pipelines import SCHEDULES, Pass, PipelineSchedule, StageTimes, Task
from waferloom.parallel.pipelines.gpipe import GPipe
from waferloom.parallel.pipelines.interleaved import Interleaved
from waferloom.parallel.pipelines.zero_bubble import ZeroBubble
from waferloom.parallel.strategy import ScheduleName
from waferloom.simulate.pipeline_timeline import timeline

SECONDS = st.floats(min_value=0.05, max_value=3.0)
RANKS = st.integers(1, 8)
EVERY_SCHEDULE = pytest.mark.parametrize("name", list(SCHEDULES))


@st.composite
def counts(draw: st.DrawFn, name: ScheduleName) -> tuple[int, int, int]:
    """Pipeline ranks, micro-batches and chunks that the schedule is defined for."""
    p = draw(RANKS)
    if name is ScheduleName.INTERLEAVED:
        return p, p * draw(st.integers(1, 4)), draw(st.integers(2, 4))
    return p, draw(st.integers(1, 20)), 1


@st.composite
def stage_times(draw: st.DrawFn) -> StageTimes:
    return StageTimes(forward_s=draw(SECONDS), backward_s=draw(SECONDS), weight_s=draw(SECONDS))


def makespan_s(schedule: PipelineSchedule, times: list[StageTimes], n: int, v: int = 1) -> float:
    return timeline(schedule, times, n=n, v=v).makespan_s


def closed_form_s(schedule: PipelineSchedule, times: list[StageTimes], n: int, v: int) -> float:
    """What the simulator charges: the slowest rank n times, and the fill of the others."""
    slowest = max(range(len(times)), key=lambda rank: times[rank].total_s)
    fills = [
        schedule.fill_s(each, p=len(times), n=n, v=v)
        for rank, each in enumerate(times)
        if rank != slowest
    ]
    return n * times[slowest].total_s + sum(fills)


@EVERY_SCHEDULE
@given(data=st.data())
def test_every_pass_of_every_micro_batch_runs_once_on_every_rank(name, data):
    p, n, v = data.draw(counts(name))
    passes = tuple(Pass) if name is ScheduleName.ZERO_BUBBLE else (Pass.FORWARD, Pass.BACKWARD)
    expected = Counter(Task(kind, i, c) for kind in passes for i in range(n) for c in range(v))
    for rank in range(p):
        assert Counter(SCHEDULES[name].order(rank, p, n, v)) == expected


@EVERY_SCHEDULE
@given(data=st.data())
def test_no_rank_keeps_more_activations_than_its_memory_is_charged_for(name, data):
    p, n, v = data.draw(counts(name))
    schedule = SCHEDULES[name]
    last = Pass.WEIGHT if name is ScheduleName.ZERO_BUBBLE else Pass.BACKWARD
    for rank in range(p):
        alive = most = 0
        for task in schedule.order(rank, p, n, v):
            alive += (task.kind is Pass.FORWARD) - (task.kind is last)
            most = max(most, alive)
        assert most == schedule.in_flight(rank, p, n, v)


@given(p=RANKS, n=st.integers(1, 20))
def test_zero_bubble_waits_for_backward_with_no_more_than_1f1b(p, n):
    for rank in range(p):
        alive = most = 0
        for task in ZeroBubble().order(rank, p, n, 1):
            alive += (task.kind is Pass.FORWARD) - (task.kind is Pass.BACKWARD)
            most = max(most, alive)
        assert most == min(p - rank, n)


@pytest.mark.parametrize("name", [ScheduleName.GPIPE, ScheduleName.ONE_F_ONE_B])
@given(times=stage_times(), p=RANKS, n=st.integers(1, 20))
def test_gpipe_and_1f1b_lose_p_minus_1_micro_batches(name, times, p, n):
    """Huang et al. 2019 section 2.3; Narayanan et al. 2021 section 2.2.1."""
    expected = (n + p - 1) * times.total_s
    assert makespan_s(SCHEDULES[name], [times] * p, n) == pytest.approx(expected, rel=1e-12)


@given(times=stage_times(), p=RANKS, rounds=st.integers(1, 4), v=st.integers(1, 4))
def test_interleaving_divides_the_bubble_by_the_chunks(times, p, rounds, v):
    """Narayanan et al. 2021 section 2.2.2."""
    expected = (p * rounds + (p - 1) / v) * times.total_s
    found = makespan_s(Interleaved(), [times] * p, p * rounds, v)
    assert found == pytest.approx(expected, rel=1e-12)


@given(times=stage_times(), p=RANKS, n=st.integers(1, 20))
def test_zero_bubble_leaves_f_plus_b_minus_w_per_rank(times, p, n):
    """Qi et al. 2023 section 2, ZB-H1; that p micro-batches or more are needed is ours."""
    f, b, w = times.forward_s, times.backward_s, times.weight_s
    assume(w <= min(f, b))
    expected = n * (f + b + w) + (p - 1) * (f + b - w) + max(0, p - n) * w
    assert makespan_s(ZeroBubble(), [times] * p, n) == pytest.approx(expected, rel=1e-12)


@EVERY_SCHEDULE
@given(data=st.data(), times=stage_times())
def test_the_fill_of_equal_ranks_is_that_of_the_executed_schedule(name, data, times):
    p, n, v = data.draw(counts(name))
    schedule = SCHEDULES[name]
    charged = closed_form_s(schedule, [times] * p, n, v)
    found = makespan_s(schedule, [times] * p, n, v)
    assert found <= charged * (1 + 1e-12)
    if name is not ScheduleName.ZERO_BUBBLE or times.weight_s <= min(
        times.forward_s, times.backward_s
    ):
        assert found == pytest.approx(charged, rel=1e-12)


MOST_ABOVE_CHARGE = {
    # a theorem (two flow shops; one critical path), up to rounding
    ScheduleName.GPIPE: 1e-12,
    ScheduleName.ONE_F_ONE_B: 1e-12,
    # no theorem: a hunt over 25,000 strongly uneven cases found 3.0 % and 4.6 % at most
    ScheduleName.ZERO_BUBBLE: 0.10,
    ScheduleName.INTERLEAVED: 0.10,
}


@EVERY_SCHEDULE
@given(data=st.data(), times=stage_times())
def test_ranks_that_differ_by_a_factor_take_about_what_is_charged_at_most(name, data, times):
    """Stages of more or fewer equal layers; other ratios of the passes may break this."""
    p, n, v = data.draw(counts(name))
    factors = data.draw(st.lists(st.floats(0.5, 2.0), min_size=p, max_size=p))
    ranks = [
        StageTimes(
            forward_s=k * times.forward_s,
            backward_s=k * times.backward_s,
            weight_s=k * times.weight_s,
        )
        for k in factors
    ]
    charged = closed_form_s(SCHEDULES[name], ranks, n, v)
    assert makespan_s(SCHEDULES[name], ranks, n, v) <= charged * (1 + MOST_ABOVE_CHARGE[name])


@given(ranks=st.lists(stage_times(), min_size=1, max_size=8), n=st.integers(1, 20))
def test_gpipe_of_unequal_ranks_is_two_flow_shops(ranks, n):
    """Identical jobs through machines in a row: the sum, and the slowest n - 1 times more."""
    forwards = [times.forward_s for times in ranks]
    backwards = [times.backward_s + times.weight_s for times in ranks]
    expected = sum(forwards) + sum(backwards) + (n - 1) * (max(forwards) + max(backwards))
    assert makespan_s(GPipe(), ranks, n) == pytest.approx(expected, rel=1e-12)


@EVERY_SCHEDULE
@given(data=st.data())
def test_no_schedule_beats_its_busiest_rank_or_one_micro_batch(name, data):
    p, n, v = data.draw(counts(name))
    ranks = data.draw(st.lists(stage_times(), min_size=p, max_size=p))
    found = timeline(SCHEDULES[name], ranks, n=n, v=v)
    through = sum(times.forward_s + times.backward_s for times in ranks)
    assert found.makespan_s >= n * max(times.total_s for times in ranks) * (1 - 1e-12)
    assert found.makespan_s >= through * (1 - 1e-12)
    assert 0 <= found.bubble < 1


@EVERY_SCHEDULE
@given(data=st.data(), message_s=st.floats(0, 1))
def test_no_pass_starts_before_its_rank_is_free_or_its_message_has_arrived(name, data, message_s):
    p, n, v = data.draw(counts(name))
    ranks = data.draw(st.lists(stage_times(), min_size=p, max_size=p))
    run = timeline(SCHEDULES[name], ranks, n=n, v=v, message_s=message_s)
    start, end = {}, {}
    for e in range(run.rank_E.size):
        virtual = int(run.chunk_E[e]) * p + int(run.rank_E[e])
        key = (list(Pass)[run.pass_E[e]], int(run.micro_batch_E[e]), virtual)
        start[key], end[key] = run.start_s_E[e], run.end_s_E[e]
        if e > 0 and run.rank_E[e] == run.rank_E[e - 1]:
            assert run.start_s_E[e] >= run.end_s_E[e - 1] - 1e-12
    for kind, i, virtual in start:
        before = {
            Pass.FORWARD: (Pass.FORWARD, i, virtual - 1),
            Pass.BACKWARD: (Pass.BACKWARD, i, virtual + 1),
            Pass.WEIGHT: (Pass.BACKWARD, i, virtual),
        }[kind]
        if before in end:
            delay = message_s if p > 1 and kind is not Pass.WEIGHT else 0.0
            assert start[kind, i, virtual] >= end[before] + delay - 1e-12
        if kind is Pass.BACKWARD:
            assert start[kind, i, virtual] >= end[Pass.FORWARD, i, virtual] - 1e-12


@given(times=stage_times(), p=RANKS, message_s=st.floats(0, 1))
def test_one_micro_batch_pays_for_every_message_there_and_back(times, p, message_s):
    found = timeline(GPipe(), [times] * p, n=1, message_s=message_s).makespan_s
    assert found == pytest.approx(p * times.total_s + 2 * (p - 1) * message_s, rel=1e-12)


class BackwardFirst(GPipe):
    """Asks for gradients of what has not run yet."""

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        return tuple(reversed(super().order(rank, p, n, v)))


class Twice(GPipe):
    """Runs the first forward a second time."""

    def order(self, rank: int, p: int, n: int, v: int) -> tuple[Task, ...]:
        tasks = super().order(rank, p, n, v)
        return (tasks[0], *tasks)


ONE_SECOND = StageTimes(forward_s=1.0, backward_s=1.0, weight_s=1.0)


def test_an_order_that_waits_for_itself_is_called_a_deadlock():
    with pytest.raises(PlanError, match="deadlocked: rank 0 waits to run B of micro-batch 0"):
        timeline(BackwardFirst(), [ONE_SECOND] * 2, n=2)


def test_an_order_that_repeats_a_pass_is_refused():
    with pytest.raises(PlanError, match="rank 0 runs F of micro-batch 0, chunk 0 twice"):
        timeline(Twice(), [ONE_SECOND] * 2, n=2)


def test_counts_below_one_are_refused():
    with pytest.raises(ValueError, match="n must be at least 1, found 0"):
        timeline(GPipe(), [ONE_SECOND], n=0)
    with pytest.raises(ValueError, match="pipeline ranks must be at least 1, found 0"):
        timeline(GPipe(), [], n=1)


def test_interleaving_needs_whole_rounds():
    with pytest.raises(ValueError, match="divisible by pp, found 3 and 2"):
        timeline(Interleaved(), [ONE_SECOND] * 2, n=3, v=2)
