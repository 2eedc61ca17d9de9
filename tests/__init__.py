"""Tests of the broker and the agent; the folders mirror the package."""

import os

# Engines, namespaces and users of other programs need root; the programs that are tested are its children.
os.environ.setdefault("DOCKERBROKER_ALLOW_ROOT", "1")
