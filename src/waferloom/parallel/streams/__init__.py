"""Stream schedules, one file each; `STREAMS` lists them."""

from collections.abc import Mapping
from typing import Final

from waferloom.parallel.streams.base import (
    Arrangement,
    Movement,
    Send,
    StreamSchedule,
    StreamTable,
    StreamTraits,
)
from waferloom.parallel.streams.folded import FOLDED
from waferloom.parallel.streams.grid import GRID
from waferloom.parallel.streams.line import LINE
from waferloom.parallel.streams.naive_ring import NAIVE_RING
from waferloom.parallel.streams.ring import RING
from waferloom.parallel.streams.split_ring import SPLIT_RING
from waferloom.parallel.streams.trace import StreamTrace, trace
from waferloom.parallel.streams.validator import faults_of, held_pieces, traits_of

__all__ = [
    "STREAMS",
    "Arrangement",
    "Movement",
    "Send",
    "StreamSchedule",
    "StreamTable",
    "StreamTrace",
    "StreamTraits",
    "faults_of",
    "held_pieces",
    "trace",
    "traits_of",
]

STREAMS: Final[Mapping[str, StreamSchedule]] = {
    schedule.name: schedule for schedule in (LINE, RING, SPLIT_RING, GRID, FOLDED, NAIVE_RING)
}
