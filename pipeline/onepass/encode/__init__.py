"""From Arrow columns to numbers: the profile decides, the schema freezes, the encoder encodes."""
