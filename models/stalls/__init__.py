"""Street stalls: cut-outs rendered, placed on street pictures, learned, and measured on real pictures."""
