"""The page of `saccade label` on which persons label images in their browsers.

`serve_page.py` starts the server, `app.py` has its paths, `desk.py` gives questions to the browsers and records the
answers, `original_images.py` decodes the images for the page, and `static/` has the page itself.
"""
