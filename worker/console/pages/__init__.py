"""Pages for people: what the command line shows and does, in a browser.

`visiting.py` says who asks, `rendering.py` makes HTML; every other module is one of the pages.
"""
