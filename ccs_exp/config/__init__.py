"""The configuration: what can be set, composed by Hydra from ``conf/``, and refused where it cannot work.

In: a command line's overrides. Out: a `DictConfig` that is known to be sound before anything is loaded, or a `CcsError` that says what was
meant. `schema` has the settings of every job, `checks` what must fit together, `settings` each one's kind (`signatures`: of what a
``_target_`` takes), `mistakes` the words for what is wrong; `services` and `secrets` are about language models. Imports files, heads,
store (to find sources) and compute (how many processes there are).
"""
