"""History in from files: CSV and Parquet, tall or wide, to columns of samples, with every refused row told.

It reads files and makes blocks; who sends them where is handed in.
"""
