"""A run on many machines: perception workers own cameras, one site service owns identities, leases say who owns what.

Nothing here needs Ray; what starts and watches workers with Ray is in the modules whose names begin with ``ray_``.
"""
