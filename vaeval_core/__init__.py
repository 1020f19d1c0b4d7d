"""The library: everything that makes a number, usable alone in a notebook.

Start with `vaeval_core.evaluate`, the story in three functions. Nothing here knows of queues, databases, terminals,
environment variables or the time of day.
"""
