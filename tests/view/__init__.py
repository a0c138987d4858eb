"""Tests of `snug view`: the page, its source in web/, and what a browser shows of it."""
