"""`OperatorCost` and `OperatorCosts`: what one operator, or many, take on one die."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCost:
    """What one operator takes on one die.

    Attributes:
        duration_s: Start to finish.
        compute_s: What the cores alone would take.
        dram_s: What memory alone would take.
        noc_s: What feeding the cores alone would take; 0 where the NoC is not modelled.
        flops: Useful operations: no padding, no recomputation, and half of the score matrix where
            the attention is causal.
        dram_bytes: Read and written.
        sram_bytes: Taken in and given out by the cores.
    """

    duration_s: float
    compute_s: float
    dram_s: float
    noc_s: float
    flops: float
    dram_bytes: float
    sram_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatorCosts:
    """`OperatorCost` of B operators, one array of axis B per field."""

    duration_s: Floats
    compute_s: Floats
    dram_s: Floats
    noc_s: Floats
    flops: Floats
    dram_bytes: Floats
    sram_bytes: Floats

    def __len__(self) -> int:
        """Return the number of operators."""
        return self.duration_s.shape[0]

    def __getitem__(self, index: int) -> OperatorCost:
        """Return the cost of operator `index`."""
        return OperatorCost(
            duration_s=float(self.duration_s[index]),
            compute_s=float(self.compute_s[index]),
            dram_s=float(self.dram_s[index]),
            noc_s=float(self.noc_s[index]),
            flops=float(self.flops[index]),
            dram_bytes=float(self.dram_bytes[index]),
            sram_bytes=float(self.sram_bytes[index]),
        )
