"""Planted faults in gate, order and spending, and the certificate that must catch each by name.

`python -m tests.fault.mutants` (`make mutants`). Everything runs in virtual time: the real budget and order around a
modelled ERP that writes the real log. A mutant is a part put in by the constructor; nothing in the product can be
switched to one.
"""
