"""Brokers that die at named points, and everything that must hold afterwards."""
