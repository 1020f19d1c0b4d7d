"""The processes that compute: a supervisor, and one slot per device."""
