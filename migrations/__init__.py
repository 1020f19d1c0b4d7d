"""The database schema through time, for SQLite and PostgreSQL alike. Ships in the wheel."""
