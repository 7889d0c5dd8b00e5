"""Hardware: dies, memories, links, wafers and clusters, read from presets and files."""

from waferloom.hardware.library import preset_names, preset_text, system
from waferloom.hardware.spec import SystemSpec

__all__ = ["SystemSpec", "preset_names", "preset_text", "system"]
