"""The real programs, a real Docker Engine, real databases."""
