"""A platform as the broker meets it: Cloud Controller's rules as a model, and a broker for it to talk to."""
