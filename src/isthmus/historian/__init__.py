"""The record: writes, compresses, rolls up and answers questions about samples."""
