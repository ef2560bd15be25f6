"""Corpora made for tests, and their reading in one go."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pyarrow as pa

from bertctl.pipeline.corpus.documents import Document
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.corpus.sources import Piece, plan_sources, read_pieces


def zstandard(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard}


def read_all(path: Path | str, settings: CorpusSettings, chunk_bytes: int = 1 << 20) -> list[Piece]:
    files = list_inputs([str(path)], on_bad_input=settings.on_bad_input)
    return [
        piece
        for source in plan_sources(files, settings, chunk_bytes)
        for piece in read_pieces(source, settings, chunk_bytes)
    ]


def documents_in(pieces: list[Piece]) -> list[Document]:
    return [document for piece in pieces for document in piece.documents]
