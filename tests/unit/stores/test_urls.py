import pytest

from serve_app.errors import SettingsInvalid
from serve_app.stores.connections import StoreLocation
from serve_app.stores.urls import checked_database_url, checked_redis_url, holds_credentials

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:p%2Fw@db:5432/shop",
        "postgres://shop@db/shop?sslmode=require",
        "postgresql://db1:5432,db2:5433/shop?target_session_attrs=read-write",
        "postgresql://postgres@/recserve?host=%2Fhome%2Fx%2Fsockets&port=5432",
        "host=db user=shop password='a b@c/d'",
    ],
)
def test_takes_what_postgresql_takes(url):
    assert checked_database_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql//shop:{SECRET}@db/shop",
        f"mysql://shop:{SECRET}@db/shop",
        f"postgresql://shop:{SECRET}/x@db/shop",
        f"postgresql://shop:12/{SECRET}@db/shop",
        f"postgresql://shop:x@{SECRET}@db/shop",
        f"postgresql://shop:{SECRET}@db:port/shop",
        f"postgresql://shop:%{SECRET}@db/shop",
        f"postgresql://shop:x?{SECRET}@db/shop",
        f"postgresql://shop:{SECRET}@[db/shop",
        f"host=db password={SECRET} port=many",
        f"host=db password='{SECRET}",
    ],
)
def test_refuses_a_database_without_repeating_its_password(url):
    with pytest.raises(SettingsInvalid, match="DATABASE_URL: must have the form") as refused:
        checked_database_url(url)

    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    ["redis://:p%2Fw@cache:6379/0", "rediss://me:pw@cache", "unix:///run/a@b.sock", "redis://h"],
)
def test_takes_what_redis_takes(url):
    assert checked_redis_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@cache",
        f"redis://:x/{SECRET}@cache",
        f"redis://:12/{SECRET}@cache",
        f"redis://:{SECRET}#x@cache",
        f"redis://:x@{SECRET}@cache",
        f"redis://:{SECRET}@cache:port",
        f"http://:{SECRET}@cache",
        f"cache:6379,password={SECRET}",
    ],
)
def test_refuses_a_redis_without_repeating_its_password(url):
    with pytest.raises(SettingsInvalid, match="REDIS_URL: must have the form") as refused:
        checked_redis_url(url)

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "holds"),
    [
        ("s3://KEY:SECRET@bucket/folder", True),
        ("s3://KEY:SE/CRET@bucket", True),
        ("s3://bucket/folder?region=eu-central-1", False),
        ("abfs://container@account/folder", False),
        ("folder@home", False),
    ],
)
def test_finds_credentials_in_a_uri_of_bundles(uri, holds):
    assert holds_credentials(uri) is holds


def test_a_location_does_not_show_its_urls(tmp_path):
    environment = {
        "DATABASE_URL": f"postgresql://a:{SECRET}@b/c",
        "REDIS_URL": f"redis://:{SECRET}@d",
    }

    location = StoreLocation.from_environment(environment, tmp_path)

    assert SECRET not in repr(location)
    assert SECRET not in repr(location.urls())
