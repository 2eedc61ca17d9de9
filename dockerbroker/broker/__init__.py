"""Coordinates: asks the model, writes to the persister, does with the engines, writes again."""
