"""The agent: tells every broker that its Docker host is alive, and how it is reached."""
