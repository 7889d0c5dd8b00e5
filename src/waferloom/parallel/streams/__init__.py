"""Stream schedules, one file each; `STREAMS` lists them, `CAUSAL_STREAMS` those under a mask.

`modes` says which operand of a GEMM streams, `latency` what a streamed GEMM takes.
"""

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
from waferloom.parallel.streams.causal import CAUSAL_STREAMS, CausalSchedule
from waferloom.parallel.streams.folded import FOLDED
from waferloom.parallel.streams.grid import GRID
from waferloom.parallel.streams.line import LINE
from waferloom.parallel.streams.modes import GemmPass, GemmShape, StreamMode
from waferloom.parallel.streams.naive_ring import NAIVE_RING
from waferloom.parallel.streams.ring import RING
from waferloom.parallel.streams.split_ring import SPLIT_RING
from waferloom.parallel.streams.trace import StreamTrace, trace
from waferloom.parallel.streams.validator import faults_of, held_pieces, traits_of

__all__ = [
    "CAUSAL_STREAMS",
    "STREAMS",
    "Arrangement",
    "CausalSchedule",
    "GemmPass",
    "GemmShape",
    "Movement",
    "Send",
    "StreamMode",
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
