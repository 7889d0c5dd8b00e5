"""Hardware: dies, memories, links, wafers and clusters, read from presets and files."""

from waferloom.hardware.defects import random_defects, read_defects, with_defects
from waferloom.hardware.library import preset_names, preset_text, system
from waferloom.hardware.resources import Resource, scaled
from waferloom.hardware.spec import DefectMap, SystemSpec

__all__ = [
    "DefectMap",
    "Resource",
    "SystemSpec",
    "preset_names",
    "preset_text",
    "random_defects",
    "read_defects",
    "scaled",
    "system",
    "with_defects",
]
