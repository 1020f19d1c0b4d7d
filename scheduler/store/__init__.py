"""Where truth lives: SQL for states and numbers, files for arrays. `base` states the guarantees."""
