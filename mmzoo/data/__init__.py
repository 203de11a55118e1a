"""Plan -> Data: splits read, processed, scanned and batched."""
