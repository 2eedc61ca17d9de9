"""A Cloud Foundry service broker that turns Docker images into service instances."""
