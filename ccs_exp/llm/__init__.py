"""Asking language models over the chat-completions protocol; knows no head, label or verdict.

In: requests, each with the object that reads its reply, and a model's settings (`asker`). Out: kept replies, one for each request, and
what they cost. On the way: `live` or `batch`, through `client`, which bounds and cleans whatever a service says; `failures` says what
is tried again, `retries` how often. Imports config, the store's place, files and errors.
"""
