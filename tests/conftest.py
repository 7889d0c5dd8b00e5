"""Settings of every test run."""

import os

from hypothesis import settings

# A first call may compile a kernel, so no example has a deadline. CI runs the slow tests `reduced`.
settings.register_profile("default", deadline=None)
settings.register_profile("reduced", deadline=None, max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
