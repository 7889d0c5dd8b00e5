"""Print the commands of the README's quick start, or the one whose number (from 1) is given.

CI runs what this prints, so the README and CI cannot diverge.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def quick_start_commands(readme: str) -> list[str]:
    """Return the shell lines of the fenced blocks under the heading "Quick start".

    Raises:
        ValueError: The text has no such heading.
    """
    section = re.search(r"^## Quick start$(.*?)(?=^## |\Z)", readme, re.DOTALL | re.MULTILINE)
    if section is None:
        msg = "README.md has no section '## Quick start'"
        raise ValueError(msg)
    blocks = re.findall(r"^```bash\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


if __name__ == "__main__":
    commands = quick_start_commands(README.read_text(encoding="utf-8"))
    numbers = [int(argument) for argument in sys.argv[1:]]
    print("\n".join(commands[n - 1] for n in numbers) if numbers else "\n".join(commands))
