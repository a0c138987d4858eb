"""The tests; folders mirror the project."""
