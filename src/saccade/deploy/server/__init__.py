"""`saccade serve`: a page and an API for the models of runs.

`serve.py` starts and stops the server, `app.py` assembles its paths. A request passes the guard of `web/middleware.py`,
one of the protocols (`image_api.py`, `tensorflow_serving.py`, `kserve_v2.py`), and the queues of `batching.py` before
image decoder and network.
"""
