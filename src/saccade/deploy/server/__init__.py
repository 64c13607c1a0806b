"""`saccade serve`: a page and an API for the models of runs.

`serve.py` starts and ends it, `app.py` says what answers where. A request passes `middleware.py` (who may ask, how
much, how long), one of the protocols (`image_api.py`, `tensorflow_serving.py`, `kserve_v2.py`), and the queues of
`batching.py` before decoder and network.
"""
