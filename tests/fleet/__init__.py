"""A fleet of real Docker hosts on one machine, and everything that happens to them."""
