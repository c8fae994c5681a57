"""HDF5 files without libhdf5: groups, links, attributes and where datasets lie, and never the datasets' bytes.

The metadata are scattered over the file, so everything is read in lockstep: what all objects of a level need next is
asked for at once (`reading`). Nothing outside the file is ever opened: links and storage that lead there are told.
Source: HDF5 File Format Specification 3.0 (superblocks 0 to 3).
"""
