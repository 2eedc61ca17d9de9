"""The steps of the schema's growth."""
