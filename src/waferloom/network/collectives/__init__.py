"""Collective algorithms: one file each, all listed in `COLLECTIVES`."""

from waferloom.network.collectives.base import Collective, CollectiveProfile, Exchange
from waferloom.network.collectives.table import COLLECTIVES

__all__ = ["COLLECTIVES", "Collective", "CollectiveProfile", "Exchange"]
