"""The joint case engine: it associates whole stretches of what a vehicle saw jointly, with its position error.

It decides for `jiexun cases replay`, `bench fleet` and `bench cases`, and beside a store with `--engine joint`.
All else is decided by `dispatcher/engine.py`.

Its modules run compiled where `dispatcher/compiled.py` made machine code of them.
"""

from dispatcher.compiled import use

COMPILED = use(__path__)
