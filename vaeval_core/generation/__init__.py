"""An adapter and addressed noise to images. Networks run on aligned batches of one size; see `aligned_batches`."""
