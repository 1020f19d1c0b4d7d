"""One file per revision, named by it. A file imports nothing of the application: it must still run when that has changed."""
