"""The growth of the schema: one module in `versions` for each step, run by `dockerbroker.persisters.schema`.

A step only adds, and what it adds has a default: brokers of two versions may use the database at once.
"""
