"""The libraries on aarch64: cross-compiled, and run by qemu."""
