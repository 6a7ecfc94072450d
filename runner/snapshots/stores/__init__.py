"""Bytes under keys that are never replaced: in a folder, in S3, in S3 by somebody else's signatures.

What the bytes mean is not known here (but for `signing`, which signs no commit of another epoch).
"""
