"""Object stores for tests: in memory, a folder, and an S3 server on this machine where moto and s3fs are installed."""

import threading
import uuid

import pytest

BUCKET = "runs"


def start_s3(monkeypatch):
    """Start an S3 server with a bucket and let this process use it; return the server."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    _answer_in_turn(monkeypatch)
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs(BUCKET, exist_ok=True)
    return running


def _answer_in_turn(monkeypatch):
    """Let the server look whether a file is there and write it as one, as S3 does; its threads may come in between."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    answer, lock = DomainDispatcherApplication.__call__, threading.Lock()

    def answer_alone(*arguments):
        with lock:
            return answer(*arguments)

    monkeypatch.setattr(DomainDispatcherApplication, "__call__", answer_alone)


@pytest.fixture(params=["memory", "file", "s3"])
def store(request, tmp_path, monkeypatch):
    """The URL of an empty folder of a store; this machine's scratch folders are below `tmp_path/here`."""
    monkeypatch.setenv("HF_PEFT_COMPARE_CACHE", str(tmp_path / "here"))
    if request.param == "s3":
        server = start_s3(monkeypatch)
        request.addfinalizer(server.stop)
    place = f"{tmp_path}/store" if request.param == "file" else f"{BUCKET}/{uuid.uuid4().hex}"
    return f"{request.param}://{place}"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """`elsewhere("b")`: from now on this is another machine, with scratch folders of its own."""
    return lambda name: monkeypatch.setenv("HF_PEFT_COMPARE_CACHE", str(tmp_path / name))
