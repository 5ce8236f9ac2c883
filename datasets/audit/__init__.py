"""What is wrong with a dataset, told before anything is learnt from it, and what can be put right in a copy.

`auditing.audit` reads every case once (`gathering`, `facts`) and hands what was noted to the checks, one module for
each family. `fixing.fix_copy` applies fixes to a copy on disk, `without` leaves copies of images out of what is learnt
from.
"""
