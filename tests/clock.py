"""A clock for tests of times: others on the machine do not count."""
import time


class Clock:
    """Tells the time that this process has computed, and what it would have slept."""

    def __init__(self):
        self.slept = 0.0

    def sleep(self, seconds):
        """Sleep without waiting."""
        self.slept += seconds

    def perf_counter(self):
        """Return the time in seconds."""
        return time.process_time() + self.slept
