"""The first-order solvers, such as sgd and adagrad, for dense features and hashed slots."""
