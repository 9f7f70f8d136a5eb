"""A business day under a virtual clock: the real deciders, gate and retry rules around a modelled ERP.

What is ours runs as it is: contracts, credit policy, gate (budget, lanes, breaker, retry budget), recoverability. What
is around it is modelled: the arrival of messages, the ERP's time and moods, and a store that never fails. The ERP's
limits are enforced by the sandbox ERP's own code, which knows nothing of the gate. One thread, one heap of events,
one seed: the same arguments give the same bytes.
"""
