"""Stores everything as it is."""


def compress(data):
    return data


def decompress(blob):
    return blob
