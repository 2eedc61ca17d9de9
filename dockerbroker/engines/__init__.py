"""Docker: one engine for each host, and the ways of running an image's executables."""
