"""The HTTP service: FastAPI around `retrieval.Catalog`; nothing of search lives here.

`app` puts it together, `settings` says what can be set, `models` is what goes over the wire. The
command is `finetag-serve`.
"""
