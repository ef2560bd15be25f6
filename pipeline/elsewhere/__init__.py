"""Outputs in S3, Google Cloud Storage, Azure and the like."""
