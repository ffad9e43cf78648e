"""Write encoded columns: into the rows of a block, or straight into margins.

- `sink`: the protocol. A `Sink` takes the features of rows, some columns at a time.
- `rows`: `Rows` writes features into the rows of a block, in any order of rows.
- `margins`: `Margins` multiplies features by the weights of a linear model and adds them up. No row
  is ever put together.
- `addresses`: passes Arrow columns to compiled loops as memory addresses.
- `standardise`: compiled steps that both sinks share: null bitmaps, scaling, imputation.
- `transpose`: the compiled loops of `Rows`. Those of `Margins` are next to it.

The encoder computes the features, and a sink stores them or adds them up.
"""
