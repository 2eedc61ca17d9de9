"""Tests of the broker and the agent; the folders mirror the package."""
