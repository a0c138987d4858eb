"""libosmem.so on aarch64."""
