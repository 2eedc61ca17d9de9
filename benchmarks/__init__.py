"""Measures the broker beside a baseline in the same run."""
