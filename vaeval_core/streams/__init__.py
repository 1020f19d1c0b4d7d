"""Streams: the kinds of images that an evaluation looks at, each measured one network batch at a time."""
