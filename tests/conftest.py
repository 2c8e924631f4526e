"""Settings that all tests share."""

import hypothesis

# The first example of a test may compile kernels for seconds, so examples have no deadline;
# the same examples every time keep a green suite green.
hypothesis.settings.register_profile("lgc", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("lgc")
