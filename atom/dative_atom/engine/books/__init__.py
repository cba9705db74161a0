"""What is written down about documents: where each came to rest, keys, receipts, letters, notices, reports."""
