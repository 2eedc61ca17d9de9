"""What coordinates: the service broker, its worker, its recovery."""
