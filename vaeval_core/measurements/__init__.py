"""Numbers per image, in float64. Means over images are taken later, so that none is a mean of batch means."""
