"""The networks: one paper per file.

`networks.configs` says how a network is built and fed and needs no torch; `networks.build` turns such a description
into a module. Importing this package alone imports neither.
"""
