"""Everything waferloom raises on purpose; bad arguments of a function are plain `ValueError`s.

WaferloomError
├── SpecError      a preset, file or option does not describe something that can exist
├── PlanError      a plan or strategy contradicts its job or system
├── RoutingError   no route exists between two nodes that must talk
└── SolverError    a search has nothing to return
"""

import difflib
from collections.abc import Iterable


class WaferloomError(Exception):
    """A mistake that the user can mend; its text is the whole message shown."""


class SpecError(WaferloomError):
    """A preset, file or option does not describe something that can exist."""


class PlanError(WaferloomError):
    """A plan or strategy contradicts its job or its system."""


class RoutingError(WaferloomError):
    """No route exists between two nodes that must talk."""


class SolverError(WaferloomError):
    """A search has nothing to return."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the sentence that suggests near names, or lists all when none is near.

    Example:
        >>> did_you_mean("lama3-70b", ["llama3-70b", "gpt3-175b"])
        'did you mean llama3-70b?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}" if names else "none is known"
