"""Encrypted connections: the certificate that is shown now, its key, and what others must show."""
