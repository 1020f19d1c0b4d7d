"""Results as figures. Writes nothing."""
