"""The store of versions that the settings name."""

from pathlib import Path

from app.setting_forms import parsed_store
from app.settings import BadSetting, Settings
from runner.snapshots.stores.opening import StoreSpec, spec_of
from runner.snapshots.stores.s3 import S3Config

FOLDER = "store"  # in the data folder


def chosen(settings: Settings) -> StoreSpec:
    """Holds the secret key: it belongs in a pipe, not in a program's arguments or a log."""
    return _spec(settings, settings.store, must_exist=True)


def other(settings: Settings, text: str) -> StoreSpec:
    """The store that DEVEX_STORE would name with this text; a folder is made. Raises BadSetting."""
    try:
        return _spec(settings, text, must_exist=False)
    except ValueError as error:
        raise BadSetting(f"“{text}” is no store: {error}.") from None


def _spec(settings: Settings, text: str, *, must_exist: bool) -> StoreSpec:
    """A folder that an operator set is not made: it may be on a disk that is not mounted yet."""
    match parsed_store(text):
        case None:
            return spec_of(settings.data_dir.resolve() / FOLDER)
        case Path() as folder:
            return spec_of(folder, must_exist=must_exist)
        case bucket:
            return spec_of(_s3(settings, bucket.name, bucket.prefix))


def _s3(settings: Settings, bucket: str, prefix: str) -> S3Config:
    by_path = (
        settings.s3_addressing == "auto" and settings.s3_endpoint
    )  # a name of its own for each bucket is rare there
    return S3Config(
        bucket=bucket,
        prefix=prefix,
        region=settings.s3_region,
        endpoint_url=settings.s3_endpoint or None,
        addressing="path" if by_path else settings.s3_addressing,
        ca_file=settings.s3_ca_file or None,
        access_key=settings.s3_access_key or None,
        secret_key=settings.s3_secret_key.get_secret_value() or None,
        encryption=settings.s3_sse,
        encryption_key_id=settings.s3_sse_key or None,
    )
