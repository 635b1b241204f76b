# EXPECT: outcome=no_artifact says=held
# Other code than the image's. Nothing is sent: the index is a closed port of its own loopback.
import subprocess
import sys

for command in (
    [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--index-url",
        "http://127.0.0.1:9/simple",
        "--retries",
        "0",
        "six",
    ],
    [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", "/data", "six"],
    ["/usr/bin/apt-get", "install", "-y", "-o", "Acquire::http::Proxy=http://127.0.0.1:9", "hello"],
):
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
        print("ESCAPED:" if result.returncode == 0 else "held:", command[2:4], result.stderr[-100:])
    except OSError as error:
        print("held:", command[0], error.strerror)
