"""The joint case engine: it associates whole stretches of what a vehicle saw jointly, with its position error.

It decides for `jiexun cases replay --engine joint`, `bench fleet` and `bench cases`. It keeps no store and makes no
snapshots yet: the stream and all else are decided by `dispatcher/engine.py`.

Its modules run compiled where `dispatcher/compiled.py` made machine code of them.
"""

from dispatcher.compiled import use

COMPILED = use(__path__)
