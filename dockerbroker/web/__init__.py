"""The edge: HTTP in, values inside, HTTP out."""
