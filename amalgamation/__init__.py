"""The amalgamation: one library of the engine, written in its small Python, becomes one Cython unit.

``language.py`` reads the modules, ``records.py`` the records and ``bodies.py`` the functions in them; all
refuse what the language does not have, in the words of ``model.py``. ``emit.py`` writes the unit; ``lines.py``
leads the C that Cython makes of it back to the engine's own lines. Used by the build only.
"""
