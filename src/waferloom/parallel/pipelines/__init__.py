"""Pipeline schedules, one file each; `SCHEDULES` lists them."""

from collections.abc import Mapping
from typing import Final

from waferloom.parallel.pipelines.base import Pass, PipelineSchedule, StageTimes, Task
from waferloom.parallel.pipelines.gpipe import GPipe
from waferloom.parallel.pipelines.interleaved import Interleaved
from waferloom.parallel.pipelines.one_f_one_b import OneFOneB
from waferloom.parallel.pipelines.zero_bubble import ZeroBubble
from waferloom.parallel.strategy import ScheduleName

__all__ = ["SCHEDULES", "Pass", "PipelineSchedule", "StageTimes", "Task"]

SCHEDULES: Final[Mapping[ScheduleName, PipelineSchedule]] = {
    ScheduleName.GPIPE: GPipe(),
    ScheduleName.ONE_F_ONE_B: OneFOneB(),
    ScheduleName.INTERLEAVED: Interleaved(),
    ScheduleName.ZERO_BUBBLE: ZeroBubble(),
}
