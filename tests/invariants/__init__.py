"""Tests of the invariants, and of brokers that are broken on purpose."""
