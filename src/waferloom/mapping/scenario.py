"""A scenario: what is to be done, and on what."""

from dataclasses import dataclass

from waferloom.hardware.spec import SystemSpec
from waferloom.workload.job import Training


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A job on a system."""

    job: Training
    system: SystemSpec
