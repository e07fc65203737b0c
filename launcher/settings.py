"""What the environment variables ask of the launcher, and what it hands on to the processes it starts."""

from collections.abc import Mapping
from dataclasses import dataclass

from launcher.places import Places, places
from launcher.refusals import LaunchRefused
from launcher.secret_files import fixed_sandbox_key, is_loopback, sealing_key


@dataclass(frozen=True, slots=True)
class Settings:
    """`sandbox_key` and `database_url` are None where the launcher is to provide them."""

    places: Places
    host: str
    port: int
    database_url: str | None
    sandbox_key: str | None
    environ: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where this machine reaches the API."""
        # A listener on all addresses is asked on the loopback one.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """LaunchRefused for what cannot be meant. An empty value counts as unset."""
    text = environ.get("PORT") or "8000"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise LaunchRefused(f"PORT must be a number from 1 to 65535, not {text!r}.", "PORT 必须是 1 到 65535 的数字。")
    return Settings(
        places=places(environ),
        host=environ.get("HOST") or "127.0.0.1",
        port=int(text),
        database_url=environ.get("DATABASE_URL") or None,
        sandbox_key=fixed_sandbox_key(environ),
        environ=environ,
    )


def service_environment(settings: Settings, database_url: str) -> dict[str, str]:
    """For migrations, API and worker. What the caller has set stands."""
    given = {name: value for name, value in settings.environ.items() if value}
    defaults = {
        "KMR_SEALING_KEY": given.get("KMR_SEALING_KEY") or sealing_key(settings.places.kept),
        "KMR_FILES_URL": (settings.places.kept / "files").as_uri(),
        # Receivers on this machine are what one tries out first; not when others can reach the API and name targets.
        "KMR_ALLOW_LOOPBACK_WEBHOOKS": "1" if is_loopback(settings.host) else "0",
        "PYTHONUNBUFFERED": "1",
    }
    ours = {"HOST": settings.host, "PORT": str(settings.port), "DATABASE_URL": database_url}
    return {**defaults, **given, **ours}
