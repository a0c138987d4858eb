"""The page of `snug view`: a trace in one HTML file that shows the heap at every moment.

`page.html` beside this module is built from the folder `web` of the source; docs/view.md describes both.
"""
