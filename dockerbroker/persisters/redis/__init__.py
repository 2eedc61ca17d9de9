"""Redis: records in hashes, and every change of several keys in one Lua script."""
