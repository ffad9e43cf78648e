"""Write encoded columns: into the rows of a block, or straight into margins."""
