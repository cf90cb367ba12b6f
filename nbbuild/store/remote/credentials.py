"""Say whether the environment holds credentials for a bucket, without loading obstore."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_CREDENTIALS = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "SERVICE_ACCOUNT",
    ),
    "az": (
        "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_MSI_ENDPOINT",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_STORAGE_MASTER_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_USE_EMULATOR",
        "AZURE_USE_AZURE_CLI",
        "IDENTITY_ENDPOINT",
    ),
}
_GOOGLE_LOGIN = ".config/gcloud/application_default_credentials.json"
BUCKETS = tuple(_CREDENTIALS)
"""The schemes of URLs that lead to buckets."""


def has_credentials(scheme: str, environ: Mapping[str, str]) -> bool:
    """Whether the environment holds credentials for buckets of this kind."""
    if any(environ.get(name) for name in _CREDENTIALS[scheme]):
        return True
    return scheme == "gs" and Path(environ.get("HOME", ""), _GOOGLE_LOGIN).is_file()
