"""What papers propose and this program can reproduce and measure, without an engine that is shipped needing it.

Switched on by a training recipe alone; every part can be deleted with its folder and the lines that name it in
``network.py`` and ``objective.py``.
"""
