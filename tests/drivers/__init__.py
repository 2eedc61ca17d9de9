"""Whole brokers on each kind of database server."""
