"""What survives the broker."""
