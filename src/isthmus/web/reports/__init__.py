"""Reports for paper: what an answer of the API holds, as pages to print."""
