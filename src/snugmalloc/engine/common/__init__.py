"""What the libraries share: layers that each of them names in its LAYERS as ``common.NAME``.

Nothing here depends on a library: the memory that a function works on is its parameter.
"""
