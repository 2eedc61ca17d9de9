"""Measures the broker beside a baseline in the same run."""

import os

# Docker of this machine may be reached by root alone.
os.environ.setdefault("DOCKERBROKER_ALLOW_ROOT", "1")
