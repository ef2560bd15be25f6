"""A real S3 server process on loopback, and files put there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs

BUCKET = "corpora"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@dataclass(frozen=True)
class S3Server:
    port: int
    process: subprocess.Popen[bytes]

    def uri(self, path: str = "", *, bucket: str = BUCKET) -> str:
        options = f"endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"
        return f"s3://{bucket}/{path}?{options}"

    @property
    def file_system(self) -> pyarrow.fs.FileSystem:
        return pyarrow.fs.FileSystem.from_uri(self.uri() + "&allow_bucket_creation=true")[0]

    def put(self, path: str, data: bytes) -> None:
        with self.file_system.open_output_stream(f"{BUCKET}/{path}", compression=None) as stream:
            stream.write(data)

    def put_all(self, folder: Path, prefix: str) -> None:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())


@contextmanager
def s3_server(**environment: str) -> Generator[S3Server]:
    """Run a server with an empty bucket; its credentials must be in the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "moto_server ended"
                assert time.monotonic() < deadline, "moto_server doesn't answer"
                time.sleep(0.02)
        server = S3Server(port, process)
        server.file_system.create_dir(BUCKET)
        yield server
    finally:
        process.kill()
        process.wait()
