"""Sets of real images: sorted, indexable, known by a digest. `catalogue.open_images` understands every `--data` URI."""
