"""The proof of the four functions: the specification, the interpreted engine and libosmem.so side by side."""
