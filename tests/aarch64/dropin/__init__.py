"""libsnugmalloc.so on aarch64."""
