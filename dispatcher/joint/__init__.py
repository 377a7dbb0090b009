"""The next case engine, on trial: it associates whole stretches of what a vehicle saw jointly, with its position error.

What is shipped is `dispatcher/engine.py`; nothing here decides a case unless it is asked for (`cases replay --engine
joint`, `bench fleet`, `bench cases`). It keeps no store and makes no snapshots yet.
"""
