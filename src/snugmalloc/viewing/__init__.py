"""The pages of `snug view`: a trace in one HTML file that shows the heap at every moment, and how malloc works.

`page.html` and `demo.html` beside this module are built from the folder `web` of the source; docs/view.md
describes them.
"""
