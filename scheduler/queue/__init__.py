"""How workers hear that work is there. A lost or doubled message changes nothing; `base` says why."""
