"""Measurements beside other libraries. Run by hand, never by tests: a clock has no place in a test."""

from __future__ import annotations
