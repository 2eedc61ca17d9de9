"""Faults of database servers, and of the networks and clocks between them and brokers."""
