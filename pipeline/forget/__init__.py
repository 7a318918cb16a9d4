"""Taking a user out of everything that a product has: raw lines, datasets, pages; his ids stay taken.

person      which values name him, and where
lines       which lines of a source are his
raw_files   finding them in the raw files, and writing these without them
erasers     what is his in a published dataset, and what stays of it
datasets    finding and erasing that, day by day
models      versions that know him
leftovers   what readers see no more, and still is there
journal     what an interrupted forgetting must finish before anything else runs
forgetting  all of it in order
"""
