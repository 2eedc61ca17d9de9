"""One suite per interface, run on the fake and on the real thing."""
