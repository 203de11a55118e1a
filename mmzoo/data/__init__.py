"""Plan -> Data: reads, processes, scans and batches the splits of a data set."""
