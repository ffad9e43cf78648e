"""Where rows come from: files, their identity, their order, their batches."""
